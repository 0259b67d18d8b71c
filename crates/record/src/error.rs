//! What can be wrong with a batch, its records or its compression.
//!
//! One enum per family; every variant carries what a person needs to find the bad bytes.
//! The broker turns these into Kafka codes; nothing here knows them.

use crate::compression::Codec;
use hallows_types::{Offset, WallTime};
use thiserror::Error;

/// A batch whose header, length or checksum is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("batch truncated: {needed} bytes needed, {actual} present")]
    Truncated {
        /// Bytes that the batch, or its header, takes.
        needed: usize,
        /// Bytes at hand.
        actual: usize,
    },
    /// The length field is smaller than the header that it must cover.
    #[error("batch length {batch_length} is smaller than the {minimum} bytes of the header it counts")]
    LengthInvalid {
        /// The field as sent.
        batch_length: i32,
        /// The smallest legal value.
        minimum: i32,
    },
    /// The batch is larger than the caller allows.
    #[error("batch of {size_bytes} bytes is larger than {batch_bytes_max}")]
    TooLarge {
        /// Bytes of the whole batch, compressed.
        size_bytes: usize,
        /// The caller's bound.
        batch_bytes_max: usize,
    },
    /// Bytes follow the batch where exactly one batch was promised.
    #[error("{trailing_bytes} bytes follow the batch of {size_bytes} bytes")]
    TrailingBytes {
        /// Bytes of the batch.
        size_bytes: usize,
        /// Bytes behind it.
        trailing_bytes: usize,
    },
    /// A record batch of version 0 or 1, or of one that does not exist yet.
    #[error("record batch version (magic) {magic} is not supported, only 2 is")]
    UnsupportedMagic {
        /// The magic byte.
        magic: i8,
    },
    /// The stored checksum is not that of the bytes.
    #[error("batch checksum is {computed:#010x}, its header says {stored:#010x}")]
    ChecksumMismatch {
        /// CRC-32C in the header.
        stored: u32,
        /// CRC-32C of the bytes.
        computed: u32,
    },
    /// The codec bits name no codec.
    #[error("unknown compression codec {codec}")]
    UnknownCodec {
        /// The lowest three attribute bits.
        codec: u8,
    },
    /// A batch without records, or with a negative count.
    #[error("batch says that it has {record_count} records")]
    RecordCountInvalid {
        /// The field as sent.
        record_count: i32,
    },
    /// The offset range does not have room for exactly these records.
    #[error("last offset delta {last_offset_delta} does not fit {record_count} records")]
    OffsetRangeInvalid {
        /// The field as sent.
        last_offset_delta: i32,
        /// The field as sent.
        record_count: i32,
    },
    /// The batch would end past the largest offset.
    #[error("base offset {base_offset} and last offset delta {last_offset_delta} pass the largest offset")]
    OffsetOverflow {
        /// The field as sent.
        base_offset: Offset,
        /// The field as sent.
        last_offset_delta: i32,
    },
    /// A producer id without a sequence: duplicates could not be told.
    #[error("producer {producer_id} sent base sequence {base_sequence}")]
    SequenceInvalid {
        /// The field as sent.
        producer_id: i64,
        /// The field as sent.
        base_sequence: i32,
    },
    /// A produce request must carry a batch per partition.
    #[error("no record batch where exactly one is required")]
    NoBatch,
    /// A produce request of version 3 or above must carry one batch per partition.
    #[error(
        "more than one record batch where exactly one is required: the first takes {first_bytes} of {total_bytes} bytes"
    )]
    MoreThanOneBatch {
        /// Bytes of the first batch.
        first_bytes: usize,
        /// Bytes of the whole field.
        total_bytes: usize,
    },
}

/// A record that is wrong, or a batch whose records cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{}{kind}", At(*.record_index))]
pub struct RecordError {
    /// The record's 0-based place in its batch; `None` when the whole batch is at fault.
    pub record_index: Option<i32>,
    /// What is wrong.
    #[source]
    pub kind: RecordErrorKind,
}

/// Says where an error is, in front of what it is.
struct At(Option<i32>);

impl core::fmt::Display for At {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(index) => write!(f, "record {index}: "),
            None => Ok(()),
        }
    }
}

impl RecordError {
    pub(crate) const fn at(record_index: i32, kind: RecordErrorKind) -> Self {
        Self {
            record_index: Some(record_index),
            kind,
        }
    }

    pub(crate) const fn whole(kind: RecordErrorKind) -> Self {
        Self {
            record_index: None,
            kind,
        }
    }
}

impl From<BatchError> for RecordError {
    fn from(error: BatchError) -> Self {
        Self::whole(RecordErrorKind::Batch(error))
    }
}

impl From<CompressionError> for RecordError {
    fn from(error: CompressionError) -> Self {
        Self::whole(RecordErrorKind::Compression(error))
    }
}

