//! Bytes of the product's own files: little-endian fields, and the envelope that all small files share.
//!
//! Record batches are Kafka's and big-endian; [`crate::batch`] reads those.

use crc_fast::{CrcAlgorithm, Digest, checksum};

/// Why bytes are not what they should be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the format needs.
    #[error("ends after {available} bytes where {needed} are needed")]
    Truncated {
        /// Bytes the format asks for.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
    /// The first bytes are not those of this kind of file.
    #[error("does not start with the magic of {what}")]
    Magic {
        /// The kind of file.
        what: &'static str,
    },
    /// A version this build does not read.
    #[error("has format version {found}, this build reads 1 to {known}")]
    Version {
        /// What the file says.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The checksum differs.
    #[error("has a wrong checksum over its {what}")]
    Checksum {
        /// What was summed.
        what: &'static str,
    },
    /// A field with an impossible value.
    #[error("has an impossible {what}")]
    Invalid {
        /// The field.
        what: &'static str,
    },
}

/// CRC-32C (Castagnoli), as in record batches.
pub(crate) fn crc32c(data: &[u8]) -> u32 {
    low_32_bits(checksum(CrcAlgorithm::Crc32Iscsi, data))
}

/// CRC-32C of two runs of bytes, one after the other.
pub(crate) fn crc32c_of_two(first: &[u8], second: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(first);
    digest.update(second);
    low_32_bits(digest.finalize())
}

fn low_32_bits(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits")
}

/// A length or position as `usize`; every supported machine has 64 bits.
pub(crate) const fn to_usize(value: u32) -> usize {
    const _: () = assert!(usize::BITS >= 32);
    value as usize
}

/// A length as `u64`.
pub(crate) const fn to_u64(value: usize) -> u64 {
    const _: () = assert!(usize::BITS <= 64);
    value as u64
}

/// Appends little-endian fields.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }

    /// A count of things in memory, of which there are never 2^32.
    pub(crate) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).expect("bounded far below 2^32"));
    }
}

/// Takes little-endian fields off the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        if count > self.0.len() {
            return Err(FormatError::Truncated {
                needed: count,
                available: self.0.len(),
            });
        }
        let (head, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("exactly N bytes were taken"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, FormatError> {
        self.array().map(i16::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, FormatError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FormatError> {
        self.array().map(i64::from_le_bytes)
    }

    /// A count of items of `item_bytes` each that must fit into what is left, so that no count makes memory grow.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize, FormatError> {
        let count = to_usize(self.u32()?);
        let needed = count.saturating_mul(item_bytes);
        if needed > self.0.len() {
            return Err(FormatError::Truncated {
                needed,
                available: self.0.len(),
            });
        }
        Ok(count)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A kind of small file: its magic and the newest version this build reads and writes.
pub(crate) struct Kind {
    pub(crate) what: &'static str,
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
}

/// Bytes before the body: magic 8, version 4, checksum 4, length of the body 8.
pub(crate) const ENVELOPE_BYTES: usize = 24;
const _: () = assert!(ENVELOPE_BYTES == 8 + 4 + 4 + 8);

/// Wraps a body.
pub(crate) fn seal(kind: &Kind, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(ENVELOPE_BYTES + body.len()));
    writer.bytes(&kind.magic);
    writer.u32(kind.version);
    writer.u32(0);
    writer.u64(to_u64(body.len()));
    writer.bytes(body);
    let crc = envelope_crc(&writer.0);
    writer.0[12..16].copy_from_slice(&crc.to_le_bytes());
    writer.0
}

/// The body of a whole file.
pub(crate) fn unseal<'a>(kind: &Kind, data: &'a [u8]) -> Result<&'a [u8], FormatError> {
    let mut reader = Reader(data);
    if reader.array::<8>()? != kind.magic {
        return Err(FormatError::Magic { what: kind.what });
    }
    let version = reader.u32()?;
    if version == 0 || version > kind.version {
        return Err(FormatError::Version {
            found: version,
            known: kind.version,
        });
    }
    let crc = reader.u32()?;
    let body_bytes = reader.u64()?;
    if body_bytes != to_u64(reader.0.len()) {
        return Err(FormatError::Truncated {
            needed: usize::try_from(body_bytes).unwrap_or(usize::MAX),
            available: reader.0.len(),
        });
    }
    if crc != envelope_crc(data) {
        return Err(FormatError::Checksum { what: "contents" });
    }
    Ok(reader.0)
}

fn envelope_crc(data: &[u8]) -> u32 {
    crc32c_of_two(&data[..12], &data[16..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        what: "a test",
        magic: *b"HALTEST\0",
        version: 2,
    };

    #[test]
    fn crc_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c_of_two(b"1234", b"56789"), 0xe306_9283);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let sealed = seal(&KIND, b"body");
        assert_eq!(unseal(&KIND, &sealed), Ok(&b"body"[..]));
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 0x10;
            assert!(unseal(&KIND, &damaged).is_err(), "byte {index}");
        }
        for len in 0..sealed.len() {
            assert!(unseal(&KIND, &sealed[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let newer = Kind { version: 3, ..KIND };
        let sealed = seal(&newer, b"");
        assert_eq!(unseal(&KIND, &sealed), Err(FormatError::Version { found: 3, known: 2 }));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let mut writer = Writer::default();
        writer.u32(u32::MAX);
        assert!(Reader(&writer.0).count(16).is_err());
    }
}
