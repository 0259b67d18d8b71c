//! From a data directory to running shards: straight-line code over the blocking disk, before any shard runs.
//!
//! Steps: [`Recovery::begin`] (format, clean mark, checkpoints, journals), [`Recovery::recover`] per partition (manifest,
//! segments, scan from the checkpoint, replay), [`Recovery::finish`] (make it durable, clean up, fresh journals).
//! A crash at any point leaves a directory from which the same result is reached: journals go last.

mod batches;
mod finish;
mod format_file;
mod inspect;
mod journals;
mod partition;
mod scan;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use hallows_runtime::{Disk, OpenMode, Shortage};
use hallows_types::{Now, Offset, PartitionId, ShardId};

pub use self::batches::Batches;
pub use self::format_file::decode as decode_identity;
pub use self::inspect::{DeletedBy, Seen, inspect};
use self::journals::Journals;
use crate::checkpoint::{Checkpoint, CheckpointRecord};
use crate::error::{Failure, OpenError};
use crate::manifest::SegmentId;
use crate::partition::Partition;
use crate::reserve::with_room;
use crate::settings::{Identity, LogConfig, StorageSettings};

/// The file whose presence says that the last process ended in order.
const CLEAN: &str = "clean";

/// A data directory being opened.
///
/// [`Recovery::begin`], then [`Recovery::recover`] for the metadata partition, then for every partition it names, then
/// [`Recovery::finish`] with the partitions dealt out to shards.
pub struct Recovery {
    disk: Arc<dyn Disk>,
    settings: StorageSettings,
    identity: Identity,
    clean: bool,
    /// What is known to be synced, per partition.
    records: BTreeMap<PartitionId, CheckpointRecord>,
    /// Shards that have a checkpoint file, and the partitions it has records of.
    checkpoint_shards: BTreeMap<ShardId, BTreeSet<PartitionId>>,
    journals: Journals,
    /// Partitions given to [`Recovery::recover`].
    claimed: BTreeSet<PartitionId>,
    /// Whether a manifest could not be read, so that nobody knows which segments are orphans.
    keep_orphans: bool,
}

impl Recovery {
    /// Opens the directory: format file (written if the directory is fresh, with `identity`), clean mark (removed
    /// durably), checkpoints, journals.
    ///
    /// # Errors
    /// [`OpenError`] when the directory as a whole cannot be used.
    pub fn begin(
        disk: Arc<dyn Disk>,
        settings: StorageSettings,
        identity: impl FnOnce() -> Identity,
    ) -> Result<Self, OpenError> {
        let opened = format_file::open(&*disk, identity)?;
        let clean = take_clean_mark(&*disk)? || opened.fresh;
        let mut recovery = Self {
            disk,
            settings,
            identity: opened.identity,
            clean,
            records: BTreeMap::new(),
            checkpoint_shards: BTreeMap::new(),
            journals: Journals::default(),
            claimed: BTreeSet::new(),
            keep_orphans: false,
        };
        let sequences = recovery.read_checkpoints()?;
        recovery.journals = Journals::read(&*recovery.disk, &sequences, clean)?;
        Ok(recovery)
    }

    /// Whose directory this is, read and nothing else; `None` before its first start.
    ///
    /// # Errors
    /// [`OpenError`] when there is a format file and it cannot be read.
    pub fn owner(disk: &dyn Disk) -> Result<Option<Identity>, OpenError> {
        format_file::read(disk)
    }

    /// Whether the last process ended with [`crate::Storage::shut_down`] in every shard. A fresh directory counts as clean.
    #[must_use]
    pub const fn was_clean(&self) -> bool {
        self.clean
    }

    /// Whose directory this is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Recovers one partition; an empty one if nothing is on disk.
    pub fn recover(&mut self, id: PartitionId, config: LogConfig, now: Now) -> Recovered {
        self.claimed.insert(id);
        let recovered = partition::recover(self, id, config, now);
        if let Some(failure) = recovered.failure() {
            tracing::error!(partition = %id, %failure, "the partition is not served");
        }
        recovered
    }

