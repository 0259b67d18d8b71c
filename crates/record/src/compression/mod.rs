//! The four codecs of Kafka, with output bounded by the caller.
//!
//! Decompression happens through [`crate::Scratch`]; this module knows the codecs' names and the way out.
//! Whatever Kafka's own clients write is read, and whatever is written here they read.

#[cfg(feature = "std")]
pub(crate) mod gzip;
pub(crate) mod lz4;
#[cfg(feature = "std")]
pub(crate) mod snappy;
#[cfg(all(test, feature = "std"))]
mod tests;
#[cfg(feature = "std")]
pub(crate) mod zstd;

use crate::error::CompressionError;
use alloc::vec::Vec;
use core::fmt;

/// How a batch's records are compressed; the number is what the attributes hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip members (RFC 1952).
    Gzip = 1,
    /// Raw snappy, or blocks of it in the framing of Java's xerial library.
    Snappy = 2,
    /// An LZ4 frame with independent blocks.
    Lz4 = 3,
    /// Zstandard frames (KIP-110).
    Zstd = 4,
}

impl Codec {
    /// All codecs, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this number.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        // A discriminant of a `repr(u8)` enum.
        self as u8
    }

    /// The codec with this name, as Kafka's settings spell it (`none` for uncompressed).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The name in Kafka's settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Appends `input`, compressed at the codec's usual level, to `out`. Snappy gets the xerial framing, as from Java.
///
/// # Errors
/// [`CompressionError::Unavailable`] without the feature `std`;
/// [`CompressionError::Corrupt`] when the codec refuses, as snappy does above 4 GiB.
pub fn compress(codec: Codec, input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    match codec {
        Codec::None => {
            out.extend_from_slice(input);
            Ok(())
        }
        Codec::Lz4 => lz4::compress(input, out),
        #[cfg(feature = "std")]
        Codec::Gzip => gzip::compress(input, out),
        #[cfg(feature = "std")]
        Codec::Snappy => snappy::compress_xerial(input, out),
        #[cfg(feature = "std")]
        Codec::Zstd => zstd::compress(input, out),
        #[cfg(not(feature = "std"))]
        Codec::Gzip | Codec::Snappy | Codec::Zstd => Err(CompressionError::Unavailable { codec }),
    }
}

/// Appends `input` to `out` as one raw snappy block, without the xerial framing, as franz-go sends it.
///
/// # Errors
/// [`CompressionError::Unavailable`] without the feature `std`; [`CompressionError::Corrupt`] above 4 GiB.
pub fn compress_snappy_raw(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    #[cfg(feature = "std")]
    return snappy::compress_raw(input, out);
    #[cfg(not(feature = "std"))]
    {
        let _ = (input, out);
        Err(CompressionError::Unavailable { codec: Codec::Snappy })
    }
}
