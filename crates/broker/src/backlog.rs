//! Appends of clients that wait for room, in memory or in the journal.
//!
//! What a client has sent whole is not refused for a shortage that passes: it waits in the order it came, until its
//! request times out, and meanwhile its connection is not read. There is a queue for partitions that need the journal
//! and one for the others, which a full journal does not concern; within a queue nothing overtakes.

use std::collections::VecDeque;

use bytes::BytesMut;
use hallows_storage::{AppendError, Durability, Origin, PartitionKey};
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

/// The appends that wait, bounded by `waiting.append.bytes.max` and by the requests they belong to.
#[derive(Default)]
pub(crate) struct Backlog {
    journaled: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
    /// Of all their batches.
    bytes: u64,
}

impl Backlog {
    /// Bytes of the batches that wait.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the first of a queue times out. Those behind it with less time are looked at with it, since nothing that
    /// waits is found but from the front; their requests have been answered by then.
    pub(crate) fn next_deadline(&self) -> Monotonic {
        let fronts = [self.journaled.front(), self.others.front()];
        let deadlines = fronts.into_iter().flatten().map(|waiting| waiting.deadline);
        deadlines.min().unwrap_or(Monotonic::NEVER)
    }

    const fn queue(&mut self, durability: Durability) -> &mut VecDeque<Waiting> {
        match durability {
            Durability::Fsync => &mut self.journaled,
            Durability::Written | Durability::Memory => &mut self.others,
        }
    }

    const fn queues(&mut self) -> [&mut VecDeque<Waiting>; 2] {
        [&mut self.journaled, &mut self.others]
    }

    fn push(&mut self, durability: Durability, waiting: Waiting) {
        self.bytes += size_bytes(&waiting.batch);
        self.queue(durability).push_back(waiting);
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
        if self.backlog.bytes.saturating_add(size) > self.limits.waiting_append_bytes_max {
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

    /// There may be room, or the first has waited for too long: appends what waits, in order, as far as it goes.
    pub(crate) fn work_off_backlog(&mut self) {
        for durability in [Durability::Fsync, Durability::Written] {
            while let Some(waiting) = self.backlog.queue(durability).pop_front() {
                let key = self.storage.find(waiting.partition);
                let in_time = waiting.deadline > self.now.monotonic;
                if in_time && key.is_some_and(|key| self.storage.is_busy(key, size_bytes(&waiting.batch))) {
                    self.backlog.queue(durability).push_front(waiting);
                    break;
                }
                self.backlog.bytes -= size_bytes(&waiting.batch);
                let Waiting { reply, batch, .. } = waiting;
                match key {
                    None => self.tell(reply, unknown()),
                    Some(_) if !in_time => self.tell(reply, busy()),
                    Some(key) => self.append(key, AppendWaiter::Reply(reply), batch, Origin::Client),
                }
            }
        }
    }

    /// The shard stops: nothing is appended any more.
    pub(crate) fn refuse_backlog(&mut self) {
        let waiting: Vec<_> = self.backlog.queues().into_iter().flat_map(std::mem::take).collect();
        self.backlog.bytes = 0;
        for Waiting { reply, .. } in waiting {
            self.tell(reply, busy());
        }
    }
}

fn busy() -> OpAnswer {
    OpAnswer::Appended(Err(AppendFailure::Storage(AppendError::Busy)))
}

fn unknown() -> OpAnswer {
    OpAnswer::Appended(Err(AppendFailure::Partition(PartitionFailure::Unknown)))
}

fn size_bytes(batch: &BytesMut) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}
