//! Writing the primitives of the protocol into a buffer that grows.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::TopicId;

use crate::error::EncodeError;
use crate::generated::error_code::ErrorCode;
use crate::{STRING_BYTES_MAX, Uuid};

/// A buffer that messages are appended to. What it held before stays in front.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

/// Where the value of a tagged field begins.
#[derive(Debug)]
#[must_use = "a tagged field ends with `end_tag`"]
pub(crate) struct OpenTag {
    start: usize,
}

/// The most bytes or elements that a length field can say.
const LENGTH_MAX: usize = 0x7fff_ffff;

/// Writes one element of an array at a version.
type EncodeElement<T> = fn(&T, &mut Writer, i16) -> Result<(), EncodeError>;

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(capacity),
        }
    }

    /// A writer that appends to `buffer`, to use its memory again.
    #[must_use]
    pub fn appending(buffer: Vec<u8>) -> Self {
        Self { buffer }
    }

    /// What has been written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The buffer itself.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.buffer
    }

    /// The buffer as shared bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.buffer.into()
    }

    /// Appends raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Overwrites the four bytes at `at`, written before, for example with a length known only now.
    pub(crate) fn patch_i32(&mut self, at: usize, value: i32) {
        self.buffer[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Writes an unsigned variable-length integer.
    pub fn unsigned_varint(&mut self, value: u32) {
        let mut rest = value;
        loop {
            let [low, ..] = (rest & 0x7f).to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return self.buffer.push(low);
            }
            self.buffer.push(low | 0x80);
        }
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    /// Says whether a nullable structure follows.
    pub(crate) fn presence(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// Says whether a nullable structure follows as the value of a tag.
    pub(crate) fn presence_in_tag(&mut self, present: bool) {
        self.unsigned_varint(u32::from(present));
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.raw(&value);
    }

    pub(crate) fn topic_id(&mut self, value: TopicId) {
        self.raw(&value.0);
    }

    pub(crate) fn error_code(&mut self, value: ErrorCode) {
        self.i16(value.0);
    }

    /// Writes a length, or null; compact lengths are one more than the length.
    pub(crate) fn length(&mut self, length: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        let Some(length) = length else {
            if flexible {
                self.unsigned_varint(0);
            } else {
                self.i32(-1);
            }
            return Ok(());
        };
        match i32::try_from(length) {
            Ok(length) if !flexible => self.i32(length),
            Ok(length) => self.unsigned_varint(length.unsigned_abs() + 1),
            Err(_) => {
                return Err(EncodeError::TooLong {
                    length,
                    max: LENGTH_MAX,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn nullable_str(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        let Some(text) = text else {
            if flexible {
                self.unsigned_varint(0);
            } else {
                self.i16(-1);
            }
            return Ok(());
        };
        self.str(text, flexible)
    }

    pub(crate) fn str(&mut self, text: &str, flexible: bool) -> Result<(), EncodeError> {
        let Ok(length) = i16::try_from(text.len()) else {
            return Err(EncodeError::TooLong {
                length: text.len(),
                max: STRING_BYTES_MAX,
            });
        };
        if flexible {
            self.unsigned_varint(u32::from(length.unsigned_abs()) + 1);
        } else {
            self.i16(length);
        }
        self.raw(text.as_bytes());
        Ok(())
    }

    pub(crate) fn nullable_bytes(&mut self, bytes: Option<&[u8]>, flexible: bool) -> Result<(), EncodeError> {
        self.length(bytes.map(<[u8]>::len), flexible)?;
        self.raw(bytes.unwrap_or_default());
        Ok(())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8], flexible: bool) -> Result<(), EncodeError> {
        self.nullable_bytes(Some(bytes), flexible)
    }

    pub(crate) fn nullable_array<T>(
        &mut self,
        elements: Option<&[T]>,
        flexible: bool,
        version: i16,
        encode: EncodeElement<T>,
    ) -> Result<(), EncodeError> {
        self.length(elements.map(<[T]>::len), flexible)?;
        elements
            .unwrap_or_default()
            .iter()
            .try_for_each(|element| encode(element, self, version))
    }

    pub(crate) fn array<T>(
        &mut self,
        elements: &[T],
        flexible: bool,
        version: i16,
        encode: EncodeElement<T>,
    ) -> Result<(), EncodeError> {
        self.nullable_array(Some(elements), flexible, version, encode)
    }

    pub(crate) fn tag_count(&mut self, count: u32) {
        self.unsigned_varint(count);
    }

    /// Begins a tagged field; its size is put in front of its value by `end_tag`.
    pub(crate) fn begin_tag(&mut self, number: u32) -> OpenTag {
        self.unsigned_varint(number);
        OpenTag {
            start: self.buffer.len(),
        }
    }

    /// Ends a tagged field. Moving the value by the one or two bytes of its size is cheaper than
    /// computing every size beforehand: tagged values are rare and small.
    pub(crate) fn end_tag(&mut self, tag: OpenTag) -> Result<(), EncodeError> {
        let size = self.buffer.len() - tag.start;
        let Ok(short) = i32::try_from(size) else {
            return Err(EncodeError::TooLong {
                length: size,
                max: LENGTH_MAX,
            });
        };
        self.unsigned_varint(short.unsigned_abs());
        self.buffer[tag.start..].rotate_left(size);
        Ok(())
    }
}

/// Scalars: a write, and arrays of it.
macro_rules! scalars {
    ($($name:ident: $type:ty;)*) => {
        impl Writer {$(
            /// Writes one, big endian.
            #[inline]
            pub(crate) fn $name(&mut self, value: $type) {
                self.buffer.extend_from_slice(&value.to_be_bytes());
            }
        )*}
    };
}

scalars! { i8: i8; i16: i16; u16: u16; i32: i32; i64: i64; f64: f64; }

/// Arrays of what is written without failing.
macro_rules! arrays {
    ($($name:ident, $array:ident, $nullable_array:ident: $type:ty;)*) => {
        impl Writer {$(
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $nullable_array(
                &mut self,
                elements: Option<&[$type]>,
                flexible: bool,
            ) -> Result<(), EncodeError> {
                self.length(elements.map(<[$type]>::len), flexible)?;
                elements.unwrap_or_default().iter().for_each(|element| self.$name(*element));
                Ok(())
            }

            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $array(
                &mut self,
                elements: &[$type],
                flexible: bool,
            ) -> Result<(), EncodeError> {
                self.$nullable_array(Some(elements), flexible)
            }
        )*}
    };
}

arrays! {
    i8, i8_array, nullable_i8_array: i8;
    i16, i16_array, nullable_i16_array: i16;
    i32, i32_array, nullable_i32_array: i32;
    i64, i64_array, nullable_i64_array: i64;
    uuid, uuid_array, nullable_uuid_array: Uuid;
    topic_id, topic_id_array, nullable_topic_id_array: TopicId;
    error_code, error_code_array, nullable_error_code_array: ErrorCode;
}

/// Arrays of text, borrowed and owned.
macro_rules! text_arrays {
    ($($array:ident, $nullable_array:ident: $type:ty;)*) => {
        impl Writer {$(
            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $nullable_array(
                &mut self,
                elements: Option<&[$type]>,
                flexible: bool,
            ) -> Result<(), EncodeError> {
                self.length(elements.map(<[$type]>::len), flexible)?;
                elements.unwrap_or_default().iter().try_for_each(|text| self.str(text, flexible))
            }

            #[allow(dead_code, reason = "not every type is in an array of every kind")]
            pub(crate) fn $array(
                &mut self,
                elements: &[$type],
                flexible: bool,
            ) -> Result<(), EncodeError> {
                self.$nullable_array(Some(elements), flexible)
            }
        )*}
    };
}

text_arrays! {
    str_array, nullable_str_array: &str;
    string_array, nullable_string_array: String;
}
