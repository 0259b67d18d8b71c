//! The journal of one shard: group commit over all its partitions.
//!
//! At most one commit block is on its way; meanwhile the next group forms. Blocks are never rewritten, so a bad block
//! with a valid one after it proves damage, and a bad last one is a torn tail.
//! Files are made of zeros in advance, and recycled once a checkpoint covers every block in them ([`JournalSupply`]).
//!
//! The shape is that of a replicated log, of which a single node needs two verbs: [`Journal::append`] (group, entry) and
//! [`Journal::purge_to`]. Truncation and hard state come with replication; entries already carry group and index.

use std::collections::VecDeque;

use bytes::Bytes;
use hallows_runtime::{AlignedBuffer, DiskOp, DiskOutcome, FileHandle, Shortage};
use hallows_types::ShardId;

use crate::codec::to_u64;
use crate::error::Failure;
use crate::event::{Origin, Statistics};
use crate::journal_block::{Proposed, encode, padded_bytes};
use crate::journal_supply::JournalSupply;
use crate::operations::{Operation, Operations};
use crate::settings::StorageSettings;

/// Payload of one block at most, unless a single entry is larger.
const BLOCK_PAYLOAD_BYTES_MAX: usize = 2 << 20;
/// Entries of one block at most.
const BLOCK_ENTRIES_MAX: usize = 8192;
/// What a new block buffer holds before it grows.
const BUFFER_BYTES: usize = 64 << 10;
/// The next file is begun once an eighth of the current one is used, and is ready once three quarters are.
const PREPARE_FROM: u64 = 8;
const READY_AT: (u64, u64) = (3, 4);

/// Files that are kept ready while room on the disk is short.
const READY_WHILE_SHORT: usize = 1;

/// The low bits of a generation count files; the bits above are random for each start, so that no client can forge a
/// block inside its records.
pub(crate) const GENERATION_COUNTER_BITS: u32 = 20;

/// Where a journal file lies.
pub(crate) fn path(shard: ShardId, number: u64) -> String {
    format!("journals/{}-{number}.journal", shard.0)
}

/// Shard and number in the name of a journal file.
pub(crate) fn parse_name(name: &str) -> Option<(ShardId, u64)> {
    let (shard, number) = name.strip_suffix(".journal")?.split_once('-')?;
    Some((ShardId(shard.parse().ok()?), number.parse().ok()?))
}

/// One file of the chain.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) number: u64,
    pub(crate) file: FileHandle,
    pub(crate) bytes: u64,
    /// Sequence of the last block in it.
    last_sequence: u64,
}

impl JournalFile {
    pub(crate) const fn new(number: u64, file: FileHandle, bytes: u64) -> Self {
        Self {
            number,
            file,
            bytes,
            last_sequence: 0,
        }
    }
}

/// The journal of one shard.
#[derive(Debug)]
pub(crate) struct Journal {
    shard: ShardId,
    alignment: usize,
    bytes_max: u64,
    file_bytes: u64,
    /// The size of files while room is short.
    small_file_bytes: u64,
    /// Whether room on the disk is short: files are small, and freed ones are given back but for one.
    short: bool,
    /// Bytes of files given back since room is short, which the journal will want again.
    lent_bytes: u64,
    /// The group that forms, in order of proposal.
    forming: Vec<Proposed>,
    forming_bytes: usize,
    /// The group on its way; empty if none is.
    flying: Vec<Proposed>,
    buffer: Option<AlignedBuffer>,
    table: Vec<u8>,
    current: JournalFile,
    /// Where the next block goes in the current file.
    position: u64,
    generation: u64,
    /// Full, oldest first; freed by checkpoints.
    full: VecDeque<JournalFile>,
    /// Full, and holding the only copy of batches of a failed partition: kept for the next start, outside the bound.
    pinned: Vec<JournalFile>,
    /// Whether the current file is to be pinned once it is full.
    pin_current: bool,
    supply: JournalSupply,
    /// Whether a block waits for the next file.
    starved: bool,
    /// Sequence of the last block given to the disk.
    sequence: u64,
    /// Every block up to this one was covered by the last checkpoint.
    purged: u64,
    /// Index of the last proposed entry.
    index: u64,
    failure: Option<Failure>,
}

