//! A disk in memory that loses, tears and reorders whatever was not made durable.
//!
//! It promises what POSIX and the seam promise and nothing more:
//! - data is durable after a sync of its file or a durable write, names after a sync of their directory;
//! - a crash in between lets any part through: each sector of each file any age, each file any of its lengths,
//!   each change of a directory or not (in order per directory);
//! - a durable write that a crash interrupts keeps each block of 4096 bytes whole;
//! - a failed sync says nothing about what was written, and later syncs do not make up for it.
//!
//! The same seed and calls give the same faults.

mod contents;
mod faults;
mod file;
mod names;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contents::{Contents, Survival};
pub use faults::{FaultCounts, FaultRates};
use file::SimFile;
use hallows_runtime::{DirectoryEntry, Disk, DiskSpace, FileHandle, OpenMode, Random};
use names::{InodeId, Names};

use crate::random::Choose;

/// The alignment of durable writes in bytes.
const ALIGNMENT: usize = contents::BLOCK_BYTES;
/// Files without a name are looked for once this many names were removed.
const SWEEP_AFTER_REMOVALS: u32 = 64;

/// What the disk knows of one file.
#[derive(Default)]
struct Inode {
    contents: Contents,
    /// Space reserved for it, in bytes from its start.
    reserved: usize,
    /// Handles of the running machine.
    open: u32,
}

impl Inode {
    fn allocated(&self) -> u64 {
        self.contents.len().max(self.reserved) as u64
    }
}

struct State {
    names: Names,
    inodes: BTreeMap<InodeId, Inode>,
    next_inode: u64,
    /// Counts restarts; handles of earlier boots are dead.
    boot: u64,
    /// The machine has died and was not yet restarted.
    dead: bool,
    /// Changing calls until the machine dies in the middle of one.
    fuse: Option<u64>,
    /// Removals since files without a name were last looked for.
    removals: u32,
    /// Changing calls since the beginning, for choosing where a crash falls.
    calls: u64,
    /// The size it was made with, which is what it says of itself.
    total_bytes: u64,
    /// What fits on it now.
    capacity_bytes: u64,
    rates: FaultRates,
    counts: FaultCounts,
    random: Random,
}

/// The error of every call once the machine is dead.
fn dead() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, "the simulated machine is dead")
}

fn injected(what: &'static str) -> io::Error {
    io::Error::other(what)
}

impl State {
    /// Counts a call that changes something; an error when the machine is dead.
    /// `true` when it dies in the middle of this call.
    fn begin_change(&mut self, boot: u64) -> io::Result<bool> {
        self.check(boot)?;
        self.calls += 1;
        match &mut self.fuse {
            Some(0) => {
                self.dead = true;
                self.fuse = None;
                self.counts.died_inside_an_operation += 1;
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn check(&self, boot: u64) -> io::Result<()> {
        if self.dead || boot != self.boot {
            Err(dead())
        } else {
            Ok(())
        }
    }

    fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.inodes
            .get_mut(&id)
            .expect("an inode lives as long as a name or a handle refers to it")
    }

    fn used_bytes(&self) -> u64 {
        self.inodes.values().map(Inode::allocated).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.capacity_bytes.saturating_sub(self.used_bytes())
    }

    /// How many bytes of `offset..end` of a file fit on the disk.
    fn room(&mut self, id: InodeId, offset: usize, end: usize) -> usize {
        let allocated = self.inode(id).contents.len().max(self.inode(id).reserved);
        if end <= allocated {
            return end - offset;
        }
        let free = usize::try_from(self.free_bytes()).unwrap_or(usize::MAX);
        end.min(allocated.saturating_add(free)).saturating_sub(offset)
    }

    fn sweep(&mut self) {
        self.removals = 0;
        let possible = self.names.possible();
        self.inodes.retain(|id, inode| inode.open > 0 || possible.contains(id));
    }

    fn restart(&mut self) {
        self.boot += 1;
        self.dead = false;
        self.fuse = None;
        // A name that was removed may come back with the next power loss.
        let possible = self.names.possible();
        self.inodes.retain(|id, _| possible.contains(id));
        self.inodes.values_mut().for_each(|inode| inode.open = 0);
    }
}

/// A handle on the simulated disk, belonging to one boot of the simulated machine.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    boot: u64,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, capacity_bytes: u64) -> Self {
        let state = State {
            names: Names::new(),
            inodes: BTreeMap::new(),
            next_inode: 0,
            boot: 0,
            dead: false,
            fuse: None,
            removals: 0,
            calls: 0,
            total_bytes: capacity_bytes,
            capacity_bytes,
            rates: FaultRates::default(),
            counts: FaultCounts::default(),
            random: Random::from_seed(seed),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            boot: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // One thread only, and a panic ends the simulation.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how often faults strike.
    pub fn set_rates(&self, rates: FaultRates) {
        self.lock().rates = rates;
    }

    /// How often faults strike.
    #[must_use]
    pub fn rates(&self) -> FaultRates {
        self.lock().rates
    }

    /// Changes how much fits on the disk, as other users of it do; that may fall below what is used.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.lock().capacity_bytes = capacity_bytes;
    }

    /// Bytes used now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.lock().used_bytes()
    }

