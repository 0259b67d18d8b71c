//! A stock producer under faults: lines at a steady rate, acknowledgements as they come.
//!
//! What nobody acknowledged by the end has an unknown outcome: a stock client's own time limit says nothing about what
//! its tries did.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hallows_testkit::history::{Action, Key, Operation, Outcome, Process, Value};

use super::load::{AWAY, Client, Shared, TICK, Topic, at, now_ns};
use super::values;
use crate::clients::{Running, Said};

/// So many lines may be without an acknowledgement before no more are written.
const UNSETTLED_MAX: usize = 3_000;
/// A producer that hears nothing for so long, longer than its own time limit, is taken for stuck and replaced.
const SILENCE_MAX: Duration = Duration::from_secs(100);

/// One producer of a run; when its program ends, another process takes over.
#[derive(Clone, Debug)]
pub(super) struct Producer {
    pub(super) client: Client,
    pub(super) topic: Topic,
    pub(super) idempotent: bool,
    /// Lines a second.
    pub(super) rate: usize,
}

/// One process and what it was told.
struct Life {
    process: Process,
    /// Until it is asked to end.
    running: Option<Running>,
    sends: Vec<Sent>,
    acked: usize,
    heard: Instant,
}

struct Sent {
    invoked_ns: u64,
    acked: Option<((Key, i64), u64)>,
}

impl Producer {
    /// Sends until the run stops; returns the history of all its processes.
    pub(super) fn run(&self, shared: &Arc<Shared>) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        while !shared.is_stopping() {
            let mut life = self.start(shared)?;
            let ended = self.live(&mut life, shared);
            operations.extend(life.settle(self, ended, shared));
            if ended {
                thread::sleep(AWAY);
            }
        }
        Ok(operations)
    }

    fn start(&self, shared: &Shared) -> Result<Life> {
        let idempotent = if self.idempotent { "1" } else { "0" };
        let options = [("topic", self.topic.name), ("idempotent", idempotent)];
        let running = self.client.program.start("produce", &shared.address, &options);
        Ok(Life {
            process: shared.next_process(),
            running: Some(running.with_context(|| self.client.name.clone())?),
            sends: Vec::new(),
            acked: 0,
            heard: Instant::now(),
        })
    }

    /// Whether the program ended or was stuck, rather than the run.
    fn live(&self, life: &mut Life, shared: &Shared) -> bool {
        let lines = self.rate * usize::try_from(TICK.as_millis()).unwrap_or(1) / 1_000;
        while !shared.is_stopping() {
            life.note(self.topic);
            let unsettled = life.sends.len() - life.acked;
            if life.has_ended() || (unsettled > 0 && life.heard.elapsed() > SILENCE_MAX) {
                return true;
            }
            if unsettled < UNSETTLED_MAX && (0..lines.max(1)).any(|_| life.send().is_err()) {
                return true;
            }
            thread::sleep(TICK);
        }
        false
    }
}

impl Life {
    fn send(&mut self) -> Result<()> {
        let value = self.value(self.sends.len());
        self.sends.push(Sent {
            invoked_ns: now_ns(),
            acked: None,
        });
        let running = self.running.as_mut().context("the program runs")?;
        running.write(&values::key(value), &values::text(value))
    }

    fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::has_ended)
    }

    fn value(&self, line: usize) -> Value {
        Value {
            sender: self.process,
            number: u32::try_from(line).unwrap_or(u32::MAX),
        }
    }

    fn note(&mut self, topic: Topic) {
        let events = self.running.as_mut().map(Running::take_events).unwrap_or_default();
        self.take(events, topic);
    }

    fn take(&mut self, events: Vec<Said>, topic: Topic) {
        for said in events {
            let Said::Acked {
                partition,
                offset,
                line,
            } = said
            else {
                continue;
            };
            if let Some(sent) = self.sends.get_mut(line) {
                sent.acked = Some(((topic.key(partition), offset), now_ns()));
                self.acked += 1;
                self.heard = Instant::now();
            }
        }
    }

    /// Lets the program end and returns its history.
    fn settle(mut self, producer: &Producer, ended: bool, shared: &Shared) -> Vec<Operation> {
        self.note(producer.topic);
        let has_ended = self.has_ended();
        let finished = match self.running.take() {
            Some(running) if has_ended => running.wait(),
            Some(running) if !ended => running.finish(),
            _ => Err(anyhow!("it heard nothing for {} s", SILENCE_MAX.as_secs())),
        };
        match finished {
            Ok(events) => self.take(events, producer.topic),
            Err(error) => shared.note_end(self.process, &producer.client, &error),
        }
        self.operations(producer.idempotent)
    }

    fn operations(&self, idempotent: bool) -> Vec<Operation> {
        let mut operations = vec![at(self.process, now_ns(), Action::Producer { idempotent })];
        operations.extend(self.sends.iter().enumerate().map(|(line, sent)| {
            let value = self.value(line);
            let (outcome, completed_ns) = sent
                .acked
                .map_or((Outcome::Unknown, sent.invoked_ns), |(place, time_ns)| {
                    (Outcome::Acked(place), time_ns)
                });
            Operation {
                process: self.process,
                invoked_ns: sent.invoked_ns,
                completed_ns,
                action: Action::Send { value, outcome },
            }
        }));
        operations
    }
}
