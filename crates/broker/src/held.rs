//! What a shard holds, for whoever compares it with the settings.

use hallows_storage::Storage;

use crate::shard::Shard;

/// Counts and bytes that settings bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// Requests that wait for something: at most twice `delayed.requests.max`.
    pub waiting_requests: u64,
    /// Fetch sessions that outlive their fetch: `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions: u64,
    /// Partitions of those sessions: `fetch.session.partitions.max`.
    pub fetch_session_partitions: u64,
    /// Bytes taken of the node's budget, by all shards together: `queued.max.request.bytes`.
    pub memory_bytes: u64,
    /// Bytes of batches that are not yet in their segments: `tail.bytes.max`.
    pub tail_bytes: u64,
    /// Bytes of batches that wait for room: `waiting.append.bytes.max`.
    pub waiting_append_bytes: u64,
    /// Files of the journal: `journal.bytes.max`.
    pub journal_files: u64,
    /// Partitions that failed: their journal files are kept, whatever the bound says.
    pub failed_partitions: u64,
    /// Producers that the partition with the most of them remembers: `producers.per.partition.max`.
    pub producers_most: u64,
}

impl Shard {
    /// What it holds now.
    #[must_use]
    pub fn held(&self) -> Held {
        let statistics = self.storage.statistics();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let failed = self
            .partitions
            .keys()
            .filter(|key| self.storage.partition(*key).failure().is_some());
        let producers = self.partitions.keys().map(|key| self.storage.producers(key).count());
        Held {
            waiting_requests: count(self.waiting_count()),
            fetch_sessions: count(self.sessions.persistent_count()),
            fetch_session_partitions: count(self.sessions.partition_count()),
            memory_bytes: self.memory.used_bytes(),
            tail_bytes: statistics.tail_bytes,
            waiting_append_bytes: self.backlog.bytes(),
            journal_files: statistics.journal_files,
            failed_partitions: count(failed.count()),
            producers_most: count(producers.max().unwrap_or(0)),
        }
    }

    /// The logs of this shard, to look at.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Asserts what must always hold. For tests and simulation.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check_invariants(&self) {
        self.storage.check_invariants();
    }
}
