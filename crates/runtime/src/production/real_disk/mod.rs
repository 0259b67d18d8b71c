//! The data directory on a real file system.
//!
//! One process at a time: `hallows.lock` is held with `flock` as long as the [`RealDisk`] lives.
//! Durable writes bypass the page cache where the file system allows, which is found out once, when the disk is opened.

mod file;
mod probe;

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use file::RealFile;
pub use probe::DiskProbe;
use probe::probe_direct;

use crate::disk::{DirectoryEntry, Disk, DiskSpace, FileHandle, OpenMode, Shortage, parent};

/// The file that is locked while a process has the data directory.
const LOCK_FILE: &str = "hallows.lock";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RealDiskError {
    /// Another process has it.
    #[error(
        "cannot open the data directory {}: {holder} has it open (its lock file {LOCK_FILE} is locked). \
         Stop that process, or point `log.dirs` at another directory.", path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process, as far as the lock file tells.
        holder: String,
    },
    /// It cannot be created, read or written.
    #[error(
        "cannot use the data directory {}: {action} failed: {source}. \
         {} or point `log.dirs` at another one.", path.display(), way_out(source)
    )]
    Unusable {
        /// The data directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// What helps against an error of the data directory, as the beginning of a sentence.
fn way_out(error: &io::Error) -> &'static str {
    match (Shortage::of(error), error.kind()) {
        (Some(Shortage::Room), _) => "Its file system, or the quota of this user, is full: free some space or inodes,",
        (Some(Shortage::Descriptors), _) => "No file descriptor is left: raise the limit of open files (ulimit -n),",
        (None, io::ErrorKind::ReadOnlyFilesystem) => "Its file system is mounted read-only: mount it for writing,",
        (None, _) => "Make it a directory that this user may read and write,",
    }
}

/// A data directory, locked for this process.
pub struct RealDisk {
    root: PathBuf,
    /// Open for `syncfs` and `fstatvfs`.
    directory: fs::File,
    probe: DiskProbe,
    /// Held for its lock.
    lock: fs::File,
}

impl RealDisk {
    /// Creates the directory if absent, locks it and finds out how durable writes are done best.
    ///
    /// # Errors
    /// [`RealDiskError::Locked`] when another process has it; [`RealDiskError::Unusable`] for everything else.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, RealDiskError> {
        let root = root.into();
        let fail = |action| {
            let path = root.clone();
            move |source| RealDiskError::Unusable { path, action, source }
        };
        fs::create_dir_all(&root).map_err(fail("creating it"))?;
        let directory = fs::File::open(&root).map_err(fail("opening it"))?;
        let lock = lock(&root)?;
        let probe = probe_direct(&root, &lock).map_err(fail("writing a probe file"))?;
        Ok(Self {
            directory,
            probe,
            lock,
            root,
        })
    }

    /// The data directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What was found out about the file system when it was opened, for the log.
    #[must_use]
    pub const fn probe(&self) -> &DiskProbe {
        &self.probe
    }

    /// Whether the locked file still has its name: it goes with the directory, and before everything in it.
    fn check_presence(&self) -> io::Result<()> {
        let path = self.root.join(LOCK_FILE);
        let gone = |why: &str| io::Error::new(io::ErrorKind::NotFound, format!("{} {why}", path.display()));
        let named = match fs::metadata(&path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone("was removed")),
            Err(error) => return Err(error),
        };
        let locked = self.lock.metadata()?;
        if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) {
            Ok(())
        } else {
            Err(gone("is another file now"))
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }
}

