//! Disk operations as data.

use std::io;

use bytes::{Bytes, BytesMut};

use super::{AlignedBuffer, Disk, DiskSpace, FileHandle, OpenMode};

/// Names an operation inside its shard; chosen by the shard, given back with the completion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DiskToken(pub u64);

/// One disk operation. Small cached writes and reads of resident ranges are performed on the shard's thread right after
/// the turn, durable writes on the ring, everything else on the pool.
#[derive(Debug)]
pub enum DiskOp {
    /// Writes `data`, one piece after the other, at `offset` through the page cache.
    Write {
        /// The file.
        file: FileHandle,
        /// Where the first piece goes.
        offset: u64,
        /// The pieces.
        data: Vec<Bytes>,
    },
    /// Writes a whole aligned buffer; durable at completion, which gives the buffer back.
    WriteDurable {
        /// A file opened with [`OpenMode::Direct`].
        file: FileHandle,
        /// An aligned position.
        offset: u64,
        /// The bytes.
        data: AlignedBuffer,
    },
    /// Reads `len` bytes, fewer at the end of the file.
    Read {
        /// The file.
        file: FileHandle,
        /// Where to start.
        offset: u64,
        /// How many bytes.
        len: usize,
    },
    /// Makes earlier writes of these files durable, one after the other.
    Sync {
        /// The files.
        files: Vec<FileHandle>,
    },
    /// Opens a file.
    Open {
        /// Its path.
        path: String,
        /// How.
        mode: OpenMode,
    },
    /// Creates a file of `len` zeros, written and synced (so that durable writes into it need no extent conversion),
    /// and opens it with [`OpenMode::Direct`].
    CreateZeroed {
        /// Its path.
        path: String,
        /// Its length in bytes, aligned.
        len: u64,
    },
    /// Creates a file that reads as `len` zeros, its space reserved and its name durable, and opens it with
    /// [`OpenMode::Direct`]. Once [`DiskOp::WriteZeros`] has covered it, it is as [`DiskOp::CreateZeroed`] makes it.
    CreateReserved {
        /// Its path.
        path: String,
        /// Its length in bytes, aligned.
        len: u64,
    },
    /// Writes zeros around the page cache; durable after a sync.
    WriteZeros {
        /// A file opened with [`OpenMode::Direct`].
        file: FileHandle,
        /// An aligned position.
        offset: u64,
        /// How many, aligned.
        len: u64,
    },
    /// Has the kernel begin to write cached bytes to the disk, so that a later sync has little left to do.
    WriteBack {
        /// The file.
        file: FileHandle,
        /// Where the range starts.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// Replaces a file atomically: writes `path.tmp`, syncs it, renames it over `path`, syncs the directory.
    Replace {
        /// Its path.
        path: String,
        /// Its new contents.
        data: Bytes,
    },
    /// Creates a new file (an error if it exists), with missing parents, writes `data` and syncs; opens it with [`OpenMode::ReadWrite`].
    Create {
        /// Its path.
        path: String,
        /// Its contents, may be empty.
        data: Bytes,
        /// Whether data and directory entry are durable at completion.
        durable: bool,
    },
    /// Removes files (no error where one is absent) and then these directories if empty.
    Remove {
        /// Paths of files.
        paths: Vec<String>,
        /// Paths of directories.
        directories: Vec<String>,
    },
    /// Reserves space ahead of writes.
    Reserve {
        /// The file.
        file: FileHandle,
        /// Where the range starts.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// Measures the file system, and that the data directory is still there.
    MeasureSpace,
    /// Closes files off the shard by dropping these handles.
    Close {
        /// The handles.
        files: Vec<FileHandle>,
    },
    /// Steps performed in order by one worker; stops at the first error. For checkpoints: data, then sync, then the file that refers to it.
    Sequence(Vec<DiskOp>),
}

/// What an operation gave.
#[derive(Debug)]
pub enum DiskOutcome {
    /// Done; nothing to give back.
    Done,
    /// The buffer of a durable write, for recycling.
    Buffer(AlignedBuffer),
    /// Bytes read.
    Data(BytesMut),
    /// The opened file.
    Opened(FileHandle),
    /// What was measured.
    Space(DiskSpace),
    /// The outcomes of a sequence, in order.
    Sequence(Vec<DiskOutcome>),
}

/// The end of an operation.
#[derive(Debug)]
pub struct DiskCompletion {
    /// The token given with it.
    pub token: DiskToken,
    /// How it ended.
    pub result: io::Result<DiskOutcome>,
}

impl DiskOp {
    /// Performs the operation, blocking.
    ///
    /// # Errors
    /// What the disk reports.
    pub fn perform(self, disk: &dyn Disk) -> io::Result<DiskOutcome> {
        match self {
            Self::Write { file, mut offset, data } => {
                for piece in data {
                    file.write_all_at(&piece, offset)?;
                    offset += piece.len() as u64;
                }
                Ok(DiskOutcome::Done)
            }
            Self::WriteDurable { file, offset, data } => {
                file.write_durable(&data, offset)?;
                Ok(DiskOutcome::Buffer(data))
            }
            Self::Read { file, offset, len } => read(&file, offset, len),
            Self::Sync { files } => {
                files.iter().try_for_each(|file| file.sync())?;
                Ok(DiskOutcome::Done)
            }
            Self::Open { path, mode } => disk.open(&path, mode).map(DiskOutcome::Opened),
            Self::CreateZeroed { path, len } => create_zeroed(disk, &path, len),
            Self::CreateReserved { path, len } => create_reserved(disk, &path, len).map(DiskOutcome::Opened),
            Self::WriteZeros { file, offset, len } => {
                file.write_zeros(offset, len)?;
                Ok(DiskOutcome::Done)
            }
            Self::WriteBack { file, offset, len } => {
                file.write_back(offset, len)?;
                Ok(DiskOutcome::Done)
            }
            Self::Replace { path, data } => replace(disk, &path, &data),
            Self::Create { path, data, durable } => create(disk, &path, &data, durable),
            Self::Remove { paths, directories } => {
                paths.iter().try_for_each(|path| disk.remove(path))?;
                directories.iter().try_for_each(|path| disk.remove_directory(path))?;
                Ok(DiskOutcome::Done)
            }
            Self::Reserve { file, offset, len } => {
                file.reserve(offset, len)?;
                Ok(DiskOutcome::Done)
            }
            Self::MeasureSpace => disk.space().map(DiskOutcome::Space),
            Self::Close { files } => {
                drop(files);
                Ok(DiskOutcome::Done)
            }
            Self::Sequence(steps) => {
                let outcomes: io::Result<Vec<_>> = steps.into_iter().map(|step| step.perform(disk)).collect();
                outcomes.map(DiskOutcome::Sequence)
            }
        }
    }
}

/// The directory part of a path; empty for the data directory itself.
#[must_use]
pub(crate) fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

fn read(file: &FileHandle, offset: u64, len: usize) -> io::Result<DiskOutcome> {
    let mut data = BytesMut::zeroed(len);
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut data[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    data.truncate(filled);
    Ok(DiskOutcome::Data(data))
}

fn create_zeroed(disk: &dyn Disk, path: &str, len: u64) -> io::Result<DiskOutcome> {
    let file = create_reserved(disk, path, len)?;
    file.write_zeros(0, len)?;
    file.sync()?;
    Ok(DiskOutcome::Opened(file))
}

fn create_reserved(disk: &dyn Disk, path: &str, len: u64) -> io::Result<FileHandle> {
    disk.create_directory(parent(path))?;
    let file = disk.open(path, OpenMode::Create)?;
    file.reserve(0, len)?;
    file.set_size(len)?;
    file.sync()?;
    disk.sync_directory(parent(path))?;
    disk.open(path, OpenMode::Direct)
}

fn replace(disk: &dyn Disk, path: &str, data: &[u8]) -> io::Result<DiskOutcome> {
    let temporary = format!("{path}.tmp");
    disk.create_directory(parent(path))?;
    disk.remove(&temporary)?;
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.write_all_at(data, 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_directory(parent(path))?;
    Ok(DiskOutcome::Done)
}

fn create(disk: &dyn Disk, path: &str, data: &[u8], durable: bool) -> io::Result<DiskOutcome> {
    disk.create_directory(parent(path))?;
    let file = disk.open(path, OpenMode::Create)?;
    file.write_all_at(data, 0)?;
    if durable {
        file.sync()?;
        disk.sync_directory(parent(path))?;
    }
    Ok(DiskOutcome::Opened(file))
}
