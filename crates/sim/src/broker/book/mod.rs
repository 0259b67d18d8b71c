//! What all clients together know of the broker: what was sent, what was answered, and so what is promised.
//!
//! Nothing in here looks inside the broker. Checkers compare answers with it.

mod durability;
mod log;
mod topic;

use std::collections::BTreeMap;

use bytes::Bytes;
use hallows_runtime::Random;
use hallows_types::TopicId;

use super::clients::KEPT_TOPICS;
use crate::checks::assignments::Assignments;
use crate::checks::committed_offsets::CommittedOffsets;
use crate::checks::producer_ids::ProducerIds;
use crate::random::Choose;
pub(super) use durability::{Durabilities, name as durability_name, parse as parse_durability};
pub(super) use log::Delivered;
pub(super) use topic::{Existence, Log, Topic};

/// A partition, as the harness numbers topics: one that is made anew under an old name has a number of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct PartitionName {
    pub(super) topic: u32,
    pub(super) index: i32,
}

impl std::fmt::Display for PartitionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic-{}-{}", self.topic, self.index)
    }
}

/// Where the fields begin and end that a broker never changes: from the magic byte to the end of the header.
const FIXED: std::ops::Range<usize> = 16..61;

/// The header of a batch without what a broker assigns: checksum, times, producer, sequence, counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct BatchName([u8; FIXED.end - FIXED.start]);

impl BatchName {
    /// The name of a whole batch.
    pub(super) fn of(batch: &[u8]) -> Self {
        Self(batch[FIXED].try_into().expect("a batch is longer than its header"))
    }
}

/// A batch that some client sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) batch: Bytes,
    /// How often: one that is not idempotent may be in the log so many times.
    pub(super) times: u32,
    /// How often by the topic's name: so often it may be in the log of a topic that has got the name since.
    pub(super) times_by_name: u32,
}

/// Everything known.
#[derive(Default)]
pub(super) struct Book {
    /// The time in nanoseconds.
    pub(super) now: u64,
    pub(super) topics: BTreeMap<u32, Topic>,
    /// Batches without a producer can have the same name in two partitions.
    pub(super) sent: BTreeMap<(PartitionName, BatchName), Sent>,
    pub(super) offsets: CommittedOffsets,
    pub(super) assignments: Assignments,
    pub(super) producer_ids: ProducerIds,
    /// Reads of the disk may give wrong bits: clients see bad checksums.
    pub(super) reads_may_flip: bool,
    /// Answers with a batch whose checksum is wrong.
    pub(super) damaged_answers: u64,
    /// Batches that readers got.
    pub(super) batches_read: u64,
    /// Lookups by time that were compared with what is known.
    pub(super) times_looked_up: u64,
    /// Changes of topics, settings and logs that were answered.
    pub(super) changes: u64,
    /// Topics that were made anew under the name of a deleted one.
    pub(super) made_anew: u64,
    /// Requests by the id of a deleted topic that were refused.
    pub(super) old_ids_refused: u64,
    next_topic: u32,
}

impl Book {
    /// A number for a topic that is to be created. Topics that groups count on keep theirs: one whose creation was lost
    /// with the machine is asked for again.
    pub(super) fn number_topic(&mut self) -> u32 {
        let missing = (1..=KEPT_TOPICS).find(|number| !self.topics.contains_key(number));
        missing.unwrap_or_else(|| {
            self.next_topic = self.next_topic.max(KEPT_TOPICS) + 1;
            self.next_topic
        })
    }

    /// The name of a new topic: often one that a deleted topic had, unless something may still happen to that name.
    pub(super) fn name_topic(&mut self, number: u32, random: &mut Random) -> String {
        let own = format!("topic-{number}");
        if number <= KEPT_TOPICS || random.one_in(3) {
            return own;
        }
        let mut names: BTreeMap<&str, bool> = BTreeMap::new();
        for topic in self.topics.values() {
            let is_free = topic.existence == Existence::Gone && !topic.strays && topic.id != TopicId::ZERO;
            *names.entry(&topic.name).or_insert(true) &= is_free;
        }
        let free: Vec<&str> = names
            .into_iter()
            .filter_map(|(name, free)| free.then_some(name))
            .collect();
        if free.is_empty() {
            return own;
        }
        let name = free[random.index(free.len())].to_owned();
        self.made_anew += 1;
        name
    }

    /// A change was answered, so every shard has what was committed before it.
    pub(super) fn change_answered(&mut self) {
        self.changes += 1;
        let unanswered = self.topics.values_mut();
        for topic in unanswered.filter(|topic| topic.existence == Existence::Creating) {
            if let Some(id) = topic.seen {
                topic.created(id);
            }
        }
    }

    /// The topic that got a name last.
    pub(super) fn topic_named(&self, name: &str) -> Option<u32> {
        let mut having = self.topics.iter().rev().filter(|(_, topic)| topic.name == name);
        having.next().map(|(number, _)| *number)
    }

    /// Whether a topic was asked for under the name of this one since: then an answer by name may be about either.
    pub(super) fn is_succeeded(&self, topic: u32) -> bool {
        let known = self.topics.get(&topic);
        known.is_none_or(|known| self.topic_named(&known.name) != Some(topic))
    }

    /// The topic of an id.
    pub(super) fn topic_with_id(&self, id: TopicId) -> Option<u32> {
        let found = self
            .topics
            .iter()
            .find(|(_, topic)| topic.id == id && id != TopicId::ZERO);
        found.map(|(number, _)| *number)
    }

    /// What a request names a topic by: its name, or its id.
    pub(super) fn named(&self, topic: u32, by_id: bool) -> (String, TopicId) {
        let topic = &self.topics[&topic];
        if by_id {
            (String::new(), topic.id)
        } else {
            (topic.name.clone(), TopicId::ZERO)
        }
    }

    /// Whether clients may write to and read from a partition: it is there for certain, and its epoch is known.
    pub(super) fn is_writable(&self, name: PartitionName) -> bool {
        self.topics
            .get(&name.topic)
            .is_some_and(|topic| topic.is_usable() && name.index < topic.count.certain)
    }

    /// Whether a partition is there for certain, so that no answer may deny it.
    pub(super) fn is_certain(&self, name: PartitionName) -> bool {
        self.is_writable(name)
    }

    /// Every partition that clients may use.
    pub(super) fn writable(&self) -> Vec<PartitionName> {
        let usable = self.topics.iter().filter(|(_, topic)| topic.is_usable());
        usable
            .flat_map(|(number, topic)| (0..topic.count.certain).map(|index| PartitionName { topic: *number, index }))
            .collect()
    }

    /// What is known of a partition's log.
    pub(super) fn log(&mut self, name: PartitionName) -> Option<&mut Log> {
        let topic = self.topics.get_mut(&name.topic)?;
        Some(topic.logs.entry(name.index).or_default())
    }

    /// Batches that were acknowledged so far.
    pub(super) fn acknowledged_count(&self) -> u64 {
        let logs = self.topics.values().flat_map(|topic| topic.logs.values());
        logs.map(|log| log.ledger.acknowledged).sum()
    }
}
