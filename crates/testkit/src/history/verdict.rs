//! The verdict over a history.

use std::fmt;

use super::checks::CHECKS;
use super::index::Index;
use super::{Action, Operation, Outcome};

/// How many cases of one anomaly are told.
const EXAMPLES_MAX: usize = 10;

/// One kind of anomaly in a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anomaly {
    /// As in the summary line.
    pub name: &'static str,
    /// How often it is there.
    pub count: u64,
    /// The first cases, for people.
    pub examples: Vec<String>,
}

/// What a check found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

impl Found {
    pub(super) fn add(&mut self, told: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(told());
        }
    }
}

/// What a history showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Values sent.
    pub sent: u64,
    /// Values acknowledged.
    pub acked: u64,
    /// Records read, those of the last readers included.
    pub polled: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Times a group's committed offset was learned.
    pub committed: u64,
    /// Records that plain producers repeated by their own retries, which they may.
    pub repeated: u64,
    /// All kinds, in the order of the summary line, those that are not there included.
    pub anomalies: Vec<Anomaly>,
}

impl Verdict {
    /// Judges a history.
    #[must_use]
    pub fn of(operations: &[Operation]) -> Self {
        let index = Index::of(operations);
        let count = |wanted: fn(&Action) -> bool| {
            let found = operations.iter().filter(|operation| wanted(&operation.action));
            u64::try_from(found.count()).unwrap_or(u64::MAX)
        };
        let anomalies = CHECKS.iter().map(|check| {
            let found = (check.run)(&index);
            Anomaly {
                name: check.name,
                count: found.count,
                examples: found.examples,
            }
        });
        Self {
            sent: count(|action| matches!(action, Action::Send { .. })),
            acked: count(|action| {
                matches!(
                    action,
                    Action::Send {
                        outcome: Outcome::Acked(_),
                        ..
                    }
                )
            }),
            polled: count(|action| matches!(action, Action::Poll { .. })),
            commits: count(|action| {
                matches!(
                    action,
                    Action::Commit {
                        outcome: Outcome::Acked(()),
                        ..
                    }
                )
            }),
            committed: count(|action| matches!(action, Action::Committed { .. })),
            repeated: super::checks::repeated(&index),
            anomalies: anomalies.collect(),
        }
    }

    /// Whether a log that keeps its promises can have shown this. A history in which nothing was acknowledged or read
    /// shows nothing, and is not valid either.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.acked > 0 && self.polled > 0 && self.anomalies.iter().all(|anomaly| anomaly.count == 0)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for anomaly in &self.anomalies {
            for example in &anomaly.examples {
                writeln!(formatter, "{}: {example}", anomaly.name)?;
            }
        }
        write!(
            formatter,
            "history sent={} acked={} polled={} commits={} committed={} repeated={}",
            self.sent, self.acked, self.polled, self.commits, self.committed, self.repeated
        )?;
        for anomaly in &self.anomalies {
            write!(formatter, " {}={}", anomaly.name, anomaly.count)?;
        }
        let verdict = if self.is_valid() { "valid" } else { "INVALID" };
        write!(formatter, " verdict={verdict}")
    }
}
