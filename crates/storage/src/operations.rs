//! Disk operations on their way: what each token stands for, and the queue of those not yet given out.

use hallows_runtime::{DiskOp, DiskToken, FileHandle};
use hallows_types::Offset;
use slab::Slab;

use crate::codec::to_u64;
use crate::index::SegmentIndex;
use crate::manifest::SegmentId;
use crate::settings::PartitionKey;

/// What an operation is for.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A commit block.
    JournalBlock,
    /// A step in making a new journal file.
    JournalFile,
    /// Batches of a partition's tail to its segment.
    SegmentWrite { key: PartitionKey },
    /// Early writing back of a segment's cached bytes.
    WriteBack { key: PartitionKey, id: SegmentId },
    /// A segment's file, then the manifest that lists it.
    SegmentCreate {
        key: PartitionKey,
        id: SegmentId,
        structure: u64,
    },
    /// The manifest alone.
    Manifest { key: PartitionKey, structure: u64 },
    /// The last sync of a segment.
    SegmentSeal { key: PartitionKey, id: SegmentId },
    /// Syncs of a checkpoint.
    CheckpointSync,
    /// The checkpoint file.
    CheckpointRecord,
    /// Opening a sealed segment to read.
    SegmentOpen { id: SegmentId },
    /// Reading a sealed segment's index: opening it, then its head, then all of it.
    IndexRead {
        id: SegmentId,
        size: u32,
        base: Offset,
        head_of: Option<FileHandle>,
    },
    /// Rebuilding an index: the next piece of its segment.
    IndexRebuild {
        id: SegmentId,
        size: u32,
        file: FileHandle,
        index: SegmentIndex,
    },
    /// Reading batch heads to find the batch that contains an offset.
    Locate {
        key: PartitionKey,
        id: SegmentId,
        offset: Offset,
        position: u32,
        file: FileHandle,
    },
    /// The next piece of a lookup by time.
    TimeLookup { search: usize },
    /// A look at the disk's room.
    MeasureSpace,
    /// A step of giving the reserve back or taking it.
    Reserve,
    /// The journal's files, at an orderly end.
    JournalRemoval,
    /// Unlinking, closing and other things whose end matters to nobody.
    Cleanup { what: &'static str },
}

/// The table of operations on their way.
#[derive(Default, Debug)]
pub(crate) struct Operations {
    table: Slab<Operation>,
    queue: Vec<(DiskToken, DiskOp)>,
}

impl Operations {
    /// Queues an operation for the end of the turn.
    pub(crate) fn issue(&mut self, operation: Operation, op: DiskOp) {
        let token = DiskToken(to_u64(self.table.insert(operation)));
        self.queue.push((token, op));
    }

    /// What a completed token stood for; `None` for a token that is not storage's.
    pub(crate) fn complete(&mut self, token: DiskToken) -> Option<Operation> {
        let slot = usize::try_from(token.0).ok()?;
        self.table.try_remove(slot)
    }

    /// Gives out what is queued.
    pub(crate) fn drain_into(&mut self, disk: &mut Vec<(DiskToken, DiskOp)>) {
        disk.append(&mut self.queue);
    }
}
