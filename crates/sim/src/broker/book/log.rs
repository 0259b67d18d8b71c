//! What answers say about logs, judged and noted.

use bytes::{Bytes, BytesMut};
use hallows_protocol::ErrorCode;
use hallows_record::{StructureLimits, assign_offset_and_epoch, check_structure, peek_size};
use hallows_storage::Durability;
use hallows_types::{LeaderEpoch, Offset};

use super::{BatchName, Book, PartitionName, Sent};
use crate::checks::delivered::{self, Delivery};
use crate::checks::{idempotence, log_start};
use crate::ledger::{Promises, header};
use crate::violation::{Verdict, Violation};

/// What a fetch gave of one partition.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Delivered {
    pub(in crate::broker) from: i64,
    pub(in crate::broker) high_watermark: i64,
    pub(in crate::broker) log_start: i64,
    pub(in crate::broker) records: Bytes,
}

impl Book {
    /// A batch was sent to a topic, by its name or by its id.
    pub(in crate::broker) fn sent(&mut self, to: PartitionName, batch: &Bytes, by_id: bool) {
        let sent = self.sent.entry((to, BatchName::of(batch))).or_insert_with(|| Sent {
            batch: batch.clone(),
            times: 0,
            times_by_name: 0,
        });
        sent.times += 1;
        sent.times_by_name += u32::from(!by_id);
    }

    /// The batch that was sent to a partition under a name, and how often it may be there: what was sent by name to an
    /// earlier topic may arrive when a later one has the name.
    pub(in crate::broker) fn find_sent(&self, name: PartitionName, batch: BatchName) -> Option<(&Bytes, u32)> {
        let topic_name = &self.topics.get(&name.topic)?.name;
        let having = self.topics.iter().filter(|(_, topic)| topic.name == *topic_name);
        let mut found: Option<(&Bytes, u32)> = None;
        for (number, _) in having {
            let place = PartitionName { topic: *number, ..name };
            let Some(sent) = self.sent.get(&(place, batch)) else {
                continue;
            };
            let times = match number.cmp(&name.topic) {
                std::cmp::Ordering::Less => sent.times_by_name,
                std::cmp::Ordering::Equal => sent.times,
                std::cmp::Ordering::Greater => 0,
            };
            if times > 0 {
                let before = found.map_or(0, |(_, times)| times);
                found = Some((&sent.batch, before + times));
            }
        }
        found
    }

    /// A batch was acknowledged; it had been sent at `since` for the first time.
    pub(in crate::broker) fn acknowledged(
        &mut self,
        name: PartitionName,
        batch: &Bytes,
        base: i64,
        since: u64,
    ) -> Verdict {
        let Some(topic) = self.topics.get_mut(&name.topic) else {
            return Ok(());
        };
        let weakest = topic.durability.weakest_since(since);
        let epoch = topic.epoch.unwrap_or(-1);
        let ledger = &mut topic.logs.entry(name.index).or_default().ledger;
        if base < ledger.log_start {
            return Ok(());
        }
        let end = base + i64::from(header(batch).last_offset_delta) + 1;
        if let Some(entry) = ledger.log.get(&base) {
            let repeated = entry.acknowledged;
            let same = BatchName::of(&entry.bytes) == BatchName::of(batch);
            if !same {
                let detail = format!("{name}: a batch was acknowledged at {base}, where another one is");
                return Err(Violation::new("offsets are immutable", detail));
            }
            if repeated {
                return Ok(());
            }
        } else {
            let mut stored = BytesMut::from(&batch[..]);
            assign_offset_and_epoch(&mut stored, Offset(base), LeaderEpoch(epoch));
            delivered::is_new(ledger, &stored, epoch).map_err(|violation| violation.at(name))?;
            ledger.learn(stored.freeze()).map_err(|violation| violation.at(name))?;
        }
        ledger.acknowledge(base, promise(weakest, end));
        Ok(())
    }

    /// The batch that had to come next was refused by its sequence.
    pub(in crate::broker) fn refused(&mut self, name: PartitionName, batch: &Bytes, error: ErrorCode) -> Verdict {
        let refused = header(batch);
        let is_other = |((to, _), sent): (&(PartitionName, BatchName), &Sent)| {
            let other = header(&sent.batch);
            *to == name && other.producer_id == refused.producer_id && other.base_sequence != refused.base_sequence
        };
        // A partition takes the first batch that it sees of a producer, whatever its sequence, as Kafka does: if the
        // one before was refused for lack of room, nobody can tell.
        if refused.base_sequence == 0 && self.sent.iter().any(is_other) {
            return Ok(());
        }
        let Some(log) = self.log(name) else { return Ok(()) };
        idempotence::check_refusal(&log.ledger, &refused, error.name()).map_err(|violation| violation.at(name))
    }

