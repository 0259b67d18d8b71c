//! Room on the disk: who may still write when it runs short, and how the shortage ends.
//!
//! Clients may append what the last look at the disk left them, less what was appended since, and never the reserve.
//! Once that is used up, or a write found no room, the disk is full: clients are refused, and what is held for deletion
//! goes at once. The node itself goes on with what was kept for it ([`Reserve`]). The shortage ends once there was room
//! to make the reserve whole and for a piece beyond it.

use std::io;
use std::time::Duration;

use hallows_runtime::{DiskOp, DiskOutcome, DiskSpace, Shortage};
use hallows_types::{Monotonic, Now};

use super::{Shutdown, Storage, key_of};
use crate::error::Failure;
use crate::event::StorageEvent;
use crate::operations::Operation;
use crate::reserve::{Done, PIECES_FOR_STRUCTURE, Reserve};

/// How often the disk is looked at while there are appends or while it is full.
const SPACE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Clients are refused while there are fewer inodes than this: a segment takes two, and the replacement of a file one.
const FILES_MIN: u64 = 64;

/// What the journal gave back is left out of account up to this much.
const LENT_PIECES_MAX: u64 = 4;

/// What is known of the disk's room.
#[derive(Debug)]
pub(super) struct Space {
    /// What the last look at the disk showed.
    pub(super) seen: DiskSpace,
    /// Whether appends of clients are refused.
    pub(super) full: bool,
    /// Not before this are they accepted again: at the edge, every piece that is freed would end the shortage for a moment.
    full_until: Monotonic,
    /// Whether there was a shortage since the disk was last looked at: nothing is tried before the next time.
    pub(super) exhausted: bool,
    /// The same for records: what is left of the reserve is not for them.
    pub(super) records_wait: bool,
    measuring: bool,
    /// Whether anything was appended since the last look.
    stale: bool,
    due: Monotonic,
    /// Bytes that may still be appended before the next look.
    budget: u64,
    /// The next look is due once the budget has fallen to this.
    budget_low: u64,
    reserve: Reserve,
    /// How many shards share the disk. None knows what the others do, so each takes its share for all there is.
    shards: u64,
}

/// What a write that found no room was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Draw {
    /// Batches, whose only other copy is in memory and perhaps in the journal.
    Records,
    /// What leads out of the shortage.
    Structure,
}

impl Space {
    pub(super) fn new(space: DiskSpace, shards: u64, reserve: Reserve, tail_bytes: u64, now: Monotonic) -> Self {
        let mut known = Self {
            seen: space,
            full: false,
            full_until: now,
            exhausted: false,
            records_wait: false,
            measuring: false,
            stale: true,
            due: now,
            budget: 0,
            budget_low: 0,
            reserve,
            shards,
        };
        known.note(space, tail_bytes);
        known
    }

    pub(super) const fn has_whole_reserve(&self) -> bool {
        self.reserve.is_whole()
    }

    /// Takes in a look at the disk. How much is free for this shard beyond what it has to write itself; `None` where not
    /// even that has room.
    fn note(&mut self, space: DiskSpace, tail_bytes: u64) -> Option<u64> {
        self.seen = space;
        let share = space.free_bytes / self.shards;
        let own = self.reserve.missing_bytes().saturating_add(tail_bytes);
        let taken = own.saturating_add(self.reserve.piece_bytes());
        self.budget = share.saturating_sub(taken);
        self.budget_low = self.budget / 2;
        share.checked_sub(taken)
    }

    /// Whether clients may append so much.
    pub(super) const fn allows(&self, size_bytes: u64) -> bool {
        size_bytes <= self.budget
    }

    /// Notes that so much was appended, or taken by the journal.
    pub(super) fn spend(&mut self, size_bytes: u64, now: Monotonic) {
        self.stale = true;
        self.budget = self.budget.saturating_sub(size_bytes);
        if self.budget < self.budget_low {
            self.look_again(now);
        }
    }

    pub(super) fn look_again(&mut self, now: Monotonic) {
        self.stale = true;
        self.due = self.due.min(now);
    }

    pub(super) fn due(&self) -> Monotonic {
        if (self.full || self.stale) && !self.measuring {
            self.due
        } else {
            Monotonic::NEVER
        }
    }

    /// Whether nothing is left for the node itself either.
    pub(super) const fn is_used_up(&self) -> bool {
        self.full && self.reserve.is_used_up()
    }

    /// Whether what found no room will soon have some.
    pub(super) fn waits_for_reserve(&self) -> bool {
        self.exhausted && self.reserve.is_giving()
    }

    /// Whether what has to be written finds no room, and will not by the reserve.
    pub(super) fn is_stuck(&self) -> bool {
        (self.exhausted || self.records_wait) && !self.reserve.is_giving()
    }
}

impl Storage {
    pub(super) fn tick_space(&mut self, now: Now) {
        if now.monotonic < self.space.due() {
            return;
        }
        self.space.due = now.monotonic.after(SPACE_CHECK_INTERVAL);
        self.space.stale = false;
        self.space.measuring = true;
        self.operations.issue(Operation::MeasureSpace, DiskOp::MeasureSpace);
        if self.space.full {
            self.apply_retention(now);
        }
    }

