//! Appends of clients that wait for room, in memory or in the journal.
//!
//! What a client has sent whole is not refused for a shortage that passes: it waits in the order it came, until its
//! request times out, and meanwhile its connection is not read. There is a queue for partitions that need the journal
//! and one for the others, which a full journal does not concern; within a queue nothing overtakes. All batches of a
//! partition are in one queue: they change it together, each to the place of its arrival, when the durability changes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use hallows_storage::{AppendError, Durability, LogConfig, Origin, PartitionKey};
use hallows_types::{Monotonic, PartitionId};

use crate::op::{AppendFailure, OpAnswer, PartitionFailure, ReplyTo};
use crate::partitions::AppendWaiter;
use crate::shard::{Life, Shard};

/// A batch up to this size is copied when it is to wait: as it came, it is a part of a much larger piece of receive
/// memory, which it would keep for as long as it waits.
const COPIED_BYTES_MAX: usize = 32 << 10;

/// One append that waits.
struct Waiting {
    partition: PartitionId,
    reply: Option<ReplyTo>,
    batch: BytesMut,
    /// When its request times out; it is not appended any more then.
    deadline: Monotonic,
}

/// The place of an append in the order of arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Ticket(u64);

type Queue = BTreeMap<Ticket, Waiting>;

/// The appends that wait, bounded by `waiting.append.bytes.max` and by the requests they belong to.
#[derive(Default)]
pub(crate) struct Backlog {
    journaled: Queue,
    others: Queue,
    /// Those of both queues by what ends their wait early.
    by_deadline: BTreeSet<(Monotonic, Ticket)>,
    by_partition: BTreeSet<(PartitionId, Ticket)>,
    next: Ticket,
    /// Of all their batches.
    bytes: u64,
}

impl Backlog {
    /// Bytes of the batches that wait.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the next one times out.
    pub(crate) fn next_deadline(&self) -> Monotonic {
        self.by_deadline
            .first()
            .map_or(Monotonic::NEVER, |(deadline, _)| *deadline)
    }

    const fn queue(&mut self, durability: Durability) -> &mut Queue {
        match durability {
            Durability::Fsync => &mut self.journaled,
            Durability::Written | Durability::Memory => &mut self.others,
        }
    }

    fn push(&mut self, durability: Durability, waiting: Waiting) {
        let ticket = self.next;
        self.next = Ticket(ticket.0 + 1);
        self.bytes += size_bytes(&waiting.batch);
        self.by_deadline.insert((waiting.deadline, ticket));
        self.by_partition.insert((waiting.partition, ticket));
        self.queue(durability).insert(ticket, waiting);
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.journaled.remove(&ticket).or_else(|| self.others.remove(&ticket))?;
        self.bytes -= size_bytes(&waiting.batch);
        self.by_deadline.remove(&(waiting.deadline, ticket));
        self.by_partition.remove(&(waiting.partition, ticket));
        Some(waiting)
    }

    /// The first of a queue.
    fn front(&mut self, durability: Durability) -> Option<(Ticket, &Waiting)> {
        let first = self.queue(durability).first_key_value();
        first.map(|(ticket, waiting)| (*ticket, waiting))
    }

    /// Takes out one whose time is over, wherever it is.
    fn pop_late(&mut self, now: Monotonic) -> Option<Waiting> {
        let (_, ticket) = *self.by_deadline.first().filter(|(deadline, _)| *deadline <= now)?;
        self.remove(ticket)
    }

    fn tickets_of(&self, partition: PartitionId) -> Vec<Ticket> {
        let all = (partition, Ticket(0))..=(partition, Ticket(u64::MAX));
        self.by_partition.range(all).map(|(_, ticket)| *ticket).collect()
    }

