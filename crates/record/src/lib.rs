//! Kafka record batches, version 2: header view, checksum, compression, records.
//!
//! Pure functions on bytes: no async, files, clock or global state.
//! Nothing here panics on bytes that came from a socket or a disk, and nothing allocates above a caller's bound.
//! Offsets, timestamps and policies come from the caller; this crate only says what the bytes contain.
//! The layout is drawn in `docs/format.md`.
//!
//! A produced batch passes [`single_batch`], [`check_structure`] and [`check_records`],
//! then [`assign_offset_and_epoch`] and, where the topic says so, [`set_log_append_time`].
//! Reading goes through [`records`]; writing through [`BatchBuilder`].
//!
//! Without the feature `std` the codecs gzip, snappy and zstd answer [`CompressionError::Unavailable`].
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod assign;
mod builder;
mod checksum;
mod compression;
mod control;
mod error;
mod header;
mod records;
mod scratch;
mod sequence;
mod timestamp;
mod validate;
mod varint;

#[cfg(test)]
mod properties;

pub use assign::{assign_offset_and_epoch, set_log_append_time, set_max_timestamp};
pub use builder::{BatchBuilder, NewHeader, NewRecord, Producer};
pub use compression::{Codec, compress, compress_snappy_raw};
pub use control::ControlRecord;
pub use error::{BatchError, BuildError, CompressionError, ControlError, RecordError, RecordErrorKind};
pub use header::{BATCH_HEADER_BYTES, BatchHeader, SUPPORTED_MAGIC, TimestampType, peek_size};
pub use records::{Header, Headers, Record, RecordIter, decompress_into, records};
pub use scratch::Scratch;
pub use sequence::next_sequence;
pub use timestamp::{first_offset_at_or_after_timestamp, max_timestamp_offset};
pub use validate::{
    Batches, MaxTimestampCheck, OffsetDeltas, RecordLimits, RecordSummary, StructureLimits, TimestampBounds,
    check_records, check_structure, rejected_records, single_batch,
};
