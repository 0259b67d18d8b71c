//! Room held for the node itself: files of allocated blocks, which neither clients nor other processes can take.
//!
//! A shard's reserve is held in [`PIECES`] files of one size, so that it can be given back in steps and each step gives
//! back an inode too. When the disk is full, pieces go to what the node has to write ([`Reserve::give`]); while there is
//! room they are taken back ([`Reserve::take`]), before clients may append again. A start without room takes them all.
//! Nothing in a piece means anything, so none of them is synced.

use std::io;

use hallows_runtime::{Disk, DiskOp, DiskOutcome, OpenMode, Shortage};
use hallows_types::ShardId;

use crate::operations::{Operation, Operations};

/// Where the pieces of all shards lie.
pub(crate) const DIRECTORY: &str = "reserve";
/// Files of one shard's reserve.
pub(crate) const PIECES: u32 = 8;
/// Pieces that are not given to records of clients, but kept for what leads out of the shortage: the journal's next
/// file, manifests, checkpoints.
pub(crate) const PIECES_FOR_STRUCTURE: u32 = PIECES / 2;

fn path(shard: ShardId, piece: u32) -> String {
    format!("{DIRECTORY}/{}-{piece}", shard.0)
}

/// The reserve of one shard.
#[derive(Debug)]
pub(crate) struct Reserve {
    shard: ShardId,
    /// 0 where there is to be none.
    piece_bytes: u64,
    /// The pieces below this one are held.
    held: u32,
    work: Work,
}

/// What is being done; one thing at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    Nothing,
    Giving,
    Taking,
    Proving,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    /// There is room for as much as a piece.
    Given,
    /// One more piece is held.
    Taken,
    /// There is room for a piece beyond the whole reserve.
    Proven,
    /// It was not possible.
    Failed,
}

impl Reserve {
    pub(crate) const fn new(shard: ShardId, piece_bytes: u64, held: u32) -> Self {
        Self {
            shard,
            piece_bytes,
            held,
            work: Work::Nothing,
        }
    }

    pub(crate) const fn piece_bytes(&self) -> u64 {
        self.piece_bytes
    }

    const fn wanted(&self) -> u32 {
        if self.piece_bytes == 0 { 0 } else { PIECES }
    }

    pub(crate) const fn is_whole(&self) -> bool {
        self.held == self.wanted()
    }

    /// Whether nothing more can be given.
    pub(crate) const fn is_used_up(&self) -> bool {
        self.held == 0
    }

    pub(crate) fn is_giving(&self) -> bool {
        self.work == Work::Giving
    }

    pub(crate) fn missing_bytes(&self) -> u64 {
        u64::from(self.wanted() - self.held) * self.piece_bytes
    }

    /// Begins to give one piece back, unless only `kept` are left. Whether there will be room.
    pub(crate) fn give(&mut self, kept: u32, operations: &mut Operations) -> bool {
        if self.held <= kept || !matches!(self.work, Work::Nothing | Work::Giving) {
            return false;
        }
        if self.work == Work::Nothing {
            self.work = Work::Giving;
            operations.issue(Operation::Reserve, remove(path(self.shard, self.held - 1)));
        }
        true
    }

    /// Begins to take the next piece.
    pub(crate) fn take(&mut self, operations: &mut Operations) {
        if self.work == Work::Nothing && !self.is_whole() {
            self.work = Work::Taking;
            operations.issue(Operation::Reserve, self.create(self.held));
        }
    }

    /// Begins to find out whether there is room for one piece more than all: what a file system calls free is not all
    /// that a quota leaves.
    pub(crate) fn prove(&mut self, operations: &mut Operations) {
        if self.work == Work::Nothing {
            self.work = Work::Proving;
            let steps = vec![self.create(self.wanted()), remove(path(self.shard, self.wanted()))];
            operations.issue(Operation::Reserve, DiskOp::Sequence(steps));
        }
    }

    fn create(&self, piece: u32) -> DiskOp {
        DiskOp::CreateReserved {
            path: path(self.shard, piece),
            len: self.piece_bytes,
        }
    }

