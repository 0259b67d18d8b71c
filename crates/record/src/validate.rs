//! Whether a batch may be stored.
//!
//! Three steps, each needing the one before: how many batches there are ([`Batches`], [`single_batch`]),
//! whether the batch is whole and consistent ([`check_structure`], which reads every byte once for the checksum),
//! and whether its records are ([`check_records`]).
//! An uncompressed batch is walked in place and allocates nothing.

use crate::checksum::checksum;
use crate::error::{BatchError, RecordError, RecordErrorKind};
use crate::header::{BatchHeader, TimestampType, at, peek_size};
use crate::records::{Record, RecordIter, payload_of};
use crate::scratch::Scratch;
use alloc::vec::Vec;
use hallows_types::WallTime;

/// The batches that stand one after the other in a records field or a piece of a segment.
///
/// After an error comes nothing: without a length there is no next batch.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches in `records`. Only lengths and versions are looked at.
    #[must_use]
    pub const fn split(records: &'a [u8]) -> Self {
        Self { rest: records }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<&'a [u8], BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = split_first(self.rest);
        self.rest = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(batch, _)| batch))
    }
}

fn split_first(bytes: &[u8]) -> Result<(&[u8], &[u8]), BatchError> {
    let size = peek_size(bytes).unwrap_or(Err(BatchError::Truncated {
        needed: at::MAGIC,
        actual: bytes.len(),
    }))?;
    bytes.split_at_checked(size).ok_or(BatchError::Truncated {
        needed: size,
        actual: bytes.len(),
    })
}

/// The one batch that a partition of a produce request of version 3 or above must carry.
///
/// # Errors
/// [`BatchError::NoBatch`], [`BatchError::MoreThanOneBatch`] or, where the first is damaged,
/// [`BatchError::ChecksumMismatch`], and what [`Batches`] finds in the first.
///
/// # Source
/// Kafka's `ProduceRequest.validateRecords`.
pub fn single_batch(records: &[u8]) -> Result<&[u8], BatchError> {
    if records.is_empty() {
        return Err(BatchError::NoBatch);
    }
    let (batch, rest) = split_first(records)?;
    if rest.is_empty() {
        return Ok(batch);
    }
    // A damaged length makes a rest of what belongs to the batch.
    check_checksum(batch)?;
    Err(BatchError::MoreThanOneBatch {
        first_bytes: batch.len(),
        total_bytes: records.len(),
    })
}

/// Which offset deltas a batch may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OffsetDeltas {
    /// 0, 1, 2 and so on up to the last: every batch that a client sends.
    #[default]
    Consecutive,
    /// Rising with gaps, or none left: batches that compaction has rewritten.
    Rising,
}

/// What [`check_structure`] accepts.
#[derive(Clone, Copy, Debug)]
pub struct StructureLimits {
    /// Largest batch, compressed, with its header.
    pub batch_bytes_max: usize,
    /// Whether compaction may have been at work.
    pub offset_deltas: OffsetDeltas,
}

impl StructureLimits {
    /// For a batch that a client sends.
    #[must_use]
    pub const fn produced(batch_bytes_max: usize) -> Self {
        Self {
            batch_bytes_max,
            offset_deltas: OffsetDeltas::Consecutive,
        }
    }

    /// For a batch that a log holds, which was accepted once and may have been compacted since.
    #[must_use]
    pub const fn stored() -> Self {
        Self {
            batch_bytes_max: usize::MAX,
            offset_deltas: OffsetDeltas::Rising,
        }
    }
}