/// What is wrong with a record, or with all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum RecordErrorKind {
    /// The batch itself is wrong.
    #[error(transparent)]
    Batch(BatchError),
    /// The records could not be decompressed.
    #[error(transparent)]
    Compression(CompressionError),
    /// The bytes end inside a field.
    #[error("ends inside its {field}")]
    Truncated {
        /// The field's name.
        field: &'static str,
    },
    /// A variable-length integer has too many bytes, or too many bits for its type.
    #[error("{field} is not a valid variable-length integer")]
    VarintInvalid {
        /// The field's name.
        field: &'static str,
    },
    /// A length or count is negative where it must not be, or exceeds the bytes that remain.
    #[error("{field} is {value}, with {remaining_bytes} bytes remaining")]
    LengthInvalid {
        /// The field's name.
        field: &'static str,
        /// The value as sent.
        value: i32,
        /// Bytes left where it was read.
        remaining_bytes: usize,
    },
    /// A record's fields end before its declared length does.
    #[error("{trailing_bytes} bytes of its declared length are not used")]
    RecordTrailingBytes {
        /// Bytes left over.
        trailing_bytes: usize,
    },
    /// Bytes follow the last record.
    #[error("{trailing_bytes} bytes follow the last of {record_count} records")]
    BatchTrailingBytes {
        /// Bytes left over.
        trailing_bytes: usize,
        /// What the batch header says.
        record_count: i32,
    },
    /// An offset delta is not the one that this place requires.
    #[error("offset delta is {actual}, expected {expected} (at most {last_offset_delta})")]
    OffsetDeltaInvalid {
        /// The smallest legal value, and the only one in a produced batch.
        expected: i32,
        /// The value as sent.
        actual: i32,
        /// The last delta of the batch's range.
        last_offset_delta: i32,
    },
    /// A record without a key for a topic that keeps the newest value per key.
    #[error("null key in a compacted topic")]
    NullKey,
    /// A header without a name.
    #[error("header {header_index} has a key length of {key_length}")]
    HeaderKeyInvalid {
        /// The header's 0-based place in the record.
        header_index: i32,
        /// The value as sent.
        key_length: i32,
    },
    /// A client set the batch's timestamp type to the one that only the broker may set; each record is at fault.
    #[error("timestamp type is LogAppendTime, which only the broker sets")]
    TimestampTypeInvalid,
    /// A timestamp delta leads past the representable times.
    #[error("timestamp delta {timestamp_delta} on {base_timestamp:?} overflows")]
    TimestampOverflow {
        /// The batch's base timestamp.
        base_timestamp: WallTime,
        /// The record's delta.
        timestamp_delta: i64,
    },
    /// A timestamp is older than the topic accepts.
    #[error("timestamp {} is before the earliest accepted, {}", timestamp.0, earliest.0)]
    TimestampTooOld {
        /// The record's timestamp.
        timestamp: WallTime,
        /// The bound, itself accepted.
        earliest: WallTime,
    },
    /// A timestamp is further in the future than the topic accepts.
    #[error("timestamp {} is after the latest accepted, {}", timestamp.0, latest.0)]
    TimestampTooNew {
        /// The record's timestamp.
        timestamp: WallTime,
        /// The bound, itself accepted.
        latest: WallTime,
    },
    /// The header's maximum timestamp is not the maximum of the records.
    #[error("maximum timestamp in the header is {}, that of the records {}", stored.0, computed.0)]
    MaxTimestampMismatch {
        /// The header's field.
        stored: WallTime,
        /// The records' maximum.
        computed: WallTime,
    },
}

/// Compressed bytes that cannot be turned into records, or the reverse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// The output would pass the caller's bound. No more than the bound was allocated.
    #[error("decompressed records are larger than {output_bytes_max} bytes")]
    TooLarge {
        /// The caller's bound.
        output_bytes_max: usize,
    },
    /// The bytes are not what the codec writes.
    #[error("damaged {codec} data: {reason}")]
    Corrupt {
        /// The codec named by the batch.
        codec: Codec,
        /// The codec's complaint.
        reason: &'static str,
    },
    /// The codec is known, and this build does not contain it.
    #[error("codec {codec} is not part of this build")]
    Unavailable {
        /// The codec named by the batch.
        codec: Codec,
    },
}

/// A batch that cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A batch needs a record.
    #[error("a batch needs at least one record")]
    Empty,
    /// The batch would pass the largest size or count that its header can say.
    #[error("the batch is full: {record_count} records in {records_bytes} bytes")]
    Full {
        /// Records already in the batch.
        record_count: i32,
        /// Their bytes, uncompressed.
        records_bytes: usize,
    },
    /// Offset deltas must rise from record to record.
    #[error("offset delta {offset_delta} does not follow {previous}")]
    OffsetDeltaInvalid {
        /// The delta asked for.
        offset_delta: i32,
        /// The last one appended, or -1.
        previous: i32,
    },
    /// The distance to the first record's timestamp overflows.
    #[error("timestamp {} is too far from the first, {}", timestamp.0, base_timestamp.0)]
    TimestampOverflow {
        /// The record's timestamp.
        timestamp: WallTime,
        /// The first record's.
        base_timestamp: WallTime,
    },
    /// The codec failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// A control record that cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The key or the value is missing or too short.
    #[error("control record {field} is {actual} bytes, at least {needed} are needed")]
    Truncated {
        /// `key` or `value`.
        field: &'static str,
        /// Smallest legal size.
        needed: usize,
        /// Size present; 0 also for null.
        actual: usize,
    },
    /// A negative version.
    #[error("control record {field} has version {version}")]
    VersionInvalid {
        /// `key` or `value`.
        field: &'static str,
        /// The version as written.
        version: i16,
    },
    /// A kind that is neither commit nor abort; a reader must skip the record.
    #[error("control record of kind {kind} is not a transaction marker")]
    NotAMarker {
        /// The kind as written.
        kind: i16,
    },
}
