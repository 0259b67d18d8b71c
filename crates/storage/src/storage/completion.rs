//! What the end of each disk operation means.

use hallows_runtime::{DiskCompletion, DiskOutcome};
use hallows_types::Now;

use super::Storage;
use super::space::Draw;
use crate::journal_block::{EntryKind, Proposed};
use crate::operations::Operation;
use crate::settings::PartitionKey;

impl Storage {
    /// Takes the end of an operation that [`Storage::flush`] gave out.
    pub fn on_disk(&mut self, now: Now, completion: DiskCompletion) {
        self.clock = now.monotonic;
        let Some(operation) = self.operations.complete(completion.token) else {
            return;
        };
        let result = completion.result;
        if let Some(key) = operation.partition() {
            self.at_mut(key).operations -= 1;
            self.enqueue(key);
        }
        match operation {
            Operation::JournalBlock => self.block_written(result),
            Operation::JournalFile => self.journal_file_step(result),
            Operation::SegmentWrite { key } => self.segment_written(key, result),
            Operation::WriteBack { key, id } => self.written_back(key, id),
            Operation::SegmentCreate { key, id, structure } => self.segment_created(key, id, structure, result),
            Operation::Manifest { key, structure } => self.manifest_written(key, structure, result),
            Operation::SegmentSeal { key, id } => self.segment_sealed(key, id, result),
            Operation::CheckpointSync => self.checkpoint_synced(result),
            Operation::CheckpointRecord => self.checkpoint_recorded(result),
            Operation::SegmentOpen { id } => self.segment_opened(id, result),
            Operation::IndexRead {
                id,
                size,
                base,
                head_of,
            } => self.index_read(id, (size, base), head_of, result),
            Operation::IndexRebuild { id, size, file, index } => self.index_rebuilt(id, size, file, index, result),
            Operation::Locate {
                key,
                id,
                offset,
                position,
                file,
            } => self.located(key, (id, offset), position, file, result),
            Operation::TimeLookup { search } => self.time_read(search, result),
            Operation::MeasureSpace => self.space_measured(result),
            Operation::Reserve => self.reserve_done(&result),
            // What is left of it is covered by the checkpoint, and the next start removes it.
            Operation::JournalRemoval => self.stopped(true),
            Operation::Cleanup { what } => {
                if self.space.full {
                    // It may have made room.
                    self.space.look_again(self.clock);
                }
                if let Err(error) = result {
                    tracing::debug!(what, %error, "cleaning up was not complete; the next start does the rest");
                }
            }
        }
    }

    fn block_written(&mut self, result: std::io::Result<DiskOutcome>) {
        match self.journal.complete(result) {
            Ok(entries) => {
                self.journal_use.block_written(self.clock);
                entries.iter().for_each(|proposed| self.apply(proposed));
                self.journal.recycle(entries);
            }
            Err(failure) => self.fail_journal(&failure),
        }
    }

    /// An entry is durable.
    fn apply(&mut self, proposed: &Proposed) {
        let key = proposed.key;
        let entry = &proposed.entry;
        let Some(partition) = self.get_mut(key).filter(|partition| partition.id == entry.partition) else {
            return;
        };
        match entry.kind {
            EntryKind::Batch => {
                partition.journaled = partition.journaled.max(entry.end_offset);
                let long = partition.tail.bytes() > 0 && partition.write.is_none();
                self.advance(key);
                if long {
                    self.enqueue(key);
                }
            }
            EntryKind::LogStart => self.move_log_start(key, entry.base_offset),
        }
    }

    fn journal_file_step(&mut self, result: std::io::Result<DiskOutcome>) {
        if let Err(failure) = self.journal.file_step_done(result) {
            self.fail_journal(&failure);
        } else if let Some(shortage) = self.journal.shortage() {
            self.note_exhausted("a journal file", shortage, Draw::Structure);
        }
    }
}

impl Operation {
    /// The partition that must stay until the operation ends.
    const fn partition(&self) -> Option<PartitionKey> {
        match self {
            Self::SegmentWrite { key }
            | Self::WriteBack { key, .. }
            | Self::SegmentCreate { key, .. }
            | Self::Manifest { key, .. }
            | Self::SegmentSeal { key, .. }
            | Self::Locate { key, .. } => Some(*key),
            Self::JournalBlock
            | Self::JournalFile
            | Self::CheckpointSync
            | Self::CheckpointRecord
            | Self::SegmentOpen { .. }
            | Self::IndexRead { .. }
            | Self::IndexRebuild { .. }
            | Self::TimeLookup { .. }
            | Self::MeasureSpace
            | Self::Reserve
            | Self::JournalRemoval
            | Self::Cleanup { .. } => None,
        }
    }
}
