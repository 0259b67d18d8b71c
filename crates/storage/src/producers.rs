//! Idempotent producers of one partition: which batches were appended, so that a repeat is recognised (KIP-98).
//!
//! The state after any prefix of the log is a function of that prefix (and of expiry); it is saved in checkpoints
//! together with the offset it belongs to, and never restored for a log that ends earlier.

use std::collections::BTreeMap;

use hallows_types::{Offset, WallTime};
use smallvec::SmallVec;

use crate::batch::BatchHeader;
use crate::codec::{FormatError, Reader, Writer};
use crate::error::AppendError;
use crate::event::ProducerState;

/// Batches remembered per producer: clients have at most this many in flight.
const BATCHES_PER_PRODUCER: usize = 5;
/// Bytes of one producer without its batches, and of one batch, on disk.
const PRODUCER_BYTES: usize = 8 + 2 + 2 + 8;
const BATCH_BYTES: usize = 4 + 4 + 8 + 8;

/// One appended batch of a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct RememberedBatch {
    base_sequence: i32,
    /// Offset of the last record minus offset of the first.
    offset_delta: i32,
    base_offset: Offset,
    max_timestamp: WallTime,
}

impl RememberedBatch {
    const fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.offset_delta)
    }
}

/// What is known of one producer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Producer {
    epoch: i16,
    /// When its last batch was appended, by the wall clock.
    last_seen: WallTime,
    /// Oldest first; of the current epoch only.
    batches: SmallVec<[RememberedBatch; BATCHES_PER_PRODUCER]>,
}

/// The producers of one partition, by id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Producers(BTreeMap<i64, Producer>);

/// What a batch is to its producer's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The next one: append it.
    New,
    /// Appended before, at these offsets.
    Duplicate {
        /// Of its first record.
        base_offset: Offset,
        /// Of its last record.
        last_offset: Offset,
        /// The largest timestamp it was appended with.
        max_timestamp: WallTime,
    },
}

impl Producers {
    /// Judges a batch against what was appended so far, committed or not.
    ///
    /// # Errors
    /// [`AppendError::OutOfOrderSequence`] and [`AppendError::InvalidProducerEpoch`].
    /// # Source
    /// Apache Kafka, `ProducerAppendInfo.checkSequence` and `ProducerStateEntry.findDuplicateBatch`.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        let Some(producer) = self.0.get(&header.producer_id).filter(|_| header.producer_id >= 0) else {
            return Ok(Verdict::New);
        };
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
                latest: producer.epoch,
            });
        }
        if header.is_control() || header.base_sequence < 0 {
            return Ok(Verdict::New);
        }
        if header.producer_epoch > producer.epoch {
            return expect_sequence(header, 0);
        }
        if let Some(duplicate) = producer.find(header) {
            return Ok(duplicate);
        }
        match producer.batches.last() {
            None => Ok(Verdict::New),
            Some(last) => expect_sequence(header, sequence_after(last.last_sequence(), 1)),
        }
    }

    /// Notes an appended batch, at most `count_max` producers; the one silent for longest makes room.
    pub(crate) fn apply(&mut self, header: &BatchHeader, now: WallTime, count_max: usize) {
        if header.producer_id < 0 {
            return;
        }
        if !self.0.contains_key(&header.producer_id) && self.0.len() >= count_max {
            self.forget_oldest();
        }
        let producer = self.0.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            last_seen: now,
            batches: SmallVec::new(),
        });
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        producer.last_seen = producer.last_seen.max(now);
        if header.is_control() || header.base_sequence < 0 {
            return;
        }
        if producer.batches.len() == BATCHES_PER_PRODUCER {
            producer.batches.remove(0);
        }
        producer.batches.push(RememberedBatch {
            base_sequence: header.base_sequence,
            offset_delta: header.last_offset_delta,
            base_offset: header.base_offset,
            max_timestamp: header.max_timestamp,
        });
    }

    /// Forgets producers last seen before `deadline`. Returns how many.
    pub(crate) fn expire(&mut self, deadline: WallTime) -> usize {
        let before = self.0.len();
        self.0.retain(|_, producer| producer.last_seen >= deadline);
        before - self.0.len()
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .0
            .iter()
            .min_by_key(|(_, producer)| producer.last_seen)
            .map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.0.remove(&id);
        }
    }

    /// By ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ProducerState> + '_ {
        self.0.iter().map(|(id, producer)| ProducerState {
            producer_id: *id,
            producer_epoch: producer.epoch,
            last_sequence: producer.batches.last().map_or(-1, RememberedBatch::last_sequence),
            last_timestamp: producer
                .batches
                .last()
                .map_or(producer.last_seen, |last| last.max_timestamp),
            transaction_start: None,
        })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        for (id, producer) in &self.0 {
            writer.i64(*id);
            writer.i16(producer.epoch);
            writer.u16(u16::try_from(producer.batches.len()).expect("at most five"));
            writer.i64(producer.last_seen.0);
            for batch in &producer.batches {
                writer.i32(batch.base_sequence);
                writer.i32(batch.offset_delta);
                writer.i64(batch.base_offset.0);
                writer.i64(batch.max_timestamp.0);
            }
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let count = reader.count(PRODUCER_BYTES)?;
        let mut producers = Self::default();
        for _ in 0..count {
            let id = reader.i64()?;
            let epoch = reader.i16()?;
            let batches = usize::from(reader.u16()?);
            let last_seen = WallTime(reader.i64()?);
            if id < 0 || batches > BATCHES_PER_PRODUCER {
                return Err(FormatError::Invalid { what: "producer" });
            }
            let batches = (0..batches).map(|_| decode_batch(reader)).collect::<Result<_, _>>()?;
            let producer = Producer {
                epoch,
                last_seen,
                batches,
            };
            producers.0.insert(id, producer);
        }
        Ok(producers)
    }
}