/// Checks that `batch` is exactly one whole batch of version 2 whose header agrees with itself and its checksum.
///
/// # Errors
/// The first [`BatchError`] found, cheapest check first; [`BatchError::ChecksumMismatch`] comes before any complaint
/// about fields that the checksum covers, since damage is the better explanation.
///
/// # Source
/// Kafka's `LogValidator.validateBatch` and `DefaultRecordBatch.ensureValid`.
pub fn check_structure(batch: &[u8], limits: &StructureLimits) -> Result<BatchHeader, BatchError> {
    let size_bytes = peek_size(batch).transpose()?.unwrap_or(crate::BATCH_HEADER_BYTES);
    if size_bytes > limits.batch_bytes_max {
        return Err(BatchError::TooLarge {
            size_bytes,
            batch_bytes_max: limits.batch_bytes_max,
        });
    }
    if batch.len() < size_bytes {
        return Err(BatchError::Truncated {
            needed: size_bytes,
            actual: batch.len(),
        });
    }
    if batch.len() > size_bytes {
        return Err(BatchError::TrailingBytes {
            size_bytes,
            trailing_bytes: batch.len() - size_bytes,
        });
    }
    check_checksum(batch)?;
    let header = BatchHeader::parse(batch)?;
    header.codec()?;
    check_counts(&header, limits.offset_deltas)?;
    check_sequence(&header)?;
    Ok(header)
}

fn check_checksum(batch: &[u8]) -> Result<(), BatchError> {
    let stored = batch
        .get(at::CRC..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .map(u32::from_be_bytes);
    let computed = checksum(batch);
    match stored {
        Some(stored) if stored == computed => Ok(()),
        stored => Err(BatchError::ChecksumMismatch {
            stored: stored.unwrap_or_default(),
            computed,
        }),
    }
}

fn check_counts(header: &BatchHeader, offset_deltas: OffsetDeltas) -> Result<(), BatchError> {
    let BatchHeader {
        record_count,
        last_offset_delta,
        ..
    } = *header;
    let records_min = match offset_deltas {
        OffsetDeltas::Consecutive => 1,
        OffsetDeltas::Rising => 0,
    };
    if record_count < records_min {
        return Err(BatchError::RecordCountInvalid { record_count });
    }
    let fits = match offset_deltas {
        OffsetDeltas::Consecutive => last_offset_delta == record_count - 1,
        OffsetDeltas::Rising => last_offset_delta >= record_count.saturating_sub(1),
    };
    if fits {
        Ok(())
    } else {
        Err(BatchError::OffsetRangeInvalid {
            last_offset_delta,
            record_count,
        })
    }
}

/// Markers carry their producer's id and no sequence; everybody else with an id must say where they are.
const fn check_sequence(header: &BatchHeader) -> Result<(), BatchError> {
    if header.has_producer() && header.base_sequence < 0 && !header.is_control() {
        return Err(BatchError::SequenceInvalid {
            producer_id: header.producer_id,
            base_sequence: header.base_sequence,
        });
    }
    Ok(())
}

/// The record timestamps a topic accepts, both ends included. A record without timestamp (-1) always passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampBounds {
    /// The oldest accepted.
    pub earliest: WallTime,
    /// The newest accepted.
    pub latest: WallTime,
}

impl TimestampBounds {
    /// The bounds around `wall` that `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` make.
    #[must_use]
    pub const fn around(wall: WallTime, before_max_ms: i64, after_max_ms: i64) -> Self {
        Self {
            earliest: WallTime(wall.0.saturating_sub(before_max_ms)),
            latest: WallTime(wall.0.saturating_add(after_max_ms)),
        }
    }
}

/// What to do with a header whose maximum timestamp is not that of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MaxTimestampCheck {
    /// Refuse the batch.
    #[default]
    Require,
    /// Only say so in the summary. Kafka's broker corrects the field ([`crate::set_max_timestamp`]).
    Report,
}

