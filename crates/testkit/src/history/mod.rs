//! What clients saw, and whether a log that keeps its promises can have shown it to them.
//!
//! A history is a list of [`Operation`]s, in any order between processes and in order within one. It is kept as JSON
//! lines ([`read`], [`write`]) and judged by [`Verdict::of`], one file of `checks` per anomaly.
//!
//! The model is that of Jepsen's Kafka workload (`jepsen.tests.kafka`): partitions are abstract keys, every value is
//! sent once and names its sender. What differs: there are no transactions and no compaction, so that offsets have no
//! gaps; and every history ends with a read of each whole log, so that a lost tail counts as lost, too.

mod checks;
mod file;
mod index;
mod operation;
mod verdict;

pub use file::{read, write};
pub use operation::{Action, Key, Operation, Outcome, Process, Value};
pub use verdict::{Anomaly, Verdict};
