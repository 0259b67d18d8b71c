//! What the driver makes of answers.

use bytes::{Bytes, BytesMut};
use hallows_record::assign_offset_and_epoch;
use hallows_runtime::Slice;
use hallows_storage::{AppendError, Appended, Durability, ReadError};
use hallows_types::PartitionId;

use super::host::Answer;
use super::workload::{Kind, Pending};
use super::{Run, Tracked};
use crate::checks::reads::Read;
use crate::checks::{epochs, idempotence, log_start, reads, times};
use crate::ledger::Promises;
use crate::violation::{Verdict, Violation};
use crate::world::read_all;

impl Run {
    pub(super) fn on_answer(&mut self, number: u64, answer: Answer) -> Verdict {
        let Some(pending) = self.pending.get(&number) else {
            return Ok(());
        };
        let id = pending.partition;
        // A removed partition's answers concern nobody.
        let Some(tracked) = self.partitions.get_mut(&id) else {
            if !matches!(answer, Answer::Assigned(_)) {
                self.pending.remove(&number);
            }
            return Ok(());
        };
        tracing::debug!(number, %id, ?answer, "answered");
        self.world.trace().note("answer", &[number]);
        let verdict = judge(tracked, number, pending, &answer);
        if !matches!(answer, Answer::Assigned(_)) {
            self.pending.remove(&number);
        }
        verdict.map_err(|violation| named(id, &violation))
    }
}

fn named(id: PartitionId, violation: &Violation) -> Violation {
    Violation {
        detail: format!("{id}: {}", violation.detail),
        ..violation.clone()
    }
}

fn judge(tracked: &mut Tracked, number: u64, pending: &Pending, answer: &Answer) -> Verdict {
    match (&pending.kind, answer) {
        (Kind::Produce { batch, sent }, Answer::Assigned(appended)) => {
            if let Some(sent) = sent {
                let base = appended.base_offset.0;
                let as_seen = if appended.duplicate {
                    idempotence::Answer::Duplicate(base)
                } else {
                    idempotence::Answer::Appended
                };
                idempotence::check(&tracked.ledger, sent, as_seen)?;
            }
            if appended.duplicate {
                Ok(())
            } else {
                assign(tracked, batch, appended)
            }
        }
        (Kind::Produce { sent, .. }, Answer::Refused(error)) => refused(tracked, number, sent.as_ref(), error),
        (Kind::Produce { .. }, Answer::Acknowledged(appended, weakest)) => {
            acknowledge(tracked, appended, *weakest);
            tracked
                .producers
                .iter_mut()
                .for_each(|producer| producer.acknowledged(number));
            Ok(())
        }
        (
            Kind::Fetch {
                from,
                max_bytes,
                at_least_one,
            },
            Answer::Read { slices, high_watermark },
        ) => {
            // A failing read is an injected fault: the client would see a broken connection.
            let Ok(bytes) = bytes_of(slices) else { return Ok(()) };
            let read = Read {
                from: *from,
                high_watermark: high_watermark.0,
                max_bytes: *max_bytes,
                at_least_one: *at_least_one,
                bytes: &bytes,
            };
            reads::check(&tracked.ledger, &read)
        }
        (Kind::Fetch { from, .. }, Answer::NotRead(ReadError::OffsetOutOfRange { log_start, log_end, .. })) => {
            let inside = (log_start.0..=log_end.0).contains(from);
            if inside || log_end.0 < tracked.ledger.end() && *from < log_end.0 {
                return Err(Violation::new(
                    "reads are served",
                    format!("{from} is inside {log_start}..={log_end}"),
                ));
            }
            Ok(())
        }
        (Kind::Time(target), Answer::Found(found, before, after)) => {
            let found = found.map(|(offset, time)| (offset.0, time.0));
            times::check(&tracked.ledger, *target, before.0, after.0, found)
        }
        (Kind::Delete, Answer::Deleted(before)) => {
            if before.0 > tracked.ledger.log_start {
                log_start::check(&mut tracked.ledger, before.0)?;
            }
            Ok(())
        }
        (Kind::Epoch(asked), Answer::Epoch((epoch, end), current, log_end)) => {
            epochs::check(&tracked.ledger, *asked, *current, log_end.0, (*epoch, end.0))
        }
        (Kind::Produce { .. }, Answer::Gone) => {
            tracked.producers.iter_mut().for_each(|producer| producer.retry(number));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn assign(tracked: &mut Tracked, batch: &Bytes, appended: &Appended) -> Verdict {
    let mut stored = BytesMut::from(&batch[..]);
    assign_offset_and_epoch(&mut stored, appended.base_offset, tracked.epoch);
    let ledger = &mut tracked.ledger;
    let (base, end) = (appended.base_offset.0, appended.end_offset.0);
    if base != ledger.end() {
        let detail = format!("offset {base} was assigned, the log ended at {}", ledger.end());
        return Err(Violation::new("offsets are gapless", detail));
    }
    ledger.minted.check(tracked.epoch, base, end, &stored)?;
    ledger.assign(stored.freeze());
    Ok(())
}

fn acknowledge(tracked: &mut Tracked, appended: &Appended, weakest: Durability) {
    let (base, end) = (appended.base_offset.0, appended.end_offset.0);
    // A repeat promises what the first acknowledgement promised.
    let promise = match weakest {
        _ if appended.duplicate => Promises::default(),
        Durability::Fsync => Promises {
            power_loss: end,
            kill: end,
        },
        Durability::Written => Promises {
            power_loss: 0,
            kill: end,
        },
        Durability::Memory => Promises::default(),
    };
    tracked.ledger.acknowledge(base, promise);
}

fn refused(tracked: &mut Tracked, number: u64, sent: Option<&idempotence::Sent>, error: &AppendError) -> Verdict {
    let Some(sent) = sent else { return Ok(()) };
    let answer = match error {
        AppendError::OutOfOrderSequence { .. } => idempotence::Answer::OutOfOrder,
        AppendError::InvalidProducerEpoch { .. } => idempotence::Answer::Fenced,
        _ => {
            tracked.producers.iter_mut().for_each(|producer| producer.retry(number));
            return Ok(());
        }
    };
    idempotence::check(&tracked.ledger, sent, answer)?;
    for producer in &mut tracked.producers {
        let is_first = producer
            .in_flight
            .front()
            .is_some_and(|flight| flight.request == Some(number));
        producer.retry(number);
        if is_first {
            producer.bump_epoch();
        }
    }
    Ok(())
}

fn bytes_of(slices: &[Slice]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for slice in slices {
        match slice {
            Slice::Memory(memory) => bytes.extend_from_slice(memory),
            Slice::File { file, offset, len } => {
                let start = bytes.len();
                bytes.resize(start + slice.len(), 0);
                match read_all(file, &mut bytes[start..], *offset) {
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                        panic!("{len} bytes at {offset} are part of an answer and not in the file")
                    }
                    result => result?,
                }
            }
        }
    }
    Ok(bytes)
}
