//! The records of a batch, read in place.
//!
//! A [`Record`] borrows key, value and headers from the batch, or from the [`Scratch`] that a compressed batch was
//! unpacked into. Nothing is allocated per record, and headers are parsed only when somebody asks for them.
//! Parsing is forced inline: every produced record passes here, and it costs a third less than with mere hints.

use crate::compression::Codec;
use crate::error::{BatchError, RecordError, RecordErrorKind};
use crate::header::{BATCH_HEADER_BYTES, BatchHeader, TimestampType};
use crate::scratch::Scratch;
use crate::varint::{self, VarintError};
use hallows_types::{Offset, WallTime};

/// A length that stands for "null".
const NULL_LENGTH: i32 = -1;
/// The shortest header: two lengths of one byte each.
const HEADER_BYTES_MIN: usize = 2;

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// No bit has a meaning yet.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Records after the batch's base offset.
    pub offset_delta: i32,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers, not parsed yet.
    pub headers: Headers<'a>,
}

impl Record<'_> {
    /// The record's offset in the log, once the batch has one.
    #[must_use]
    pub const fn offset(&self, batch: &BatchHeader) -> Offset {
        Offset(batch.base_offset.0.saturating_add(self.offset_delta as i64))
    }

    /// The record's time: its own, or the batch's under LogAppendTime.
    ///
    /// # Errors
    /// [`RecordErrorKind::TimestampOverflow`] when base and delta have no sum.
    pub fn timestamp(&self, batch: &BatchHeader) -> Result<WallTime, RecordErrorKind> {
        match batch.timestamp_type() {
            TimestampType::LogAppendTime => Ok(batch.max_timestamp),
            TimestampType::CreateTime => batch
                .base_timestamp
                .0
                .checked_add(self.timestamp_delta)
                .map(WallTime)
                .ok_or(RecordErrorKind::TimestampOverflow {
                    base_timestamp: batch.base_timestamp,
                    timestamp_delta: self.timestamp_delta,
                }),
        }
    }
}

/// One header of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// The name; UTF-8 by convention, which nobody checks.
    pub key: &'a [u8],
    /// The value, or null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record; iterating parses them.
///
/// After the last header comes one error if bytes are left over; after an error comes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
    count: i32,
    next_index: i32,
}

impl<'a> Headers<'a> {
    /// How many headers the record says it has.
    #[must_use]
    pub const fn len(&self) -> i32 {
        self.count
    }

    /// Whether the record has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn parse_next(&mut self) -> Result<Header<'a>, RecordErrorKind> {
        let key_length = read_i32(&mut self.rest, "header key length")?;
        if key_length < 0 {
            return Err(RecordErrorKind::HeaderKeyInvalid {
                header_index: self.next_index,
                key_length,
            });
        }
        let key = take(&mut self.rest, key_length, "header key length")?;
        let value = take_nullable(&mut self.rest, "header value length")?;
        Ok(Header { key, value })
    }

    fn stop(&mut self) {
        self.rest = &[];
        self.next_index = self.count;
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, RecordErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next_index < self.count {
            let parsed = self.parse_next();
            match parsed {
                Ok(_) => self.next_index += 1,
                Err(_) => self.stop(),
            }
            return Some(parsed);
        }
        let trailing_bytes = self.rest.len();
        self.stop();
        (trailing_bytes > 0).then_some(Err(RecordErrorKind::RecordTrailingBytes { trailing_bytes }))
    }
}

/// The records of one batch, in order.
///
/// After the last record comes one error if bytes are left over; after an error comes nothing.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: &'a [u8],
    record_count: i32,
    next_index: i32,
}

impl<'a> RecordIter<'a> {
    /// Reads `record_count` records from `payload`, the uncompressed bytes behind a batch's header.
    #[must_use]
    pub const fn new(payload: &'a [u8], record_count: i32) -> Self {
        Self {
            rest: payload,
            record_count,
            next_index: 0,
        }
    }

    fn stop(&mut self) {
        self.rest = &[];
        self.next_index = self.record_count;
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next_index < self.record_count {
            let index = self.next_index;
            return Some(match parse_record(&mut self.rest) {
                Ok(record) => {
                    self.next_index += 1;
                    Ok(record)
                }
                Err(kind) => {
                    self.stop();
                    Err(RecordError::at(index, kind))
                }
            });
        }
        let trailing_bytes = self.rest.len();
        self.stop();
        (trailing_bytes > 0).then(|| {
            let record_count = self.record_count;
            Err(RecordError::whole(RecordErrorKind::BatchTrailingBytes {
                trailing_bytes,
                record_count,
            }))
        })
    }
}