    /// Takes the end of a look at the disk.
    pub(super) fn space_measured(&mut self, result: io::Result<DiskOutcome>) {
        self.space.measuring = false;
        match result {
            Ok(DiskOutcome::Space(space)) => self.judge_space(space),
            Ok(other) => unreachable!("measuring gives the space, not {other:?}"),
            Err(error) if is_gone(&error) => self.fail_all(&Failure::Gone {
                message: error.to_string(),
            }),
            Err(error) => tracing::warn!(%error, "the free space of the disk cannot be measured"),
        }
    }

    fn judge_space(&mut self, space: DiskSpace) {
        let spare = self.space.note(space, self.tail_bytes);
        let files_left = space.free_files.is_none_or(|files| files >= FILES_MIN);
        self.try_again();
        let needed = self.refused.unwrap_or(0);
        if !files_left {
            self.note_full("inodes of the file system");
        } else if spare.is_none_or(|spare| spare < needed) {
            self.note_full("free space beyond the reserve");
        }
        if !self.space.full {
            return;
        }
        let piece_bytes = self.space.reserve.piece_bytes();
        let lasting = self.space.full_until <= self.clock;
        // What the journal has lent is no room to count on, or clients would be let in for a moment again and again.
        let lent_bytes = self.journal.lent_bytes().min(piece_bytes * LENT_PIECES_MAX);
        let enough = needed.saturating_add(piece_bytes).saturating_add(lent_bytes);
        let roomy = lasting && files_left && spare.is_some_and(|spare| spare >= enough);
        if !self.space.reserve.is_whole() {
            let room = space.free_bytes / self.space.shards > self.tail_bytes.saturating_add(piece_bytes);
            if room {
                self.space.reserve.take(&mut self.operations);
            }
        } else if roomy && piece_bytes > 0 {
            self.space.reserve.prove(&mut self.operations);
        } else if roomy {
            self.note_room();
        }
    }

    /// Takes the end of a step of giving the reserve back or taking it.
    pub(super) fn reserve_done(&mut self, result: &io::Result<DiskOutcome>) {
        match self.space.reserve.done(result, &mut self.operations) {
            Done::Given => {
                self.try_again();
                if self.shutdown == Shutdown::Checkpointing && self.checkpoint.is_idle() {
                    self.shutdown = Shutdown::Draining;
                }
            }
            Done::Taken => self.space.look_again(self.clock),
            Done::Proven => self.note_room(),
            Done::Failed => {}
        }
    }

    /// What found no room is tried again.
    pub(super) fn try_again(&mut self) {
        let exhausted = std::mem::take(&mut self.space.exhausted);
        let records_wait = std::mem::take(&mut self.space.records_wait);
        if exhausted || records_wait {
            self.journal.retry_supply();
            self.checkpoint.retry_at(self.clock);
            self.enqueue_all();
        }
    }

    /// Notes a shortage: what is in memory is tried again after the next look at the disk, or at once with a piece of the
    /// reserve. Without room appends of clients are refused until then; without descriptors they wait, as far as the
    /// bounds of journal and tails go.
    pub(super) fn note_exhausted(&mut self, what: &str, shortage: Shortage, draw: Draw) {
        match shortage {
            Shortage::Descriptors => {
                self.space.exhausted = true;
                self.space.stale = true;
                tracing::error!(
                    what,
                    "no file descriptor is left, so it is tried again: raise the limit of open files \
                    (ulimit -n, LimitNOFILE), or lower max.connections"
                );
            }
            Shortage::Room => {
                self.note_full(what);
                let kept = match draw {
                    Draw::Records if self.shutdown == Shutdown::No => PIECES_FOR_STRUCTURE,
                    Draw::Records | Draw::Structure => 0,
                };
                let given = self.space.reserve.give(kept, &mut self.operations);
                if given || draw == Draw::Structure {
                    self.space.exhausted = true;
                } else {
                    self.space.records_wait = true;
                }
            }
        }
    }

    pub(super) fn note_full(&mut self, what: &str) {
        if self.space.full {
            return;
        }
        tracing::error!(
            what,
            "the disk is full: appends of clients are refused until there is room. Delete topics or records, lower \
            retention.bytes or retention.ms of topics, or make room on the file system"
        );
        self.space.full = true;
        self.space.full_until = self.clock.after(SPACE_CHECK_INTERVAL);
        self.journal.set_short(true);
        self.enqueue_all();
        // Those that wait are told at once.
        if self.refused.take().is_some() {
            self.events.push_back(StorageEvent::Writable);
        }
    }

    fn note_room(&mut self) {
        tracing::info!("there is room on the disk again: appends of clients are accepted");
        self.space.full = false;
        self.space.look_again(self.clock);
        self.journal.set_short(false);
        self.refused = None;
        self.events.push_back(StorageEvent::Writable);
    }

    pub(super) fn enqueue_all(&mut self) {
        let keys: Vec<_> = self.partitions.iter().map(|(slot, _)| key_of(slot)).collect();
        keys.into_iter().for_each(|key| self.enqueue(key));
    }

    /// Ends everything for good.
    fn fail_all(&mut self, failure: &Failure) {
        self.fail_journal(failure);
        let keys: Vec<_> = self.partitions.iter().map(|(slot, _)| key_of(slot)).collect();
        keys.into_iter().for_each(|key| self.fail(key, failure.clone()));
    }
}

/// Whether the data directory is no longer where it was: removed, unmounted, or away with its server.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle
    )
}