impl Producer {
    fn find(&self, header: &BatchHeader) -> Option<Verdict> {
        let same = self.batches.iter().find(|batch| {
            batch.base_sequence == header.base_sequence && batch.offset_delta == header.last_offset_delta
        })?;
        Some(Verdict::Duplicate {
            base_offset: same.base_offset,
            last_offset: Offset(same.base_offset.0 + i64::from(same.offset_delta)),
            max_timestamp: same.max_timestamp,
        })
    }
}

fn decode_batch(reader: &mut Reader<'_>) -> Result<RememberedBatch, FormatError> {
    let batch = RememberedBatch {
        base_sequence: reader.i32()?,
        offset_delta: reader.i32()?,
        base_offset: Offset(reader.i64()?),
        max_timestamp: WallTime(reader.i64()?),
    };
    let last = batch.base_offset.checked_add(i64::from(batch.offset_delta));
    if batch.base_sequence < 0 || batch.offset_delta < 0 || batch.base_offset.0 < 0 || last.is_none() {
        return Err(FormatError::Invalid { what: "producer batch" });
    }
    Ok(batch)
}

fn expect_sequence(header: &BatchHeader, expected: i32) -> Result<Verdict, AppendError> {
    if header.base_sequence == expected {
        return Ok(Verdict::New);
    }
    Err(AppendError::OutOfOrderSequence {
        producer_id: header.producer_id,
        sequence: header.base_sequence,
        expected,
    })
}

/// The sequence `delta` later; after 2^31-1 comes 0. Both arguments are at least 0.
const fn sequence_after(sequence: i32, delta: i32) -> i32 {
    // Wrapping into the sign bit and clearing it is arithmetic modulo 2^31.
    sequence.wrapping_add(delta) & i32::MAX
}

const _: () = assert!(BATCH_BYTES == 24 && PRODUCER_BYTES == 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{assign, fixtures};
    use hallows_types::LeaderEpoch;

    fn header(epoch: i16, sequence: i32, count: i32, offset: i64) -> BatchHeader {
        let mut batch = fixtures::producer_batch(count, b"", 5, 9, epoch, sequence);
        assign(&mut batch, Offset(offset), LeaderEpoch(0));
        BatchHeader::parse(&batch).expect("valid")
    }

    fn check(producers: &Producers, epoch: i16, sequence: i32, count: i32) -> String {
        match producers.check(&header(epoch, sequence, count, 1000)) {
            Ok(Verdict::New) => "new".into(),
            Ok(Verdict::Duplicate {
                base_offset,
                last_offset,
                ..
            }) => format!("duplicate {base_offset}..={last_offset}"),
            Err(AppendError::OutOfOrderSequence { expected, .. }) => format!("expected {expected}"),
            Err(AppendError::InvalidProducerEpoch { latest, .. }) => format!("latest {latest}"),
            Err(other) => format!("{other}"),
        }
    }

    #[test]
    fn the_last_five_batches_are_recognised() {
        let mut producers = Producers::default();
        assert_eq!(
            check(&producers, 0, 77, 1),
            "new",
            "an unknown producer starts anywhere"
        );
        for number in 0..6 {
            producers.apply(&header(0, number * 2, 2, i64::from(number) * 10), WallTime(1), 10);
        }
        assert_eq!(check(&producers, 0, 10, 2), "duplicate 50..=51");
        assert_eq!(check(&producers, 0, 2, 2), "duplicate 10..=11");
        assert_eq!(check(&producers, 0, 0, 2), "expected 12", "the sixth is forgotten");
        assert_eq!(check(&producers, 0, 12, 1), "new");
        assert_eq!(check(&producers, 0, 13, 1), "expected 12");
        assert_eq!(check(&producers, 1, 3, 1), "expected 0");
        assert_eq!(check(&producers, 1, 0, 1), "new");
        producers.apply(&header(1, 0, 1, 100), WallTime(2), 10);
        assert_eq!(check(&producers, 0, 12, 1), "latest 1");
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.apply(&header(0, i32::MAX - 1, 2, 0), WallTime(1), 10);
        assert_eq!(check(&producers, 0, 0, 1), "new");
        assert_eq!(check(&producers, 0, 1, 1), "expected 0");
        producers.apply(&header(0, 0, 1, 2), WallTime(1), 10);
        producers.apply(&header(0, 1, 1, 3), WallTime(1), 10);
        assert_eq!(check(&producers, 0, i32::MAX - 1, 2), "duplicate 0..=1");
    }

    #[test]
    fn round_trips_expires_and_is_bounded() {
        let mut producers = Producers::default();
        producers.apply(&header(3, 0, 1, 0), WallTime(10), 1);
        let mut writer = Writer::default();
        producers.encode(&mut writer);
        assert_eq!(Producers::decode(&mut Reader(&writer.0)), Ok(producers.clone()));
        assert_eq!(producers.expire(WallTime(10)), 0);
        assert_eq!(producers.expire(WallTime(11)), 1);
    }
}
