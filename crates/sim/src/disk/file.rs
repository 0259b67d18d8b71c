//! An open file of the simulated disk.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use hallows_runtime::{AlignedBuffer, File, OpenMode};

use super::contents::BLOCK_BYTES;
use super::names::InodeId;
use super::{ALIGNMENT, SimDisk, State, dead, injected};
use crate::random::Choose;

/// An open file. Fails once its machine has died.
pub(super) struct SimFile {
    disk: SimDisk,
    inode: InodeId,
    mode: OpenMode,
}

impl SimFile {
    pub(super) const fn new(disk: SimDisk, inode: InodeId, mode: OpenMode) -> Self {
        Self { disk, inode, mode }
    }

    fn writable(&self, cached: bool) -> io::Result<()> {
        match self.mode {
            OpenMode::Read => Err(ErrorKind::PermissionDenied.into()),
            OpenMode::Direct if cached => Err(ErrorKind::InvalidInput.into()),
            OpenMode::ReadWrite | OpenMode::Create if !cached => Err(ErrorKind::InvalidInput.into()),
            _ => Ok(()),
        }
    }

    fn position(offset: u64) -> io::Result<usize> {
        usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput.into())
    }

    /// What of `data` reaches the page cache when the machine dies during the write: whole pages.
    fn prefix<'a>(state: &mut State, data: &'a [u8]) -> &'a [u8] {
        let pages = state.random.index(data.len() / BLOCK_BYTES + 2) * BLOCK_BYTES;
        &data[..pages.min(data.len())]
    }

    /// Writes what only a sync makes durable.
    fn write_unsynced(&self, data: &[u8], start: usize) -> io::Result<()> {
        let mut state = self.disk.lock();
        let state = &mut *state;
        let dies = state.begin_change(self.disk.boot)?;
        let fails = state.random.per_million(state.rates.write_fails);
        let reached = if dies || fails { Self::prefix(state, data) } else { data };
        let room = state.room(self.inode, start, start + reached.len());
        let fits = room >= reached.len();
        let reached = &reached[..room.min(reached.len())];
        if !reached.is_empty() {
            state.inode(self.inode).contents.write(reached, start);
        }
        if dies {
            Err(dead())
        } else if !fits {
            state.counts.disk_full += 1;
            Err(ErrorKind::StorageFull.into())
        } else if fails {
            state.counts.writes_failed += 1;
            Err(injected("an injected failure of a write"))
        } else {
            Ok(())
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.boot == self.disk.boot
            && let Some(inode) = state.inodes.get_mut(&self.inode)
        {
            inode.open -= 1;
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.lock();
        let state = &mut *state;
        state.check(self.disk.boot)?;
        if state.random.per_million(state.rates.read_fails) {
            state.counts.reads_failed += 1;
            return Err(injected("an injected failure of a read"));
        }
        let mut count = state.inode(self.inode).contents.read(buffer, offset);
        if count > 1 && state.random.per_million(state.rates.read_short) {
            state.counts.reads_short += 1;
            count = 1 + state.random.index(count - 1);
        }
        if count > 0 && state.random.per_million(state.rates.read_flips) {
            state.counts.reads_flipped += 1;
            let byte = state.random.index(count);
            buffer[byte] ^= 1 << state.random.below(8);
        }
        Ok(count)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.writable(true)?;
        self.write_unsynced(data, Self::position(offset)?)
    }

    fn write_durable(&self, data: &AlignedBuffer, offset: u64) -> io::Result<()> {
        self.writable(false)?;
        let start = Self::position(offset)?;
        if start % ALIGNMENT != 0 || !data.len().is_multiple_of(ALIGNMENT) {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut state = self.disk.lock();
        let state = &mut *state;
        let dies = state.begin_change(self.disk.boot)?;
        if state.room(self.inode, start, start + data.len()) < data.len() {
            state.counts.disk_full += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let contents = &mut state
            .inodes
            .get_mut(&self.inode)
            .expect("a handle keeps its inode")
            .contents;
        if dies {
            contents.begin_durable(data, start);
            return Err(dead());
        }
        if state.random.per_million(state.rates.durable_write_fails) {
            state.counts.durable_writes_failed += 1;
            contents.fail_durable(data, start, &mut state.random);
            return Err(injected("an injected failure of a durable write"));
        }
        contents.write_durable(data, start);
        Ok(())
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.writable(false)?;
        let (start, len) = (Self::position(offset)?, Self::position(len)?);
        if start % ALIGNMENT != 0 || !len.is_multiple_of(ALIGNMENT) {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.write_unsynced(&vec![0; len], start)
    }

    fn write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let state = &mut *state;
        state.check(self.disk.boot)?;
        let inode = state.inodes.get_mut(&self.inode).expect("a handle keeps its inode");
        inode.contents.write_back(&mut state.random);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let state = &mut *state;
        if state.begin_change(self.disk.boot)? {
            return Err(dead());
        }
        let contents = &mut state
            .inodes
            .get_mut(&self.inode)
            .expect("a handle keeps its inode")
            .contents;
        if state.random.per_million(state.rates.sync_fails) {
            state.counts.syncs_failed += 1;
            contents.fail_sync(&mut state.random, &mut state.counts);
            return Err(injected("an injected failure of a sync"));
        }
        contents.sync();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.check(self.disk.boot)?;
        Ok(state.inode(self.inode).contents.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        if self.mode == OpenMode::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let size = Self::position(size)?;
        let mut state = self.disk.lock();
        let dies = state.begin_change(self.disk.boot)?;
        let inode = state.inode(self.inode);
        inode.contents.set_size(size);
        inode.reserved = inode.reserved.min(size);
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = Self::position(offset.saturating_add(len))?;
        let mut state = self.disk.lock();
        let dies = state.begin_change(self.disk.boot)?;
        if state.room(self.inode, 0, end) < end {
            state.counts.disk_full += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let inode = state.inode(self.inode);
        inode.reserved = inode.reserved.max(end);
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
