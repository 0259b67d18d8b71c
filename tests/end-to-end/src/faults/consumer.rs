//! A stock consumer under faults: of one partition, alone, or of a whole topic as a member of a group that tells its
//! commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::{Context, Result};
use hallows_testkit::history::{Action, Operation, Outcome, Process};

use super::load::{AWAY, Client, Shared, TICK, Topic, at, now_ns};
use super::values;
use crate::clients::{Record, Running, Said};

/// A group of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    /// What the history calls it.
    pub(super) number: u32,
}

/// What a consumer reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reads {
    /// One partition, from its beginning.
    Partition(i32),
    /// What the group gives it.
    As(Group),
}

/// One consumer of a run; when its program ends, another process takes over.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) client: Client,
    pub(super) topic: Topic,
    pub(super) reads: Reads,
}

/// One process and what it has said so far.
struct Life<'a> {
    consumer: &'a Consumer,
    process: Process,
    operations: Vec<Operation>,
    /// The program's clock before what it says next.
    time_ns: Option<u64>,
    /// Since when a partition is assigned of which nothing was read yet.
    fresh: BTreeMap<i32, u64>,
    /// The commit under way: when it began and what it is.
    commit: Option<(u64, Vec<(i32, i64)>)>,
    /// The offset to go on at, for one that reads alone.
    next: i64,
}

/// Why a process is not listened to any more.
enum Ended {
    /// The run stops.
    Run,
    /// A fault killed it.
    Killed,
    /// It ended by itself.
    Program,
}

impl Consumer {
    /// Reads until the run stops; returns the history of all its processes.
    pub(super) fn run(&self, shared: &Arc<Shared>) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        let mut next = 0;
        while !shared.is_stopping() {
            let mut running = self.start(shared, next)?;
            let mut life = Life::new(self, shared.next_process(), next);
            let finished = match life.live(&mut running, shared) {
                Ended::Run => running.finish(),
                Ended::Killed => Ok(running.take_events()),
                Ended::Program => running.wait(),
            };
            match finished {
                Ok(events) => life.take(events),
                Err(error) => shared.note_end(life.process, &self.client, &error),
            }
            if !shared.is_stopping() {
                thread::sleep(AWAY);
            }
            life.abandon_commit();
            next = life.next;
            operations.append(&mut life.operations);
        }
        Ok(operations)
    }

    fn start(&self, shared: &Shared, next: i64) -> Result<Running> {
        let (partition, from);
        let mut options = vec![("topic", self.topic.name)];
        match self.reads {
            Reads::Partition(index) => {
                (partition, from) = (index.to_string(), format!("offset:{next}"));
                options.extend([("partition", partition.as_str()), ("from", from.as_str())]);
            }
            Reads::As(group) => options.extend([("group", group.name), ("reset", "earliest"), ("commit", "told")]),
        }
        let running = self.client.program.start("consume", &shared.address, &options);
        running.with_context(|| self.client.name.clone())
    }
}

impl<'a> Life<'a> {
    fn new(consumer: &'a Consumer, process: Process, next: i64) -> Self {
        Self {
            consumer,
            process,
            operations: Vec::new(),
            time_ns: None,
            fresh: BTreeMap::new(),
            commit: None,
            next,
        }
    }

    fn live(&mut self, running: &mut Running, shared: &Shared) -> Ended {
        while !shared.is_stopping() {
            self.take(running.take_events());
            if running.has_ended() {
                return Ended::Program;
            }
            if matches!(self.consumer.reads, Reads::As(_)) && take_one(&shared.kill_members) {
                running.kill();
                shared.members_killed.fetch_add(1, Ordering::SeqCst);
                return Ended::Killed;
            }
            thread::sleep(TICK);
        }
        Ended::Run
    }

    fn take(&mut self, events: Vec<Said>) {
        for said in events {
            match said {
                Said::Time(time_ns) => self.time_ns = Some(time_ns),
                Said::Assigned(partitions) => self.assigned(&partitions),
                Said::Revoked(partitions) => {
                    let keys = self.consumer.topic.keys(&partitions);
                    partitions.iter().for_each(|partition| _ = self.fresh.remove(partition));
                    self.push(Action::Revoked { keys });
                }
                Said::Record(record) => self.read(&record),
                Said::Committing(offsets) => self.commit = Some((self.said_ns(), offsets)),
                Said::Committed => self.end_commit(Outcome::Acked(())),
                Said::Uncommitted => self.end_commit(Outcome::Unknown),
                _ => {}
            }
        }
    }

    fn push(&mut self, action: Action) {
        self.operations.push(at(self.process, now_ns(), action));
    }

    /// The time that the program gave for what it said last.
    fn said_ns(&mut self) -> u64 {
        self.time_ns.take().unwrap_or_else(now_ns)
    }

    fn assigned(&mut self, partitions: &[i32]) {
        let since_ns = self.said_ns();
        let keys = self.consumer.topic.keys(partitions);
        self.push(Action::Assigned { keys });
        self.fresh
            .extend(partitions.iter().map(|partition| (*partition, since_ns)));
    }

    /// The first record of an assignment tells where the group was.
    fn read(&mut self, record: &Record) {
        let key = self.consumer.topic.key(record.partition);
        let offset = record.offset;
        if let (Reads::As(group), Some(since_ns)) = (self.consumer.reads, self.fresh.remove(&record.partition)) {
            self.operations.push(Operation {
                process: self.process,
                invoked_ns: since_ns,
                completed_ns: now_ns(),
                action: Action::Committed {
                    group: group.number,
                    key,
                    offset,
                },
            });
        }
        self.next = offset + 1;
        let value = values::identify(record);
        self.push(Action::Poll { key, offset, value });
    }

    fn end_commit(&mut self, outcome: Outcome<()>) {
        let ended_ns = self.said_ns();
        let Reads::As(group) = self.consumer.reads else { return };
        if let Some((began_ns, offsets)) = self.commit.take() {
            for (partition, offset) in offsets {
                self.operations.push(Operation {
                    process: self.process,
                    invoked_ns: began_ns,
                    completed_ns: ended_ns,
                    action: Action::Commit {
                        group: group.number,
                        key: self.consumer.topic.key(partition),
                        offset,
                        outcome,
                    },
                });
            }
        }
    }

    /// A program that is gone does not say what became of its last commit.
    fn abandon_commit(&mut self) {
        self.time_ns = None;
        self.end_commit(Outcome::Unknown);
    }
}

/// Takes one of what is asked for, if there is any.
fn take_one(asked: &std::sync::atomic::AtomicU64) -> bool {
    let less = |count: u64| count.checked_sub(1);
    asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
}
