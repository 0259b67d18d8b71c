//! A disk in memory that knows what is durable.
//!
//! A crash keeps a random part of what was written but not synced: whole writes, torn ones, or none; likewise of
//! creations, renames and removals whose directory was not synced.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use hallows_runtime::{AlignedBuffer, DirectoryEntry, Disk, DiskSpace, File, FileHandle, OpenMode, Random};

/// Writes are torn at multiples of this.
const SECTOR: usize = 512;

#[derive(Clone, Default, Debug)]
struct Contents {
    durable: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Fails operations whose path contains the text.
    faults: Vec<(String, Fault)>,
    /// So many changes still happen; all later ones fail.
    changes_left: Cell<Option<u64>>,
    free_bytes: u64,
    total_bytes: u64,
    free_files: Option<u64>,
    /// Whether what is left is a quota's, which the file system does not tell.
    quota: bool,
    gone: bool,
    read_only: bool,
    zeros: Vec<u64>,
    written_back: Vec<(u64, u64)>,
}

/// "Too many open files".
const EMFILE: i32 = 24;

/// What a fault breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Write,
    Sync,
    Durable,
    Read,
    /// No file can be opened or made.
    Descriptors,
}

/// A shared disk.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
    path: String,
}

impl MemoryDisk {
    pub fn new() -> Self {
        let disk = Self::default();
        disk.lock().free_bytes = u64::MAX;
        disk.lock().total_bytes = u64::MAX;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// The machine loses power: what comes of unsynced changes is random. Open files keep pointing at the old disk.
    pub fn power_loss(&self, random: &mut Random) -> Self {
        let state = self.lock();
        let mut after = State {
            free_bytes: state.free_bytes,
            total_bytes: state.total_bytes,
            ..State::default()
        };
        for contents in &state.files {
            let bytes = contents.after_loss(random);
            after.files.push(Contents {
                durable: bytes.clone(),
                current: bytes,
                unsynced: Vec::new(),
            });
        }
        let paths: std::collections::BTreeSet<_> = state.names.keys().chain(state.durable_names.keys()).collect();
        for path in paths {
            let (old, new) = (state.durable_names.get(path), state.names.get(path));
            let kept = if random.below(2) == 0 { old } else { new };
            if let Some(inode) = kept {
                after.names.insert(path.clone(), *inode);
            }
        }
        after.durable_names = after.names.clone();
        Self(Arc::new(Mutex::new(after)))
    }

    /// The process is killed: nothing that was written is lost.
    pub fn process_kill(&self) -> Self {
        let state = self.lock();
        let after = State {
            files: state.files.clone(),
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            free_bytes: state.free_bytes,
            total_bytes: state.total_bytes,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(after)))
    }

    pub fn set_free_bytes(&self, free_bytes: u64) {
        self.lock().free_bytes = free_bytes;
    }

    /// As [`MemoryDisk::set_free_bytes`], by a quota that the file system says nothing of.
    pub fn set_quota(&self, free_bytes: u64) {
        self.set_free_bytes(free_bytes);
        self.lock().quota = true;
    }

    /// How many more files the disk says there may be.
    pub fn set_free_files(&self, free_files: u64) {
        self.lock().free_files = Some(free_files);
    }

    pub fn free_bytes(&self) -> u64 {
        self.lock().free_bytes
    }

    /// The size that the disk says it has.
    pub fn set_total_bytes(&self, total_bytes: u64) {
        self.lock().total_bytes = total_bytes;
    }

    /// The data directory is removed while it is used.
    pub fn disappear(&self) {
        self.lock().gone = true;
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.lock().read_only = read_only;
    }

