//! A history arranged for the checks: who sent what, what was seen where, and each log as it was read at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Action, Key, Operation, Outcome, Process, Value};

/// What is known of a send.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) invoked_ns: u64,
    pub(super) outcome: Outcome<(Key, i64)>,
}

/// A log as it was read after all faults.
#[derive(Default)]
pub(super) struct FinalLog {
    pub(super) start: i64,
    pub(super) end: i64,
    /// What was read, by offset.
    pub(super) records: BTreeMap<i64, Option<Value>>,
    /// Where each value was read.
    pub(super) places: HashMap<Value, Vec<i64>>,
}

pub(super) struct Index<'a> {
    pub(super) operations: &'a [Operation],
    pub(super) sends: HashMap<Value, Sent>,
    idempotent: HashSet<Process>,
    pub(super) finals: BTreeMap<Key, FinalLog>,
    /// Who read a log last.
    last_readers: HashSet<(Process, Key)>,
}

impl<'a> Index<'a> {
    pub(super) fn of(operations: &'a [Operation]) -> Self {
        let mut index = Self {
            operations,
            sends: HashMap::new(),
            idempotent: HashSet::new(),
            finals: BTreeMap::new(),
            last_readers: HashSet::new(),
        };
        for operation in operations {
            index.note(operation);
        }
        // Bounds may stand behind polls of another process, so the polls are taken in a second pass.
        for (process, key, offset, value) in polls(operations) {
            if index.last_readers.contains(&(process, key)) {
                let log = index.finals.entry(key).or_default();
                log.records.insert(offset, value);
                if let Some(value) = value {
                    log.places.entry(value).or_default().push(offset);
                }
            }
        }
        index
    }

    fn note(&mut self, operation: &Operation) {
        match &operation.action {
            Action::Producer { idempotent: true } => {
                self.idempotent.insert(operation.process);
            }
            Action::Send { value, outcome } => {
                let sent = Sent {
                    invoked_ns: operation.invoked_ns,
                    outcome: *outcome,
                };
                self.sends.insert(*value, sent);
            }
            Action::Bounds { key, start, end } => {
                self.last_readers.insert((operation.process, *key));
                let log = self.finals.entry(*key).or_default();
                (log.start, log.end) = (*start, *end);
            }
            _ => {}
        }
    }

    /// Whether a producer said that it is idempotent: only others may repeat and reorder.
    pub(super) fn is_idempotent(&self, process: Process) -> bool {
        self.idempotent.contains(&process)
    }

    pub(super) fn is_last_reader(&self, process: Process, key: Key) -> bool {
        self.last_readers.contains(&(process, key))
    }

    /// All acknowledged sends: what, in which partition, where.
    pub(super) fn acked(&self) -> impl Iterator<Item = (Value, Key, i64)> {
        self.sends.iter().filter_map(|(value, sent)| match sent.outcome {
            Outcome::Acked((key, offset)) => Some((*value, key, offset)),
            Outcome::Failed | Outcome::Unknown => None,
        })
    }

    /// All records read: by whom, of which partition, where, what.
    pub(super) fn polls(&self) -> impl Iterator<Item = (Process, Key, i64, Option<Value>)> + use<'a> {
        polls(self.operations)
    }
}

fn polls(operations: &[Operation]) -> impl Iterator<Item = (Process, Key, i64, Option<Value>)> {
    operations.iter().filter_map(|operation| match operation.action {
        Action::Poll { key, offset, value } => Some((operation.process, key, offset, value)),
        _ => None,
    })
}