/// What [`check_records`] accepts and looks for.
#[derive(Clone, Copy, Debug)]
pub struct RecordLimits {
    /// Whether compaction may have been at work.
    pub offset_deltas: OffsetDeltas,
    /// Whether every record needs a key, as in a compacted topic.
    pub key_required: bool,
    /// Whether the batch may claim LogAppendTime, as no client may.
    pub log_append_time_allowed: bool,
    /// The timestamps accepted, where the topic keeps the producers'.
    pub timestamps: Option<TimestampBounds>,
    /// What to do about a wrong maximum in the header.
    pub max_timestamp: MaxTimestampCheck,
    /// Also look for the first record at or after this time.
    pub timestamp_target: Option<WallTime>,
}

impl RecordLimits {
    /// For a batch that a client sends to a topic without further rules.
    #[must_use]
    pub const fn produced() -> Self {
        Self {
            offset_deltas: OffsetDeltas::Consecutive,
            key_required: false,
            log_append_time_allowed: false,
            timestamps: None,
            max_timestamp: MaxTimestampCheck::Require,
            timestamp_target: None,
        }
    }

    /// For a batch that a log holds, which was accepted once and may have been compacted since.
    #[must_use]
    pub const fn stored() -> Self {
        Self {
            offset_deltas: OffsetDeltas::Rising,
            log_append_time_allowed: true,
            ..Self::produced()
        }
    }
}

/// What a walk over all records found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordSummary {
    /// The largest timestamp of the records; that of the batch under LogAppendTime; -1 where no record has one.
    pub max_timestamp: WallTime,
    /// Offset delta of the first record with that timestamp.
    pub max_timestamp_offset_delta: i32,
    /// Whether the header says the same; never false under [`MaxTimestampCheck::Require`].
    pub max_timestamp_matches_header: bool,
    /// Offset delta and timestamp of the first record at or after the target, where one was asked for.
    pub first_at_or_after: Option<(i32, WallTime)>,
    /// Bytes of the records, uncompressed.
    pub records_bytes: usize,
}

/// Walks all records of `batch`, which has passed [`check_structure`], unpacking into `scratch` where compressed.
///
/// # Errors
/// The first [`RecordError`] found. For null keys and refused timestamps, [`rejected_records`] has the others.
///
/// # Source
/// Kafka's `LogValidator.validateRecord`, `DefaultRecordBatch.iterator`.
pub fn check_records(batch: &[u8], limits: &RecordLimits, scratch: &mut Scratch) -> Result<RecordSummary, RecordError> {
    let header = BatchHeader::parse(batch)?;
    let payload = payload_of(batch, &header, scratch)?;
    let mut walk = Walk::new(&header, limits);
    for (index, record) in (0..).zip(RecordIter::new(payload, header.record_count)) {
        walk.visit(&record?).map_err(|kind| RecordError::at(index, kind))?;
    }
    walk.finish(payload.len())
}

/// Every record that the topic's own rules (keys, timestamps) refuse, up to `errors_max` of them.
///
/// For the error answer, which in Kafka names all of them; [`check_records`] stops at the first.
/// A record that cannot be read ends the list.
#[must_use]
pub fn rejected_records(
    batch: &[u8],
    limits: &RecordLimits,
    scratch: &mut Scratch,
    errors_max: usize,
) -> Vec<RecordError> {
    let Ok(header) = BatchHeader::parse(batch) else {
        return Vec::new();
    };
    let Ok(payload) = payload_of(batch, &header, scratch) else {
        return Vec::new();
    };
    (0..)
        .zip(RecordIter::new(payload, header.record_count).map_while(Result::ok))
        .filter_map(|(index, record)| {
            let refused = record
                .timestamp(&header)
                .and_then(|timestamp| check_rules(&record, timestamp, header.timestamp_type(), limits));
            refused.err().map(|kind| RecordError::at(index, kind))
        })
        .take(errors_max)
        .collect()
}

/// The state of one walk: what the next record must be, and what was found.
struct Walk<'a> {
    header: &'a BatchHeader,
    limits: &'a RecordLimits,
    timestamp_type: TimestampType,
    /// The smallest offset delta that may come next.
    next_offset_delta: i32,
    /// Largest timestamp so far, with its first offset delta; `None` before the first record.
    largest: Option<(i32, WallTime)>,
    first_at_or_after: Option<(i32, WallTime)>,
}

