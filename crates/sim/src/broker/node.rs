//! Ends and beginnings of the machine, and the audit in between.

use std::sync::Arc;

use hallows_broker::{Advertised, BootOptions, Booted, boot_with};
use hallows_runtime::{Disk, Random};
use hallows_storage::Recovery;

use super::audit::Auditor;
use super::clients::Actor;
use super::{AUDITOR, Run, Stage, act, choices, never, settle, take};
use crate::checks::recovery;
use crate::checks::survival::Before;
use crate::disk::FaultRates;
use crate::plan::Part;
use crate::random::Choose;
use crate::violation::{Verdict, Violation};
use crate::world::{Ending, Happening};

/// The most shards of a machine.
const SHARDS_MAX: u64 = 4;
/// How many changing calls a start makes before it is interrupted, at most.
const CALLS_UNTIL_INTERRUPTED_MAX: u64 = 400;
/// How long an orderly end may take, in nanoseconds of virtual time.
const STOP_WAIT_MAX: u64 = 60_000_000_000;
/// How long a start takes, in nanoseconds.
const START_NS: u64 = 50_000_000;
/// How long an audit may wait for its next answer, cut connections and all, in nanoseconds.
const AUDIT_WAIT_MAX: u64 = 600_000_000_000;
/// After so many answers it has to end at once: a few topics were asked about over and over.
const AUDIT_TASKS_MAX: u64 = 100_000;
/// How long an audit may wait while the disk may fail: then the machine may have to be started again.
const AUDIT_WAIT_WITH_FAULTS: u64 = 60_000_000_000;
/// How often the auditor looks whether it has to ask again, in nanoseconds.
const AUDIT_PACE: u64 = 20_000_000;

impl Run {
    /// Ends the machine in one way or another and starts it again.
    pub(super) fn end(&mut self) -> Verdict {
        let choice = self.random.below(10);
        if choice < 2 && self.plan.has(Part::Stops) {
            return self.stop();
        }
        let (ending, before) = if choice < 5 {
            (Ending::Kill, Before::Kill)
        } else {
            (Ending::PowerLoss, Before::PowerLoss)
        };
        self.crash(ending)?;
        self.start(before)
    }

    fn crash(&mut self, ending: Ending) -> Verdict {
        // What was answered before the end is promised.
        while let Some(happening) = self.world.pending_happening() {
            self.on_happening(happening)?;
        }
        tracing::debug!(?ending, now = self.world.now().monotonic.0, "the machine ends");
        self.outcome.crashes += u64::from(ending != Ending::Stop);
        let disk = self.world.disk().clone();
        let _ = if disk.is_dead() {
            self.world.end_dead(ending)
        } else {
            self.world.end(ending)
        };
        self.forget_the_life();
        Ok(())
    }

    /// Connections are gone; nothing that was on its way will happen any more.
    fn forget_the_life(&mut self) {
        self.book.now = self.world.now().monotonic.0;
        self.book.offsets.machine_ended(self.book.now);
        self.book.assignments.machine_ended();
        for topic in self.book.topics.values_mut() {
            topic.epoch_before = topic.epoch.unwrap_or(topic.epoch_before).max(topic.epoch_before);
        }
        self.routes.clear();
        for place in 0..self.clients.len() {
            if let Some((actor, mut stage)) = self.stage(place) {
                let lost = actor.link().ended();
                actor.disconnected(&mut stage, &lost);
            }
        }
    }

    /// An orderly end; sometimes it is interrupted.
    fn stop(&mut self) -> Verdict {
        self.settle_the_disk();
        self.world.shut_down();
        let is_patient = !self.random.one_in(4);
        let patience = if is_patient {
            STOP_WAIT_MAX
        } else {
            self.random.wait_ns(1_000_000, 8)
        };
        let deadline = self.world.now().monotonic.0 + patience;
        let mut waiting = self.world.shard_count();
        while waiting > 0 {
            let happening = self.world.step().expect("the weather never ends");
            if self.world.now().monotonic.0 > deadline {
                if is_patient {
                    return Err(never("a stop", format!("{waiting} shards did not stop")));
                }
                self.crash(Ending::PowerLoss)?;
                return self.start(Before::PowerLoss);
            }
            match happening {
                Happening::Stopped(_) => waiting -= 1,
                other => self.on_happening(other)?,
            }
        }
        self.look()?;
        let clean = self
            .world
            .shards()
            .into_values()
            .all(hallows_broker::Shard::stopped_clean);
        if clean {
            // Where an injected fault prevents the mark, the next start is an unclean one.
            let _ = Recovery::mark_clean(self.world.disk());
        }
        self.crash(Ending::Stop)?;
        self.clean = clean;
        self.start(if clean { Before::CleanStop } else { Before::Kill })
    }

    /// Starts the machine, with interruptions, and audits it. `before` tells how the last life ended.
    pub(super) fn start(&mut self, mut before: Before) -> Verdict {
        self.settle_the_disk();
        let rates = self.world.disk().rates();
        self.book.reads_may_flip = false;
        // Recovery writes what it read, and what it reads wrongly it takes for torn: whoever starts has to read right.
        self.world.disk().set_rates(FaultRates { read_flips: 0, ..rates });
        while self.plan.has(Part::Interruptions) && self.random.one_in(4) {
            let calls = self.random.below(CALLS_UNTIL_INTERRUPTED_MAX);
            self.world.disk().die_after(calls);
            let booted = self.boot();
            self.world.disk().defuse();
            drop(booted);
            let kill = self.random.one_in(3);
            if !kill && before != Before::CleanStop {
                before = Before::PowerLoss;
            }
            self.crash(if kill { Ending::Kill } else { Ending::PowerLoss })?;
        }
        let audit = self.start_at_last(before)?;
        if self.random.one_in(4) {
            self.start_again(&audit)?;
        }
        self.clean = false;
        self.world.disk().set_rates(rates);
        self.book.reads_may_flip = rates.read_flips > 0;
        Ok(())
    }

