//! The few primitives of Kafka's wire format that the bench needs.
//!
//! The bench speaks with words of its own instead of the `protocol` crate's, so that a mistake there cannot
//! hide itself from the measurement, and so that a frame can be prepared once and patched in place.

use anyhow::{Context, Result, ensure};

/// Writes one request frame: length prefix, header, body.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

/// Where the correlation id lies in a frame: behind the length (4), the API key (2) and the version (2).
const CORRELATION_AT: usize = 8;

impl Encoder {
    /// A frame with request header version 2, that is for a flexible version of the API.
    pub(crate) fn request(api_key: i16, version: i16) -> Self {
        let mut encoder = Self { bytes: vec![0; 4] };
        encoder.i16(api_key);
        encoder.i16(version);
        encoder.i32(0);
        let client = b"bench";
        encoder.i16(5);
        encoder.raw(client);
        encoder.tags();
        encoder
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn uvarint(&mut self, value: usize) {
        write_uvarint(&mut self.bytes, u64::try_from(value).expect("a usize fits 64 bits"));
    }

    /// The count of a compact array, or the length of compact bytes: one more, since 0 stands for null.
    pub(crate) fn compact_count(&mut self, count: usize) {
        self.uvarint(count + 1);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.compact_count(text.len());
        self.raw(text.as_bytes());
    }

    pub(crate) fn null(&mut self) {
        self.uvarint(0);
    }

    /// The end of a struct: no tagged fields.
    pub(crate) fn tags(&mut self) {
        self.uvarint(0);
    }

    pub(crate) fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Fills in the length prefix.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = i32::try_from(self.bytes.len() - 4).expect("a frame of the bench is below 2 GiB");
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

/// Gives a prepared frame its correlation id.
pub(crate) fn set_correlation(frame: &mut [u8], id: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&id.to_be_bytes());
}

/// Appends an unsigned varint.
pub(crate) fn write_uvarint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(low_byte(value) | 0x80);
        value >>= 7;
    }
    bytes.push(low_byte(value));
}

/// Appends a zigzag varint, as records use them.
pub(crate) fn write_varint(bytes: &mut Vec<u8>, value: i64) {
    let zigzag = (value << 1) ^ (value >> 63);
    write_uvarint(bytes, u64::from_ne_bytes(zigzag.to_ne_bytes()));
}

fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Reads an answer without its length prefix.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts behind response header version 1.
    pub(crate) fn answer(bytes: &'a [u8]) -> Result<Self> {
        let mut decoder = Self { rest: bytes };
        decoder.i32()?;
        decoder.tags()?;
        Ok(decoder)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        ensure!(length <= self.rest.len(), "the answer ends {length} bytes too early");
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("take gives the length asked for"))
    }

    pub(crate) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn uvarint(&mut self) -> Result<usize> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.array::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).context("a length above the address space");
            }
        }
        anyhow::bail!("a varint of more than ten bytes")
    }

    /// The count of a compact array; null counts as empty.
    pub(crate) fn count(&mut self) -> Result<usize> {
        Ok(self.uvarint()?.saturating_sub(1))
    }

    /// Compact bytes or a compact string; null reads as empty.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub(crate) fn tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let length = self.uvarint()?;
            self.take(length)?;
        }
        Ok(())
    }
}
