//! The machine's beginnings and ends.

use std::collections::BTreeMap;

use hallows_runtime::{Inbox, Turn};
use hallows_types::Monotonic;

use super::{DiskWork, Due, Happening, Seat, World, shard_id};
use crate::disk::SimDisk;
use crate::random::Choose;

/// How a machine ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Power is lost: what was not durable survives or not.
    PowerLoss,
    /// The process is killed: the page cache survives.
    Kill,
    /// Every shard has stopped of its own accord; the page cache survives.
    Stop,
}

/// The most changing calls of an interrupted step that may still happen.
const INTERRUPTED_CALLS_MAX: u64 = 6;

impl<T: Turn> World<T> {
    /// Starts shards on the running machine's disk, each with a first turn.
    ///
    /// # Panics
    /// When shards run already.
    pub fn start(&mut self, shards: Vec<T>) {
        assert!(self.seats.is_empty(), "a machine starts once");
        for (index, shard) in shards.into_iter().enumerate() {
            self.seats.push(Seat {
                shard,
                inbox: Inbox::default(),
                turn_due: false,
                timer: Monotonic::NEVER,
                idle_turns: 0,
                stopped: false,
            });
            self.wake(shard_id(index));
        }
    }

    /// Ends the machine at this moment, in the middle of whatever it does, and gives the disk of the next one.
    /// Operations on their way are performed, in part or not at all; none of their completions is seen.
    pub fn end(&mut self, ending: Ending) -> SimDisk {
        self.trace
            .note("end", &[self.now, u64::from(ending == Ending::PowerLoss)]);
        let mut operations = self.forget_the_machine();
        while !operations.is_empty() {
            let work = operations.swap_remove(self.random.index(operations.len()));
            self.interrupt(work);
        }
        self.disk = match ending {
            Ending::PowerLoss => self.disk.lose_power(),
            Ending::Kill | Ending::Stop => self.disk.kill(),
        };
        self.disk.clone()
    }

    /// The disk has died in the middle of a call, as in recovery: gives the disk of the next machine.
    pub fn end_dead(&mut self, ending: Ending) -> SimDisk {
        self.disk.revive();
        self.end(ending)
    }

    /// Drops shards, connections and everything on its way; gives the disk operations.
    fn forget_the_machine(&mut self) -> Vec<DiskWork> {
        let mut operations = Vec::new();
        for (key, due) in std::mem::take(&mut self.queue) {
            match due {
                Due::Disk(work) => operations.push(work),
                Due::Alarm(_) | Due::Weather | Due::ClientEnd(_) => {
                    self.queue.insert(key, due);
                }
                _ => {}
            }
        }
        self.seats.clear();
        self.last_arrival.clear();
        self.happenings
            .retain(|happening| matches!(happening, Happening::Alarm(_) | Happening::Disconnected(_)));
        for id in std::mem::take(&mut self.connections).into_keys() {
            let wait = self.latencies.network(&mut self.random);
            self.schedule(wait, Due::ClientEnd(id));
        }
        operations
    }

    fn interrupt(&mut self, mut work: DiskWork) {
        if self.random.one_in(3) {
            return;
        }
        if !self.random.one_in(3) {
            // A step is a call or more, and the last one is hit as often as the others.
            let calls = u64::try_from(work.steps.len()).unwrap_or(u64::MAX);
            self.disk
                .die_after(self.random.below(calls.clamp(1, INTERRUPTED_CALLS_MAX)));
        }
        while !work.steps.is_empty() {
            if work.advance(&self.disk).is_err() {
                break;
            }
        }
        self.disk.defuse();
        self.disk.revive();
    }

    /// Shards that run, by what they are asked.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<u16, &T> {
        let seats = self.seats.iter().enumerate();
        seats.map(|(index, seat)| (shard_id(index).0, &seat.shard)).collect()
    }
}
