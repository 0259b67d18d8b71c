//! The disk seam: blocking traits with two implementations (the real disk, the simulated one),
//! and the same operations as data, for shards that must not block.
//!
//! Paths are relative to the data directory and use `/`.

mod aligned;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod op;
mod shortage;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

pub use aligned::AlignedBuffer;
pub(crate) use op::parent;
pub use op::{DiskCompletion, DiskOp, DiskOutcome, DiskToken};
pub use shortage::Shortage;

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write through the page cache.
    ReadWrite,
    /// A new file (an error if it exists), to read and write through the page cache.
    Create,
    /// An existing file for durable aligned writes that bypass the page cache (O_DIRECT and RWF_DSYNC where the disk allows).
    Direct,
}

/// An open file. Reads and writes name their position; there is no cursor.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the operating system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `data` at `offset` through the page cache.
    ///
    /// # Errors
    /// What the operating system reports; `StorageFull` on a full disk.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Writes a whole aligned buffer at an aligned `offset`; durable on return. For files opened with [`OpenMode::Direct`].
    ///
    /// # Errors
    /// What the operating system reports. After an error the contents are unknown.
    fn write_durable(&self, data: &AlignedBuffer, offset: u64) -> io::Result<()>;

    /// Writes `len` zeros at `offset`, both aligned, around the page cache where the disk allows, in small pieces one
    /// after the other, so that a durable write beside it never waits for long. Durable after [`File::sync`].
    /// For files opened with [`OpenMode::Direct`].
    ///
    /// # Errors
    /// What the operating system reports; `StorageFull` on a full disk.
    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Has the kernel begin to write cached bytes of a range to the disk and waits for nothing, so that a later
    /// [`File::sync`] has little left to do (`sync_file_range`). Promises nothing.
    ///
    /// # Errors
    /// What the operating system reports. The next [`File::sync`] reports it as well.
    fn write_back(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes earlier writes and the length durable (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system reports. After an error nothing is known of unsynced writes, and every later sync through the
    /// same handle fails too.
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// What the operating system reports.
    fn size(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros) to `size` bytes.
    ///
    /// # Errors
    /// What the operating system reports.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Reserves disk space for `offset..offset + len` without changing the length (`fallocate` with `KEEP_SIZE`).
    /// A disk that cannot reserve returns `Ok`.
    ///
    /// # Errors
    /// `StorageFull` when the space is not there.
    fn reserve(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The descriptor, where there is one; the simulated disk has none.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// A shared open file. The last clone closes it.
#[derive(Clone)]
pub struct FileHandle(Arc<dyn File>);

impl FileHandle {
    /// Wraps an open file.
    pub fn new(file: impl File + 'static) -> Self {
        Self(Arc::new(file))
    }

    /// Whether somebody else has it too, such as an answer that is being sent.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether both are the same open file.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::ops::Deref for FileHandle {
    type Target = dyn File;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHandle({:p})", Arc::as_ptr(&self.0))
    }
}

/// The size and the room of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskSpace {
    /// Bytes that can still be written. What a quota leaves may be less.
    pub free_bytes: u64,
    /// Bytes of the whole file system.
    pub total_bytes: u64,
    /// How many more files there may be; `None` where there is no bound.
    pub free_files: Option<u64>,
}

impl DiskSpace {
    /// A file system without a bound.
    pub const UNBOUNDED: Self = Self {
        free_bytes: u64::MAX,
        total_bytes: u64::MAX,
        free_files: None,
    };
}

/// One entry of a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirectoryEntry {
    /// The entry's name, without its directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_directory: bool,
}

/// A data directory.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists` (for [`OpenMode::Create`]), `StorageFull` or what the operating system reports.
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<FileHandle>;

    /// Creates a directory and its parents; no error if it exists. What it creates is durable on return: otherwise a
    /// file made durable inside a fresh directory could be lost together with the directory.
    ///
    /// # Errors
    /// What the operating system reports.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// The entries of a directory, sorted by name; empty if the directory does not exist.
    ///
    /// # Errors
    /// What the operating system reports.
    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>>;

    /// Renames a file, replacing the target atomically. Durable after [`Disk::sync_directory`] of both parents.
    ///
    /// # Errors
    /// What the operating system reports.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; no error if it does not exist.
    ///
    /// # Errors
    /// What the operating system reports.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a directory that must be empty; no error if it does not exist.
    ///
    /// # Errors
    /// What the operating system reports.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory durable.
    ///
    /// # Errors
    /// What the operating system reports.
    fn sync_directory(&self, path: &str) -> io::Result<()>;

    /// Makes everything written to the data directory's file system durable (`syncfs`).
    ///
    /// # Errors
    /// What the operating system reports. Final, as [`File::sync`].
    fn sync_all(&self) -> io::Result<()>;

    /// Measures the file system, and that the data directory is still there.
    ///
    /// # Errors
    /// `NotFound` when the data directory was removed or replaced meanwhile, or what the operating system reports.
    fn space(&self) -> io::Result<DiskSpace>;

    /// The alignment of durable writes in bytes, a power of two of at least 4096.
    fn alignment(&self) -> usize;
}