/// Where a journal goes on after recovery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalStart {
    pub(crate) shard: ShardId,
    pub(crate) alignment: usize,
    /// The first block gets the sequence after this one.
    pub(crate) sequence: u64,
    pub(crate) generation: u64,
    pub(crate) next_number: u64,
}

impl Journal {
    pub(crate) fn new(start: JournalStart, settings: &StorageSettings, current: JournalFile) -> Self {
        Self {
            shard: start.shard,
            alignment: start.alignment,
            bytes_max: settings.journal_bytes_max,
            file_bytes: settings.journal_file_bytes,
            small_file_bytes: settings.journal_first_file_bytes.min(settings.journal_file_bytes),
            short: false,
            lent_bytes: 0,
            forming: Vec::new(),
            forming_bytes: 0,
            flying: Vec::new(),
            buffer: Some(AlignedBuffer::with_capacity(BUFFER_BYTES)),
            table: Vec::new(),
            current,
            position: 0,
            generation: start.generation,
            full: VecDeque::new(),
            pinned: Vec::new(),
            pin_current: false,
            supply: JournalSupply::new(
                start.shard,
                start.alignment,
                settings.journal_file_bytes,
                start.next_number,
            ),
            starved: false,
            sequence: start.sequence,
            purged: start.sequence,
            index: 0,
            failure: None,
        }
    }

    pub(crate) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Puts an entry into the forming group and numbers it; [`Journal::complete`] gives it back once it is durable.
    pub(crate) fn append(&mut self, mut proposed: Proposed) {
        self.index += 1;
        proposed.entry.index = self.index;
        self.forming_bytes += proposed.payload.len();
        self.forming.push(proposed);
    }

