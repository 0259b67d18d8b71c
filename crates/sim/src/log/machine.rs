//! Ends and beginnings of the machine, and what must be found afterwards.

use std::sync::Arc;

use bytes::Bytes;
use hallows_runtime::Disk;
use hallows_storage::{Failure, Identity, OpenError, Recovered, Recovery, Storage};
use hallows_types::LeaderEpoch;

use super::Run;
use super::host::{Host, Message};
use crate::checks::recovery::Found;
use crate::checks::survival::Before;
use crate::checks::{idempotence, log_start, recovery, survival};
use crate::disk::{FaultRates, SimDisk};
use crate::plan::Part;
use crate::random::Choose;
use crate::violation::{Verdict, Violation};
use crate::world::{Ending, Happening};

const IDENTITY: Identity = Identity {
    cluster_id: *b"simulated world!",
    node_id: 1,
};

/// The most shards of a machine.
const SHARDS_MAX: u64 = 4;
/// How many changing calls recovery makes before it is interrupted, at most.
const CALLS_UNTIL_INTERRUPTED_MAX: u64 = 400;
/// How long an orderly end may take, in nanoseconds of virtual time.
const STOP_WAIT_MAX: u64 = 30_000_000_000;
/// How long a start takes, in nanoseconds.
const START_NS: u64 = 50_000_000;

/// What a recovery gave.
struct Opened {
    storages: Vec<Storage>,
    found: Vec<Found>,
    /// Partitions that failed, and why.
    failed: Vec<String>,
    was_clean: bool,
}

impl Run {
    /// Ends the machine in one way or another and starts it again.
    pub(super) fn end(&mut self) -> Verdict {
        let choice = self.random.below(10);
        if choice < 2 && self.plan.has(Part::Stops) {
            return self.stop();
        }
        let ending = if choice < 5 { Ending::Kill } else { Ending::PowerLoss };
        self.crash(ending)?;
        self.boot(ending == Ending::Kill)
    }

    fn crash(&mut self, ending: Ending) -> Verdict {
        // What was promised before the end is promised.
        while let Some(happening) = self.world.pending_happening() {
            self.on_happening(happening)?;
        }
        tracing::debug!(?ending, "the machine ends");
        self.outcome.crashes += 1;
        self.pending.clear();
        let producers = self.partitions.values_mut().flat_map(|tracked| &mut tracked.producers);
        producers.for_each(super::Producer::disconnected);
        let disk = self.world.disk().clone();
        let _ = if disk.is_dead() {
            self.world.end_dead(ending)
        } else {
            self.world.end(ending)
        };
        Ok(())
    }

    /// An orderly end; sometimes it is interrupted.
    fn stop(&mut self) -> Verdict {
        self.settle_the_disk();
        self.world.shut_down();
        let patience = if self.random.one_in(4) {
            self.random.wait_ns(1_000_000, 8)
        } else {
            STOP_WAIT_MAX
        };
        let deadline = self.world.now().monotonic.0 + patience;
        let (mut waiting, mut clean) = (self.world.shard_count(), true);
        while waiting > 0 {
            let happening = self.world.step().expect("the weather never ends");
            let late = self.world.now().monotonic.0 > deadline;
            match happening {
                Happening::Outside {
                    message: Message::Stopped(of_shard),
                    ..
                } => clean &= of_shard,
                Happening::Stopped(_) => waiting -= 1,
                other => self.on_happening(other)?,
            }
            if late && patience == STOP_WAIT_MAX {
                let detail = format!("{waiting} shards did not stop");
                return Err(Violation::new("the machine stops when asked", detail));
            }
            if late {
                self.crash(Ending::PowerLoss)?;
                return self.boot(false);
            }
        }
        self.observe()?;
        let disk = self.world.disk().clone();
        if clean {
            // Where an injected fault prevents the mark, the next start is an unclean one.
            let _ = Recovery::mark_clean(&disk);
        }
        self.crash(Ending::Stop)?;
        self.outcome.crashes -= 1;
        self.clean = clean;
        if clean {
            self.partitions
                .values_mut()
                .for_each(|tracked| tracked.ledger.all_is_durable());
        }
        self.boot(true)
    }

    /// Starts the machine, with interruptions; `page_cache_survived` tells how the last life ended.
    pub(super) fn boot(&mut self, page_cache_survived: bool) -> Verdict {
        let mut before = if page_cache_survived {
            Before::Kill
        } else {
            Before::PowerLoss
        };
        self.settle_the_disk();
        while self.plan.has(Part::Interruptions) && self.random.one_in(3) {
            let calls = self.random.below(CALLS_UNTIL_INTERRUPTED_MAX);
            self.world.disk().die_after(calls);
            let _ = self.recover();
            self.world.disk().defuse();
            let ending = if self.random.one_in(3) {
                Ending::Kill
            } else {
                Ending::PowerLoss
            };
            if ending == Ending::PowerLoss {
                before = Before::PowerLoss;
            }
            // What recovery truncated or deleted may have been more than this power loss takes, never less.
            self.crash(ending)?;
        }
        let recovered = self.recover_at_last()?;
        self.check_clean(recovered.was_clean)?;
        self.compare(before, &recovered.found)?;
        let recovered = if self.random.one_in(3) {
            self.recover_again(recovered)?
        } else {
            recovered
        };
        self.start(recovered);
        Ok(())
    }

