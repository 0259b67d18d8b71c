//! The partitions this shard owns: who waits for what, and the work on one partition.
//!
//! A wait is a row in its partition's state; storage's events end it.

use std::collections::{BTreeMap, VecDeque};

use hallows_storage::{Appended, DeleteRecordsError, Failure, Lookup, Origin, PartitionKey, TimeMatch};
use hallows_types::{LeaderEpoch, Offset, PartitionId};

use crate::coordinator::GroupAnswer;
use crate::fetch::{ReadOp, Watcher};
use crate::op::{
    AppendDone, AppendFailure, OffsetQuery, OpAnswer, PartitionDescription, PartitionFailure, PartitionOp, ReplyTo,
};
use crate::shard::Shard;

/// Who waits for an append to be acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AppendWaiter {
    /// A produce request; `None` asked for no answer.
    Reply(Option<ReplyTo>),
    /// A coordinator of this shard, by its own ticket.
    Coordinator {
        /// The ticket that the coordinator gave.
        ticket: u64,
    },
    /// The controller.
    Controller,
}

struct WaitingAppend {
    waiter: AppendWaiter,
    done: AppendDone,
}

/// What waits at one partition.
pub(crate) struct PartitionState {
    id: PartitionId,
    /// In the order of their offsets, but for repeats of batches that are still on their way.
    appends: VecDeque<WaitingAppend>,
    log_starts: Vec<(Offset, Option<ReplyTo>)>,
    reads: Vec<(Option<ReplyTo>, ReadOp)>,
    /// Sessions that want to know of the next move, and whether they are still to be told:
    /// each is told once, then not again until it has read.
    watches: BTreeMap<Watcher, bool>,
}

/// The state of this shard's partitions by their storage slot, and its lookups by time in progress.
#[derive(Default)]
pub(crate) struct Partitions {
    states: Vec<Option<PartitionState>>,
    lookups: BTreeMap<u64, Option<ReplyTo>>,
    next_lookup: u64,
}

impl Partitions {
    /// Takes a partition in.
    pub(crate) fn insert(&mut self, key: PartitionKey, id: PartitionId) {
        let index = key.0 as usize;
        if self.states.len() <= index {
            self.states.resize_with(index + 1, || None);
        }
        self.states[index] = Some(PartitionState {
            id,
            appends: VecDeque::new(),
            log_starts: Vec::new(),
            reads: Vec::new(),
            watches: BTreeMap::new(),
        });
    }

    /// Every slot that is in use.
    pub(crate) fn keys(&self) -> impl Iterator<Item = PartitionKey> + '_ {
        let used = (0_u32..).zip(&self.states).filter(|(_, state)| state.is_some());
        used.map(|(index, _)| PartitionKey(index))
    }

    fn state(&mut self, key: PartitionKey) -> Option<&mut PartitionState> {
        self.states.get_mut(key.0 as usize).and_then(Option::as_mut)
    }
}

impl Shard {
    pub(crate) fn perform_on_partition(&mut self, reply: Option<ReplyTo>, id: PartitionId, op: PartitionOp) {
        let Some(key) = self.storage.find(id) else {
            return self.tell(reply, unknown(op));
        };
        match op {
            PartitionOp::Append { batch, deadline } => self.append_or_wait(id, key, reply, batch, deadline),
            PartitionOp::Read(read) => self.read(reply, key, read),
            PartitionOp::Unwatch(watcher) => self.unwatch(key, watcher),
            PartitionOp::ListOffset { query, current_epoch } => self.list_offset(reply, key, query, current_epoch),
            PartitionOp::EpochEnd { epoch, current_epoch } => {
                let answer = self
                    .check_epoch(key, current_epoch)
                    .map(|()| self.storage.end_offset_for_epoch(key, epoch));
                self.tell(reply, OpAnswer::EpochEnd(answer));
            }
            PartitionOp::DeleteRecords { before } => self.delete_records(reply, key, before),
            PartitionOp::Producers => {
                let producers = self.storage.producers(key).collect();
                self.tell(reply, OpAnswer::Producers(Ok(producers)));
            }
            PartitionOp::Describe => {
                let partition = self.storage.partition(key);
                let description = PartitionDescription {
                    size_bytes: partition.size_bytes(),
                    leader_epoch: partition.leader_epoch(),
                    high_watermark: partition.high_watermark(),
                    log_end: partition.log_end(),
                    has_failed: partition.failure().is_some(),
                };
                self.tell(reply, OpAnswer::Described(Ok(description)));
            }
            PartitionOp::Group(group) => self.group(reply, id, *group),
        }
    }

    /// Appends a batch and remembers who waits for its acknowledgement.
    pub(crate) fn append(&mut self, key: PartitionKey, waiter: AppendWaiter, batch: bytes::BytesMut, origin: Origin) {
        match self.storage.append(self.now, key, batch, origin) {
            Ok(appended) => self.await_append(key, waiter, appended),
            Err(error) => self.append_ended(waiter, Err(AppendFailure::Storage(error))),
        }
    }

