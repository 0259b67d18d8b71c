//! The simulation of whole brokers: real shards, boot and recovery; clients that speak the wire protocol.
//!
//! A life of the machine begins with an audit, in which everything is read over the wire and compared with what clients
//! know. Then they write, read, join and change things until the machine ends in one way or another.

mod audit;
mod book;
mod choices;
mod clients;
mod link;
mod metadata;
mod node;
mod offsets;
mod settle;
mod stage;

use std::collections::BTreeMap;

use hallows_broker::{Message, Shard};
use hallows_config::BrokerConfig;
use hallows_runtime::{ConnectionId, Random};
use hallows_storage::StorageSettings;
use hallows_types::PartitionId;

use crate::checks::{high_watermark, memory};
use crate::disk::SimDisk;
use crate::options::Outcome;
use crate::plan::{CRASHES_MIN, OPERATIONS_MIN, Part, Plan};
use crate::random::Choose;
use crate::violation::{Verdict, Violation};
use crate::world::{Happening, World};
use book::{Book, PartitionName};
use clients::{Actor, Seat};
use stage::Stage;

/// A life of the machine ends after this time at the latest, in nanoseconds.
const LIFE_MAX: u64 = 60_000_000_000;
/// How often the machine is looked at, in nanoseconds.
const LOOK_INTERVAL: u64 = 3_000_000;

/// Alarms, with the life of the machine they belong to in their higher bits; below them, clients by their place.
const ALARM_LOOK: u64 = 62;
const ALARM_END: u64 = 63;
const ALARM_KINDS: u64 = 64;
/// The auditor's place among the clients.
const AUDITOR: usize = 61;