    /// Takes the end of what was begun.
    pub(crate) fn done(&mut self, result: &io::Result<DiskOutcome>, operations: &mut Operations) -> Done {
        let work = std::mem::replace(&mut self.work, Work::Nothing);
        match (work, result) {
            (Work::Giving, Ok(_)) => {
                self.held -= 1;
                Done::Given
            }
            (Work::Taking, Ok(_)) => {
                self.held += 1;
                Done::Taken
            }
            (Work::Proving, Ok(_)) => Done::Proven,
            (Work::Taking | Work::Proving, Err(_)) => {
                // What is left of the attempt would stand in the way of the next one.
                let what = "an unfinished piece of the reserve";
                operations.issue(Operation::Cleanup { what }, remove(path(self.shard, self.held)));
                Done::Failed
            }
            (Work::Giving | Work::Nothing, _) => Done::Failed,
        }
    }
}

fn remove(path: String) -> DiskOp {
    DiskOp::Remove {
        paths: vec![path],
        directories: Vec::new(),
    }
}

/// Runs what a start or an end has to write; on a full disk again with the room of one piece more, as long as there is
/// one.
pub(crate) fn with_room<T>(disk: &dyn Disk, mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match run() {
            Err(error) if Shortage::of(&error) == Some(Shortage::Room) => {
                let Some(piece) = disk.list(DIRECTORY)?.pop() else {
                    return Err(error);
                };
                tracing::warn!(
                    piece = piece.name,
                    "the disk is full: a piece of the reserve is given to the node itself"
                );
                disk.remove(&format!("{DIRECTORY}/{}", piece.name))?;
            }
            other => return other,
        }
    }
}

/// The reserves of all shards at a start: what is held of them, made whole where that leaves room for as much again.
///
/// # Errors
/// What the operating system reports; a full disk is no error.
pub(crate) fn open(disk: &dyn Disk, shards: u16, piece_bytes: u64, free_bytes: u64) -> io::Result<Vec<Reserve>> {
    let wanted = if piece_bytes == 0 { 0 } else { PIECES };
    let mut held = Vec::new();
    let mut useful = std::collections::BTreeSet::new();
    for shard in (0..shards).map(ShardId) {
        let mut pieces = 0;
        while pieces < wanted && size(disk, &path(shard, pieces))? == Some(piece_bytes) {
            useful.insert(path(shard, pieces));
            pieces += 1;
        }
        held.push(pieces);
    }
    for entry in disk.list(DIRECTORY)? {
        let path = format!("{DIRECTORY}/{}", entry.name);
        if !useful.contains(&path) {
            disk.remove(&path)?;
        }
    }
    let missing: u32 = held.iter().map(|pieces| wanted - pieces).sum();
    let missing_bytes = u64::from(missing) * piece_bytes;
    if missing > 0 && free_bytes / 2 >= missing_bytes {
        make(disk, wanted, piece_bytes, &mut held)?;
    }
    let shards = (0..shards).map(ShardId).zip(held);
    Ok(shards
        .map(|(shard, held)| Reserve::new(shard, piece_bytes, held))
        .collect())
}

fn size(disk: &dyn Disk, path: &str) -> io::Result<Option<u64>> {
    match disk.open(path, OpenMode::Read) {
        Ok(file) => file.size().map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes what is missing, as far as there is room.
fn make(disk: &dyn Disk, wanted: u32, piece_bytes: u64, held: &mut [u32]) -> io::Result<()> {
    for (shard, held) in (0..).map(ShardId).zip(held) {
        for piece in *held..wanted {
            let path = path(shard, piece);
            let made = disk.create_directory(DIRECTORY).and_then(|()| {
                let file = disk.open(&path, OpenMode::Create)?;
                file.reserve(0, piece_bytes)?;
                file.set_size(piece_bytes)
            });
            match made {
                Err(error) if Shortage::of(&error).is_some() => return disk.remove(&path),
                made => made?,
            }
            *held = piece + 1;
        }
    }
    Ok(())
}