    /// Takes out what waits for one partition.
    fn take_partition(&mut self, partition: PartitionId) -> Vec<Waiting> {
        let tickets = self.tickets_of(partition);
        tickets.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// The durability of a partition has changed from `before` to `after`.
    fn requeue(&mut self, partition: PartitionId, before: Durability, after: Durability) {
        if before == after {
            return;
        }
        for ticket in self.tickets_of(partition) {
            if let Some(waiting) = self.queue(before).remove(&ticket) {
                self.queue(after).insert(ticket, waiting);
            }
        }
    }

    /// Takes everything out.
    fn take_all(&mut self) -> Vec<Waiting> {
        let next = self.next;
        let all = std::mem::replace(
            self,
            Self {
                next,
                ..Self::default()
            },
        );
        let mut waiting = all.journaled;
        waiting.extend(all.others);
        waiting.into_values().collect()
    }
}

impl Shard {
    /// Appends a client's batch, or lets it wait if there is no room or if others wait already.
    pub(crate) fn append_or_wait(
        &mut self,
        partition: PartitionId,
        key: PartitionKey,
        reply: Option<ReplyTo>,
        batch: BytesMut,
        deadline: Monotonic,
    ) {
        let size = size_bytes(&batch);
        let durability = self.storage.partition(key).config().durability;
        let must_wait = !self.backlog.queue(durability).is_empty() || self.storage.is_busy(key, size);
        if !must_wait || self.life != Life::Serving {
            return self.append(key, AppendWaiter::Reply(reply), batch, Origin::Client);
        }
        let is_late = deadline <= self.now.monotonic;
        if is_late || self.backlog.bytes.saturating_add(size) > self.limits.waiting_append_bytes_max {
            return self.tell(reply, busy());
        }
        let batch = if batch.len() <= COPIED_BYTES_MAX {
            BytesMut::from(&batch[..])
        } else {
            batch
        };
        self.backlog.push(
            durability,
            Waiting {
                partition,
                reply,
                batch,
                deadline,
            },
        );
        self.tell(reply, OpAnswer::Waits);
    }

    /// There may be room, or one has waited for too long: refuses those, and appends what waits, in order, as far as
    /// it goes.
    pub(crate) fn work_off_backlog(&mut self) {
        while let Some(Waiting { reply, .. }) = self.backlog.pop_late(self.now.monotonic) {
            self.tell(reply, busy());
        }
        for durability in [Durability::Fsync, Durability::Written] {
            while let Some((ticket, waiting)) = self.backlog.front(durability) {
                let (partition, size) = (waiting.partition, size_bytes(&waiting.batch));
                let key = self.storage.find(partition);
                if key.is_some_and(|key| self.storage.is_busy(key, size)) {
                    break;
                }
                let Some(Waiting { reply, batch, .. }) = self.backlog.remove(ticket) else {
                    break;
                };
                match key {
                    None => self.tell(reply, refused(PartitionFailure::Unknown)),
                    Some(key) => self.append(key, AppendWaiter::Reply(reply), batch, Origin::Client),
                }
            }
        }
    }

    /// Changes the settings of a partition. What waits for it keeps its order; [`Shard::work_off_backlog`] is due.
    pub(crate) fn configure_partition(&mut self, partition: PartitionId, key: PartitionKey, config: LogConfig) {
        let before = self.storage.partition(key).config().durability;
        let after = config.durability;
        self.storage.configure(key, config);
        self.backlog.requeue(partition, before, after);
    }

    /// A partition takes no batch any more: those that wait for it are refused. [`Shard::work_off_backlog`] is due.
    pub(crate) fn refuse_waiting(&mut self, partition: PartitionId, failure: &PartitionFailure) {
        for Waiting { reply, .. } in self.backlog.take_partition(partition) {
            self.tell(reply, refused(failure.clone()));
        }
    }

    /// The shard stops: nothing is appended any more.
    pub(crate) fn refuse_backlog(&mut self) {
        for Waiting { reply, .. } in self.backlog.take_all() {
            self.tell(reply, busy());
        }
    }
}

fn busy() -> OpAnswer {
    OpAnswer::Appended(Err(AppendFailure::Storage(AppendError::Busy)))
}

fn refused(failure: PartitionFailure) -> OpAnswer {
    OpAnswer::Appended(Err(AppendFailure::Partition(failure)))
}

fn size_bytes(batch: &BytesMut) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use hallows_types::TopicId;

    use super::*;

    fn partition(index: i32) -> PartitionId {
        PartitionId {
            topic: TopicId::ZERO,
            index,
        }
    }

    /// One that waits, with a batch that tells it from others.
    fn waiting(index: i32, batch: &[u8], deadline: u64) -> Waiting {
        Waiting {
            partition: partition(index),
            reply: None,
            batch: BytesMut::from(batch),
            deadline: Monotonic(deadline),
        }
    }