    /// Whether nothing forms and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.failure.is_some() || (self.forming.is_empty() && self.flying.is_empty())
    }

    /// Sequence of the last block given to the disk.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Bytes of files that hold blocks no checkpoint covers yet.
    pub(crate) fn used_bytes(&self) -> u64 {
        let current = if self.current.last_sequence > self.purged {
            self.position
        } else {
            0
        };
        self.full.iter().map(|file| file.bytes).sum::<u64>() + current
    }

    /// Whether a checkpoint should free files now.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        // A single large block may have a file of its own beyond the bound.
        let oldest = self.full.front().unwrap_or(&self.current);
        let wanted = self.used_bytes() >= self.bytes_max / 2 || (self.short && !self.full.is_empty());
        oldest.last_sequence > self.purged && wanted
    }

    /// Whether appends of that origin have to wait for a checkpoint. Entries that were admitted still get their place
    /// beyond the bound: the checkpoint that frees the journal may wait for them.
    pub(crate) fn is_over_bound(&self, origin: Origin) -> bool {
        self.used_bytes() + to_u64(self.forming_bytes) >= origin.bound(self.bytes_max)
    }

    /// Files of the chain, ready ones included.
    pub(crate) fn files(&self) -> u64 {
        to_u64(self.full.len() + self.pinned.len() + 1 + self.supply.files())
    }

    /// Tries again to create a file after a shortage.
    pub(crate) const fn retry_supply(&mut self) {
        self.supply.retry();
    }

    /// Why there is no next file for now.
    pub(crate) const fn shortage(&self) -> Option<Shortage> {
        self.supply.shortage()
    }

    /// Whether a block waits for a file that there is no room for.
    pub(crate) const fn is_starved(&self) -> bool {
        self.starved && self.supply.shortage().is_some()
    }

    /// Notes that room on the disk is short, or is no longer.
    pub(crate) fn set_short(&mut self, short: bool) {
        self.short = short;
        self.lent_bytes = 0;
        while short && self.supply.files() > READY_WHILE_SHORT {
            self.lent_bytes += self.supply.discard_ready();
        }
    }

    /// Bytes that the journal gave back since room is short, and will want again.
    pub(crate) const fn lent_bytes(&self) -> u64 {
        self.lent_bytes
    }

    /// Bytes that new files took on the disk since the last call.
    pub(crate) const fn take_prepared_bytes(&mut self) -> u64 {
        self.supply.take_prepared_bytes()
    }

    /// Ends the journal, all of whose blocks are covered: the files that nobody needs any more.
    pub(crate) fn retire(&mut self) -> Vec<String> {
        let current = (!self.pin_current).then_some(self.current.number);
        let full = self.full.iter().map(|file| file.number);
        let numbers = current.into_iter().chain(full).chain(self.supply.numbers());
        numbers.map(|number| path(self.shard, number)).collect()
    }

    /// Gives out the next block if none is on its way, and what prepares for later ones.
    pub(crate) fn flush(&mut self, operations: &mut Operations, statistics: &mut Statistics) {
        if self.failure.is_some() {
            return;
        }
        if self.flying.is_empty() && !self.forming.is_empty() {
            self.write_block(operations, statistics);
        }
        self.drive_supply(operations);
    }

    /// Has the next file made in time, a little for every block written.
    fn drive_supply(&mut self, operations: &mut Operations) {
        let within_bound = self.used_bytes() + self.current.bytes < self.bytes_max;
        if self.supply.is_empty() && self.position > self.current.bytes / PREPARE_FROM && within_bound {
            self.supply.prepare(self.next_file_bytes(), operations);
        }
        let share = if self.starved {
            (1, 1)
        } else {
            (self.position * READY_AT.1, self.current.bytes * READY_AT.0)
        };
        self.supply.advance(share, operations);
        self.supply.remove_discarded(operations);
    }

    const fn next_file_bytes(&self) -> u64 {
        if self.short {
            return self.small_file_bytes;
        }
        let double = self.current.bytes * 2;
        if double < self.file_bytes {
            double
        } else {
            self.file_bytes
        }
    }

    fn write_block(&mut self, operations: &mut Operations, statistics: &mut Statistics) {
        let (count, bytes) = self.group();
        if self.position + bytes > self.current.bytes && !self.switch_file(bytes, operations) {
            return;
        }
        if count == self.forming.len() {
            std::mem::swap(&mut self.forming, &mut self.flying);
        } else {
            self.flying.extend(self.forming.drain(..count));
        }
        self.forming_bytes -= self.flying.iter().map(|proposed| proposed.payload.len()).sum::<usize>();
        let mut buffer = self
            .buffer
            .take()
            .unwrap_or_else(|| AlignedBuffer::with_capacity(BUFFER_BYTES));
        self.sequence += 1;
        let name = (self.generation, self.sequence);
        encode(&mut buffer, &mut self.table, name, &self.flying, self.alignment);
        debug_assert_eq!(to_u64(buffer.len()), bytes);
        statistics.journal_writes += 1;
        statistics.journal_entries += to_u64(count);
        statistics.journal_bytes += bytes;
        let op = DiskOp::WriteDurable {
            file: self.current.file.clone(),
            offset: self.position,
            data: buffer,
        };
        self.position += bytes;
        self.current.last_sequence = self.sequence;
        operations.issue(Operation::JournalBlock, op);
    }

    /// How many entries the next block takes, and its size on disk.
    fn group(&self) -> (usize, u64) {
        let mut count = self.forming.len();
        let mut payload = self.forming_bytes;
        if payload > BLOCK_PAYLOAD_BYTES_MAX || count > BLOCK_ENTRIES_MAX {
            (count, payload) = (0, 0);
            for proposed in self.forming.iter().take(BLOCK_ENTRIES_MAX) {
                if count > 0 && payload + proposed.payload.len() > BLOCK_PAYLOAD_BYTES_MAX {
                    break;
                }
                count += 1;
                payload += proposed.payload.len();
            }
        }
        (count, to_u64(padded_bytes(count, payload, self.alignment)))
    }

    /// Moves on to the next file if there is one that takes `bytes`; otherwise asks for it.
    fn switch_file(&mut self, bytes: u64, operations: &mut Operations) -> bool {
        let Some(next) = self.supply.take(bytes) else {
            self.starved = true;
            let size = bytes.max(self.next_file_bytes());
            self.supply.prepare(size, operations);
            return false;
        };
        self.starved = false;
        let full = std::mem::replace(&mut self.current, next);
        if std::mem::take(&mut self.pin_current) {
            self.pinned.push(full);
        } else {
            self.full.push_back(full);
            self.free_covered();
        }
        self.position = 0;
        self.generation += 1;
        true
    }

    /// Takes the end of a block write: the entries that are durable now, to be given back with [`Journal::recycle`].
    ///
    /// # Errors
    /// The failure that ends this journal.
    pub(crate) fn complete(&mut self, result: std::io::Result<DiskOutcome>) -> Result<Vec<Proposed>, Failure> {
        match result {
            Ok(outcome) => {
                if let DiskOutcome::Buffer(buffer) = outcome {
                    self.buffer = Some(buffer);
                }
                Ok(std::mem::take(&mut self.flying))
            }
            Err(error) => {
                let failure = Failure::write(path(self.shard, self.current.number), &error);
                self.fail(failure.clone());
                Err(failure)
            }
        }
    }

    /// Ends the journal for good.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.forming.clear();
        self.forming_bytes = 0;
        self.flying.clear();
    }

    /// Takes the emptied list of entries back, for its memory.
    pub(crate) fn recycle(&mut self, mut entries: Vec<Proposed>) {
        entries.clear();
        if self.flying.capacity() == 0 {
            self.flying = entries;
        }
    }

    /// Takes the end of a step in making a file.
    ///
    /// # Errors
    /// The failure that ends this journal; a shortage is none.
    pub(crate) fn file_step_done(&mut self, result: std::io::Result<DiskOutcome>) -> Result<(), Failure> {
        let done = self.supply.step_done(result);
        if let Err(failure) = &done {
            self.fail(failure.clone());
        }
        done
    }

    /// Keeps every file that holds blocks now: a partition failed whose batches are nowhere else.
    pub(crate) fn pin(&mut self) {
        self.pinned.extend(self.full.drain(..));
        self.pin_current = true;
    }

    /// Frees files whose blocks all have a sequence at or below `sequence`, to be used again.
    pub(crate) fn purge_to(&mut self, sequence: u64) {
        self.purged = self.purged.max(sequence);
        self.free_covered();
    }

    fn free_covered(&mut self) {
        while self.full.front().is_some_and(|file| file.last_sequence <= self.purged) {
            let file = self.full.pop_front().expect("just seen");
            // Whatever the load has needed once it will need again.
            let others = self.supply.bytes() + self.full.iter().map(|file| file.bytes).sum::<u64>();
            let spared = self.short && self.supply.files() >= READY_WHILE_SHORT;
            if others + file.bytes + self.current.bytes <= self.bytes_max && !spared {
                self.supply.keep(file);
            } else {
                self.lent_bytes += if self.short { file.bytes } else { 0 };
                self.supply.discard(&file);
            }
        }
    }
}

/// An entry without payload.
pub(crate) const fn no_payload() -> Bytes {
    Bytes::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again() {
        assert_eq!(parse_name("3-17.journal"), Some((ShardId(3), 17)));
        for name in ["3.journal", "3-17", "x-1.journal", "3--1.journal", "99999-1.journal"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
        assert_eq!(path(ShardId(3), 17), "journals/3-17.journal");
    }
}
