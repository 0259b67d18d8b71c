//! The operations of a history.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A partition; whoever writes the history maps these to topics and partitions, one to one.
pub type Key = u32;
/// A client program from its start to its end; one that is started again is another process.
pub type Process = u32;

/// A value that one process sent once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(into = "(Process, u32)", from = "(Process, u32)")]
pub struct Value {
    /// Who sent it.
    pub sender: Process,
    /// Which of the sender's values, counted from 0 in the order they were sent.
    pub number: u32,
}

impl From<Value> for (Process, u32) {
    fn from(value: Value) -> Self {
        (value.sender, value.number)
    }
}

impl From<(Process, u32)> for Value {
    fn from((sender, number): (Process, u32)) -> Self {
        Self { sender, number }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "value {} of process {}", self.number, self.sender)
    }
}

/// How something that changes the log ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome<T> {
    /// It was acknowledged.
    Acked(T),
    /// It was refused, and none of its tries can have had an effect.
    Failed,
    /// Nobody said: it may have happened, or still happen.
    Unknown,
}

/// What a process did or saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case")]
pub enum Action {
    /// The process is a producer. Only one that is not idempotent may repeat or reorder values, by its own retries.
    Producer {
        /// Whether the broker promises it that retries change nothing.
        idempotent: bool,
    },
    /// It sent a value; an acknowledgement names where the value went.
    Send {
        /// What.
        value: Value,
        /// Partition and offset, once acknowledged.
        outcome: Outcome<(Key, i64)>,
    },
    /// It was given partitions as a member of a group; what it reads of them begins anew.
    Assigned {
        /// Which.
        keys: Vec<Key>,
    },
    /// Partitions were taken from it.
    Revoked {
        /// Which.
        keys: Vec<Key>,
    },
    /// It read one record.
    Poll {
        /// Of which partition.
        key: Key,
        /// Where.
        offset: i64,
        /// What; `None` for bytes that no process sent, or that are not as they were sent.
        value: Option<Value>,
    },
    /// It committed the offset of a group.
    Commit {
        /// Which group.
        group: u32,
        /// For which partition.
        key: Key,
        /// The offset to read next.
        offset: i64,
        /// Whether the commit was acknowledged.
        outcome: Outcome<()>,
    },
    /// It learned what a group has committed, by asking or by being made to begin there.
    Committed {
        /// Which group.
        group: u32,
        /// For which partition.
        key: Key,
        /// The offset to read next; 0 where nothing is committed.
        offset: i64,
    },
    /// It is the last reader of a partition: its polls of this key are the whole log after all faults.
    Bounds {
        /// Which partition.
        key: Key,
        /// The first offset there is.
        start: i64,
        /// The offset after the last one.
        end: i64,
    },
}

/// One line of a history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Who.
    pub process: Process,
    /// When it began at the latest that can be shown, in nanoseconds since 1970: not after it really began.
    pub invoked_ns: u64,
    /// When it ended, in nanoseconds since 1970: not before it really ended. Meaningless for an unknown outcome.
    pub completed_ns: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}
