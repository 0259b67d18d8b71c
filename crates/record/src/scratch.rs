//! The reusable buffer that compressed records are unpacked into.
//!
//! Invariants: `filled <= buffer.len() <= output_bytes_max`, and the buffer grows with bytes received,
//! never with bytes promised. A warm scratch unpacks a batch without allocating.

use crate::compression::{self, Codec};
use crate::error::CompressionError;
use alloc::vec::Vec;
use core::fmt;

/// The smallest growth, so that tiny batches do not grow a buffer byte by byte.
const GROWTH_BYTES_MIN: usize = 4096;

/// A bounded buffer for decompressed records, reused from batch to batch.
#[derive(Default)]
pub struct Scratch {
    output: Output,
    #[cfg(feature = "std")]
    zstd: compression::zstd::Context,
}

impl Scratch {
    /// An empty buffer that will never hold more than `output_bytes_max` bytes.
    #[must_use]
    pub fn new(output_bytes_max: usize) -> Self {
        Self {
            output: Output {
                output_bytes_max,
                ..Output::default()
            },
            #[cfg(feature = "std")]
            zstd: compression::zstd::Context::default(),
        }
    }

    /// The bound on one batch's decompressed records.
    #[must_use]
    pub const fn output_bytes_max(&self) -> usize {
        self.output.output_bytes_max
    }

    /// Bytes of memory held now, whether in use or not.
    #[must_use]
    pub const fn capacity_bytes(&self) -> usize {
        self.output.buffer.capacity()
    }

    /// Gives memory above `bytes` back, for the quiet time after an unusually large batch.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.output.buffer.truncate(bytes);
        self.output.buffer.shrink_to(bytes);
        self.output.filled = 0;
    }

    /// Unpacks `input`, replacing what was in the buffer.
    ///
    /// # Errors
    /// [`CompressionError::TooLarge`] past the bound, [`CompressionError::Corrupt`] for damaged input,
    /// [`CompressionError::Unavailable`] without the feature `std`.
    pub fn decompress(&mut self, codec: Codec, input: &[u8]) -> Result<&[u8], CompressionError> {
        let output = &mut self.output;
        output.filled = 0;
        match codec {
            Codec::None => output.append(input)?,
            Codec::Lz4 => compression::lz4::decompress(input, output)?,
            #[cfg(feature = "std")]
            Codec::Gzip => compression::gzip::decompress(input, output)?,
            #[cfg(feature = "std")]
            Codec::Snappy => compression::snappy::decompress(input, output)?,
            #[cfg(feature = "std")]
            Codec::Zstd => self.zstd.decompress(input, output)?,
            #[cfg(not(feature = "std"))]
            Codec::Gzip | Codec::Snappy | Codec::Zstd => return Err(CompressionError::Unavailable { codec }),
        }
        Ok(output.filled())
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("output_bytes_max", &self.output_bytes_max())
            .field("capacity_bytes", &self.capacity_bytes())
            .finish_non_exhaustive()
    }
}

/// Where a codec writes. The buffer stays zeroed or stale past `filled`, so growing is the only cost.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// Bytes written for the current batch.
    filled: usize,
    /// No more than this is ever written or allocated.
    output_bytes_max: usize,
}

impl Output {
    /// What was written so far.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Bytes that may still be written.
    pub(crate) const fn remaining(&self) -> usize {
        self.output_bytes_max - self.filled
    }

    /// The error for input that wants more than [`Output::remaining`].
    pub(crate) const fn too_large(&self) -> CompressionError {
        CompressionError::TooLarge {
            output_bytes_max: self.output_bytes_max,
        }
    }

    /// Room for `wanted` bytes or for what the bound leaves, whichever is less.
    pub(crate) fn room(&mut self, wanted: usize) -> &mut [u8] {
        let end = self.filled + wanted.min(self.remaining());
        self.grow_to(end);
        &mut self.buffer[self.filled..end]
    }

    /// All memory at hand, and at least [`Output::room`] of `wanted`; never past the bound.
    #[cfg(feature = "std")]
    pub(crate) fn room_at_least(&mut self, wanted: usize) -> &mut [u8] {
        self.room(wanted);
        &mut self.buffer[self.filled..]
    }

    /// Keeps the first `written` bytes of the room.
    pub(crate) fn advance(&mut self, written: usize) {
        self.filled += written;
        assert!(
            self.filled <= self.buffer.len(),
            "a codec writes only into the room it was given"
        );
    }

    /// Copies `bytes` behind what was written.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), CompressionError> {
        let room = self.room(bytes.len());
        if room.len() < bytes.len() {
            return Err(self.too_large());
        }
        room.copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    fn grow_to(&mut self, end: usize) {
        if end <= self.buffer.len() {
            return;
        }
        // Doubling keeps growth linear in total; the bound wins over doubling.
        let doubled = self.buffer.len().saturating_mul(2).max(GROWTH_BYTES_MIN);
        let size = end.max(doubled.min(self.output_bytes_max));
        self.buffer.reserve_exact(size - self.buffer.len());
        self.buffer.resize(size, 0);
    }
}