impl<'a> Walk<'a> {
    fn new(header: &'a BatchHeader, limits: &'a RecordLimits) -> Self {
        let timestamp_type = header.timestamp_type();
        Self {
            header,
            limits,
            timestamp_type,
            next_offset_delta: 0,
            largest: None,
            first_at_or_after: None,
        }
    }

    #[inline]
    fn visit(&mut self, record: &Record<'_>) -> Result<(), RecordErrorKind> {
        self.check_offset_delta(record.offset_delta)?;
        for header in record.headers {
            header?;
        }
        let timestamp = record.timestamp(self.header)?;
        check_rules(record, timestamp, self.timestamp_type, self.limits)?;
        self.note_timestamp(record.offset_delta, timestamp);
        Ok(())
    }

    #[inline]
    fn check_offset_delta(&mut self, actual: i32) -> Result<(), RecordErrorKind> {
        let last_offset_delta = self.header.last_offset_delta;
        let legal = match self.limits.offset_deltas {
            OffsetDeltas::Consecutive => actual == self.next_offset_delta,
            OffsetDeltas::Rising => actual >= self.next_offset_delta,
        };
        if !legal || actual > last_offset_delta {
            let expected = self.next_offset_delta;
            return Err(RecordErrorKind::OffsetDeltaInvalid {
                expected,
                actual,
                last_offset_delta,
            });
        }
        // At the largest delta no further record is legal, and saturating keeps it so: it would have to rise.
        self.next_offset_delta = actual.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn note_timestamp(&mut self, offset_delta: i32, timestamp: WallTime) {
        if self.largest.is_none_or(|(_, largest)| timestamp > largest) {
            self.largest = Some((offset_delta, timestamp));
        }
        if self.first_at_or_after.is_none() && self.limits.timestamp_target.is_some_and(|target| timestamp >= target) {
            self.first_at_or_after = Some((offset_delta, timestamp));
        }
    }

    fn finish(self, records_bytes: usize) -> Result<RecordSummary, RecordError> {
        let stored = self.header.max_timestamp;
        // A batch that compaction emptied has nothing to contradict its header.
        let (max_timestamp_offset_delta, computed) = self.largest.unwrap_or((self.header.last_offset_delta, stored));
        let max_timestamp_matches_header = computed == stored;
        if !max_timestamp_matches_header && self.limits.max_timestamp == MaxTimestampCheck::Require {
            return Err(RecordError::whole(RecordErrorKind::MaxTimestampMismatch {
                stored,
                computed,
            }));
        }
        Ok(RecordSummary {
            max_timestamp: computed,
            max_timestamp_offset_delta,
            max_timestamp_matches_header,
            first_at_or_after: self.first_at_or_after,
            records_bytes,
        })
    }
}

/// The rules a topic has for single records, in Kafka's order: the key first.
#[inline]
fn check_rules(
    record: &Record<'_>,
    timestamp: WallTime,
    timestamp_type: TimestampType,
    limits: &RecordLimits,
) -> Result<(), RecordErrorKind> {
    if limits.key_required && record.key.is_none() {
        return Err(RecordErrorKind::NullKey);
    }
    if timestamp_type == TimestampType::LogAppendTime && !limits.log_append_time_allowed {
        return Err(RecordErrorKind::TimestampTypeInvalid);
    }
    match limits.timestamps {
        Some(TimestampBounds { earliest, latest })
            if timestamp_type == TimestampType::CreateTime && timestamp != WallTime::NONE =>
        {
            if timestamp < earliest {
                Err(RecordErrorKind::TimestampTooOld { timestamp, earliest })
            } else if timestamp > latest {
                Err(RecordErrorKind::TimestampTooNew { timestamp, latest })
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
