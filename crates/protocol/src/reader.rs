//! Reading the primitives of the protocol from a frame that is all there.
//!
//! Every length is compared with the bytes that remain before anything is allocated or sliced, so
//! that a hostile length costs nothing. An array claims at least its smallest encoding per element,
//! and the memory of all arrays of a frame together is bounded by [`DECODED_BYTES_MAX`].

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;
use hallows_types::TopicId;

use crate::error::DecodeError;
use crate::generated::error_code::ErrorCode;
use crate::{DECODED_BYTES_MAX, STRING_BYTES_MAX, Uuid};

/// A cursor over a frame.
///
/// Invariant: `at <= frame.len()`.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    frame: &'a [u8],
    /// The buffer behind `frame`, when owned byte strings may share it instead of copying.
    shared: Option<&'a Bytes>,
    at: usize,
    /// Bytes of memory that arrays may still take.
    budget: usize,
}

/// The head of a tagged field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Which field it is.
    pub number: u32,
    /// Where its value ends, exclusive.
    pub end: usize,
}

/// Reads one element of an array at a version.
type DecodeElement<'a, T> = fn(&mut Reader<'a>, i16) -> Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Reads `frame` from its start. Owned byte strings are copies.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        Self {
            frame,
            shared: None,
            at: 0,
            budget: DECODED_BYTES_MAX,
        }
    }

    /// Reads `frame` from its start. Owned byte strings share its memory and keep all of it alive.
    #[must_use]
    pub fn shared(frame: &'a Bytes) -> Self {
        Self {
            shared: Some(frame),
            ..Self::new(frame)
        }
    }

    /// The whole frame, also what was read already.
    #[must_use]
    pub fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    /// Takes the next `length` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when there are fewer.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.frame[self.at..].get(..length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.truncated(length)),
        }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        DecodeError::Truncated {
            at: self.at,
            needed,
            remaining: self.remaining(),
        }
    }

    /// The error for a null that the version does not allow, at this position.
    #[cold]
    pub(crate) fn unexpected_null(&self) -> DecodeError {
        DecodeError::UnexpectedNull { at: self.at }
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.frame[self.at..].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(N)),
        }
    }

    /// Reads a byte; everything but 0 is true.
    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// Whether a nullable structure follows: a byte below 0 stands for null.
    pub(crate) fn is_present(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? >= 0)
    }

    /// Whether a nullable structure follows as the value of a tag: there 0 stands for null.
    pub(crate) fn is_present_in_tag(&mut self) -> Result<bool, DecodeError> {
        Ok(self.unsigned_varint()? != 0)
    }

    /// Reads an unsigned variable-length integer of 32 bits.
    ///
    /// # Errors
    /// [`DecodeError`] when the frame ends inside it, or it has more than 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong { at: start })
    }

    /// Reads a length; `None` stands for null. Compact lengths are one more than the length.
    fn length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            let raw = usize::try_from(self.unsigned_varint()?);
            return Ok(raw.expect("usize has at least 32 bits").checked_sub(1));
        }
        let length = self.i32()?;
        self.non_negative(length)
    }

    fn non_negative(&self, length: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => Err(DecodeError::NegativeLength { at: self.at, length }),
        }
    }

    fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if !flexible {
            let length = i32::from(self.i16()?);
            return self.non_negative(length);
        }
        match self.length(true)? {
            Some(length) if length > STRING_BYTES_MAX => Err(DecodeError::StringTooLong { at: self.at, length }),
            length => Ok(length),
        }
    }

    /// Reads text or null.
    pub(crate) fn nullable_str(&mut self, flexible: bool) -> Result<Option<&'a str>, DecodeError> {
        let Some(length) = self.string_length(flexible)? else {
            return Ok(None);
        };
        let start = self.at;
        let bytes = self.take(length)?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(DecodeError::InvalidUtf8 { at: start }),
        }
    }

    /// Reads text.
    pub(crate) fn str(&mut self, flexible: bool) -> Result<&'a str, DecodeError> {
        self.nullable_str(flexible)?.ok_or_else(|| self.unexpected_null())
    }

    /// Reads text or null into memory of its own.
    pub(crate) fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, DecodeError> {
        Ok(self.nullable_str(flexible)?.map(String::from))
    }

    /// Reads text into memory of its own.
    pub(crate) fn string(&mut self, flexible: bool) -> Result<String, DecodeError> {
        Ok(self.str(flexible)?.into())
    }

    /// Reads a byte string or null as its place in the frame.
    #[inline]
    pub(crate) fn nullable_range(&mut self, flexible: bool) -> Result<Option<Range<usize>>, DecodeError> {
        let Some(length) = self.length(flexible)? else {
            return Ok(None);
        };
        let start = self.at;
        self.take(length)?;
        Ok(Some(start..self.at))
    }

    /// Reads a byte string or null.
    pub(crate) fn nullable_byte_slice(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        let frame = self.frame;
        Ok(self.nullable_range(flexible)?.map(|range| &frame[range]))
    }

    /// Reads a byte string.
    pub(crate) fn byte_slice(&mut self, flexible: bool) -> Result<&'a [u8], DecodeError> {
        self.nullable_byte_slice(flexible)?
            .ok_or_else(|| self.unexpected_null())
    }

    /// Reads a byte string or null; it shares the frame's memory where the reader may.
    pub(crate) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        let range = self.nullable_range(flexible)?;
        Ok(range.map(|range| match self.shared {
            Some(shared) => shared.slice(range),
            None => Bytes::copy_from_slice(&self.frame[range]),
        }))
    }

    /// Reads a byte string; it shares the frame's memory where the reader may.
    pub(crate) fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.nullable_bytes(flexible)?.ok_or_else(|| self.unexpected_null())
    }

    /// Reads the length of an array whose elements take at least `size_min` bytes each in the frame
    /// and `memory` bytes decoded. What is returned fits the bytes that remain.
    pub(crate) fn array_length(
        &mut self,
        flexible: bool,
        size_min: usize,
        memory: usize,
    ) -> Result<Option<usize>, DecodeError> {
        let at = self.at;
        let Some(count) = self.length(flexible)? else {
            return Ok(None);
        };
        let needed = count.saturating_mul(size_min);
        if needed > self.remaining() {
            return Err(self.truncated(needed));
        }
        match self.budget.checked_sub(count.saturating_mul(memory)) {
            Some(rest) => self.budget = rest,
            None => return Err(DecodeError::TooLarge { at }),
        }
        Ok(Some(count))
    }

    /// Reads an array or null.
    pub(crate) fn nullable_array<T>(
        &mut self,
        flexible: bool,
        version: i16,
        size_min: usize,
        decode: DecodeElement<'a, T>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.array_length(flexible, size_min, size_of::<T>())?;
        let Some(count) = count else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(decode(self, version)?);
        }
        Ok(Some(elements))
    }

    /// Reads an array.
    pub(crate) fn array<T>(
        &mut self,
        flexible: bool,
        version: i16,
        size_min: usize,
        decode: DecodeElement<'a, T>,
    ) -> Result<Vec<T>, DecodeError> {
        let elements = self.nullable_array(flexible, version, size_min, decode)?;
        elements.ok_or_else(|| self.unexpected_null())
    }

    /// Reads how many tagged fields follow.
    pub(crate) fn tag_count(&mut self) -> Result<u32, DecodeError> {
        self.unsigned_varint()
    }

    /// Reads the head of a tagged field, whose value is all there.
    pub(crate) fn tag(&mut self) -> Result<Tag, DecodeError> {
        let number = self.unsigned_varint()?;
        let size = self.unsigned_varint()?;
        let size = usize::try_from(size).expect("usize has at least 32 bits");
        if size > self.remaining() {
            return Err(self.truncated(size));
        }
        Ok(Tag {
            number,
            end: self.at + size,
        })
    }

    /// Skips the value of a tagged field that means nothing here.
    pub(crate) fn skip_tag(&mut self, tag: Tag) {
        self.at = tag.end;
    }

    /// Checks that a tagged field took the bytes it announced.
    pub(crate) fn end_tag(&self, tag: Tag) -> Result<(), DecodeError> {
        if self.at == tag.end {
            return Ok(());
        }
        Err(DecodeError::TagSize {
            at: self.at,
            tag: tag.number,
            expected: tag.end,
        })
    }

    /// Skips all tagged fields of a structure that knows none.
    pub(crate) fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tag_count()? {
            let tag = self.tag()?;
            self.skip_tag(tag);
        }
        Ok(())
    }
}