/// One seed's run.
struct Run {
    plan: Plan,
    world: World<Shard>,
    random: Random,
    config: BrokerConfig,
    settings: StorageSettings,
    book: Book,
    clients: Vec<Option<Seat>>,
    routes: BTreeMap<ConnectionId, usize>,
    life: u64,
    /// The last stop was clean and nothing has served since.
    clean: bool,
    operations: u64,
    outcome: Outcome,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut run = Run::new(plan);
    let verdict = run.play();
    run.outcome.violation = verdict.err();
    run.outcome.operations = run.operations;
    run.outcome.acknowledged = run.book.acknowledged_count();
    run.outcome.commits = run.book.offsets.acknowledged;
    run.outcome.assignments = run.book.assignments.taken;
    run.outcome.reads = run.book.batches_read;
    run.outcome.times_looked_up = run.book.times_looked_up;
    run.outcome.changes = run.book.changes;
    run.outcome.made_anew = run.book.made_anew;
    run.outcome.old_ids_refused = run.book.old_ids_refused;
    run.outcome.fingerprint = run.world.trace().hash();
    run.outcome.disk = run.world.disk().counts();
    run.outcome.network = *run.world.network();
    run.outcome
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let seed = plan.seed;
        let mut random = Random::from_seed(seed ^ 0xb0b0_0001);
        let disk = SimDisk::new(seed ^ 0xb0b0_0002, choices::CAPACITY_BYTES);
        disk.set_rates(choices::rates(&mut random, plan));
        let weather = choices::weather(&mut random, plan);
        Self {
            world: World::new(seed ^ 0xb0b0_0003, disk, weather),
            config: choices::config(&mut random),
            settings: choices::storage(&mut random, plan.sabotage),
            clients: choices::clients(seed, &mut random, plan),
            book: Book::default(),
            random,
            routes: BTreeMap::new(),
            life: 0,
            clean: true,
            operations: 0,
            outcome: Outcome::default(),
            plan: plan.clone(),
        }
    }

    fn operations_wanted(&self) -> u64 {
        self.plan.operations.unwrap_or(OPERATIONS_MIN)
    }

    fn play(&mut self) -> Verdict {
        self.start(crate::checks::survival::Before::Kill)?;
        while self.operations < self.operations_wanted() || self.outcome.crashes < CRASHES_MIN {
            self.live()?;
            self.end()?;
        }
        Ok(())
    }

    /// One life of the machine after its audit, until it is time to end it.
    fn live(&mut self) -> Verdict {
        let operations = self.life_operations();
        // A shorter run is the beginning of the longer one.
        let until = (self.operations + operations).min(self.operations_wanted());
        self.alarm(LOOK_INTERVAL, ALARM_LOOK);
        self.alarm(LIFE_MAX, ALARM_END);
        for place in 0..self.clients.len() {
            if let Some(seat) = &mut self.clients[place] {
                let wait = seat.next_act();
                self.alarm(wait, place as u64);
            }
        }
        while self.operations < until {
            let happening = self.world.step().expect("the weather never ends");
            if matches!(happening, Happening::Alarm(token) if token == self.life * ALARM_KINDS + ALARM_END) {
                break;
            }
            self.on_happening(happening)?;
        }
        self.look()
    }

    /// How much is done in this life: many are short, some are nothing but a start.
    fn life_operations(&mut self) -> u64 {
        if self.random.one_in(8) {
            return 0;
        }
        self.random.wait_ns(OPERATIONS_MIN / 10, 3)
    }

    fn alarm(&mut self, wait: u64, kind: u64) {
        self.world.alarm(wait, self.life * ALARM_KINDS + kind);
    }

    fn on_happening(&mut self, happening: Happening<Message>) -> Verdict {
        self.book.now = self.world.now().monotonic.0;
        match happening {
            Happening::Alarm(token) if token / ALARM_KINDS == self.life => self.on_alarm(token % ALARM_KINDS),
            Happening::Received(connection, bytes) => self.on_received(connection, &bytes),
            Happening::Disconnected(connection) => {
                self.on_disconnected(connection);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_alarm(&mut self, kind: u64) -> Verdict {
        if kind == ALARM_LOOK {
            self.change_the_disk();
            self.alarm(LOOK_INTERVAL, ALARM_LOOK);
            return self.look();
        }
        let place = usize::try_from(kind).expect("below the kinds of alarms");
        let Some((actor, mut stage)) = self.stage(place) else {
            return Ok(());
        };
        act(actor, &mut stage)?;
        if let Some(seat) = &mut self.clients[place] {
            let wait = seat.next_act();
            self.alarm(wait, kind);
        }
        Ok(())
    }

    /// A client and what it may touch.
    fn stage(&mut self, place: usize) -> Option<(&mut dyn Actor, Stage<'_>)> {
        let Self {
            clients,
            world,
            book,
            routes,
            operations,
            ..
        } = self;
        let Seat { actor, random, .. } = clients.get_mut(place)?.as_mut()?;
        let stage = Stage {
            world,
            book,
            random,
            routes,
            operations,
        };
        Some((&mut **actor, stage))
    }

    fn on_received(&mut self, connection: ConnectionId, bytes: &[u8]) -> Verdict {
        let Some(place) = self.routes.get(&connection).copied() else {
            return Ok(());
        };
        match self.stage(place) {
            Some((actor, mut stage)) => take(actor, &mut stage, bytes),
            None => Ok(()),
        }
    }

    fn on_disconnected(&mut self, connection: ConnectionId) {
        let Some(place) = self.routes.remove(&connection) else {
            return;
        };
        if let Some((actor, mut stage)) = self.stage(place) {
            let lost = actor.link().ended();
            actor.disconnected(&mut stage, &lost);
        }
    }

    /// Now and then the disk is full for a while.
    fn change_the_disk(&mut self) {
        if !self.plan.has(Part::FullDisk) {
            return;
        }
        if self.random.one_in(600) {
            let room = self.random.below(1 << 20);
            let used = self.world.disk().used_bytes();
            self.world.disk().set_capacity(used + room);
        } else if self.random.one_in(30) {
            self.world.disk().set_capacity(choices::CAPACITY_BYTES);
        }
    }

    /// A machine that stops or starts finds room on its disk, or little, or none.
    pub(super) fn settle_the_disk(&mut self) {
        let disk = self.world.disk();
        if self.plan.has(Part::FullDisk) && self.random.one_in(5) {
            let room = if self.random.one_in(2) {
                0
            } else {
                self.random.below(1 << 20)
            };
            disk.set_capacity(disk.used_bytes() + room);
        } else {
            disk.set_capacity(choices::CAPACITY_BYTES);
        }
    }

    /// Looks inside the running shards.
    fn look(&mut self) -> Verdict {
        for shard in self.world.shards().into_values() {
            shard.check_invariants();
            memory::check(&shard.held(), &self.settings, &self.config)?;
            for (number, topic) in &mut self.book.topics {
                let id = topic.id;
                for (index, log) in &mut topic.logs {
                    let name = PartitionName {
                        topic: *number,
                        index: *index,
                    };
                    let id = PartitionId {
                        topic: id,
                        index: *index,
                    };
                    let Some(key) = shard.storage().find(id) else { continue };
                    let partition = shard.storage().partition(key);
                    let (high, end) = (partition.high_watermark().0, partition.log_end().0);
                    high_watermark::check(&mut log.ledger, high, end).map_err(|violation| violation.at(name))?;
                }
            }
        }
        Ok(())
    }
}

/// A client's turn: it gives up on a connection that does not answer, then does what it wants.
fn act(actor: &mut dyn Actor, stage: &mut Stage<'_>) -> Verdict {
    let patience = actor.patience();
    if actor.link().is_overdue(stage.book.now, patience) {
        let lost = actor.link().abandon(stage);
        actor.disconnected(stage, &lost);
    }
    actor.act(stage)
}

/// Hands a client the answers that are whole.
fn take(actor: &mut dyn Actor, stage: &mut Stage<'_>, bytes: &[u8]) -> Verdict {
    for (asked, answer) in actor.link().receive(bytes)? {
        tracing::trace!(?asked, ?answer, "answered");
        actor.answered(stage, asked, answer)?;
    }
    Ok(())
}

fn never(what: &str, detail: String) -> Violation {
    Violation::new("the machine starts and stops", format!("{what}: {detail}"))
}

#[cfg(test)]
mod tests;
