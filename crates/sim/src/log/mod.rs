//! The simulation of storage: real journal, segments, manifests, checkpoints and recovery on the simulated disk.
//!
//! A driver asks shards that host nothing but storage, ends the machine at random moments, recovers it, also in the
//! middle of recovery, and compares every partition with its ledger.

mod answers;
pub(crate) mod choices;
mod host;
mod machine;
pub(crate) mod producer;
mod workload;

use std::collections::BTreeMap;

use hallows_runtime::Random;
use hallows_storage::{LogConfig, StorageSettings};
use hallows_types::{LeaderEpoch, PartitionId};

use crate::checks::{high_watermark, log_start};
use crate::disk::SimDisk;
use crate::ledger::Ledger;
use crate::options::Outcome;
use crate::plan::{CRASHES_MIN, OPERATIONS_MIN, Plan};
use crate::random::Choose;
use crate::violation::{Verdict, Violation};
use crate::world::{Happening, World};
use host::{Host, Message};
use producer::Producer;
use workload::Pending;

/// Everything asked is answered within this time while the machine is up, in nanoseconds.
const ANSWER_WAIT_MAX: u64 = 300_000_000_000;

/// Alarms of the driver, with the life of the machine they belong to in their higher bits.
const ALARM_TICK: u64 = 0;
const ALARM_END: u64 = 1;
const ALARM_KINDS: u64 = 2;

/// One partition and everything known of it.
struct Tracked {
    config: LogConfig,
    epoch: LeaderEpoch,
    ledger: Ledger,
    producers: Vec<Producer>,
    /// It accepts nothing more in this life of the machine.
    failed: bool,
}

/// One seed's run.
struct Run {
    world: World<Host>,
    random: Random,
    settings: StorageSettings,
    partitions: BTreeMap<PartitionId, Tracked>,
    pending: BTreeMap<u64, Pending>,
    next_request: u64,
    next_topic: u64,
    next_producer: i64,
    life: u64,
    clean: bool,
    outcome: Outcome,
    plan: Plan,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut run = Run::new(plan);
    let verdict = run.play();
    run.outcome.violation = verdict.err();
    run.outcome.acknowledged += run
        .partitions
        .values()
        .map(|tracked| tracked.ledger.acknowledged)
        .sum::<u64>();
    run.outcome.fingerprint = run.world.trace().hash();
    run.outcome.disk = run.world.disk().counts();
    run.outcome.network = *run.world.network();
    run.outcome
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let seed = plan.seed;
        let mut random = Random::from_seed(seed ^ 0x5eed_0001);
        let disk = SimDisk::new(seed ^ 0x5eed_0002, choices::CAPACITY_BYTES);
        disk.set_rates(choices::rates(&mut random, plan));
        let weather = choices::weather(&mut random, plan);
        Self {
            world: World::new(seed, disk, weather),
            settings: choices::storage(&mut random, plan.sabotage),
            random,
            partitions: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_request: 0,
            next_topic: 0,
            next_producer: 0,
            life: 0,
            clean: true,
            outcome: Outcome::default(),
            plan: plan.clone(),
        }
    }

    fn play(&mut self) -> Verdict {
        self.boot(true)?;
        let wanted = self.plan.operations.unwrap_or(OPERATIONS_MIN);
        while self.outcome.operations < wanted || self.outcome.crashes < CRASHES_MIN {
            self.live()?;
            self.end()?;
        }
        Ok(())
    }

    /// One life of the machine, until it is time to end it.
    fn live(&mut self) -> Verdict {
        self.life += 1;
        let lifetime = self.random.wait_ns(2_000_000, 8);
        self.world.alarm(1, self.alarm(ALARM_TICK));
        self.world.alarm(lifetime, self.alarm(ALARM_END));
        loop {
            let happening = self.world.step().expect("the weather never ends");
            match happening {
                Happening::Alarm(token) if token == self.alarm(ALARM_END) => return self.observe(),
                Happening::Alarm(token) if token == self.alarm(ALARM_TICK) => {
                    self.observe()?;
                    self.tick();
                }
                other => self.on_happening(other)?,
            }
        }
    }

    const fn alarm(&self, kind: u64) -> u64 {
        self.life * ALARM_KINDS + kind
    }

    fn on_happening(&mut self, happening: Happening<Message>) -> Verdict {
        match happening {
            Happening::Outside {
                message: Message::Answer(number, answer),
                ..
            } => self.on_answer(number, answer),
            _ => Ok(()),
        }
    }

    /// Looks at every partition of the running machine.
    fn observe(&mut self) -> Verdict {
        let now = self.world.now().monotonic.0;
        for host in self.world.shards().into_values() {
            for (id, tracked) in &mut self.partitions {
                let Some(key) = host.storage.find(*id) else { continue };
                let partition = host.storage.partition(key);
                tracked.failed |= partition.failure().is_some();
                let name = |violation: Violation| Violation {
                    detail: format!("{id}: {}", violation.detail),
                    ..violation
                };
                let (high, end) = (partition.high_watermark().0, partition.log_end().0);
                high_watermark::check(&mut tracked.ledger, high, end).map_err(name)?;
                log_start::check(&mut tracked.ledger, partition.log_start().0).map_err(name)?;
            }
        }
        for (number, pending) in &self.pending {
            if now.saturating_sub(pending.asked_at) > ANSWER_WAIT_MAX {
                let detail = format!("request {number} was never answered: {pending:?}");
                return Err(Violation::new("everything asked is answered", detail));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