/// Scalars: a read, and arrays of it.
macro_rules! scalars {
    ($($name:ident, $array:ident, $nullable_array:ident: $type:ty, $bytes:literal, $convert:expr;)*) => {
        impl Reader<'_> {$(
            /// Reads one; big endian.
            #[inline]
            pub(crate) fn $name(&mut self) -> Result<$type, DecodeError> {
                Ok($convert(self.fixed::<$bytes>()?))
            }

            /// Reads an array or null.
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $nullable_array(
                &mut self,
                flexible: bool,
            ) -> Result<Option<Vec<$type>>, DecodeError> {
                self.nullable_array(flexible, 0, $bytes, |reader, _| reader.$name())
            }

            /// Reads an array.
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $array(&mut self, flexible: bool) -> Result<Vec<$type>, DecodeError> {
                self.array(flexible, 0, $bytes, |reader, _| reader.$name())
            }
        )*}
    };
}

scalars! {
    i8, i8_array, nullable_i8_array: i8, 1, i8::from_be_bytes;
    i16, i16_array, nullable_i16_array: i16, 2, i16::from_be_bytes;
    u16, u16_array, nullable_u16_array: u16, 2, u16::from_be_bytes;
    i32, i32_array, nullable_i32_array: i32, 4, i32::from_be_bytes;
    i64, i64_array, nullable_i64_array: i64, 8, i64::from_be_bytes;
    f64, f64_array, nullable_f64_array: f64, 8, f64::from_be_bytes;
    uuid, uuid_array, nullable_uuid_array: Uuid, 16, core::convert::identity;
    topic_id, topic_id_array, nullable_topic_id_array: TopicId, 16, TopicId;
    error_code, error_code_array, nullable_error_code_array: ErrorCode, 2,
        |bytes| ErrorCode(i16::from_be_bytes(bytes));
}

/// Arrays of text and byte strings; an element takes at least its length field.
macro_rules! strings {
    ($($name:ident, $array:ident, $nullable_array:ident: $type:ty, $long:literal;)*) => {
        impl<'a> Reader<'a> {$(
            /// Reads an array or null.
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $nullable_array(
                &mut self,
                flexible: bool,
            ) -> Result<Option<Vec<$type>>, DecodeError> {
                if flexible {
                    self.nullable_array(true, 0, 1, |reader, _| reader.$name(true))
                } else {
                    self.nullable_array(false, 0, $long, |reader, _| reader.$name(false))
                }
            }

            /// Reads an array.
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $array(&mut self, flexible: bool) -> Result<Vec<$type>, DecodeError> {
                self.$nullable_array(flexible)?.ok_or_else(|| self.unexpected_null())
            }
        )*}
    };
}

strings! {
    str, str_array, nullable_str_array: &'a str, 2;
    string, string_array, nullable_string_array: String, 2;
    byte_slice, byte_slice_array, nullable_byte_slice_array: &'a [u8], 4;
    bytes, bytes_array, nullable_bytes_array: Bytes, 4;
}