    /// Starts with the seed's faults, and without them if that failed; takes over what the audit found. A full disk alone
    /// is no reason to fail as long as something of the reserve is left.
    fn start_at_last(&mut self, before: Before) -> Result<Auditor, Violation> {
        let rates = self.world.disk().rates();
        let mut audited = self.boot_and_audit(AUDIT_WAIT_WITH_FAULTS)?;
        if audited.is_none() {
            if !rates.any_fails() && self.world.disk().has_reserve() {
                return Err(never(
                    "a start on a full disk",
                    "it failed with a part of the reserve left".to_owned(),
                ));
            }
            self.world.disk().set_rates(FaultRates::default());
            self.world.disk().set_capacity(choices::CAPACITY_BYTES);
            self.crash(Ending::Kill)?;
            self.outcome.crashes -= 1;
            audited = self.boot_and_audit(AUDIT_WAIT_MAX)?;
        }
        self.world.disk().set_rates(rates);
        let Some((audit, was_clean)) = audited else {
            return Err(never(
                "a start without faults",
                "it failed, or the audit did not end".to_owned(),
            ));
        };
        if was_clean && !self.clean {
            return Err(Violation::new(
                "an unclean start is told from a clean one",
                "the start was taken for a clean one",
            ));
        }
        settle::settle(&mut self.book, &audit, before, was_clean)?;
        Ok(audit)
    }

    /// Ends the machine right after its audit and starts it once more: nothing may have changed.
    fn start_again(&mut self, first: &Auditor) -> Verdict {
        let (ending, before) = if self.random.one_in(2) {
            (Ending::Kill, Before::Kill)
        } else {
            (Ending::PowerLoss, Before::PowerLoss)
        };
        self.clean = false;
        self.crash(ending)?;
        let second = self.start_at_last(before)?;
        recovery::check(&settle::found(&self.book, first), &settle::found(&self.book, &second))
    }

    fn boot(&mut self) -> Result<Booted, String> {
        let disk: Arc<dyn Disk> = Arc::new(self.world.disk().clone());
        let shards = if self.plan.has(Part::ShardCounts) {
            1 + self.random.below(SHARDS_MAX)
        } else {
            2
        };
        let options = BootOptions {
            shards: u16::try_from(shards).expect("few shards"),
            advertised: vec![Advertised {
                host: "simulated".into(),
                port: 9092,
            }],
            now: self.world.now(),
            seed: 0,
        };
        let mut random = Random::from_seed(self.random.next_u64());
        let (config, settings) = (self.config.clone(), self.settings.clone());
        boot_with(disk, config, options, &mut random, settings).map_err(|error| error.to_string())
    }

    /// Boots and reads everything; `None` when faults made that impossible.
    fn boot_and_audit(&mut self, patience: u64) -> Result<Option<(Auditor, bool)>, Violation> {
        let booted = match self.boot() {
            Ok(booted) => booted,
            Err(error) => {
                tracing::debug!(error, "the machine did not start");
                return Ok(None);
            }
        };
        self.life += 1;
        self.world.pass(START_NS);
        let was_clean = booted.was_clean;
        tracing::debug!(
            was_clean,
            shards = booted.shards.len(),
            life = self.life,
            "the machine starts"
        );
        self.world.start(booted.shards);
        let audit = self.audit(patience)?;
        Ok(audit.map(|audit| (audit, was_clean)))
    }

    fn audit(&mut self, patience: u64) -> Result<Option<Auditor>, Violation> {
        let mut auditor = Auditor::new(AUDITOR);
        let mut random = Random::from_seed(self.random.next_u64());
        let mut operations = 0;
        let mut learned = auditor.learned();
        let mut deadline = self.world.now().monotonic.0 + patience;
        self.alarm(1, AUDITOR as u64);
        while !auditor.is_done() {
            let happening = self.world.step().expect("the weather never ends");
            self.book.now = self.world.now().monotonic.0;
            if auditor.learned() > learned && learned < AUDIT_TASKS_MAX {
                learned = auditor.learned();
                deadline = self.book.now + patience;
            }
            if self.book.now > deadline {
                tracing::debug!(missing = auditor.missing(), "the audit does not end");
                return Ok(None);
            }
            let token = self.life * super::ALARM_KINDS + AUDITOR as u64;
            let mut stage = Stage {
                world: &mut self.world,
                book: &mut self.book,
                random: &mut random,
                routes: &mut self.routes,
                operations: &mut operations,
            };
            match happening {
                Happening::Alarm(alarm) if alarm == token => {
                    act(&mut auditor, &mut stage)?;
                    self.alarm(AUDIT_PACE, AUDITOR as u64);
                }
                Happening::Received(connection, bytes) if stage.routes.contains_key(&connection) => {
                    take(&mut auditor, &mut stage, &bytes)?;
                }
                Happening::Disconnected(connection) if stage.routes.remove(&connection).is_some() => {
                    auditor.link().ended();
                }
                _ => {}
            }
        }
        if auditor.failed.is_empty() {
            return Ok(Some(auditor));
        }
        tracing::debug!(failed = ?auditor.failed, "partitions failed");
        Ok(None)
    }
}
