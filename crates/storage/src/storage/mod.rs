//! The storage of one shard: a synchronous state machine over partitions, journal, pool and checkpoint.
//!
//! Each verb has a file: [`append`], [`write`] (tails to segments), [`structure`] (creating, sealing, manifests),
//! [`read`], [`time`], [`checkpoint`], [`retention`], [`space`] (when the disk runs short), [`completion`] (what a
//! finished operation means).

mod append;
mod checkpoint;
mod completion;
mod read;
mod retention;
mod space;
mod structure;
mod time;
mod write;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hallows_runtime::{DiskOp, DiskSpace, DiskToken, Random};
use hallows_types::{LeaderEpoch, Monotonic, Now, Offset, PartitionId, ShardId};
use slab::Slab;

pub(crate) use self::read::damaged;

use self::checkpoint::CheckpointRun;
use self::read::Loading;
use self::retention::Expired;
use self::space::Space;
use self::time::TimeSearch;
use crate::error::Failure;
use crate::event::{Origin, ProducerState, Statistics, StorageEvent};
use crate::journal::Journal;
use crate::journal_use::JournalUse;
use crate::manifest::SegmentId;
use crate::operations::{Operation, Operations};
use crate::partition::Partition;
use crate::pool::Pool;
use crate::reserve::Reserve;
use crate::settings::{Durability, LogConfig, PartitionKey, Sabotage, StorageSettings};

/// The logs of one shard and their journal. A synchronous state machine: completions in, operations and events out.
///
/// Its [`DiskToken`]s have the highest bit clear; the shard may use tokens with that bit set for its own operations.
pub struct Storage {
    shard: ShardId,
    settings: StorageSettings,
    partitions: Slab<Partition>,
    by_id: BTreeMap<PartitionId, PartitionKey>,
    journal: Journal,
    pool: Pool,
    operations: Operations,
    events: VecDeque<StorageEvent>,
    /// For segment ids.
    random: Random,
    /// Partitions to look at when the turn ends.
    queued: Vec<PartitionKey>,
    checkpoint: CheckpointRun,
    space: Space,
    /// Bytes of all tails.
    tail_bytes: u64,
    /// Set when tails have reached half their bound or have no room for a batch, until they have fallen to a quarter
    /// and have room: every tail is written.
    tail_pressure: bool,
    /// The size of the largest batch that was refused for lack of room since [`StorageEvent::Writable`] was last given.
    refused: Option<u64>,
    expired: VecDeque<Expired>,
    /// Journal files of the last life that hold the only copy of what a start had no room for; the next checkpoint ends
    /// that, unless a partition fails first.
    inherited: Vec<String>,
    /// The time of the last call that gave one.
    clock: Monotonic,
    journal_use: JournalUse,
    retention_due: Monotonic,
    loading: Loading,
    searches: Slab<TimeSearch>,
    shutdown: Shutdown,
    statistics: Statistics,
}

/// How far an orderly end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shutdown {
    /// Not asked for.
    No,
    /// Waiting for what was appended to be committed and for a checkpoint under way.
    Draining,
    /// The last checkpoint is under way.
    Checkpointing,
    /// The journal's files, which nobody needs any more, are being removed.
    Retiring,
    /// The event was given.
    Done,
}

/// What a shard's storage starts with.
pub(crate) struct Start {
    pub(crate) shard: ShardId,
    pub(crate) settings: StorageSettings,
    pub(crate) journal: Journal,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) pool: Pool,
    /// What the checkpoint file says of each partition.
    pub(crate) recorded: BTreeMap<PartitionId, Bytes>,
    /// Journal files to remove once what the partitions have in memory is in segments.
    pub(crate) inherited: Vec<String>,
    pub(crate) reserve: Reserve,
    pub(crate) space: DiskSpace,
    /// How many shards share the disk.
    pub(crate) shard_count: u64,
    pub(crate) seed: u64,
}

impl Storage {
    pub(crate) fn new(start: Start, now: Now) -> Self {
        let checkpoint_due = now.monotonic.after(start.settings.checkpoint_interval);
        let retention_due = now.monotonic.after(start.settings.retention_check_interval);
        let tail_bytes = start.partitions.iter().map(|partition| partition.tail.bytes()).sum();
        let space = Space::new(start.space, start.shard_count, start.reserve, tail_bytes, now.monotonic);
        let mut storage = Self {
            shard: start.shard,
            settings: start.settings,
            partitions: Slab::new(),
            by_id: BTreeMap::new(),
            journal: start.journal,
            pool: start.pool,
            operations: Operations::default(),
            events: VecDeque::new(),
            random: Random::from_seed(start.seed),
            queued: Vec::new(),
            checkpoint: CheckpointRun::new(checkpoint_due, start.recorded),
            space,
            tail_bytes,
            tail_pressure: false,
            refused: None,
            expired: VecDeque::new(),
            inherited: start.inherited,
            clock: now.monotonic,
            journal_use: JournalUse::default(),
            retention_due,
            loading: Loading::default(),
            searches: Slab::new(),
            shutdown: Shutdown::No,
            statistics: Statistics::default(),
        };
        for partition in start.partitions {
            let key = storage.insert(partition);
            storage.enqueue(key);
        }
        if !storage.inherited.is_empty() {
            storage.checkpoint.request();
        }
        if !storage.space.has_whole_reserve() {
            storage.note_full("the start");
        }
        storage
    }