    /// Remembers who waits until the high watermark reaches the end of an append.
    pub(crate) fn await_append(&mut self, key: PartitionKey, waiter: AppendWaiter, appended: Appended) {
        let partition = self.storage.partition(key);
        let done = AppendDone {
            appended,
            log_start: partition.log_start(),
        };
        if appended.end_offset <= partition.high_watermark() {
            self.append_ended(waiter, Ok(done));
        } else if let Some(state) = self.partitions.state(key) {
            state.appends.push_back(WaitingAppend { waiter, done });
        }
    }

    fn append_ended(&mut self, waiter: AppendWaiter, result: Result<AppendDone, AppendFailure>) {
        match waiter {
            AppendWaiter::Reply(reply) => self.tell(reply, OpAnswer::Appended(result)),
            AppendWaiter::Coordinator { ticket } => self.coordinator_appended(ticket, result),
            AppendWaiter::Controller => self.controller_appended(result),
        }
    }

    pub(crate) fn on_high_watermark(&mut self, key: PartitionKey) {
        let partition = self.storage.partition(key);
        let (high_watermark, log_start) = (partition.high_watermark(), partition.log_start());
        while let Some(state) = self.partitions.state(key) {
            match state.appends.front() {
                Some(first) if first.done.appended.end_offset <= high_watermark => {}
                _ => break,
            }
            let Some(WaitingAppend { waiter, mut done }) = state.appends.pop_front() else {
                break;
            };
            done.log_start = log_start;
            self.append_ended(waiter, Ok(done));
        }
        self.wake_watchers(key);
    }

    pub(crate) fn on_log_start(&mut self, key: PartitionKey) {
        let log_start = self.storage.partition(key).log_start();
        let Some(state) = self.partitions.state(key) else {
            return;
        };
        let reached: Vec<_> = state
            .log_starts
            .extract_if(.., |(before, _)| *before <= log_start)
            .collect();
        for (_, reply) in reached {
            self.tell(reply, OpAnswer::LogStart(Ok(log_start)));
        }
        self.wake_watchers(key);
    }

    pub(crate) fn on_read_ready(&mut self, key: PartitionKey) {
        let Some(state) = self.partitions.state(key) else {
            return;
        };
        for (reply, read) in std::mem::take(&mut state.reads) {
            self.read(reply, key, read);
        }
    }

    /// Keeps a read until storage says that it may be repeated.
    pub(crate) fn read_later(&mut self, reply: Option<ReplyTo>, key: PartitionKey, read: ReadOp) {
        if let Some(state) = self.partitions.state(key) {
            state.reads.push((reply, read));
        }
    }

    pub(crate) fn on_partition_failed(&mut self, key: PartitionKey, failure: &Failure) {
        let Some(state) = self.partitions.state(key) else {
            return;
        };
        let id = state.id;
        tracing::error!(partition = %id, %failure, "a partition failed");
        let failed = PartitionFailure::Failed(failure.clone());
        self.end_waits(key, &failed);
        self.refuse_waiting(id, &failed);
        self.work_off_backlog();
    }

    /// Forgets a partition whose topic is gone; whoever waits for it is told. [`Shard::work_off_backlog`] is due.
    pub(crate) fn remove_partition(&mut self, id: PartitionId) {
        if let Some(key) = self.storage.find(id) {
            self.end_waits(key, &PartitionFailure::Unknown);
            self.refuse_waiting(id, &PartitionFailure::Unknown);
            self.unhost_coordinator(id);
            self.partitions.states[key.0 as usize] = None;
            self.storage.remove_partition(key);
        }
    }

    fn end_waits(&mut self, key: PartitionKey, failure: &PartitionFailure) {
        self.wake_watchers(key);
        let Some(state) = self.partitions.state(key) else {
            return;
        };
        let appends = std::mem::take(&mut state.appends);
        let log_starts = std::mem::take(&mut state.log_starts);
        let reads = std::mem::take(&mut state.reads);
        for append in appends {
            self.append_ended(append.waiter, Err(AppendFailure::Partition(failure.clone())));
        }
        for (_, reply) in log_starts {
            self.tell(reply, OpAnswer::LogStart(Err(failure.clone())));
        }
        for (reply, _) in reads {
            self.tell(reply, OpAnswer::Read(Err(failure.clone())));
        }
    }

