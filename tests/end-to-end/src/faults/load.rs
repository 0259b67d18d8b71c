//! The clients of a fault run: who sends, who reads, and what they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Error;
use hallows_testkit::history::{Action, Key, Operation, Process};

use crate::clients::Program;

/// How long between two looks at what a program says.
pub(super) const TICK: Duration = Duration::from_millis(20);
/// How long a program that ended stays away.
pub(super) const AWAY: Duration = Duration::from_millis(200);

/// A topic of the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    pub(super) durability: &'static str,
    pub(super) partitions: i32,
    /// The history's key of partition 0; the others follow.
    first_key: Key,
}

/// Groups read the first; the second is of another class where no machine dies.
pub(super) const FIRST: Topic = Topic {
    name: "faults-fsync",
    durability: "fsync",
    partitions: 4,
    first_key: 0,
};
const SECOND: Topic = Topic {
    name: "faults-second",
    durability: "fsync",
    partitions: 2,
    first_key: 100,
};

/// The topics of a run. `written` keeps what it acknowledged when the process dies, not when the machine does.
pub(super) fn topics(machine_dies: bool) -> Vec<Topic> {
    let durability = if machine_dies { "fsync" } else { "written" };
    vec![FIRST, Topic { durability, ..SECOND }]
}

impl Topic {
    pub(super) fn key(self, partition: i32) -> Key {
        self.first_key + Key::try_from(partition).unwrap_or(Key::MAX - self.first_key)
    }

    pub(super) fn keys(self, partitions: &[i32]) -> Vec<Key> {
        partitions.iter().map(|partition| self.key(*partition)).collect()
    }
}

/// A client by name, ready to be called.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) program: Program,
}

/// What all clients of a run share.
pub(super) struct Shared {
    /// Where clients find the broker: the proxy.
    pub(super) address: String,
    stop: AtomicBool,
    next_process: AtomicU32,
    /// Members that were killed.
    pub(super) members_killed: AtomicU64,
    /// Members that are to be killed.
    pub(super) kill_members: AtomicU64,
    /// Programs that ended by themselves, or not well.
    pub(super) ended: AtomicU64,
}

impl Shared {
    pub(super) fn new(address: String) -> Arc<Self> {
        Arc::new(Self {
            address,
            stop: AtomicBool::new(false),
            next_process: AtomicU32::new(1),
            members_killed: AtomicU64::new(0),
            kill_members: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A program ended by itself, or not well.
    pub(super) fn note_end(&self, process: Process, client: &Client, error: &Error) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        // Of a long complaint, the end says most.
        let told = format!("{error:#}");
        println!(
            "process {process}, {}: {}",
            client.name,
            told.lines().next_back().unwrap_or_default()
        );
    }

    pub(super) fn next_process(&self) -> Process {
        self.next_process.fetch_add(1, Ordering::SeqCst)
    }
}

/// Nanoseconds since 1970, the clock that all programs of this machine share.
pub(super) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Something that was seen at one moment.
pub(super) fn at(process: Process, time_ns: u64, action: Action) -> Operation {
    Operation {
        process,
        invoked_ns: time_ns,
        completed_ns: time_ns,
        action,
    }
}
