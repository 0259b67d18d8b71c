//! Building batches: for internal topics, the client, the CLI and tests.
//!
//! Records are encoded as they come; [`BatchBuilder::build`] compresses them and writes the header.
//! What it builds passes [`crate::check_structure`] and [`crate::check_records`].

use crate::assign::{header_of, put, put_checksum};
use crate::compression::{Codec, compress, compress_snappy_raw};
use crate::control::ControlRecord;
use crate::error::{BuildError, CompressionError};
use crate::header::{ATTRIBUTE_CONTROL, ATTRIBUTE_TRANSACTIONAL, BATCH_HEADER_BYTES, BATCH_LENGTH_MIN};
use crate::header::{LENGTH_PREFIX_BYTES, SUPPORTED_MAGIC, at};
use crate::varint;
use alloc::vec::Vec;
use hallows_types::{LeaderEpoch, Offset, WallTime};

/// The most bytes of records that the length field can count besides the header.
const RECORDS_BYTES_MAX: usize = 0x7fff_ffff - 49;

const _: () = assert!(BATCH_LENGTH_MIN == 49);

/// One record to append.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Its time, in milliseconds.
    pub timestamp: WallTime,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: &'a [NewHeader<'a>],
}

/// One header of a record to append.
#[derive(Clone, Copy, Debug)]
pub struct NewHeader<'a> {
    /// The name.
    pub key: &'a str,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

/// The idempotent or transactional producer of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Producer {
    /// The id the broker gave out.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the batch's first record; -1 for markers.
    pub base_sequence: i32,
}

impl Producer {
    /// No idempotence.
    pub const NONE: Self = Self {
        id: -1,
        epoch: -1,
        base_sequence: -1,
    };
}

