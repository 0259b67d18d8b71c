//! Where a journal's next file comes from: freed files, kept for reuse, or a new one, made in small steps.
//!
//! A new file is written with zeros before its first block, since durable writes into a fresh one cost more. Done in one
//! go, that would hold up the durable writes beside it, so it advances only as the file before it fills.

use std::collections::VecDeque;

use hallows_runtime::{DiskOp, DiskOutcome, FileHandle, Shortage};
use hallows_types::ShardId;

use crate::codec::to_u64;
use crate::error::Failure;
use crate::journal::{JournalFile, path};
use crate::operations::{Operation, Operations};

/// A full-sized file is zeroed in this many pieces, unless they would be larger than the bound below.
const PIECES: u64 = 256;
/// The largest piece in bytes: a durable write beside it waits for one piece.
const PIECE_BYTES_MAX: u64 = 256 << 10;
/// The most pieces of one step.
const STEP_PIECES_MAX: u64 = 4;

/// The files to be used next.
#[derive(Debug)]
pub(crate) struct JournalSupply {
    shard: ShardId,
    alignment: u64,
    piece_bytes: u64,
    /// Oldest first.
    ready: VecDeque<JournalFile>,
    preparation: Option<Preparation>,
    next_number: u64,
    /// Why there is no other file for now; cleared when it is to be tried again.
    shortage: Option<Shortage>,
    removals: Vec<String>,
    /// Bytes of files begun since they were last asked for.
    prepared_bytes: u64,
}

/// A file that is being made.
#[derive(Debug)]
struct Preparation {
    number: u64,
    bytes: u64,
    /// Once it is created.
    file: Option<FileHandle>,
    zeroed: u64,
    /// Whether its next step is under way.
    busy: bool,
}

impl JournalSupply {
    pub(crate) fn new(shard: ShardId, alignment: usize, file_bytes: u64, next_number: u64) -> Self {
        let alignment = to_u64(alignment);
        Self {
            shard,
            alignment,
            piece_bytes: (file_bytes / PIECES)
                .clamp(1, PIECE_BYTES_MAX)
                .next_multiple_of(alignment),
            ready: VecDeque::new(),
            preparation: None,
            next_number,
            shortage: None,
            removals: Vec::new(),
            prepared_bytes: 0,
        }
    }

    /// Files that are ready.
    pub(crate) fn files(&self) -> usize {
        self.ready.len()
    }

    /// Bytes of files that are ready.
    pub(crate) fn bytes(&self) -> u64 {
        self.ready.iter().map(|file| file.bytes).sum()
    }

    /// Whether no file is ready and none is being made.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.preparation.is_none()
    }

    /// The oldest ready file that takes a block of `bytes`.
    pub(crate) fn take(&mut self, bytes: u64) -> Option<JournalFile> {
        let index = self.ready.iter().position(|file| file.bytes >= bytes)?;
        self.ready.remove(index)
    }

    /// Keeps a file whose blocks nobody needs.
    pub(crate) fn keep(&mut self, file: JournalFile) {
        self.ready.push_back(file);
    }

    /// Has a file whose blocks nobody needs removed.
    pub(crate) fn discard(&mut self, file: &JournalFile) {
        self.removals.push(path(self.shard, file.number));
    }

    /// Has the oldest ready file removed; its size.
    pub(crate) fn discard_ready(&mut self) -> u64 {
        let Some(file) = self.ready.pop_front() else { return 0 };
        self.discard(&file);
        file.bytes
    }

    /// The numbers of all files there are, the one being made included.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let preparation = self.preparation.iter().map(|preparation| preparation.number);
        self.ready.iter().map(|file| file.number).chain(preparation)
    }

    pub(crate) const fn take_prepared_bytes(&mut self) -> u64 {
        std::mem::replace(&mut self.prepared_bytes, 0)
    }

    /// Begins a new file unless one is being made.
    pub(crate) fn prepare(&mut self, bytes: u64, operations: &mut Operations) {
        if self.preparation.is_some() || self.shortage.is_some() {
            return;
        }
        let bytes = bytes.next_multiple_of(self.alignment);
        let number = self.next_number;
        self.next_number += 1;
        self.prepared_bytes += bytes;
        self.preparation = Some(Preparation {
            number,
            bytes,
            file: None,
            zeroed: 0,
            busy: true,
        });
        let op = DiskOp::CreateReserved {
            path: path(self.shard, number),
            len: bytes,
        };
        operations.issue(Operation::JournalFile, op);
    }

    /// Takes the next step of the file being made if less than `share` (numerator, denominator) of it is done.
    pub(crate) fn advance(&mut self, share: (u64, u64), operations: &mut Operations) {
        let Some(preparation) = self.preparation.as_mut().filter(|preparation| !preparation.busy) else {
            return;
        };
        let Some(file) = &preparation.file else { return };
        let wanted = preparation.bytes.saturating_mul(share.0) / share.1;
        let missing = wanted.min(preparation.bytes).saturating_sub(preparation.zeroed);
        if missing == 0 {
            return;
        }
        preparation.busy = true;
        let pieces = missing.div_ceil(self.piece_bytes).min(STEP_PIECES_MAX);
        let rest = preparation.bytes - preparation.zeroed;
        let len = rest.min(pieces * self.piece_bytes);
        let zeros = DiskOp::WriteZeros {
            file: file.clone(),
            offset: preparation.zeroed,
            len,
        };
        preparation.zeroed += len;
        let op = if len == rest {
            let files = vec![file.clone()];
            DiskOp::Sequence(vec![zeros, DiskOp::Sync { files }])
        } else {
            zeros
        };
        operations.issue(Operation::JournalFile, op);
    }

    /// Takes the end of a step.
    ///
    /// # Errors
    /// What is wrong with the disk; a shortage is told by [`JournalSupply::shortage`] instead.
    pub(crate) fn step_done(&mut self, result: std::io::Result<DiskOutcome>) -> Result<(), Failure> {
        let mut preparation = self.preparation.take().expect("a step belongs to the file being made");
        preparation.busy = false;
        match result {
            Ok(DiskOutcome::Opened(file)) => preparation.file = Some(file),
            Ok(_) => {}
            Err(error) => {
                let path = path(self.shard, preparation.number);
                self.removals.push(path.clone());
                self.shortage = Shortage::of(&error);
                return match self.shortage {
                    Some(_) => Ok(()),
                    None => Err(Failure::write(path, &error)),
                };
            }
        }
        match preparation.file.take_if(|_| preparation.zeroed == preparation.bytes) {
            Some(file) => {
                let file = JournalFile::new(preparation.number, file, preparation.bytes);
                self.ready.push_back(file);
            }
            None => self.preparation = Some(preparation),
        }
        Ok(())
    }

    /// Tries again to create a file after a shortage.
    pub(crate) const fn retry(&mut self) {
        self.shortage = None;
    }

    pub(crate) const fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    /// Has files that nobody needs removed.
    pub(crate) fn remove_discarded(&mut self, operations: &mut Operations) {
        if self.removals.is_empty() {
            return;
        }
        let op = DiskOp::Remove {
            paths: std::mem::take(&mut self.removals),
            directories: Vec::new(),
        };
        operations.issue(Operation::Cleanup { what: "journal files" }, op);
    }
}