    pub fn fail(&self, path_part: &str, fault: Fault) {
        self.lock().faults.push((path_part.to_owned(), fault));
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Lets so many changes happen and no later one.
    pub fn cut_off_after(&self, changes: u64) {
        self.lock().changes_left.set(Some(changes));
    }

    /// How many zeros each call wrote.
    pub fn zeros(&self) -> Vec<u64> {
        self.lock().zeros.clone()
    }

    /// The ranges (start, length) that were written back early.
    pub fn written_back(&self) -> Vec<(u64, u64)> {
        self.lock().written_back.clone()
    }

    /// Every path, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// The paths that end so.
    pub fn paths_ending(&self, suffix: &str) -> Vec<String> {
        self.paths().into_iter().filter(|path| path.ends_with(suffix)).collect()
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let state = self.lock();
        state.files[state.names[path]].current.clone()
    }

    /// Changes a file behind everybody's back, durably.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let inode = state.names[path];
        let contents = &mut state.files[inode];
        change(&mut contents.current);
        contents.durable = contents.current.clone();
        contents.unsynced.clear();
    }

    /// Removes a file behind everybody's back, durably.
    pub fn delete(&self, path: &str) {
        let mut state = self.lock();
        state.names.remove(path).expect("the file exists");
        state.durable_names.remove(path);
    }

    /// Puts a file there behind everybody's back, durably.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let inode = state.files.len();
        state.files.push(Contents {
            durable: bytes.clone(),
            current: bytes,
            unsynced: Vec::new(),
        });
        state.names.insert(path.to_owned(), inode);
        state.durable_names.insert(path.to_owned(), inode);
    }
}