/// The records of `batch`, unpacked into `scratch` where it is compressed.
///
/// # Errors
/// As [`decompress_into`]; errors of single records come from the iterator.
pub fn records<'a>(batch: &'a [u8], scratch: &'a mut Scratch) -> Result<RecordIter<'a>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    Ok(RecordIter::new(
        payload_of(batch, &header, scratch)?,
        header.record_count,
    ))
}

/// The uncompressed bytes behind the header of `batch`: in place, or unpacked into `scratch`.
///
/// # Errors
/// Wraps [`BatchError`] for a bad header or too few bytes, and [`crate::CompressionError`] for damaged or
/// oversized content. The checksum is not looked at.
pub fn decompress_into<'a>(batch: &'a [u8], scratch: &'a mut Scratch) -> Result<&'a [u8], RecordError> {
    payload_of(batch, &BatchHeader::parse(batch)?, scratch)
}

pub(crate) fn payload_of<'a>(
    batch: &'a [u8],
    header: &BatchHeader,
    scratch: &'a mut Scratch,
) -> Result<&'a [u8], RecordError> {
    let needed = header.size_bytes();
    let Some(payload) = batch.get(BATCH_HEADER_BYTES..needed) else {
        return Err(BatchError::Truncated {
            needed,
            actual: batch.len(),
        }
        .into());
    };
    match header.codec()? {
        Codec::None => Ok(payload),
        // Compaction may leave a batch without records to keep its producer's sequence; there is nothing to unpack.
        _ if payload.is_empty() && header.record_count == 0 => Ok(payload),
        codec => Ok(scratch.decompress(codec, payload)?),
    }
}

#[inline(always)]
fn parse_record<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, RecordErrorKind> {
    let length = read_i32(rest, "record length")?;
    let mut body = take(rest, length, "record length")?;
    let [attributes, after @ ..] = body else {
        return Err(RecordErrorKind::Truncated { field: "attributes" });
    };
    body = after;
    Ok(Record {
        attributes: i8::from_be_bytes([*attributes]),
        timestamp_delta: varint::read_i64(&mut body).map_err(|error| varint_error(error, "timestamp delta"))?,
        offset_delta: read_i32(&mut body, "offset delta")?,
        key: take_nullable(&mut body, "key length")?,
        value: take_nullable(&mut body, "value length")?,
        headers: parse_headers(body)?,
    })
}

/// `body` is what the record has behind its value; without headers nothing may follow the count.
#[inline(always)]
fn parse_headers(mut body: &[u8]) -> Result<Headers<'_>, RecordErrorKind> {
    let count = read_i32(&mut body, "header count")?;
    if count == 0 && !body.is_empty() {
        return Err(RecordErrorKind::RecordTrailingBytes {
            trailing_bytes: body.len(),
        });
    }
    match usize::try_from(count) {
        Ok(headers) if headers <= body.len() / HEADER_BYTES_MIN => Ok(Headers {
            rest: body,
            count,
            next_index: 0,
        }),
        _ => Err(RecordErrorKind::LengthInvalid {
            field: "header count",
            value: count,
            remaining_bytes: body.len(),
        }),
    }
}

#[inline(always)]
fn take_nullable<'a>(rest: &mut &'a [u8], field: &'static str) -> Result<Option<&'a [u8]>, RecordErrorKind> {
    match read_i32(rest, field)? {
        NULL_LENGTH => Ok(None),
        length => take(rest, length, field).map(Some),
    }
}

#[inline(always)]
fn take<'a>(rest: &mut &'a [u8], length: i32, field: &'static str) -> Result<&'a [u8], RecordErrorKind> {
    match usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
    {
        Some((taken, after)) => {
            *rest = after;
            Ok(taken)
        }
        None => Err(RecordErrorKind::LengthInvalid {
            field,
            value: length,
            remaining_bytes: rest.len(),
        }),
    }
}

#[inline(always)]
fn read_i32(rest: &mut &[u8], field: &'static str) -> Result<i32, RecordErrorKind> {
    varint::read_i32(rest).map_err(|error| varint_error(error, field))
}

const fn varint_error(error: VarintError, field: &'static str) -> RecordErrorKind {
    match error {
        VarintError::Truncated => RecordErrorKind::Truncated { field },
        VarintError::Invalid => RecordErrorKind::VarintInvalid { field },
    }
}