    /// The slot of a partition.
    #[must_use]
    pub fn find(&self, id: PartitionId) -> Option<PartitionKey> {
        self.by_id.get(&id).copied()
    }

    /// Adds an empty partition; no file before its first append.
    ///
    /// # Panics
    /// When the partition exists already: only this shard's own bookkeeping can cause that.
    pub fn create_partition(&mut self, id: PartitionId, config: LogConfig, epoch: LeaderEpoch) -> PartitionKey {
        assert!(!self.by_id.contains_key(&id), "partition {id} exists already");
        self.insert(Partition::new(id, config, epoch))
    }

    fn insert(&mut self, partition: Partition) -> PartitionKey {
        let id = partition.id;
        let slot = self.partitions.insert(partition);
        let key = PartitionKey(u32::try_from(slot).expect("partitions of one shard are bounded far below 2^32"));
        self.by_id.insert(id, key);
        key
    }

    /// Removes a partition and, in the background, its manifest and the segments nobody else refers to.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn remove_partition(&mut self, key: PartitionKey) {
        let id = self.at(key).id;
        self.by_id.remove(&id);
        let partition = self.at_mut(key);
        partition.removed = true;
        let bytes = partition.tail.bytes();
        let waiting = partition.checkpoint_target.take().is_some();
        self.tail_bytes -= bytes;
        self.checkpoint_goes_on(waiting);
        self.enqueue(key);
    }

    /// Changes settings. Raising the durability to `fsync` holds the high watermark back until older bytes are synced.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn configure(&mut self, key: PartitionKey, config: LogConfig) {
        let partition = self.at_mut(key);
        let raised = config.durability == Durability::Fsync && partition.config.durability != Durability::Fsync;
        let kept_less = (config.retention_bytes, config.retention_ms)
            != (partition.config.retention_bytes, partition.config.retention_ms);
        let lowered = config.durability != Durability::Fsync && partition.config.durability == Durability::Fsync;
        partition.config = config;
        if raised {
            partition.journaled = partition.log_end;
            partition.sync_barrier = Some(partition.log_end).filter(|_| !partition.is_synced());
            self.checkpoint.request();
        }
        if lowered {
            // What waited for the barrier is committed by the lower class from now on.
            self.at_mut(key).sync_barrier = None;
        }
        self.at_mut(key).write_forced = true;
        if kept_less && self.space.full {
            self.retention_due = self.clock;
        }
        self.advance(key);
        self.enqueue(key);
    }

    /// A partition's state.
    ///
    /// # Panics
    /// When `key` names no partition.
    #[must_use]
    pub fn partition(&self, key: PartitionKey) -> &Partition {
        self.at(key)
    }

    /// The epoch for appends from now on. Epochs never go back: one below that of the last batch is not taken.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn set_leader_epoch(&mut self, key: PartitionKey, epoch: LeaderEpoch) {
        let partition = self.at_mut(key);
        if epoch < partition.leader_epoch {
            let known = partition.leader_epoch;
            tracing::warn!(partition = %partition.id, %epoch, %known, "an older leader epoch is not taken");
        }
        partition.leader_epoch = partition.leader_epoch.max(epoch);
    }

    /// The largest epoch not above `epoch` and its end offset; below the first known one, the asked epoch and that
    /// one's start; both -1 if nothing is known (KIP-320).
    ///
    /// # Panics
    /// When `key` names no partition.
    #[must_use]
    pub fn end_offset_for_epoch(&self, key: PartitionKey, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let partition = self.at(key);
        partition
            .epochs
            .end_offset_for(epoch, partition.leader_epoch, partition.log_end)
    }

    /// The leader epoch in which the record at `offset` was written; unknown for an empty log.
    ///
    /// # Panics
    /// When `key` names no partition.
    #[must_use]
    pub fn epoch_at(&self, key: PartitionKey, offset: Offset) -> LeaderEpoch {
        self.at(key).epochs.at(offset).unwrap_or(LeaderEpoch::UNKNOWN)
    }

    /// What the last look at the disk showed; there is one within a second of any append.
    #[must_use]
    pub const fn disk_space(&self) -> DiskSpace {
        self.space.seen
    }

    /// The idempotent producers a partition remembers.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn producers(&self, key: PartitionKey) -> impl Iterator<Item = ProducerState> + '_ {
        self.at(key).producers.iter()
    }

    /// Gives out the disk operations that are due. To be called at the end of every turn.
    pub fn flush(&mut self, now: Now, disk: &mut Vec<(DiskToken, DiskOp)>) {
        self.clock = now.monotonic;
        self.relieve_pressure();
        let mut queued = std::mem::take(&mut self.queued);
        for key in queued.drain(..) {
            self.flush_partition(now, key);
        }
        // What was queued meanwhile waits for a completion anyway.
        queued.append(&mut self.queued);
        self.queued = queued;
        self.journal.flush(&mut self.operations, &mut self.statistics);
        let prepared_bytes = self.journal.take_prepared_bytes();
        if prepared_bytes > 0 {
            self.space.spend(prepared_bytes, self.clock);
        }
        self.drive_checkpoint(now);
        self.drive_shutdown(now);
        self.operations.drain_into(disk);
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<StorageEvent> {
        let event = self.events.pop_front()?;
        if let StorageEvent::HighWatermark { key } = event
            && let Some(partition) = self.get_mut(key)
        {
            partition.watermark_queued = false;
        }
        Some(event)
    }

    /// When [`Storage::tick`] must be called.
    #[must_use]
    pub fn next_deadline(&self) -> Monotonic {
        if self.shutdown != Shutdown::No {
            // Nothing is begun any more; what is under way ends with completions.
            return Monotonic::NEVER;
        }
        let expired =
            self.expired.front().map_or(
                Monotonic::NEVER,
                |expired| {
                    if self.space.full { self.clock } else { expired.due }
                },
            );
        let checkpoint = self.checkpoint.due();
        self.retention_due.min(self.space.due()).min(expired).min(checkpoint)
    }

    /// Does what is due: checkpoints, retention, expiry.
    pub fn tick(&mut self, now: Now) {
        self.clock = now.monotonic;
        if self.shutdown != Shutdown::No {
            return;
        }
        self.tick_space(now);
        if now.monotonic >= self.retention_due {
            self.retention_due = now.monotonic.after(self.settings.retention_check_interval);
            self.apply_retention(now);
        }
        self.unlink_expired(now);
        self.tick_checkpoint(now);
    }

    /// Writes and syncs everything; [`StorageEvent::Stopped`] follows. No append may come afterwards.
    pub fn shut_down(&mut self, _now: Now) {
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::Draining;
            // The whole reserve is for that now.
            self.try_again();
        }
    }

    fn drive_shutdown(&mut self, now: Now) {
        if self.space.waits_for_reserve() {
            return;
        }
        if self.shutdown == Shutdown::Draining && self.journal.is_idle() && self.checkpoint.is_idle() {
            self.shutdown = Shutdown::Checkpointing;
            self.begin_checkpoint(now);
            self.drive_checkpoint(now);
        }
        let under_way = matches!(self.shutdown, Shutdown::Draining | Shutdown::Checkpointing);
        if under_way && self.space.is_stuck() {
            // Waiting for room could take for ever; what is acknowledged as durable is in the journal.
            self.abandon_checkpoint();
            self.shutdown = Shutdown::Checkpointing;
        }
        if self.shutdown == Shutdown::Checkpointing && self.checkpoint.is_idle() {
            if self.is_clean() && self.checkpoint.succeeded() {
                // Everything in it is in segments, and its room is better used otherwise.
                self.shutdown = Shutdown::Retiring;
                let (paths, directories) = (self.journal.retire(), Vec::new());
                let op = DiskOp::Remove { paths, directories };
                self.operations.issue(Operation::JournalRemoval, op);
            } else {
                self.stopped(false);
            }
        }
    }

    fn is_clean(&self) -> bool {
        let failed = self.partitions.iter().any(|(_, partition)| partition.failure.is_some());
        !failed && self.journal.failure().is_none()
    }

    fn stopped(&mut self, clean: bool) {
        self.shutdown = Shutdown::Done;
        self.events.push_back(StorageEvent::Stopped { clean });
    }

    /// Asserts what must always hold. For tests and simulation.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check_invariants(&self) {
        let mut tail_bytes = 0;
        for (_, partition) in self.partitions.iter().filter(|(_, partition)| !partition.removed) {
            partition.check_invariants();
            tail_bytes += partition.tail.bytes();
        }
        assert_eq!(tail_bytes, self.tail_bytes, "bytes of tails");
    }

    /// The promises that a harness has broken.
    #[must_use]
    pub const fn sabotage(&self) -> Sabotage {
        self.settings.sabotage
    }

    /// Counters for metrics.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            tail_bytes: self.tail_bytes,
            journal_files: self.journal.files(),
            ..self.statistics
        }
    }

    fn at(&self, key: PartitionKey) -> &Partition {
        &self.partitions[slot(key)]
    }

    fn at_mut(&mut self, key: PartitionKey) -> &mut Partition {
        &mut self.partitions[slot(key)]
    }

    fn get_mut(&mut self, key: PartitionKey) -> Option<&mut Partition> {
        self.partitions
            .get_mut(slot(key))
            .filter(|partition| !partition.removed)
    }

    /// Has a partition looked at when the turn ends.
    fn enqueue(&mut self, key: PartitionKey) {
        let partition = self.at_mut(key);
        if !partition.queued {
            partition.queued = true;
            self.queued.push(key);
        }
    }

    /// Issues an operation that names a partition; its slot lives until the operation ends.
    fn issue_for(&mut self, key: PartitionKey, operation: Operation, op: DiskOp) {
        self.at_mut(key).operations += 1;
        self.operations.issue(operation, op);
    }

    /// Moves the high watermark to the commit point.
    fn advance(&mut self, key: PartitionKey) {
        let partition = self.at_mut(key);
        let point = partition.commit_point();
        if point <= partition.high_watermark || partition.failure.is_some() {
            return;
        }
        partition.high_watermark = point;
        if !partition.watermark_queued {
            partition.watermark_queued = true;
            self.events.push_back(StorageEvent::HighWatermark { key });
        }
    }

    /// Ends a partition for good.
    fn fail(&mut self, key: PartitionKey, failure: Failure) {
        let partition = self.at_mut(key);
        if partition.failure.is_some() || partition.removed {
            return;
        }
        tracing::error!(partition = %partition.id, %failure, "the partition accepts nothing more");
        partition.failure = Some(failure.clone());
        let waiting = partition.checkpoint_target.take().is_some();
        // What is not synced, or not even recorded, may have its only copy there.
        let only_journaled = partition.tail.bytes() > 0 || !partition.is_synced();
        let id = partition.id;
        // Nobody reads it any more. What a write on its way refers to goes with the end of that write.
        let in_flight = partition.write.map_or(0, |write| write.batches);
        self.tail_bytes -= partition.tail.release_behind(in_flight);
        if only_journaled || !self.checkpoint.has_record(id) {
            self.journal.pin();
            self.inherited.clear();
        }
        self.checkpoint_goes_on(waiting);
        self.events.push_back(StorageEvent::Failed { key, failure });
    }

    /// Ends the journal and so every partition that depends on it.
    fn fail_journal(&mut self, failure: &Failure) {
        self.journal.fail(failure.clone());
        let keys: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.config.durability == Durability::Fsync)
            .map(|(slot, _)| key_of(slot))
            .collect();
        keys.into_iter().for_each(|key| self.fail(key, failure.clone()));
    }

    fn fresh_segment_id(&mut self) -> SegmentId {
        loop {
            let id = SegmentId(self.random.uuid());
            if !self.pool.is_referred(id) {
                return id;
            }
        }
    }

    /// Starts writing every tail when they fill half their bound, so that appends need not be refused, and when a large
    /// batch was refused all the same: it may want nearly all of the bound. On a full disk all are written as they come.
    fn relieve_pressure(&mut self) {
        let bound = self.settings.tail_bytes_max;
        let fits = self
            .refused
            .is_none_or(|size_bytes| self.fits(size_bytes, Origin::Client));
        let full = self.space.full;
        if !self.tail_pressure && (self.tail_bytes > bound / 2 || !fits || full) {
            self.tail_pressure = true;
            self.enqueue_all();
        } else if self.tail_pressure && self.tail_bytes <= bound / 4 && fits && !full {
            self.tail_pressure = false;
        }
        let journal_full = self.journal.is_over_bound(Origin::Client);
        let allowed = self.refused.is_none_or(|size_bytes| self.space.allows(size_bytes));
        let room = self.tail_bytes <= bound / 2 && fits && !journal_full && !full && allowed;
        if self.refused.is_some() && room {
            self.refused = None;
            self.events.push_back(StorageEvent::Writable);
        }
    }
}

fn slot(key: PartitionKey) -> usize {
    crate::codec::to_usize(key.0)
}

fn key_of(slot: usize) -> PartitionKey {
    PartitionKey(u32::try_from(slot).expect("partitions of one shard are bounded far below 2^32"))
}