fn lock(root: &Path) -> Result<fs::File, RealDiskError> {
    let fail = |action| {
        move |source| RealDiskError::Unusable {
            path: root.to_path_buf(),
            action,
            source,
        }
    };
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(root.join(LOCK_FILE))
        .map_err(fail("opening its lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(locked(root, &mut file)),
        Err(fs::TryLockError::Error(source)) => return Err(fail("locking its lock file")(source)),
    }
    // The number only serves the message to a second process; the lock itself is the kernel's. It is written over the
    // one before, as long as any: a full disk might not give back the room of a shorter file.
    match file.write_all_at(format!("{:<19}\n", std::process::id()).as_bytes(), 0) {
        Err(error) if Shortage::of(&error) == Some(Shortage::Room) => {}
        recorded => recorded.map_err(fail("writing its lock file"))?,
    }
    Ok(file)
}

fn locked(root: &Path, file: &mut fs::File) -> RealDiskError {
    let mut recorded = String::new();
    let holder = match file.read_to_string(&mut recorded) {
        Ok(_) if !recorded.trim().is_empty() => format!("process {}", recorded.trim()),
        _ => "another process".to_owned(),
    };
    RealDiskError::Locked {
        path: root.to_path_buf(),
        holder,
    }
}

/// Turns "it was not there" into success.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<FileHandle> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite | OpenMode::Direct => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create_new(true);
            }
        }
        let path = self.path(path);
        let file = options.open(&path)?;
        if mode == OpenMode::Direct && self.probe.direct {
            let direct = options.custom_flags(probe::DIRECT_FLAGS).open(&path)?;
            return Ok(FileHandle::new(RealFile::new(direct, Some(file))));
        }
        Ok(FileHandle::new(RealFile::new(file, None)))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for directory in ends.map(|end| &path[..end]).filter(|directory| !directory.is_empty()) {
            match fs::create_dir(self.path(directory)) {
                Ok(()) => self.sync_directory(parent(directory))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>> {
        let entries = match fs::read_dir(self.path(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            listed.push(DirectoryEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_directory: entry.file_type()?.is_dir(),
            });
        }
        listed.sort();
        Ok(listed)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.path(path)))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_dir(self.path(path)))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        fs::File::open(self.path(path))?.sync_all()
    }

    fn sync_all(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.directory)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }

    fn space(&self) -> io::Result<DiskSpace> {
        self.check_presence()?;
        let status = rustix::fs::fstatvfs(&self.directory)?;
        Ok(DiskSpace {
            free_bytes: status.f_bavail.saturating_mul(status.f_frsize),
            total_bytes: status.f_blocks.saturating_mul(status.f_frsize),
            free_files: (status.f_files > 0).then_some(status.f_favail),
        })
    }

    fn alignment(&self) -> usize {
        self.probe.alignment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_the_suite_of_every_disk() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RealDisk::open(directory.path()).expect("a fresh directory opens");
        crate::disk::conformance::check(&disk);
    }

    #[test]
    fn passes_the_suite_in_memory_too() {
        let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
            return; // Only Linux has a file system in memory at a known place.
        };
        let disk = RealDisk::open(directory.path()).expect("a fresh directory opens");
        crate::disk::conformance::check(&disk);
    }

    #[test]
    fn a_second_opener_is_told_who_has_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = RealDisk::open(directory.path()).expect("a fresh directory opens");
        let message = match RealDisk::open(directory.path()) {
            Err(error @ RealDiskError::Locked { .. }) => error.to_string(),
            other => panic!(
                "expected a locked directory, got {:?}",
                other.map(|_| ()).map_err(|e| e.to_string())
            ),
        };
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        assert!(message.contains("log.dirs"), "{message}");
        drop(first);
        RealDisk::open(directory.path()).expect("the lock ends with its holder");
    }

    #[test]
    fn a_directory_that_is_removed_or_replaced_is_gone() {
        let changes: [fn(&Path); 3] = [
            |path| fs::remove_dir_all(path).expect("removed"),
            |path| fs::rename(path, path.with_extension("elsewhere")).expect("moved"),
            |path| {
                fs::remove_file(path.join(LOCK_FILE)).expect("removed");
                fs::write(path.join(LOCK_FILE), b"").expect("replaced");
            },
        ];
        for change in changes {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let path = directory.path().join("data");
            let disk = RealDisk::open(&path).expect("a fresh directory opens");
            let space = disk.space().expect("it is there");
            assert!(space.free_bytes <= space.total_bytes, "{space:?}");
            change(&path);
            let error = disk.space().expect_err("it is gone");
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            assert!(error.to_string().contains(LOCK_FILE), "{error}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_told_with_the_way_out_of_its_reason() {
        for (errno, advice) in [
            (28, "is full: free some space or inodes, or point"),
            (122, "quota of this user, is full"),
            (30, "mounted read-only: mount it for writing, or point"),
            (24, "raise the limit of open files"),
            (13, "Make it a directory that this user may read and write, or point"),
        ] {
            let error = RealDiskError::Unusable {
                path: PathBuf::from("data"),
                action: "opening its lock file",
                source: io::Error::from_raw_os_error(errno),
            };
            assert!(error.to_string().contains(advice), "{error}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("occupied");
        fs::write(&path, b"not a directory").expect("writing a file");
        let error = RealDisk::open(&path).map(|_| ()).expect_err("a file is no directory");
        assert!(error.to_string().contains("occupied"), "{error}");
    }
}