    /// Whether something is held for a node on a full disk.
    #[must_use]
    pub fn has_reserve(&self) -> bool {
        !self.files("reserve").is_empty()
    }

    /// How often each fault struck so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.lock().counts
    }

    /// Calls that changed something so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Lets the machine die in the middle of a changing call, after `calls` further ones.
    /// From then on every call fails until [`SimDisk::lose_power`] or [`SimDisk::kill`].
    pub fn die_after(&self, calls: u64) {
        self.lock().fuse = Some(calls);
    }

    /// Takes [`SimDisk::die_after`] back.
    pub fn defuse(&self) {
        self.lock().fuse = None;
    }

    /// Lets a machine that died inside a call go on, so that other interrupted calls can follow.
    pub(crate) fn revive(&self) {
        self.lock().dead = false;
    }

    /// Whether the machine has died in the middle of a call.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// The machine loses power and starts again: whatever was not durable survives or not. Handles so far are dead.
    #[must_use]
    pub fn lose_power(&self) -> Self {
        let mut state = self.lock();
        let state = &mut *state;
        state.counts.power_losses += 1;
        for inode in state.inodes.values_mut() {
            let survival = Survival::choose(&mut state.random);
            inode
                .contents
                .lose_power(survival, &mut state.random, &mut state.counts);
            if state.random.one_in(2) {
                inode.reserved = 0;
            }
        }
        state.names.lose_power(&mut state.random, &mut state.counts);
        state.restart();
        Self {
            state: Arc::clone(&self.state),
            boot: state.boot,
        }
    }

    /// The process is killed and starts again: the page cache survives. Handles so far are dead.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.lock();
        let state = &mut *state;
        state.counts.process_kills += 1;
        for inode in state
            .inodes
            .values_mut()
            .filter(|inode| inode.contents.is_interrupted())
        {
            let survival = Survival::choose(&mut state.random);
            inode
                .contents
                .lose_power(survival, &mut state.random, &mut state.counts);
        }
        state.restart();
        Self {
            state: Arc::clone(&self.state),
            boot: state.boot,
        }
    }

    /// The kernel writes some of the page cache and of the names back, as it does now and then.
    pub fn write_back(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        for inode in state.inodes.values_mut() {
            if state.random.one_in(4) {
                inode.contents.write_back(&mut state.random);
            }
        }
        state.names.write_back(&mut state.random);
        state.sweep();
    }

    /// The bytes of a file as a reader sees them, for checkers; no fault strikes.
    #[must_use]
    pub fn peek(&self, path: &str) -> Option<Vec<u8>> {
        let mut state = self.lock();
        let inode = state.names.file(path).ok()?;
        let contents = &state.inode(inode).contents;
        let mut bytes = vec![0; contents.len()];
        contents.read(&mut bytes, 0);
        Some(bytes)
    }

    /// Flips one bit of a file for good, on the medium and in the cache: damage. `false` if the file has no such byte.
    ///
    /// # Panics
    /// Never: a read at the position succeeded before.
    pub fn damage(&self, path: &str, position: u64, bit: u8) -> bool {
        let mut state = self.lock();
        let Ok(inode) = state.names.file(path) else {
            return false;
        };
        let contents = &mut state.inode(inode).contents;
        let mut byte = [0];
        if contents.read(&mut byte, position) == 0 {
            return false;
        }
        byte[0] ^= 1 << (bit % 8);
        let position = usize::try_from(position).expect("a read there succeeded");
        contents.write_durable(&byte, position);
        true
    }

    /// Every file below a directory, by path.
    #[must_use]
    pub fn files(&self, directory: &str) -> Vec<String> {
        let state = self.lock();
        let mut found = Vec::new();
        let mut waiting = vec![directory.to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in state.names.list(&directory) {
                let path = if directory.is_empty() {
                    entry.name
                } else {
                    format!("{directory}/{}", entry.name)
                };
                if entry.is_directory {
                    waiting.push(path)
                } else {
                    found.push(path)
                }
            }
        }
        found.sort();
        found
    }

    /// Runs a change of names; the machine may die in the middle, and then it is not known whether it happened.
    fn change_names<R>(&self, change: impl FnOnce(&mut State) -> io::Result<R>) -> io::Result<R> {
        let mut state = self.lock();
        let dies = state.begin_change(self.boot)?;
        let result = change(&mut state);
        if dies { Err(dead()) } else { result }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<FileHandle> {
        let inode = if mode == OpenMode::Create {
            self.change_names(|state| {
                let inode = InodeId(state.next_inode);
                state.names.create(path, inode)?;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                Ok(inode)
            })?
        } else {
            self.lock().check(self.boot)?;
            self.lock().names.file(path)?
        };
        self.lock().inode(inode).open += 1;
        Ok(FileHandle::new(SimFile::new(self.clone(), inode, mode)))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        let dies = state.begin_change(self.boot)?;
        state.names.create_directory(path, dies)?;
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn list(&self, path: &str) -> io::Result<Vec<DirectoryEntry>> {
        let state = self.lock();
        state.check(self.boot)?;
        Ok(state.names.list(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change_names(|state| {
            state.removals += 1;
            state.names.rename(from, to)
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change_names(|state| {
            state.names.remove(path)?;
            state.removals += 1;
            if state.removals >= SWEEP_AFTER_REMOVALS {
                state.sweep();
            }
            Ok(())
        })
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.change_names(|state| state.names.remove_directory(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        if state.begin_change(self.boot)? {
            return Err(dead());
        }
        state.names.sync(path)
    }

    fn sync_all(&self) -> io::Result<()> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.begin_change(self.boot)? {
            return Err(dead());
        }
        if state.random.per_million(state.rates.sync_fails) {
            state.counts.syncs_failed += 1;
            for inode in state.inodes.values_mut() {
                inode.contents.fail_sync(&mut state.random, &mut state.counts);
            }
            return Err(injected("an injected failure of a sync"));
        }
        state.inodes.values_mut().for_each(|inode| inode.contents.sync());
        state.names.sync_all();
        Ok(())
    }

    fn space(&self) -> io::Result<DiskSpace> {
        let state = self.lock();
        state.check(self.boot)?;
        Ok(DiskSpace {
            free_bytes: state.free_bytes(),
            total_bytes: state.total_bytes,
            free_files: None,
        })
    }

    fn alignment(&self) -> usize {
        ALIGNMENT
    }
}

#[cfg(test)]
mod tests;
