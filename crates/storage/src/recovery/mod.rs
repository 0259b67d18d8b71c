//! From a data directory to running shards: straight-line code over the blocking disk, before any shard runs.

use std::sync::Arc;

use bytes::Bytes;
use hallows_runtime::Disk;
use hallows_types::{Now, Offset, PartitionId};

use crate::error::{Failure, OpenError};
use crate::settings::{Identity, LogConfig, StorageSettings};
use crate::storage::Storage;

/// A data directory being opened.
///
/// [`Recovery::begin`], then [`Recovery::recover`] for the metadata partition, then for every partition it names, then
/// [`Recovery::finish`] with the partitions dealt out to shards.
pub struct Recovery {
    identity: Identity,
    clean: bool,
}

impl Recovery {
    /// Opens the directory: format file (written if the directory is fresh, with `identity`), clean mark (removed
    /// durably), checkpoints, journals.
    ///
    /// # Errors
    /// [`OpenError`] when the directory as a whole cannot be used.
    pub fn begin(
        _disk: Arc<dyn Disk>,
        _settings: StorageSettings,
        _identity: impl FnOnce() -> Identity,
    ) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Whether the last process ended with [`Storage::shut_down`] in every shard. A fresh directory counts as clean.
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
    pub fn recover(&mut self, _id: PartitionId, _config: LogConfig, _now: Now) -> Recovered {
        unimplemented!()
    }

    /// Writes what was replayed, makes it durable, removes files nobody refers to (whatever was not given to
    /// [`Recovery::recover`] is a deleted topic's) and makes one storage per element of `shards`.
    /// `seeds` gives one seed per shard, for segment ids.
    ///
    /// # Errors
    /// [`OpenError::Io`] when something cannot be written.
    pub fn finish(self, _shards: Vec<Vec<Recovered>>, _now: Now, _seeds: &[u64]) -> Result<Vec<Storage>, OpenError> {
        unimplemented!()
    }

    /// Marks the directory clean: after every shard has said [`crate::StorageEvent::Stopped`] with `clean`.
    ///
    /// # Errors
    /// [`OpenError::Io`] when the mark cannot be written; the next start is then an unclean one.
    pub fn mark_clean(_disk: &dyn Disk) -> Result<(), OpenError> {
        unimplemented!()
    }
}

/// A partition as it was found, or the damage that fails only it.
pub struct Recovered {
    id: PartitionId,
}

impl Recovered {
    /// The partition's id.
    #[must_use]
    pub const fn id(&self) -> PartitionId {
        self.id
    }

    /// The first readable offset.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        unimplemented!()
    }

    /// The end of the log; everything below it is committed.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        unimplemented!()
    }

    /// Why the partition failed, if it did. It is served as failed: reads and appends are refused.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        unimplemented!()
    }

    /// Every batch from the log start on, one whole batch per item. Blocking.
    pub fn batches<'a>(&'a self, disk: &'a dyn Disk) -> Batches<'a> {
        Batches { recovered: self, disk }
    }
}

/// The batches of a recovered partition.
pub struct Batches<'a> {
    #[expect(dead_code, reason = "read by the iterator once it exists")]
    recovered: &'a Recovered,
    #[expect(dead_code, reason = "read by the iterator once it exists")]
    disk: &'a dyn Disk,
}

impl Iterator for Batches<'_> {
    type Item = Result<Bytes, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}