impl Contents {
    fn after_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.unsynced {
            match (random.below(3), change) {
                (0, _) => {}
                (1, Change::Write(offset, data)) => {
                    for (number, sector) in data.chunks(SECTOR).enumerate() {
                        if random.below(2) == 0 {
                            apply(&mut bytes, &Change::Write(offset + number * SECTOR, sector.to_vec()));
                        }
                    }
                }
                _ => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Change::Resize(len) => bytes.resize(*len, 0),
    }
}

impl State {
    fn check(&self, path: &str, fault: Fault) -> io::Result<()> {
        if self.read_only && fault != Fault::Read {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let broken = self
            .faults
            .iter()
            .any(|(part, kind)| *kind == fault && path.contains(part.as_str()));
        if broken && fault == Fault::Descriptors {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if broken {
            return Err(io::Error::other("injected"));
        }
        match self.changes_left.get() {
            Some(0) if fault != Fault::Read => Err(io::Error::other("cut off")),
            Some(left) if fault != Fault::Read => {
                self.changes_left.set(Some(left - 1));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        if bytes > self.free_bytes {
            let kind = if self.quota {
                io::ErrorKind::QuotaExceeded
            } else {
                io::ErrorKind::StorageFull
            };
            return Err(kind.into());
        }
        if self.free_bytes != u64::MAX {
            self.free_bytes -= bytes;
        }
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        if self.free_bytes != u64::MAX {
            self.free_bytes += bytes as u64;
        }
    }

    /// A file has lost its name, or another file has got it.
    fn unlinked(&mut self, inode: Option<usize>) {
        if let Some(inode) = inode {
            self.give_back(self.files[inode].current.len());
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.lock();
        state.check(&self.path, Fault::Read)?;
        let current = &state.files[self.inode].current;
        let start = usize::try_from(offset).expect("small").min(current.len());
        let count = buffer.len().min(current.len() - start);
        buffer[..count].copy_from_slice(&current[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(&self.path, Fault::Write)?;
        let offset = usize::try_from(offset).expect("small");
        let grown = (offset + data.len()).saturating_sub(state.files[self.inode].current.len());
        state.spend(grown)?;
        let contents = &mut state.files[self.inode];
        let change = Change::Write(offset, data.to_vec());
        apply(&mut contents.current, &change);
        contents.unsynced.push(change);
        Ok(())
    }

    fn write_durable(&self, data: &AlignedBuffer, offset: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(&self.path, Fault::Durable)?;
        let offset = usize::try_from(offset).expect("small");
        assert!(offset.is_multiple_of(4096), "durable writes are aligned");
        assert!(data.len().is_multiple_of(4096), "durable writes are padded");
        let contents = &mut state.files[self.inode];
        assert!(offset + data.len() <= contents.current.len(), "journals do not grow");
        let change = Change::Write(offset, data.to_vec());
        apply(&mut contents.current, &change);
        apply(&mut contents.durable, &change);
        Ok(())
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        assert!(
            offset.is_multiple_of(4096) && len.is_multiple_of(4096),
            "zeros are aligned"
        );
        self.disk.lock().zeros.push(len);
        self.write_all_at(&vec![0; usize::try_from(len).expect("small")], offset)
    }

    fn write_back(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.written_back.push((offset, len));
        let contents = &state.files[self.inode];
        let end = usize::try_from(offset + len).expect("small");
        assert!(end <= contents.current.len(), "only what was written is written back");
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(&self.path, Fault::Sync)?;
        let contents = &mut state.files[self.inode];
        contents.durable = contents.current.clone();
        contents.unsynced.clear();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.inode].current.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(&self.path, Fault::Write)?;
        let size = usize::try_from(size).expect("small");
        let before = state.files[self.inode].current.len();
        state.spend(size.saturating_sub(before))?;
        state.give_back(before.saturating_sub(size));
        let change = Change::Resize(size);
        let contents = &mut state.files[self.inode];
        apply(&mut contents.current, &change);
        contents.unsynced.push(change);
        Ok(())
    }

    fn reserve(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<FileHandle> {
        let mut state = self.lock();
        state.check(path, Fault::Descriptors)?;
        let known = state.names.get(path).copied();
        let inode = match (mode, known) {
            (OpenMode::Create, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, None) => {
                state.check(path, Fault::Write)?;
                state.spend(1)?;
                state.files.push(Contents::default());
                let inode = state.files.len() - 1;
                state.names.insert(path.to_owned(), inode);
                inode
            }
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
            (_, Some(inode)) => inode,
        };
        Ok(FileHandle::new(MemoryFile {
            disk: self.clone(),
            inode,
            path: path.to_owned(),
        }))
    }

    fn create_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut entries = Vec::new();
        for name in self.lock().names.keys().filter_map(|name| name.strip_prefix(&prefix)) {
            let (name, is_directory) = name.split_once('/').map_or((name, false), |(first, _)| (first, true));
            entries.push(DirectoryEntry {
                name: name.to_owned(),
                is_directory,
            });
        }
        entries.sort();
        entries.dedup();
        Ok(entries)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.check(to, Fault::Write)?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let replaced = state.names.insert(to.to_owned(), inode);
        state.unlinked(replaced);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.check(path, Fault::Write)?;
        let removed = state.names.remove(path);
        state.unlinked(removed);
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        match self.list(path)?.is_empty() {
            true => Ok(()),
            false => Err(io::ErrorKind::DirectoryNotEmpty.into()),
        }
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.check(path, Fault::Sync)?;
        let inside = |name: &str| name.rsplit_once('/').map_or("", |(parent, _)| parent) == path;
        let State {
            names, durable_names, ..
        } = &mut *state;
        durable_names.retain(|name, _| !inside(name) || names.contains_key(name));
        let here = names.iter().filter(|(name, _)| inside(name));
        here.for_each(|(name, inode)| {
            durable_names.insert(name.clone(), *inode);
        });
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.check("", Fault::Sync)?;
        state.durable_names = state.names.clone();
        for contents in &mut state.files {
            contents.durable = contents.current.clone();
            contents.unsynced.clear();
        }
        Ok(())
    }

    fn space(&self) -> io::Result<DiskSpace> {
        let state = self.lock();
        if state.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(DiskSpace {
            free_bytes: if state.quota { u64::MAX } else { state.free_bytes },
            total_bytes: state.total_bytes,
            free_files: state.free_files,
        })
    }

    fn alignment(&self) -> usize {
        4096
    }
}