    /// Recovers with the seed's faults, and without them if that failed. A full disk alone is no reason to fail as long as
    /// something of the reserve is left.
    fn recover_at_last(&mut self) -> Result<Opened, Violation> {
        let rates = self.world.disk().rates();
        let reason = match self.recover() {
            Ok(recovered) if recovered.found.len() == self.partitions.len() => return Ok(recovered),
            Ok(recovered) => recovered.failed.join("; "),
            Err(error) => error.to_string(),
        };
        if !rates.any_fails() && self.world.disk().has_reserve() {
            return Err(Violation::new(
                "the machine starts on a full disk with a part of the reserve left",
                reason,
            ));
        }
        self.world.disk().set_capacity(super::choices::CAPACITY_BYTES);
        self.world.disk().set_rates(FaultRates::default());
        self.crash(Ending::Kill)?;
        self.outcome.crashes -= 1;
        let recovered = self
            .recover()
            .map_err(|error| Violation::new("the machine starts", error.to_string()));
        self.world.disk().set_rates(rates);
        let recovered = recovered?;
        if recovered.found.len() < self.partitions.len() {
            return Err(Violation::new("no partition is damaged", recovered.failed.join("; ")));
        }
        Ok(recovered)
    }

    fn recover_again(&mut self, first: Opened) -> Result<Opened, Violation> {
        let found = first.found;
        drop(first.storages);
        let ending = if self.random.one_in(2) {
            Ending::Kill
        } else {
            Ending::PowerLoss
        };
        self.crash(ending)?;
        let second = self.recover_at_last()?;
        recovery::check(&found, &second.found)?;
        Ok(second)
    }

    fn recover(&mut self) -> Result<Opened, OpenError> {
        let disk = self.world.disk().clone();
        let now = self.world.now();
        let shard_count = if self.plan.has(Part::ShardCounts) {
            1 + self.random.below(SHARDS_MAX)
        } else {
            2
        };
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut recovery = Recovery::begin(shared, self.settings.clone(), || IDENTITY)?;
        let was_clean = recovery.was_clean();
        let mut shards: Vec<Vec<Recovered>> = (0..shard_count).map(|_| Vec::new()).collect();
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for (id, tracked) in &self.partitions {
            let recovered = recovery.recover(*id, tracked.config.clone(), now);
            let (start, end, failure) = (recovered.log_start().0, recovered.log_end().0, recovered.failure());
            tracing::debug!(%id, class = ?tracked.config.durability, start, end, known_end = tracked.ledger.end(), ?failure, "found");
            match find(&recovered, &disk) {
                Ok(partition) => found.push(partition),
                Err(failure) => failed.push(format!("{id} ({:?}): {failure}", tracked.config.durability)),
            }
            let index = u64::try_from(id.index).expect("indexes count from 0") % shard_count;
            shards[usize::try_from(index).expect("few shards")].push(recovered);
        }
        let seeds: Vec<u64> = (0..shard_count).map(|_| self.random.next_u64()).collect();
        let storages = recovery.finish(shards, now, &seeds)?;
        tracing::debug!(shard_count, was_clean, "recovered");
        Ok(Opened {
            storages,
            found,
            failed,
            was_clean,
        })
    }

    fn check_clean(&self, was_clean: bool) -> Verdict {
        if was_clean && !self.clean {
            return Err(Violation::new(
                "an unclean start is told from a clean one",
                "the start was taken for a clean one",
            ));
        }
        Ok(())
    }

    fn compare(&mut self, before: Before, found: &[Found]) -> Verdict {
        for found in found {
            let Some(tracked) = self.partitions.get_mut(&found.id) else {
                continue;
            };
            let ledger = &mut tracked.ledger;
            let name = |violation: Violation| Violation {
                detail: format!("{} ({:?}): {}", found.id, tracked.config.durability, violation.detail),
                ..violation
            };
            survival::check_end(ledger, before, found.log_start, found.log_end).map_err(name)?;
            log_start::check(ledger, found.log_start).map_err(name)?;
            survival::check_bytes(ledger, found.log_start, found.log_end, &found.batches).map_err(name)?;
            ledger.truncate(found.log_end);
            idempotence::check_log(ledger).map_err(name)?;
            ledger.high_watermark = found.log_start;
            // Recovery ends with everything synced.
            ledger.all_is_durable();
        }
        Ok(())
    }

    fn start(&mut self, recovered: Opened) {
        let mut storages = recovered.storages;
        for (id, tracked) in &mut self.partitions {
            if !recovered.was_clean {
                tracked.epoch = LeaderEpoch(tracked.epoch.0 + 1);
            }
            tracked.failed = false;
            for storage in &mut storages {
                if let Some(key) = storage.find(*id) {
                    storage.set_leader_epoch(key, tracked.epoch);
                }
            }
        }
        self.clean = false;
        self.world.pass(START_NS);
        self.world.start(storages.into_iter().map(Host::new).collect());
    }
}

/// What recovery says of a partition, or why it failed.
fn find(recovered: &Recovered, disk: &SimDisk) -> Result<Found, Failure> {
    if let Some(failure) = recovered.failure() {
        return Err(failure.clone());
    }
    let batches: Result<Vec<Bytes>, _> = recovered.batches(disk).collect();
    Ok(Found {
        id: recovered.id(),
        log_start: recovered.log_start().0,
        log_end: recovered.log_end().0,
        batches: batches?,
    })
}
