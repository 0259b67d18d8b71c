//! Writing tails to segments: at once for `written`, lazily and in larger pieces otherwise.

use bytes::Bytes;
use hallows_runtime::{DiskOp, DiskOutcome, Shortage};
use hallows_types::Now;

use super::Storage;
use super::space::Draw;
use crate::codec::to_usize;
use crate::error::Failure;
use crate::manifest::SegmentId;
use crate::operations::Operation;
use crate::partition::{Partition, WriteInFlight};
use crate::segment::SegmentState;
use crate::settings::{Durability, PartitionKey};

/// Bytes of one write at most, unless one batch is larger.
const WRITE_BYTES_MAX: u32 = 1 << 20;
/// A lazily written tail is written once it is this long.
const LAZY_WRITE_BYTES: u64 = 256 << 10;

impl Storage {
    /// Does what a partition needs at the end of a turn.
    pub(super) fn flush_partition(&mut self, now: Now, key: PartitionKey) {
        let Some(partition) = self.partitions.get_mut(super::slot(key)) else {
            return;
        };
        partition.queued = false;
        if partition.removed {
            self.finish_removal(key);
            return;
        }
        if partition.failure.is_some() || self.space.exhausted {
            return;
        }
        if write_is_due(partition, self.tail_pressure) && !self.space.records_wait {
            self.write_segment(now, key);
        }
        self.drive_structure(key);
    }

    /// Writes the front of the tail to its segment, as far as it is committed and one write goes.
    fn write_segment(&mut self, _now: Now, key: PartitionKey) {
        let partition = &mut self.partitions[super::slot(key)];
        let Some(front) = partition.tail.front() else { return };
        let (id, offset) = (front.segment, front.position);
        let (data, write) = gather(partition, id);
        if data.is_empty() {
            return;
        }
        let segment = partition.segment(id).expect("a tail batch lies in a segment");
        let file = match &segment.state {
            SegmentState::Open { file } => file.clone(),
            SegmentState::Planned => return self.create_segment(key, id),
            SegmentState::Creating => return,
            SegmentState::Sealed => unreachable!("a sealed segment has no batch in the tail"),
        };
        partition.write = Some(write);
        self.statistics.segment_writes += 1;
        self.statistics.segment_bytes += u64::from(write.bytes);
        let op = DiskOp::Write {
            file,
            offset: u64::from(offset),
            data,
        };
        self.issue_for(key, Operation::SegmentWrite { key }, op);
    }

    /// Takes the end of a segment write.
    pub(super) fn segment_written(&mut self, key: PartitionKey, result: std::io::Result<DiskOutcome>) {
        let partition = &mut self.partitions[super::slot(key)];
        let write = partition
            .write
            .take()
            .expect("one write at a time, and this one was on its way");
        if partition.removed {
            return;
        }
        if partition.failure.is_some() {
            self.tail_bytes -= partition.tail.release(write.batches);
            return;
        }
        if let Err(error) = result {
            if let Some(shortage) = Shortage::of(&error) {
                // The batches are still in memory (and in the journal): the same bytes are written again later.
                self.note_exhausted("a segment write", shortage, Draw::Records);
                return;
            }
            let failure = Failure::write(write.segment.log_path(), &error);
            self.fail(key, failure);
            return;
        }
        let segment = partition.segment_mut(write.segment).expect("it has bytes in the tail");
        segment.written += write.bytes;
        let id = write.segment;
        self.tail_bytes -= partition.tail.release(write.batches);
        if partition.tail.bytes() == 0 {
            partition.write_forced = false;
        }
        let written_end = partition.written_end();
        if partition.checkpoint_target.is_some_and(|target| written_end >= target) {
            partition.checkpoint_target = None;
            self.checkpoint_partition_done();
        }
        self.write_back(key, id);
        self.advance(key);
        self.enqueue(key);
    }

    /// Has the kernel write a segment's bytes to the disk in small pieces as they come: left to the next checkpoint's
    /// sync, they would hold up the durable writes beside it. Where there are none, the kernel does it at less cost.
    fn write_back(&mut self, key: PartitionKey, id: SegmentId) {
        if !self.journal_use.is_steady(self.clock) {
            return;
        }
        let step = self.settings.segment_writeback_bytes;
        let partition = &mut self.partitions[super::slot(key)];
        let Some(segment) = partition.segment_mut(id).filter(|segment| !segment.writing_back) else {
            return;
        };
        let (start, end) = (segment.written_back.max(segment.synced), segment.written);
        if step == 0 || end.saturating_sub(start) < step {
            return;
        }
        let Some(file) = segment.file().cloned() else { return };
        segment.writing_back = true;
        segment.written_back = end;
        let op = DiskOp::WriteBack {
            file,
            offset: u64::from(start),
            len: u64::from(end - start),
        };
        self.issue_for(key, Operation::WriteBack { key, id }, op);
    }

    /// Takes the end of early writing back. If it failed, the sync that follows fails too, and is final.
    pub(super) fn written_back(&mut self, key: PartitionKey, id: SegmentId) {
        let partition = &mut self.partitions[super::slot(key)];
        if partition.removed {
            return;
        }
        if let Some(segment) = partition.segment_mut(id) {
            segment.writing_back = false;
            self.write_back(key, id);
        }
    }
}

/// Whether the tail is to be written now.
fn write_is_due(partition: &Partition, pressure: bool) -> bool {
    if partition.write.is_some() || partition.tail.front().is_none() {
        return false;
    }
    let closed = || {
        partition
            .segments
            .front()
            .is_some_and(|_| has_unwritten_closed(partition))
    };
    pressure
        || partition.config.durability == Durability::Written
        || partition.write_forced
        || partition.checkpoint_target.is_some()
        || partition.tail.bytes() >= LAZY_WRITE_BYTES
        || closed()
}

/// Whether the front of the tail lies in a segment that takes no more: it is written so that it can be sealed.
fn has_unwritten_closed(partition: &Partition) -> bool {
    let front = partition.tail.front().expect("checked by the caller");
    partition.segment(front.segment).is_some_and(|segment| segment.closed)
}

/// The pieces of the next write: the committed front of the tail inside one segment.
fn gather(partition: &Partition, id: SegmentId) -> (Vec<Bytes>, WriteInFlight) {
    let limit = partition.write_limit();
    let mut data = Vec::new();
    let mut write = WriteInFlight {
        segment: id,
        batches: 0,
        bytes: 0,
    };
    for batch in partition.tail.iter() {
        let size = u32::try_from(batch.bytes.len()).expect("batches are below 2 GiB");
        let full = write.batches > 0 && write.bytes.saturating_add(size) > WRITE_BYTES_MAX;
        if batch.segment != id || batch.end > limit || full {
            break;
        }
        data.push(batch.bytes.clone());
        write.batches += 1;
        write.bytes += size;
    }
    (data, write)
}

const _: () = assert!(LAZY_WRITE_BYTES <= WRITE_BYTES_MAX as u64);
const _: () = assert!(to_usize(WRITE_BYTES_MAX) > 0);
