//! The 61 bytes in front of a batch's records.
//!
//! A [`BatchHeader`] is a plain copy of the fields; it keeps no reference to the bytes.
//! Parsing checks only what it needs to be well defined (version, length, offset range);
//! whether the batch may be stored is decided in `validate`.

use crate::compression::Codec;
use crate::error::BatchError;
use crate::sequence::next_sequence;
use hallows_types::{LeaderEpoch, Offset, WallTime};

/// Bytes of a batch in front of its first record.
pub const BATCH_HEADER_BYTES: usize = 61;
/// The only batch version served; 0 and 1 ended with Kafka 0.11.
pub const SUPPORTED_MAGIC: i8 = 2;

/// Bytes of base offset and length: what the length field does not count.
pub(crate) const LENGTH_PREFIX_BYTES: usize = 12;
/// Where each field starts. All are big-endian.
pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const BATCH_LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const RECORD_COUNT: usize = 57;
}

/// The smallest legal length field.
pub(crate) const BATCH_LENGTH_MIN: i32 = 49;

// The layout of docs/format.md: each field ends where the next begins.
const _: () = assert!(at::BATCH_LENGTH == at::BASE_OFFSET + size_of::<i64>());
const _: () = assert!(at::LEADER_EPOCH == LENGTH_PREFIX_BYTES);
const _: () = assert!(LENGTH_PREFIX_BYTES == at::BATCH_LENGTH + size_of::<i32>());
const _: () = assert!(at::MAGIC == at::LEADER_EPOCH + size_of::<i32>());
const _: () = assert!(at::CRC == at::MAGIC + size_of::<i8>());
const _: () = assert!(at::ATTRIBUTES == at::CRC + size_of::<u32>());
const _: () = assert!(at::LAST_OFFSET_DELTA == at::ATTRIBUTES + size_of::<i16>());
const _: () = assert!(at::BASE_TIMESTAMP == at::LAST_OFFSET_DELTA + size_of::<i32>());
const _: () = assert!(at::MAX_TIMESTAMP == at::BASE_TIMESTAMP + size_of::<i64>());
const _: () = assert!(at::PRODUCER_ID == at::MAX_TIMESTAMP + size_of::<i64>());
const _: () = assert!(at::PRODUCER_EPOCH == at::PRODUCER_ID + size_of::<i64>());
const _: () = assert!(at::BASE_SEQUENCE == at::PRODUCER_EPOCH + size_of::<i16>());
const _: () = assert!(at::RECORD_COUNT == at::BASE_SEQUENCE + size_of::<i32>());
const _: () = assert!(BATCH_HEADER_BYTES == at::RECORD_COUNT + size_of::<i32>());
// The length counts what follows it, so a batch without records has the header less the prefix.
const _: () = assert!(BATCH_LENGTH_MIN == 61 - 12);
// A length field fits memory on every target this crate is built for.
const _: () = assert!(size_of::<usize>() >= size_of::<i32>());

/// The lowest attribute bits, which name the codec.
pub(crate) const ATTRIBUTE_CODEC_MASK: i16 = 0b0000_0111;
/// Set: the maximum timestamp is the broker's, and every record has it.
pub(crate) const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
/// Set: visible to `read_committed` only after a commit marker.
pub(crate) const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
/// Set: the records are markers, not data.
pub(crate) const ATTRIBUTE_CONTROL: i16 = 1 << 5;
/// Set: the base timestamp is the horizon after which compaction drops the batch's tombstones (KIP-534).
pub(crate) const ATTRIBUTE_DELETE_HORIZON: i16 = 1 << 6;

/// Whose clock a batch's timestamps are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TimestampType {
    /// The producer's: each record has its own.
    #[default]
    CreateTime,
    /// The broker's: all records have the batch's maximum timestamp.
    LogAppendTime,
}

