//! Reading a recovered partition from its log start to its end, before any shard runs: its segments, then what a full
//! disk left in memory.

use bytes::Bytes;
use hallows_runtime::{Disk, FileHandle, OpenMode};
use hallows_types::Offset;

use super::scan::Window;
use crate::error::Failure;
use crate::partition::Partition;
use crate::segment::Segment;
use crate::storage::damaged;

/// The batches of a recovered partition, oldest first. Ends after the first failure.
pub struct Batches<'a> {
    partition: &'a Partition,
    disk: &'a dyn Disk,
    segment: usize,
    file: Option<FileHandle>,
    position: u32,
    buffer: Vec<u8>,
    buffer_start: u32,
    failed: bool,
    /// Batches of the tail that were given.
    tail: usize,
}

impl<'a> Batches<'a> {
    pub(super) fn new(partition: &'a Partition, disk: &'a dyn Disk) -> Self {
        Self {
            partition,
            disk,
            segment: partition.segment_index(partition.log_start).unwrap_or(0),
            file: None,
            position: 0,
            buffer: Vec::new(),
            buffer_start: 0,
            failed: false,
            tail: 0,
        }
    }

    fn read(&mut self) -> Option<Result<Bytes, Failure>> {
        if let Some(failure) = &self.partition.failure {
            return Some(Err(failure.clone()));
        }
        loop {
            let Some(segment) = self.partition.segments.get(self.segment) else {
                return self.read_tail().map(Ok);
            };
            if self.position >= segment.written {
                (self.segment, self.position, self.file) = (self.segment + 1, 0, None);
                self.buffer.clear();
                continue;
            }
            let (end, batch) = match self.read_in(segment) {
                Ok(found) => found,
                Err(failure) => return Some(Err(failure)),
            };
            if end > self.partition.log_start {
                return Some(Ok(batch));
            }
        }
    }

    fn read_tail(&mut self) -> Option<Bytes> {
        loop {
            let batch = self.partition.tail.iter().nth(self.tail)?;
            self.tail += 1;
            if batch.end > self.partition.log_start {
                return Some(batch.bytes.clone());
            }
        }
    }

    fn read_in(&mut self, segment: &Segment) -> Result<(Offset, Bytes), Failure> {
        let path = segment.id.log_path();
        let file = match (&self.file, segment.file()) {
            (Some(file), _) | (None, Some(file)) => file.clone(),
            (None, None) => self
                .disk
                .open(&path, OpenMode::Read)
                .map_err(|error| Failure::read(&path, &error))?,
        };
        self.file = Some(file.clone());
        let mut window = Window::reuse(
            &file,
            u64::from(segment.written),
            std::mem::take(&mut self.buffer),
            u64::from(self.buffer_start),
        );
        let found = match window.batch(u64::from(self.position)) {
            Ok(Ok((header, batch))) => Ok((header, Bytes::copy_from_slice(batch))),
            Ok(Err(what)) => Err(damaged(segment.id, self.position, &format!("a batch {what}"))),
            Err(error) => Err(Failure::read(&path, &error)),
        };
        let (buffer, start) = window.into_buffer();
        self.buffer = buffer;
        self.buffer_start = u32::try_from(start).unwrap_or(0);
        let (header, batch) = found?;
        self.position += header.size_bytes;
        Ok((header.end_offset().unwrap_or(Offset(i64::MAX)), batch))
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Bytes, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.read();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}
