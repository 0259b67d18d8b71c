//! Small histories for the tests of the checks.

use super::super::{Action, Key, Operation, Outcome, Process, Value, Verdict};

/// The process that reads the log at the end.
const LAST_READER: Process = 99;
/// The group of all commits.
const GROUP: u32 = 1;

/// A history under construction: each operation begins and ends one nanosecond after the one before.
#[derive(Default)]
pub(super) struct History {
    operations: Vec<Operation>,
    now_ns: u64,
}

/// A value of a process.
pub(super) const fn value(sender: Process, number: u32) -> Value {
    Value { sender, number }
}

impl History {
    /// Process 1 is an idempotent producer, process 2 a plain one.
    pub(super) fn new() -> Self {
        Self::default()
            .then(1, Action::Producer { idempotent: true })
            .then(2, Action::Producer { idempotent: false })
    }

    pub(super) fn then(self, process: Process, action: Action) -> Self {
        let at = self.now_ns + 1;
        self.between(process, at, at + 1, action)
    }

    pub(super) fn between(mut self, process: Process, invoked_ns: u64, completed_ns: u64, action: Action) -> Self {
        self.now_ns = self.now_ns.max(completed_ns);
        self.operations.push(Operation {
            process,
            invoked_ns,
            completed_ns,
            action,
        });
        self
    }

    pub(super) fn send(self, value: Value, outcome: Outcome<(Key, i64)>) -> Self {
        self.then(value.sender, Action::Send { value, outcome })
    }

    pub(super) fn acked(self, value: Value, offset: i64) -> Self {
        self.send(value, Outcome::Acked((0, offset)))
    }

    pub(super) fn poll(self, process: Process, offset: i64, value: Value) -> Self {
        let value = Some(value);
        self.then(process, Action::Poll { key: 0, offset, value })
    }

    pub(super) fn commit(self, offset: i64, outcome: Outcome<()>) -> Self {
        self.then(5, commit(offset, outcome))
    }

    pub(super) fn committed(self, offset: i64) -> Self {
        self.then(6, committed(offset))
    }

    /// The last read: these values from offset 0 on.
    pub(super) fn log(self, values: &[Value]) -> Self {
        let end = i64::try_from(values.len()).expect("a small history");
        let bounds = Action::Bounds { key: 0, start: 0, end };
        let begun = self.then(LAST_READER, bounds);
        (0..end).zip(values).fold(begun, |history, (offset, value)| {
            history.poll(LAST_READER, offset, *value)
        })
    }

    /// The history is valid.
    pub(super) fn passes(self) {
        let verdict = Verdict::of(&self.operations);
        assert!(verdict.is_valid(), "{verdict}");
    }

    /// The history has this anomaly as often as said, and no other.
    pub(super) fn shows(self, name: &str, count: u64) {
        let verdict = Verdict::of(&self.operations);
        assert!(!verdict.is_valid());
        let found: Vec<_> = verdict
            .anomalies
            .iter()
            .filter(|anomaly| anomaly.count > 0)
            .map(|anomaly| (anomaly.name, anomaly.count))
            .collect();
        assert_eq!(found, [(name, count)], "{verdict}");
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict::of(&self.operations)
    }
}

pub(super) const fn commit(offset: i64, outcome: Outcome<()>) -> Action {
    Action::Commit {
        group: GROUP,
        key: 0,
        offset,
        outcome,
    }
}

pub(super) const fn committed(offset: i64) -> Action {
    Action::Committed {
        group: GROUP,
        key: 0,
        offset,
    }
}
