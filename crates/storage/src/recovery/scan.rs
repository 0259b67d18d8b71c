//! Walking the batches of a segment file: by heads where it is known to be synced, with checksums where it is not.

use std::io;

use hallows_runtime::FileHandle;

use super::read_full;
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::codec::{to_u64, to_usize};

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A window onto a file that moves forward.
pub(super) struct Window<'a> {
    file: &'a FileHandle,
    size: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl<'a> Window<'a> {
    /// Onto the first `size` bytes of a file.
    pub(super) fn new(file: &'a FileHandle, size: u64) -> Self {
        Self {
            file,
            size,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// The same, going on with the buffer of an earlier window onto the same file.
    pub(super) const fn reuse(file: &'a FileHandle, size: u64, buffer: Vec<u8>, start: u64) -> Self {
        Self {
            file,
            size,
            buffer,
            start,
        }
    }

    pub(super) fn into_buffer(self) -> (Vec<u8>, u64) {
        (self.buffer, self.start)
    }

    /// `len` bytes from `position`, fewer at the end.
    pub(super) fn bytes(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX);
        let len = len.min(rest);
        let end = position + to_u64(len);
        if position < self.start || end > self.start + to_u64(self.buffer.len()) {
            let fill = len.max(CHUNK_BYTES).min(rest);
            self.buffer.clear();
            self.buffer.resize(fill, 0);
            let count = read_full(self.file, &mut self.buffer, position)?;
            self.buffer.truncate(count);
            self.start = position;
        }
        let from = usize::try_from(position - self.start).expect("inside the buffer");
        let to = (from + len).min(self.buffer.len());
        Ok(self.buffer.get(from..to).unwrap_or_default())
    }

    /// The head of the batch at `position`, or what is wrong with it.
    pub(super) fn head(&mut self, position: u64) -> io::Result<Result<BatchHeader, &'static str>> {
        Ok(BatchHeader::parse(self.bytes(position, HEADER_BYTES)?))
    }

    /// The whole batch at `position`, its checksum right, or what is wrong with it.
    pub(super) fn batch(&mut self, position: u64) -> io::Result<Result<(BatchHeader, &[u8]), &'static str>> {
        let header = match self.head(position)? {
            Ok(header) => header,
            Err(what) => return Ok(Err(what)),
        };
        if position + header.size_u64() > self.size {
            return Ok(Err("cut off"));
        }
        let batch = self.bytes(position, to_usize(header.size_bytes))?;
        if !header.checksum_matches(batch) {
            return Ok(Err("of a wrong checksum"));
        }
        Ok(Ok((header, batch)))
    }
}
