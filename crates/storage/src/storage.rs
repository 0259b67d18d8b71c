//! The storage of one shard.

use bytes::BytesMut;
use hallows_runtime::{DiskCompletion, DiskOp, DiskToken};
use hallows_types::{LeaderEpoch, Monotonic, Now, Offset, PartitionId};

use crate::error::{AppendError, DeleteRecordsError, ReadError};
use crate::event::{Appended, Lookup, Origin, ProducerState, ReadOutcome, Statistics, StorageEvent, TimeTarget};
use crate::partition::Partition;
use crate::settings::{LogConfig, PartitionKey};

/// The logs of one shard and their journal. A synchronous state machine: completions in, operations and events out.
///
/// Its [`DiskToken`]s have the highest bit clear; the shard may use tokens with that bit set for its own operations.
pub struct Storage {
    events: std::collections::VecDeque<StorageEvent>,
}

impl Storage {
    /// The slot of a partition.
    #[must_use]
    pub fn find(&self, _id: PartitionId) -> Option<PartitionKey> {
        unimplemented!()
    }

    /// Adds an empty partition; no file before its first append.
    ///
    /// # Panics
    /// When the partition exists already: only this shard's own bookkeeping can cause that.
    pub fn create_partition(&mut self, _id: PartitionId, _config: LogConfig, _epoch: LeaderEpoch) -> PartitionKey {
        unimplemented!()
    }

    /// Removes a partition and, in the background, its manifest and the segments nobody else refers to.
    pub fn remove_partition(&mut self, _key: PartitionKey) {
        unimplemented!()
    }

    /// Changes settings. Raising the durability to `fsync` holds the high watermark back until older bytes are synced.
    pub fn configure(&mut self, _key: PartitionKey, _config: LogConfig) {
        unimplemented!()
    }

    /// A partition's state.
    ///
    /// # Panics
    /// When `key` names no partition.
    #[must_use]
    pub fn partition(&self, _key: PartitionKey) -> &Partition {
        unimplemented!()
    }

    /// The epoch for appends from now on; must not be below the present one.
    pub fn set_leader_epoch(&mut self, _key: PartitionKey, _epoch: LeaderEpoch) {
        unimplemented!()
    }

    /// Appends one record batch v2, already validated (checksum, counts, records), and assigns its offsets:
    /// base offset and leader epoch are patched in place.
    /// It is acknowledged, and readable, once the high watermark reaches `end_offset`.
    ///
    /// # Errors
    /// [`AppendError`]; the log is unchanged.
    pub fn append(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _batch: BytesMut,
        _origin: Origin,
    ) -> Result<Appended, AppendError> {
        unimplemented!()
    }

    /// Moves the log start to `before`. `true` if it is there already; otherwise it is durable, and may be answered,
    /// once [`StorageEvent::LogStart`] comes and [`Partition::log_start`] is at or above `before`.
    ///
    /// # Errors
    /// [`DeleteRecordsError`].
    pub fn delete_records(
        &mut self,
        _now: Now,
        _key: PartitionKey,
        _before: Offset,
    ) -> Result<bool, DeleteRecordsError> {
        unimplemented!()
    }

    /// Batches from the one that contains `from`, up to `until` (exclusive: high watermark or last stable offset).
    /// At most `max_bytes`, cut inside the last batch, but with `at_least_one_batch` never inside the first.
    /// Copies no record bytes.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &mut self,
        _key: PartitionKey,
        _from: Offset,
        _max_bytes: u32,
        _at_least_one_batch: bool,
        _until: Offset,
    ) -> Result<ReadOutcome, ReadError> {
        unimplemented!()
    }

    /// Looks a record up by time, exactly, also inside compressed batches; only below the high watermark.
    pub fn offset_for_time(&mut self, _key: PartitionKey, _request: u64, _target: TimeTarget) -> Lookup {
        unimplemented!()
    }

    /// The largest epoch not above `epoch` and its end offset; below the first known one, that one's start;
    /// both -1 if nothing is known (KIP-320).
    #[must_use]
    pub fn end_offset_for_epoch(&self, _key: PartitionKey, _epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        unimplemented!()
    }

    /// The idempotent producers a partition remembers.
    pub fn producers(&self, _key: PartitionKey) -> impl Iterator<Item = ProducerState> + '_ {
        std::iter::empty()
    }

    /// Takes the end of an operation that [`Storage::flush`] gave out.
    pub fn on_disk(&mut self, _now: Now, _completion: DiskCompletion) {
        unimplemented!()
    }

    /// Gives out the disk operations that are due. To be called at the end of every turn.
    pub fn flush(&mut self, _now: Now, _disk: &mut Vec<(DiskToken, DiskOp)>) {
        unimplemented!()
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<StorageEvent> {
        self.events.pop_front()
    }

    /// When [`Storage::tick`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }

    /// Does what is due: checkpoints, retention, expiry.
    pub fn tick(&mut self, _now: Now) {}

    /// Writes and syncs everything; [`StorageEvent::Stopped`] follows. No append may come afterwards.
    pub fn shut_down(&mut self, _now: Now) {
        unimplemented!()
    }

    /// Asserts what must always hold. For tests and simulation.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check_invariants(&self) {}

    /// Counters for metrics.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}