/// Every field of a batch's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record of the range; outside the checksum.
    pub base_offset: Offset,
    /// Bytes after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch; outside the checksum.
    pub partition_leader_epoch: LeaderEpoch,
    /// Always [`SUPPORTED_MAGIC`] in a parsed header.
    pub magic: i8,
    /// CRC-32C of everything from `attributes` to the end of the batch.
    pub crc: u32,
    /// Codec, timestamp type, transactional and control bits.
    pub attributes: i16,
    /// Last offset of the range, inclusive, counted from `base_offset`.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas are counted from.
    pub base_timestamp: WallTime,
    /// The largest timestamp of the batch.
    pub max_timestamp: WallTime,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// The producer's epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Records in the batch; fewer than the offset range holds once compacted.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, of which only the first 61 are looked at.
    ///
    /// # Errors
    /// [`BatchError::UnsupportedMagic`] (found even in shorter input), [`BatchError::LengthInvalid`],
    /// [`BatchError::Truncated`], and [`BatchError::OffsetOverflow`] or [`BatchError::OffsetRangeInvalid`]
    /// where the offset range would not be one.
    ///
    /// # Source
    /// Kafka protocol guide, "Record Batch".
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        check_magic(bytes)?;
        let Some(fields) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else {
            return Err(BatchError::Truncated {
                needed: BATCH_HEADER_BYTES,
                actual: bytes.len(),
            });
        };
        let header = Self {
            base_offset: Offset(i64::from_be_bytes(field(fields, at::BASE_OFFSET))),
            batch_length: i32::from_be_bytes(field(fields, at::BATCH_LENGTH)),
            partition_leader_epoch: LeaderEpoch(i32::from_be_bytes(field(fields, at::LEADER_EPOCH))),
            magic: i8::from_be_bytes(field(fields, at::MAGIC)),
            crc: u32::from_be_bytes(field(fields, at::CRC)),
            attributes: i16::from_be_bytes(field(fields, at::ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(field(fields, at::LAST_OFFSET_DELTA)),
            base_timestamp: WallTime(i64::from_be_bytes(field(fields, at::BASE_TIMESTAMP))),
            max_timestamp: WallTime(i64::from_be_bytes(field(fields, at::MAX_TIMESTAMP))),
            producer_id: i64::from_be_bytes(field(fields, at::PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(fields, at::PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(fields, at::BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(fields, at::RECORD_COUNT)),
        };
        header.check_ranges()?;
        Ok(header)
    }

    /// What makes `size_bytes`, `last_offset` and `end_offset` well defined.
    fn check_ranges(&self) -> Result<(), BatchError> {
        size_from_length(self.batch_length)?;
        if self.last_offset_delta < 0 {
            return Err(BatchError::OffsetRangeInvalid {
                last_offset_delta: self.last_offset_delta,
                record_count: self.record_count,
            });
        }
        match self.base_offset.checked_add(i64::from(self.last_offset_delta) + 1) {
            Some(_) => Ok(()),
            None => Err(BatchError::OffsetOverflow {
                base_offset: self.base_offset,
                last_offset_delta: self.last_offset_delta,
            }),
        }
    }

    /// Bytes of the whole batch, from its base offset on.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        LENGTH_PREFIX_BYTES + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// The batch's last offset, inclusive.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(self.last_offset_delta as i64))
    }

    /// The offset that follows the batch.
    #[must_use]
    pub const fn end_offset(&self) -> Offset {
        Offset(self.base_offset.0.saturating_add(self.last_offset_delta as i64 + 1))
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`] for the three values that name none.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        let [_, low] = (self.attributes & ATTRIBUTE_CODEC_MASK).to_be_bytes();
        Codec::from_id(low).ok_or(BatchError::UnknownCodec { codec: low })
    }

    /// Whose clock the timestamps are.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        if self.attributes & ATTRIBUTE_LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & ATTRIBUTE_TRANSACTIONAL != 0
    }

    /// Whether the records are markers, which consumers never see.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & ATTRIBUTE_CONTROL != 0
    }

    /// Whether the base timestamp is compaction's horizon for tombstones (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(&self) -> bool {
        self.attributes & ATTRIBUTE_DELETE_HORIZON != 0
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    #[must_use]
    pub const fn has_producer(&self) -> bool {
        self.producer_id > -1
    }

    /// Sequence of the last offset, or -1 without sequences; 0 follows 2^31-1.
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        next_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// The size of the batch that starts at `bytes`, from its first 12 bytes; `None` when there are fewer.
///
/// The answer may exceed `bytes.len()`: it is what to wait for, or to skip.
/// A wrong version is reported as soon as its byte is at hand.
#[must_use]
pub fn peek_size(bytes: &[u8]) -> Option<Result<usize, BatchError>> {
    let prefix = bytes.first_chunk::<LENGTH_PREFIX_BYTES>()?;
    let batch_length = i32::from_be_bytes(field(prefix, at::BATCH_LENGTH));
    Some(check_magic(bytes).and_then(|()| size_from_length(batch_length)))
}

/// Asked first, since batches of older versions are shorter and would only look truncated.
fn check_magic(bytes: &[u8]) -> Result<(), BatchError> {
    match bytes.get(at::MAGIC) {
        Some(&byte) if i8::from_be_bytes([byte]) != SUPPORTED_MAGIC => Err(BatchError::UnsupportedMagic {
            magic: i8::from_be_bytes([byte]),
        }),
        _ => Ok(()),
    }
}

fn size_from_length(batch_length: i32) -> Result<usize, BatchError> {
    match usize::try_from(batch_length) {
        Ok(length) if batch_length >= BATCH_LENGTH_MIN => Ok(LENGTH_PREFIX_BYTES + length),
        _ => Err(BatchError::LengthInvalid {
            batch_length,
            minimum: BATCH_LENGTH_MIN,
        }),
    }
}

/// `N` bytes of a header, whose offsets are the constants above.
fn field<const N: usize, const SIZE: usize>(bytes: &[u8; SIZE], start: usize) -> [u8; N] {
    *bytes[start..]
        .first_chunk()
        .expect("the layout's assertions keep every field inside the header")
}