    /// Marks the directory clean: after every shard has said [`crate::StorageEvent::Stopped`] with `clean`.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the mark cannot be written; the next start is then an unclean one.
    pub fn mark_clean(disk: &dyn Disk) -> Result<(), OpenError> {
        let write = || -> io::Result<()> {
            match disk.open(CLEAN, OpenMode::Create) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => created?.sync()?,
            }
            disk.sync_directory("")
        };
        with_room(disk, write).map_err(|source| cannot("write", CLEAN, source))
    }

    /// Reads every checkpoint; returns the journal sequence each covers.
    fn read_checkpoints(&mut self) -> Result<BTreeMap<ShardId, u64>, OpenError> {
        let mut sequences = BTreeMap::new();
        for entry in self.disk.list("").map_err(|source| cannot("list", ".", source))? {
            let shard = entry
                .name
                .strip_prefix("checkpoint-")
                .and_then(|shard| shard.parse().ok());
            let Some(shard) = shard.map(ShardId) else { continue };
            let recorded = self.checkpoint_shards.entry(shard).or_default();
            let data = read_file(&*self.disk, &entry.name).map_err(|source| cannot("read", &entry.name, source))?;
            match Checkpoint::decode(&data) {
                Ok(checkpoint) => {
                    sequences.insert(shard, checkpoint.sequence);
                    recorded.extend(checkpoint.records.keys());
                    checkpoint
                        .records
                        .into_values()
                        .for_each(|record| self.note_record(record));
                }
                Err(error) => {
                    tracing::warn!(file = entry.name, %error, "the checkpoint is damaged; its partitions are scanned in full");
                }
            }
        }
        Ok(sequences)
    }

    /// Keeps the record that reaches furthest; all of them are true. A log start that any of them knows is one.
    fn note_record(&mut self, record: CheckpointRecord) {
        match self.records.entry(record.partition) {
            Entry::Vacant(place) => drop(place.insert(record)),
            Entry::Occupied(mut known) => {
                let log_start = known.get().log_start.max(record.log_start);
                if known.get().offset <= record.offset {
                    known.insert(record);
                }
                known.get_mut().log_start = log_start;
            }
        }
    }
}

/// A partition as it was found, or the damage that fails only it.
pub struct Recovered {
    pub(crate) partition: Partition,
    /// The manifest on disk, if there is one that can be read.
    manifest: Option<Vec<u8>>,
    /// Segments the manifest on disk names.
    listed: Vec<SegmentId>,
    /// Whether segment files may hold bytes that are not synced.
    unsynced: bool,
}

impl Recovered {
    /// The partition's id.
    #[must_use]
    pub const fn id(&self) -> PartitionId {
        self.partition.id
    }

    /// The first readable offset.
    #[must_use]
    pub const fn log_start(&self) -> Offset {
        self.partition.log_start
    }

    /// The end of the log; everything below it is committed.
    #[must_use]
    pub const fn log_end(&self) -> Offset {
        self.partition.log_end
    }

    /// Why the partition failed, if it did. It is served as failed: reads and appends are refused.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.partition.failure.as_ref()
    }

    /// Every batch from the log start on, one whole batch per item. Blocking.
    pub fn batches<'a>(&'a self, disk: &'a dyn Disk) -> Batches<'a> {
        Batches::new(&self.partition, disk)
    }
}

/// Whether the clean mark was there; it is gone durably afterwards.
fn take_clean_mark(disk: &dyn Disk) -> Result<bool, OpenError> {
    match disk.open(CLEAN, OpenMode::Read) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(cannot("open", CLEAN, source)),
    }
    disk.remove(CLEAN)
        .and_then(|()| disk.sync_directory(""))
        .map_err(|source| cannot("remove", CLEAN, source))?;
    Ok(true)
}

/// A whole file.
fn read_file(disk: &dyn Disk, path: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let size = usize::try_from(file.size()?).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut data = vec![0; size];
    let count = read_full(&file, &mut data, 0)?;
    data.truncate(count);
    Ok(data)
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &hallows_runtime::FileHandle, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + crate::codec::to_u64(filled))? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn cannot(action: &'static str, path: &str, source: io::Error) -> OpenError {
    let advice = match source.kind() {
        _ if Shortage::of(&source) == Some(Shortage::Descriptors) => {
            "No file descriptor is left: raise the limit of open files (ulimit -n, LimitNOFILE) and start again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "The directory must be writable by this user: change its owner or mode, or point log.dirs elsewhere"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "The file system of the data directory, or this user's quota, is full: free some space or inodes there and start again"
        }
        _ => "Check the disk and start again",
    };
    OpenError::Io {
        action,
        path: path.to_owned(),
        advice,
        source,
    }
}
