//! An idempotent producer's batches are appended exactly once, in their order, also across restarts.
//!
//! Source: KIP-98; Apache Kafka, `ProducerAppendInfo.checkSequence` and `ProducerStateEntry.findDuplicateBatch`:
//! the last five batches of a producer are recognised.

use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, Violation, ensure};

const NAME: &str = "idempotent producers are exact";

/// Batches that are recognised when they come again.
const REMEMBERED: usize = 5;

/// How the log answered a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Appended at this base offset.
    Appended,
    /// Recognised: its offsets of the first time.
    Duplicate(i64),
    /// Refused: its sequence does not follow.
    OutOfOrder,
    /// Refused: its epoch is old.
    Fenced,
}

/// A batch's place in its producer's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
}

/// Judges the answer to a batch by what the log held just before.
///
/// # Errors
/// A batch that was appended twice, or out of order, or refused although it was next.
pub fn check(ledger: &Ledger, sent: &Sent, answer: Answer) -> Verdict {
    let history = history(ledger, sent.producer_id);
    let Some((_, latest)) = history.last() else {
        // Nothing of this producer is in the log: it may have been deleted, and the producer remembered or forgotten.
        return Ok(());
    };
    let expected = if sent.epoch < latest.producer_epoch {
        Answer::Fenced
    } else if sent.epoch > latest.producer_epoch {
        if sent.base_sequence == 0 {
            Answer::Appended
        } else {
            Answer::OutOfOrder
        }
    } else {
        in_epoch(&history, sent)
    };
    if answer == expected || !is_whole(&history, sent.epoch) && answer != Answer::Appended {
        return Ok(());
    }
    let last = latest.last_sequence();
    let detail = format!("{sent:?} was answered {answer:?}, expected {expected:?}; the last sequence was {last}");
    Err(Violation::new(NAME, detail))
}

fn in_epoch(history: &[(i64, hallows_record::BatchHeader)], sent: &Sent) -> Answer {
    let recent = history
        .iter()
        .rev()
        .take(REMEMBERED)
        .filter(|(_, batch)| batch.producer_epoch == sent.epoch);
    for (base, batch) in recent.clone() {
        if batch.base_sequence == sent.base_sequence && batch.last_sequence() == sent.last_sequence {
            return Answer::Duplicate(*base);
        }
    }
    let last = recent.map(|(_, batch)| batch.last_sequence()).next().unwrap_or(-1);
    if sent.base_sequence == hallows_record::next_sequence(last, 1) {
        Answer::Appended
    } else {
        Answer::OutOfOrder
    }
}

/// Whether the last five batches of an epoch are known to the ledger: the oldest of them may have been deleted.
fn is_whole(history: &[(i64, hallows_record::BatchHeader)], epoch: i16) -> bool {
    let of_epoch = history.iter().filter(|(_, batch)| batch.producer_epoch == epoch);
    of_epoch.clone().count() >= REMEMBERED
        || of_epoch
            .clone()
            .next()
            .is_some_and(|(_, batch)| batch.base_sequence == 0)
}

/// The producer's last batches, oldest first; one more than is remembered.
fn history(ledger: &Ledger, producer_id: i64) -> Vec<(i64, hallows_record::BatchHeader)> {
    let batches = ledger
        .log
        .iter()
        .rev()
        .map(|(base, entry)| (*base, header(&entry.bytes)));
    let mut history: Vec<_> = batches
        .filter(|(_, batch)| batch.producer_id == producer_id)
        .take(REMEMBERED + 1)
        .collect();
    history.reverse();
    history
}

/// Judges a refusal, seen from outside, of the batch that follows everything acknowledged so far: what came before it
/// must be gone, for otherwise the log knows the producer. `refused` is the batch's header, `error` what was answered.
///
/// # Errors
/// The batch that had to be accepted.
pub fn check_refusal(ledger: &Ledger, refused: &hallows_record::BatchHeader, error: &str) -> Verdict {
    let predecessor = ledger.log.iter().find(|(_, entry)| {
        let before = header(&entry.bytes);
        (before.producer_id, before.producer_epoch) == (refused.producer_id, refused.producer_epoch)
            && hallows_record::next_sequence(before.last_sequence(), 1) == refused.base_sequence
    });
    let sequence = refused.base_sequence;
    let place = predecessor.map(|(base, _)| *base);
    ensure!(
        NAME,
        place.is_none(),
        "sequence {sequence} of {} was refused with {error}; the batch before it is at {place:?}",
        refused.producer_id
    );
    ensure!(
        NAME,
        sequence != 0,
        "the first batch of {} was refused with {error}",
        refused.producer_id
    );
    Ok(())
}

/// Whether no batch of any producer is in the log twice.
///
/// # Errors
/// The batch that is.
pub fn check_log(ledger: &Ledger) -> Verdict {
    let mut seen = std::collections::BTreeMap::new();
    for (base, entry) in &ledger.log {
        let batch = header(&entry.bytes);
        if !batch.has_producer() {
            continue;
        }
        let key = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        let before = seen.insert(key, *base);
        ensure!(
            NAME,
            before.is_none(),
            "the batch {key:?} is at {before:?} and at {base}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hallows_record::{BatchBuilder, Codec, NewRecord, Producer, assign_offset_and_epoch};
    use hallows_types::{LeaderEpoch, Offset};

    use super::*;

    fn append(ledger: &mut Ledger, base: i64, epoch: i16, base_sequence: i32) {
        let producer = Producer {
            id: 9,
            epoch,
            base_sequence,
        };
        let mut builder = BatchBuilder::new(Codec::None).with_producer(producer);
        builder
            .append(&NewRecord {
                value: Some(b"value"),
                ..NewRecord::default()
            })
            .expect("small");
        let mut batch = builder.build().expect("small");
        assign_offset_and_epoch(&mut batch, Offset(base), LeaderEpoch(0));
        ledger.assign(batch.into());
    }

    #[test]
    fn answers_follow_from_the_log() {
        let mut ledger = Ledger::default();
        (0..7).for_each(|base| append(&mut ledger, base, 1, i32::try_from(base).expect("small")));
        let allowed = |epoch, sequence, answer| {
            let sent = Sent {
                producer_id: 9,
                epoch,
                base_sequence: sequence,
                last_sequence: sequence,
            };
            check(&ledger, &sent, answer).is_ok()
        };
        assert!(allowed(1, 7, Answer::Appended) && !allowed(1, 7, Answer::OutOfOrder));
        assert!(allowed(1, 8, Answer::OutOfOrder) && !allowed(1, 8, Answer::Appended));
        assert!(allowed(1, 4, Answer::Duplicate(4)) && !allowed(1, 4, Answer::Appended));
        assert!(!allowed(1, 4, Answer::Duplicate(3)) && !allowed(1, 6, Answer::OutOfOrder));
        assert!(allowed(0, 7, Answer::Fenced) && !allowed(0, 7, Answer::Appended));
        assert!(allowed(2, 0, Answer::Appended) && allowed(2, 1, Answer::OutOfOrder));
        check_log(&ledger).expect("each once");
        append(&mut ledger, 7, 1, 3);
        check_log(&ledger).expect_err("twice");
    }
}