    /// Records were read. Gives the batches and whether the last one was damaged on its way from the disk.
    pub(in crate::broker) fn delivered(
        &mut self,
        name: PartitionName,
        read: &Delivered,
    ) -> Result<Vec<Bytes>, Violation> {
        let (batches, damaged) = whole_batches(&read.records);
        if damaged {
            self.damaged_answers += 1;
            if !self.reads_may_flip {
                let detail = format!("{name}: a batch at or after {} has a wrong checksum", read.from);
                return Err(Violation::new("batches are whole", detail));
            }
        }
        self.batches_read += batches.len() as u64;
        for batch in &batches {
            self.was_sent(name, batch)?;
        }
        let Some(topic) = self.topics.get_mut(&name.topic) else {
            return Ok(Vec::new());
        };
        let epoch = topic.epoch.unwrap_or(-1);
        let weakest = topic.durability.weakest_since(0);
        let may_expire = topic.may_expire;
        let log = topic.logs.entry(name.index).or_default();
        let delivery = Delivery {
            from: read.from,
            high_watermark: read.high_watermark,
            epoch,
            batches: &batches,
            // Offset and epoch are outside of the checksum: what was read wrongly must not be learned.
            learns: !self.reads_may_flip,
        };
        let end = match delivered::check(&mut log.ledger, &delivery) {
            Ok(end) => end,
            Err(_) if self.reads_may_flip => {
                self.damaged_answers += 1;
                return Ok(Vec::new());
            }
            Err(violation) => return Err(violation.at(name)),
        };
        if read.log_start > log.delete_asked.max(log.ledger.log_start) && !may_expire {
            let detail = format!("{name}: the log starts at {}, nobody asked for that", read.log_start);
            return Err(Violation::new("the log start moves by deletion only", detail));
        }
        // Answers of different connections may overtake each other, so an older log start proves nothing.
        if read.log_start > log.ledger.log_start {
            log_start::check(&mut log.ledger, read.log_start).map_err(|violation| violation.at(name))?;
        }
        if let Some(end) = end.filter(|_| !self.reads_may_flip) {
            let promise = promise(weakest, end);
            let promises = &mut log.ledger.promises;
            promises.power_loss = promises.power_loss.max(promise.power_loss);
            promises.kill = promises.kill.max(promise.kill);
        }
        Ok(batches)
    }

    fn was_sent(&self, name: PartitionName, batch: &[u8]) -> Verdict {
        let sent = self.find_sent(name, BatchName::of(batch));
        let same = sent.is_some_and(|(sent, _)| sent.len() == batch.len() && sent[16..] == batch[16..]);
        if same {
            return Ok(());
        }
        let base = header(batch).base_offset;
        let detail = format!("{name}: the batch at {base} was never sent there");
        Err(Violation::new("only what was sent is in the log", detail))
    }

    /// Whether batches are in a log no more often than they were sent, and those of idempotent producers once.
    pub(in crate::broker) fn check_counts(&self, name: PartitionName) -> Verdict {
        let Some(log) = self
            .topics
            .get(&name.topic)
            .and_then(|topic| topic.logs.get(&name.index))
        else {
            return Ok(());
        };
        idempotence::check_log(&log.ledger).map_err(|violation| violation.at(name))?;
        let mut seen = std::collections::BTreeMap::new();
        for entry in log.ledger.log.values() {
            let count = seen.entry(BatchName::of(&entry.bytes)).or_insert(0_u32);
            *count += 1;
            let sent = self.find_sent(name, BatchName::of(&entry.bytes));
            if sent.is_some_and(|(_, times)| *count > times) {
                let detail = format!("{name}: a batch is in the log {count} times, more often than it was sent");
                return Err(Violation::new("only what was sent is in the log", detail));
            }
        }
        Ok(())
    }
}

/// What an acknowledgement, or a read, promises.
const fn promise(durability: Durability, end: i64) -> Promises {
    match durability {
        Durability::Fsync => Promises {
            power_loss: end,
            kill: end,
        },
        Durability::Written => Promises {
            power_loss: 0,
            kill: end,
        },
        Durability::Memory => Promises { power_loss: 0, kill: 0 },
    }
}

/// The whole batches at the beginning of `records` whose checksums are right, and whether a wrong one follows.
fn whole_batches(records: &Bytes) -> (Vec<Bytes>, bool) {
    let mut rest = records.clone();
    let mut batches = Vec::new();
    while let Some(size) = peek_size(&rest) {
        let Ok(size) = size else { return (batches, true) };
        if size > rest.len() {
            break;
        }
        let batch = rest.split_to(size);
        if check_structure(&batch, &StructureLimits::stored()).is_err() {
            return (batches, true);
        }
        batches.push(batch);
    }
    (batches, false)
}
