//! A disk that forgets what was not synced when it loses power, as one file of a FUSE file system.
//!
//! A loop device over that file carries a real ext4, so that every way to make something durable (fsync, fdatasync,
//! `O_DSYNC`, `RWF_DSYNC`, syncfs, a synced directory) is the kernel's own: all of them end as a sync of this file.
//! What was written since the last one is kept apart, block by block. A power loss strikes in the middle of a sync, when
//! there is something to lose: each such block stays or goes by a throw of the dice, so that writes are lost, torn and
//! reordered, and the sync fails. Until the power is back nothing more is taken, and no sync succeeds.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use hallows_testkit::Random;

/// What is written or lost as one: the sector of the ext4 above.
const BLOCK_BYTES: usize = 4096;
/// The only file.
pub(super) const FILE: &str = "disk";
const FILE_NUMBER: INodeNo = INodeNo(2);
/// Nothing changes but the content.
const ATTRIBUTES_HOLD: Duration = Duration::from_secs(3600);

type Block = Box<[u8; BLOCK_BYTES]>;

/// The content of the disk.
pub(super) struct Content {
    size_bytes: u64,
    synced: HashMap<u64, Block>,
    /// Written since the last sync; in order, so that one seed loses the same blocks.
    unsynced: BTreeMap<u64, Block>,
    /// Draws what the next sync loses instead of keeping it.
    armed: Option<Random>,
    /// While there is no power: what was on its way, kept or not, and what came since. Whoever still reads must not see
    /// the past before it dies.
    ghosts: Option<BTreeMap<u64, Block>>,
    forgotten: u64,
}

/// The disk has no power.
struct NoPower;

impl Content {
    fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            synced: HashMap::new(),
            unsynced: BTreeMap::new(),
            armed: None,
            ghosts: None,
            forgotten: 0,
        }
    }

    fn block(&self, number: u64) -> Option<&Block> {
        let ghost = self.ghosts.as_ref().and_then(|ghosts| ghosts.get(&number));
        ghost
            .or_else(|| self.unsynced.get(&number))
            .or_else(|| self.synced.get(&number))
    }

    fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let left = usize::try_from(self.size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size.min(left)];
        for (number, within, piece) in pieces(offset, bytes.len()) {
            if let Some(block) = self.block(number) {
                bytes[piece.clone()].copy_from_slice(&block[within..within + piece.len()]);
            }
        }
        bytes
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (number, within, piece) in pieces(offset, bytes.len()) {
            let before = self.block(number).cloned();
            let mut block = before.unwrap_or_else(|| Box::new([0; BLOCK_BYTES]));
            block[within..within + piece.len()].copy_from_slice(&bytes[piece]);
            self.ghosts.as_mut().unwrap_or(&mut self.unsynced).insert(number, block);
        }
    }

    fn sync(&mut self) -> Result<(), NoPower> {
        if self.ghosts.is_some() {
            return Err(NoPower);
        }
        if !self.unsynced.is_empty()
            && let Some(mut random) = self.armed.take()
        {
            self.lose_power(&mut random);
            return Err(NoPower);
        }
        self.synced.extend(std::mem::take(&mut self.unsynced));
        Ok(())
    }

    fn lose_power(&mut self, random: &mut Random) {
        let unsynced = std::mem::take(&mut self.unsynced);
        for (number, block) in &unsynced {
            if random.below(2) == 0 {
                self.synced.insert(*number, block.clone());
            } else {
                self.forgotten += 1;
            }
        }
        self.ghosts = Some(unsynced);
    }

    /// Returns how many blocks were forgotten.
    fn restore_power(&mut self) -> u64 {
        self.armed = None;
        self.ghosts = None;
        std::mem::take(&mut self.forgotten)
    }
}

/// The parts of a range by block: the block's number, where the part begins in it, and where in the range it lies.
fn pieces(offset: u64, size: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let block_bytes = u64::try_from(BLOCK_BYTES).expect("a small constant");
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + u64::try_from(done).ok()?;
        let within = usize::try_from(at % block_bytes).ok()?;
        let length = (BLOCK_BYTES - within).min(size - done);
        let piece = done..done + length;
        done += length;
        (length > 0).then_some((at / block_bytes, within, piece))
    })
}

/// A mounted disk; dropping it unmounts.
pub(super) struct ForgetfulDisk {
    content: Arc<Mutex<Content>>,
    _session: BackgroundSession,
}

