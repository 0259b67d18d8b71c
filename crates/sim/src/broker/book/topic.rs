//! What is known of one topic.

use std::collections::BTreeMap;

use hallows_storage::Durability;
use hallows_types::TopicId;

use super::Durabilities;
use crate::ledger::Ledger;

/// Whether a topic is there, as far as answers tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::broker) enum Existence {
    /// Its creation was asked for.
    Creating,
    /// Its creation was answered.
    Exists,
    /// Its deletion was asked for.
    Deleting,
    /// Its deletion was answered, or a restart did not find it.
    Gone,
}

/// How many partitions a topic has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::broker) struct Count {
    /// So many were answered.
    pub(in crate::broker) certain: i32,
    /// So many were asked for.
    pub(in crate::broker) possible: i32,
}

/// One partition's log.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct Log {
    pub(in crate::broker) ledger: Ledger,
    /// The largest offset that a deletion of records asked for.
    pub(in crate::broker) delete_asked: i64,
}

/// One topic.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Topic {
    pub(in crate::broker) name: String,
    /// Zero while it is not known.
    pub(in crate::broker) id: TopicId,
    pub(in crate::broker) existence: Existence,
    /// When its deletion was known, in nanoseconds.
    pub(in crate::broker) gone_since: Option<u64>,
    /// Something was asked by its name in this life of the machine and never answered: it may still happen, to whatever
    /// has the name then.
    pub(in crate::broker) strays: bool,
    pub(in crate::broker) count: Count,
    pub(in crate::broker) durability: Durabilities,
    /// Retention may have removed records.
    pub(in crate::broker) may_expire: bool,
    /// The leader epoch in this life of the machine, once it is known.
    pub(in crate::broker) epoch: Option<i32>,
    /// The last leader epoch of earlier lives.
    pub(in crate::broker) epoch_before: i32,
    /// Metadata told of it before its creation was answered: it is committed, but other shards may not have it yet.
    /// Its id then; zero where the answer had no ids.
    pub(in crate::broker) seen: Option<TopicId>,
    /// It is never deleted, so that groups can count on it.
    pub(in crate::broker) kept: bool,
    pub(in crate::broker) logs: BTreeMap<i32, Log>,
}

impl Topic {
    /// A topic whose creation is asked for.
    pub(in crate::broker) fn creating(now: u64, name: String, partitions: i32, durability: Durability) -> Self {
        Self {
            name,
            id: TopicId::ZERO,
            existence: Existence::Creating,
            gone_since: None,
            strays: false,
            count: Count {
                certain: 0,
                possible: partitions,
            },
            durability: Durabilities::new(now, durability),
            may_expire: false,
            epoch: None,
            epoch_before: -1,
            seen: None,
            kept: false,
            logs: BTreeMap::new(),
        }
    }

    /// Its creation was answered.
    pub(in crate::broker) fn created(&mut self, id: TopicId) {
        self.existence = Existence::Exists;
        self.id = id;
        self.count.certain = self.count.possible;
        // Only restarts raise epochs, and a new topic begins with the first.
        self.epoch = Some(0);
    }

    /// It is deleted for certain.
    pub(in crate::broker) fn is_gone(&mut self, now: u64) {
        self.existence = Existence::Gone;
        self.gone_since.get_or_insert(now);
    }

    /// Whether a restart must find it.
    pub(in crate::broker) const fn must_survive(&self) -> bool {
        self.is_promised() || self.seen.is_some() && matches!(self.existence, Existence::Creating)
    }

    /// Whether clients can use it.
    pub(in crate::broker) fn is_usable(&self) -> bool {
        self.existence == Existence::Exists && self.id != TopicId::ZERO && self.epoch.is_some()
    }

    /// Whether promises hold: nobody asked for its deletion.
    pub(in crate::broker) const fn is_promised(&self) -> bool {
        matches!(self.existence, Existence::Exists)
    }
}