/// A batch under construction. [`BatchBuilder::clear`] makes it ready for the next one, memory kept.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    raw_snappy: bool,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer: Producer,
    /// The attribute bits besides the codec's.
    flags: i16,
    /// The first record's; deltas are counted from it.
    base_timestamp: WallTime,
    /// The largest so far.
    max_timestamp: WallTime,
    /// Last offset of the range, at least that of the last record; -1 before the first.
    last_offset_delta: i32,
    /// Offset delta of the last record; -1 before the first.
    last_record_delta: i32,
    record_count: i32,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch at base offset 0 without producer.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self {
            codec,
            raw_snappy: false,
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::UNKNOWN,
            producer: Producer::NONE,
            flags: 0,
            base_timestamp: WallTime::NONE,
            max_timestamp: WallTime::NONE,
            last_offset_delta: -1,
            last_record_delta: -1,
            record_count: 0,
            records: Vec::new(),
        }
    }

    /// Sets the base offset; a broker assigns its own.
    #[must_use]
    pub const fn with_base_offset(mut self, base_offset: Offset) -> Self {
        self.base_offset = base_offset;
        self
    }

    /// Sets the leader epoch; a broker assigns its own.
    #[must_use]
    pub const fn with_leader_epoch(mut self, leader_epoch: LeaderEpoch) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// Sets the producer and the first sequence.
    #[must_use]
    pub const fn with_producer(mut self, producer: Producer) -> Self {
        self.producer = producer;
        self
    }

    /// Makes the batch part of its producer's transaction.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.flags |= ATTRIBUTE_TRANSACTIONAL;
        self
    }

    /// Makes the records markers, which consumers never see.
    #[must_use]
    pub const fn control(mut self) -> Self {
        self.flags |= ATTRIBUTE_CONTROL;
        self
    }

    /// Writes snappy as one raw block, as franz-go does, and not in Java's framing.
    #[must_use]
    pub const fn raw_snappy(mut self) -> Self {
        self.raw_snappy = true;
        self
    }

    /// Appends a record behind the last one.
    ///
    /// # Errors
    /// [`BuildError::Full`] and [`BuildError::TimestampOverflow`]; the batch is then unchanged.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let offset_delta = self.last_offset_delta.checked_add(1).ok_or(self.full())?;
        self.append_at(offset_delta, record)
    }

    /// Appends a record at its own distance from the base offset, as compaction does.
    ///
    /// # Errors
    /// As [`BatchBuilder::append`], and [`BuildError::OffsetDeltaInvalid`] when the deltas do not rise.
    pub fn append_at(&mut self, offset_delta: i32, record: &NewRecord<'_>) -> Result<(), BuildError> {
        if offset_delta <= self.last_record_delta {
            return Err(BuildError::OffsetDeltaInvalid {
                offset_delta,
                previous: self.last_record_delta,
            });
        }
        let base_timestamp = if self.record_count == 0 {
            record.timestamp
        } else {
            self.base_timestamp
        };
        let timestamp = record.timestamp;
        let timestamp_delta = timestamp
            .0
            .checked_sub(base_timestamp.0)
            .ok_or(BuildError::TimestampOverflow {
                timestamp,
                base_timestamp,
            })?;
        let body_bytes = body_bytes(record, timestamp_delta, offset_delta);
        if self.records_bytes() + body_bytes > RECORDS_BYTES_MAX - varint::size_of_i64(i64::MAX) {
            return Err(self.full());
        }
        write_record(record, timestamp_delta, offset_delta, body_bytes, &mut self.records);
        self.base_timestamp = base_timestamp;
        self.max_timestamp = if self.record_count == 0 {
            timestamp
        } else {
            self.max_timestamp.max(timestamp)
        };
        self.record_count += 1;
        self.last_record_delta = offset_delta;
        self.last_offset_delta = self.last_offset_delta.max(offset_delta);
        Ok(())
    }

    /// Appends a marker; the batch should be [`BatchBuilder::control`] and [`BatchBuilder::transactional`].
    ///
    /// # Errors
    /// As [`BatchBuilder::append`].
    pub fn append_marker(&mut self, marker: ControlRecord, timestamp: WallTime) -> Result<(), BuildError> {
        let (key, value) = (marker.encode_key(), marker.encode_value());
        self.append(&NewRecord {
            timestamp,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        })
    }

    /// Lets the batch's offset range end at `last_offset_delta` at least, so that compaction keeps it.
    #[must_use]
    pub fn with_last_offset_delta(mut self, last_offset_delta: i32) -> Self {
        self.last_offset_delta = self.last_offset_delta.max(last_offset_delta);
        self
    }

    /// Records appended so far.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes of the records appended so far, uncompressed; an uncompressed batch adds [`BATCH_HEADER_BYTES`].
    #[must_use]
    pub const fn records_bytes(&self) -> usize {
        self.records.len()
    }

    /// Bytes that appending `record` would add at most, uncompressed.
    #[must_use]
    pub fn record_bytes_max(record: &NewRecord<'_>) -> usize {
        body_bytes(record, i64::MAX, i32::MAX) + varint::size_of_i64(i64::from(i32::MAX))
    }

    /// Forgets the records; codec, producer and flags stay.
    pub fn clear(&mut self) {
        self.records.clear();
        self.record_count = 0;
        self.last_record_delta = -1;
        self.last_offset_delta = -1;
        self.base_timestamp = WallTime::NONE;
        self.max_timestamp = WallTime::NONE;
    }

    /// The finished batch.
    ///
    /// # Errors
    /// [`BuildError::Empty`] without records; [`BuildError::Full`] when the codec made them larger than a batch can
    /// be; [`BuildError::Compression`] when the codec is not part of this build.
    pub fn build(&self) -> Result<Vec<u8>, BuildError> {
        if self.record_count == 0 {
            return Err(BuildError::Empty);
        }
        let mut batch = Vec::with_capacity(BATCH_HEADER_BYTES + self.records.len());
        batch.resize(BATCH_HEADER_BYTES, 0);
        self.compress_into(&mut batch)?;
        let batch_length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).map_err(|_| self.full())?;
        self.write_header(&mut batch, batch_length);
        put_checksum(&mut batch);
        Ok(batch)
    }

    fn compress_into(&self, batch: &mut Vec<u8>) -> Result<(), CompressionError> {
        match self.codec {
            Codec::Snappy if self.raw_snappy => compress_snappy_raw(&self.records, batch),
            codec => compress(codec, &self.records, batch),
        }
    }

    fn write_header(&self, batch: &mut [u8], batch_length: i32) {
        let attributes = self.flags | i16::from(self.codec.id());
        let header = header_of(batch);
        put(header, at::BASE_OFFSET, self.base_offset.0.to_be_bytes());
        put(header, at::BATCH_LENGTH, batch_length.to_be_bytes());
        put(header, at::LEADER_EPOCH, self.leader_epoch.0.to_be_bytes());
        put(header, at::MAGIC, SUPPORTED_MAGIC.to_be_bytes());
        put(header, at::ATTRIBUTES, attributes.to_be_bytes());
        put(header, at::LAST_OFFSET_DELTA, self.last_offset_delta.to_be_bytes());
        put(header, at::BASE_TIMESTAMP, self.base_timestamp.0.to_be_bytes());
        put(header, at::MAX_TIMESTAMP, self.max_timestamp.0.to_be_bytes());
        put(header, at::PRODUCER_ID, self.producer.id.to_be_bytes());
        put(header, at::PRODUCER_EPOCH, self.producer.epoch.to_be_bytes());
        put(header, at::BASE_SEQUENCE, self.producer.base_sequence.to_be_bytes());
        put(header, at::RECORD_COUNT, self.record_count.to_be_bytes());
    }

    const fn full(&self) -> BuildError {
        BuildError::Full {
            record_count: self.record_count,
            records_bytes: self.records.len(),
        }
    }
}

/// Bytes of a record behind its length.
fn body_bytes(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|header| nullable_bytes(Some(header.key.as_bytes())) + nullable_bytes(header.value))
        .sum();
    size_of::<i8>()
        + varint::size_of_i64(timestamp_delta)
        + varint::size_of_i64(i64::from(offset_delta))
        + nullable_bytes(record.key)
        + nullable_bytes(record.value)
        + varint::size_of_i64(length_of(record.headers.len()))
        + headers
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => varint::size_of_i64(-1),
        Some(bytes) => varint::size_of_i64(length_of(bytes.len())) + bytes.len(),
    }
}

fn write_record(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i32, body_bytes: usize, out: &mut Vec<u8>) {
    varint::write_i64(length_of(body_bytes), out);
    let start = out.len();
    // Attributes: no bit has a meaning yet.
    out.push(0);
    varint::write_i64(timestamp_delta, out);
    varint::write_i64(i64::from(offset_delta), out);
    write_nullable(record.key, out);
    write_nullable(record.value, out);
    varint::write_i64(length_of(record.headers.len()), out);
    for header in record.headers {
        write_nullable(Some(header.key.as_bytes()), out);
        write_nullable(header.value, out);
    }
    assert_eq!(out.len() - start, body_bytes, "a record takes what its length says");
}

fn write_nullable(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => varint::write_i64(-1, out),
        Some(bytes) => {
            varint::write_i64(length_of(bytes.len()), out);
            out.extend_from_slice(bytes);
        }
    }
}

fn length_of(size: usize) -> i64 {
    i64::try_from(size).expect("a slice is never longer than the largest signed number")
}