    /// KIP-320: a client with an older epoch must refresh its metadata, one with a newer epoch must wait for ours.
    pub(crate) fn check_epoch(&self, key: PartitionKey, current: LeaderEpoch) -> Result<(), PartitionFailure> {
        let ours = self.storage.partition(key).leader_epoch();
        match current {
            LeaderEpoch::UNKNOWN => Ok(()),
            theirs if theirs < ours => Err(PartitionFailure::FencedLeaderEpoch),
            theirs if theirs > ours => Err(PartitionFailure::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    fn list_offset(&mut self, reply: Option<ReplyTo>, key: PartitionKey, query: OffsetQuery, epoch: LeaderEpoch) {
        if let Err(failure) = self.check_epoch(key, epoch) {
            return self.tell(reply, OpAnswer::Offset(Err(failure)));
        }
        let partition = self.storage.partition(key);
        if let Some(failure) = partition.failure() {
            let failure = PartitionFailure::Failed(failure.clone());
            return self.tell(reply, OpAnswer::Offset(Err(failure)));
        }
        let offset = match query {
            OffsetQuery::Latest { read_committed: false } => partition.high_watermark(),
            OffsetQuery::Latest { read_committed: true } => partition.last_stable_offset(),
            OffsetQuery::Earliest => partition.log_start(),
            OffsetQuery::Time(target) => {
                let request = self.partitions.next_lookup;
                self.partitions.next_lookup += 1;
                match self.storage.offset_for_time(key, request, target) {
                    Lookup::Ready(found) => self.tell(reply, OpAnswer::Offset(Ok(found))),
                    Lookup::Pending => {
                        self.partitions.lookups.insert(request, reply);
                    }
                }
                return;
            }
        };
        let leader_epoch = self.epoch_of(key, offset, query);
        let found = TimeMatch {
            offset,
            timestamp: hallows_types::WallTime::NONE,
            leader_epoch,
        };
        self.tell(reply, OpAnswer::Offset(Ok(Some(found))));
    }

    /// Kafka tells the current epoch with the latest offset, and the epoch of the first record with the earliest;
    /// where there is no record, the next one will have the current epoch.
    fn epoch_of(&self, key: PartitionKey, offset: Offset, query: OffsetQuery) -> LeaderEpoch {
        let partition = self.storage.partition(key);
        match query {
            OffsetQuery::Earliest if offset < partition.log_end() => self.storage.epoch_at(key, offset),
            _ => partition.leader_epoch(),
        }
    }

    pub(crate) fn on_time_lookup(&mut self, request: u64, result: Result<Option<TimeMatch>, Failure>) {
        if let Some(reply) = self.partitions.lookups.remove(&request) {
            self.tell(reply, OpAnswer::Offset(result.map_err(PartitionFailure::Failed)));
        }
    }

    fn delete_records(&mut self, reply: Option<ReplyTo>, key: PartitionKey, before: Option<Offset>) {
        let before = before.unwrap_or_else(|| self.storage.partition(key).high_watermark());
        match self.storage.delete_records(self.now, key, before) {
            Ok(true) => {
                let log_start = self.storage.partition(key).log_start();
                self.tell(reply, OpAnswer::LogStart(Ok(log_start)));
            }
            Ok(false) => {
                if let Some(state) = self.partitions.state(key) {
                    state.log_starts.push((before, reply));
                }
            }
            Err(error) => {
                let failure = match error {
                    DeleteRecordsError::OffsetOutOfRange { .. } => PartitionFailure::OffsetOutOfRange,
                    DeleteRecordsError::Stopping => PartitionFailure::Stopping,
                    DeleteRecordsError::Failed(failure) => PartitionFailure::Failed(failure),
                };
                self.tell(reply, OpAnswer::LogStart(Err(failure)));
            }
        }
    }

    /// Arms a watch: the next move of the partition is told to its session, once.
    pub(crate) fn watch(&mut self, key: PartitionKey, watcher: Watcher) {
        if let Some(state) = self.partitions.state(key) {
            state.watches.insert(watcher, true);
        }
    }

    fn unwatch(&mut self, key: PartitionKey, watcher: Watcher) {
        if let Some(state) = self.partitions.state(key) {
            state.watches.remove(&watcher);
        }
    }

    fn wake_watchers(&mut self, key: PartitionKey) {
        let Some(state) = self.partitions.state(key) else {
            return;
        };
        let mut woken: smallvec::SmallVec<[Watcher; 4]> = smallvec::SmallVec::new();
        for (watcher, armed) in &mut state.watches {
            if std::mem::take(armed) {
                woken.push(*watcher);
            }
        }
        for watcher in woken {
            self.notify(watcher);
        }
    }
}

/// The answer to an op on a partition that is not here.
fn unknown(op: PartitionOp) -> OpAnswer {
    let failure = PartitionFailure::Unknown;
    match op {
        PartitionOp::Append { .. } => OpAnswer::Appended(Err(AppendFailure::Partition(failure))),
        PartitionOp::Read(_) | PartitionOp::Unwatch(_) => OpAnswer::Read(Err(failure)),
        PartitionOp::ListOffset { .. } => OpAnswer::Offset(Err(failure)),
        PartitionOp::EpochEnd { .. } => OpAnswer::EpochEnd(Err(failure)),
        PartitionOp::DeleteRecords { .. } => OpAnswer::LogStart(Err(failure)),
        PartitionOp::Producers => OpAnswer::Producers(Err(failure)),
        PartitionOp::Describe => OpAnswer::Described(Err(failure)),
        PartitionOp::Group(_) => OpAnswer::Group(Box::new(GroupAnswer::NotCoordinator)),
    }
}