impl ForgetfulDisk {
    /// Mounts a disk of this size; its file is [`FILE`] in `mount_point`.
    ///
    /// # Errors
    /// When there is no `/dev/fuse`, or this user may not use it.
    pub(super) fn mount(mount_point: &Path, size_bytes: u64) -> io::Result<Self> {
        let content = Arc::new(Mutex::new(Content::new(size_bytes)));
        let session = fuser::spawn_mount(Face(Arc::clone(&content)), mount_point, &Config::default())?;
        Ok(Self {
            content,
            _session: session,
        })
    }

    /// The next sync that would keep something loses power instead.
    pub(super) fn arm(&self, random: Random) {
        lock(&self.content).armed = Some(random);
    }

    pub(super) fn has_power(&self) -> bool {
        lock(&self.content).ghosts.is_none()
    }

    /// Loses power now, unless it is gone.
    pub(super) fn lose_power(&self, random: &mut Random) {
        let mut content = lock(&self.content);
        if content.ghosts.is_none() {
            content.lose_power(random);
        }
    }

    /// Returns how many blocks were forgotten.
    pub(super) fn restore_power(&self) -> u64 {
        lock(&self.content).restore_power()
    }
}

/// A panic elsewhere leaves whole blocks behind.
fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the kernel sees.
struct Face(Arc<Mutex<Content>>);

impl Face {
    fn attributes(&self, number: INodeNo) -> FileAttr {
        let is_file = number == FILE_NUMBER;
        let size = if is_file { lock(&self.0).size_bytes } else { 0 };
        FileAttr {
            ino: number,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file {
                FileType::RegularFile
            } else {
                FileType::Directory
            },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            rdev: 0,
            blksize: u32::try_from(BLOCK_BYTES).expect("a small constant"),
            flags: 0,
        }
    }
}

impl Filesystem for Face {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == FILE {
            reply.entry(&ATTRIBUTES_HOLD, &self.attributes(FILE_NUMBER), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, number: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&ATTRIBUTES_HOLD, &self.attributes(number));
    }

    fn open(&self, _request: &Request, _number: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        // No page cache above: what the kernel remembers, the disk must not have forgotten.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let size = usize::try_from(size).unwrap_or(0);
        reply.data(&lock(&self.0).read(offset, size));
    }

    fn write(
        &self,
        _request: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        lock(&self.0).write(offset, data);
        // A request is far below four gibibytes.
        reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }

    fn flush(&self, _request: &Request, _number: INodeNo, _handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        // close(2) makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _request: &Request, _number: INodeNo, _handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        match lock(&self.0).sync() {
            Ok(()) => reply.ok(),
            Err(NoPower) => reply.error(Errno::EIO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content::new(1 << 20)
    }

    #[test]
    fn what_was_written_is_read_across_blocks() {
        let mut content = content();
        let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        content.write(3_000, &bytes);
        assert_eq!(content.read(3_000, bytes.len()), bytes);
        assert_eq!(content.read(0, 3_000), vec![0; 3_000]);
        assert_eq!(content.read((1 << 20) - 5, 100).len(), 5);
    }

    fn write_all(content: &mut Content, byte: u8) {
        (0..100).for_each(|number| content.write(place(number), &[byte; BLOCK_BYTES]));
    }

    fn place(number: usize) -> u64 {
        u64::try_from(number * BLOCK_BYTES).expect("small")
    }

    fn first_bytes(content: &Content) -> Vec<u8> {
        (0..100).map(|number| content.read(place(number), 1)[0]).collect()
    }

    #[test]
    fn a_power_loss_strikes_a_sync_and_forgets_some_of_what_it_was_to_keep() {
        let mut content = content();
        write_all(&mut content, 1);
        assert!(content.sync().is_ok());
        content.armed = Some(Random::from_seed(1));
        assert!(content.sync().is_ok(), "there was nothing to lose");
        write_all(&mut content, 2);
        assert!(content.sync().is_err());
        assert_eq!(first_bytes(&content), vec![2; 100], "the dying see what they wrote");
        write_all(&mut content, 3);
        assert!(content.sync().is_err());
        let forgotten = content.restore_power();
        let found = first_bytes(&content);
        assert!(found.iter().all(|byte| matches!(byte, 1 | 2)));
        let old = found.iter().filter(|byte| **byte == 1).count();
        assert_eq!(u64::try_from(old).expect("small"), forgotten);
        assert!((20..80).contains(&forgotten));
        assert!(content.sync().is_ok());
    }
}