    /// Partition and batch of all in a queue, in its order.
    fn queued(backlog: &mut Backlog, durability: Durability) -> Vec<(i32, Vec<u8>)> {
        let queue = backlog.queue(durability).values();
        queue
            .map(|waiting| (waiting.partition.index, waiting.batch.to_vec()))
            .collect()
    }

    #[test]
    fn batches_of_a_partition_keep_the_order_of_arrival_when_its_durability_changes() {
        for (before, after) in [
            (Durability::Fsync, Durability::Written),
            (Durability::Fsync, Durability::Memory),
            (Durability::Written, Durability::Fsync),
            (Durability::Memory, Durability::Fsync),
            (Durability::Written, Durability::Memory),
        ] {
            let mut backlog = Backlog::default();
            backlog.push(before, waiting(0, b"a", 9));
            backlog.push(after, waiting(1, b"b", 9));
            backlog.push(before, waiting(0, b"c", 9));
            backlog.requeue(partition(0), before, after);
            backlog.push(after, waiting(0, b"d", 9));
            let all: Vec<_> = [(0, "a"), (1, "b"), (0, "c"), (0, "d")]
                .map(|(index, batch)| (index, batch.as_bytes().to_vec()))
                .into();
            assert_eq!(queued(&mut backlog, after), all, "{before:?} to {after:?}");
            // And back, with what came meanwhile.
            backlog.requeue(partition(0), after, before);
            let of_partition: Vec<_> = queued(&mut backlog, before)
                .into_iter()
                .filter(|(index, _)| *index == 0)
                .collect();
            let expected: Vec<_> = all.into_iter().filter(|(index, _)| *index == 0).collect();
            assert_eq!(of_partition, expected, "{after:?} to {before:?}");
        }
    }

    #[test]
    fn a_batch_leaves_at_its_own_deadline_wherever_it_waits() {
        let mut backlog = Backlog::default();
        backlog.push(Durability::Fsync, waiting(0, b"long", 100));
        backlog.push(Durability::Fsync, waiting(1, b"short", 10));
        backlog.push(Durability::Written, waiting(2, b"middle", 50));
        backlog.push(Durability::Written, waiting(3, b"never", u64::MAX));
        let mut late = |now, next| {
            assert!(backlog.pop_late(Monotonic(now - 1)).is_none(), "{now}");
            let batch = backlog.pop_late(Monotonic(now)).map(|waiting| waiting.batch.to_vec());
            assert_eq!((backlog.next_deadline(), backlog.bytes()), next, "{now}");
            batch
        };
        assert_eq!(late(10, (Monotonic(50), 15)), Some(b"short".to_vec()));
        assert_eq!(late(50, (Monotonic(100), 9)), Some(b"middle".to_vec()));
        assert_eq!(late(100, (Monotonic::NEVER, 5)), Some(b"long".to_vec()));
        assert_eq!(queued(&mut backlog, Durability::Fsync), []);
        assert_eq!(queued(&mut backlog, Durability::Written), [(3, b"never".to_vec())]);
    }

    #[test]
    fn what_waits_for_one_partition_leaves_in_order_and_the_rest_stays() {
        let mut backlog = Backlog::default();
        backlog.push(Durability::Fsync, waiting(0, b"a", 9));
        backlog.push(Durability::Fsync, waiting(1, b"bb", 9));
        backlog.push(Durability::Fsync, waiting(0, b"c", 9));
        let batches = |all: Vec<Waiting>| -> Vec<_> { all.into_iter().map(|waiting| waiting.batch.to_vec()).collect() };
        assert_eq!(
            batches(backlog.take_partition(partition(0))),
            [b"a".to_vec(), b"c".to_vec()]
        );
        assert_eq!(backlog.bytes(), 2);
        assert_eq!(queued(&mut backlog, Durability::Fsync), [(1, b"bb".to_vec())]);
        backlog.push(Durability::Written, waiting(2, b"d", 9));
        assert_eq!(batches(backlog.take_all()), [b"bb".to_vec(), b"d".to_vec()]);
        assert_eq!((backlog.bytes(), backlog.next_deadline()), (0, Monotonic::NEVER));
        assert!(backlog.front(Durability::Fsync).is_none());
        assert!(backlog.take_partition(partition(2)).is_empty());
    }
}
