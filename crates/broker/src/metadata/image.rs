//! The fold of the metadata log: what exists now.

use std::collections::BTreeMap;
use std::sync::Arc;

use hallows_types::{LeaderEpoch, PartitionId, ShardId, TopicId};

use super::command::{Command, DynamicResource};

/// The internal topic of committed offsets and group metadata.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Its id.
    pub(crate) id: TopicId,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The owning shard of each partition.
    pub(crate) partitions: Vec<ShardId>,
    /// Settings that differ from the broker's.
    pub(crate) overrides: BTreeMap<String, String>,
    /// The current leader epoch of all its partitions.
    pub(crate) leader_epoch: LeaderEpoch,
}

impl Topic {
    /// Whether the topic belongs to the broker itself.
    #[must_use]
    pub(crate) fn is_internal(&self) -> bool {
        &*self.name == OFFSETS_TOPIC
    }

    /// The shard that owns a partition; `None` when the topic has no such partition.
    #[must_use]
    pub(crate) fn shard(&self, index: i32) -> Option<ShardId> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.partitions.get(index))
            .copied()
    }

    /// The ids of the partitions, in order.
    pub(crate) fn partition_ids(&self) -> impl Iterator<Item = (PartitionId, ShardId)> {
        (0..)
            .zip(&self.partitions)
            .map(|(index, shard)| (PartitionId { topic: self.id, index }, *shard))
    }
}

/// What exists, as of one position of the metadata log. Immutable once shared.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// How many commands are folded in.
    pub(crate) version: u64,
    /// Topics by name.
    pub(crate) topics: BTreeMap<Arc<str>, Arc<Topic>>,
    /// The same topics by id.
    pub(crate) topics_by_id: BTreeMap<TopicId, Arc<Topic>>,
    /// Dynamic settings of everything but topics.
    pub(crate) dynamic_configs: BTreeMap<DynamicResource, BTreeMap<String, String>>,
    /// The first producer id that is still free.
    pub(crate) next_producer_id: i64,
    shard_count: u16,
    /// Partitions placed so far; the next one goes to this number modulo `shard_count`.
    placed: u64,
}

impl Image {
    /// The image of an empty log, for a broker of `shard_count` shards.
    #[must_use]
    pub(crate) const fn new(shard_count: u16) -> Self {
        assert!(shard_count > 0);
        Self {
            version: 0,
            topics: BTreeMap::new(),
            topics_by_id: BTreeMap::new(),
            dynamic_configs: BTreeMap::new(),
            next_producer_id: 0,
            shard_count,
            placed: 0,
        }
    }

    /// How many shards partitions are placed on.
    #[must_use]
    pub(crate) const fn shard_count(&self) -> u16 {
        self.shard_count
    }

    /// The topic of this name.
    #[must_use]
    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// The topic of this id.
    #[must_use]
    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics_by_id.get(&id)
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub(crate) fn partition_count(&self) -> u64 {
        self.topics.values().map(|topic| topic.partitions.len() as u64).sum()
    }

    /// A topic whose name differs from `name` only in '.' and '_', which metrics cannot tell apart.
    #[must_use]
    pub(crate) fn colliding_name(&self, name: &str) -> Option<&str> {
        if !name.contains(['.', '_']) {
            return None;
        }
        let unified = |name: &str| name.replace('.', "_");
        let wanted = unified(name);
        self.topics
            .keys()
            .map(|other| &**other)
            .find(|other| *other != name && unified(other) == wanted)
    }

    /// Folds one committed command in. Returns the topics it touched, new, changed or gone.
    ///
    /// Deterministic; a command that no longer applies (its topic is gone) changes nothing.
    pub(crate) fn apply(&mut self, command: &Command) -> Vec<TopicId> {
        self.version += 1;
        match command {
            Command::CreateTopic {
                name,
                id,
                partitions,
                config,
            } => {
                let mut topic = Topic {
                    id: *id,
                    name: name.as_str().into(),
                    partitions: Vec::new(),
                    overrides: config.clone(),
                    leader_epoch: LeaderEpoch(0),
                };
                self.place(&mut topic, *partitions);
                self.insert(topic)
            }
            Command::DeleteTopic { id } => match self.topics_by_id.remove(id) {
                Some(topic) => {
                    self.topics.remove(&topic.name);
                    vec![*id]
                }
                None => Vec::new(),
            },
            Command::CreatePartitions { id, count } => {
                let Some(topic) = self.topics_by_id.get(id) else {
                    return Vec::new();
                };
                let mut topic = Topic::clone(topic);
                self.place(&mut topic, *count);
                self.insert(topic)
            }
            Command::SetTopicConfig { id, config } => {
                let Some(topic) = self.topics_by_id.get(id) else {
                    return Vec::new();
                };
                let topic = Topic {
                    overrides: config.clone(),
                    ..Topic::clone(topic)
                };
                self.insert(topic)
            }
            Command::SetDynamicConfig { resource, config } => {
                if config.is_empty() {
                    self.dynamic_configs.remove(resource);
                } else {
                    self.dynamic_configs.insert(resource.clone(), config.clone());
                }
                Vec::new()
            }
            Command::AllocateProducerIds { next } => {
                self.next_producer_id = self.next_producer_id.max(*next);
                Vec::new()
            }
            Command::RaiseLeaderEpochs => self.raise_leader_epochs(),
        }
    }

    fn raise_leader_epochs(&mut self) -> Vec<TopicId> {
        let raised: Vec<_> = self.topics_by_id.values().map(|topic| Topic::clone(topic)).collect();
        for mut topic in raised {
            topic.leader_epoch = LeaderEpoch(topic.leader_epoch.0.saturating_add(1));
            self.insert(topic);
        }
        self.topics_by_id.keys().copied().collect()
    }

    fn place(&mut self, topic: &mut Topic, count: i32) {
        let count = usize::try_from(count).unwrap_or(0);
        while topic.partitions.len() < count {
            let shard = u16::try_from(self.placed % u64::from(self.shard_count)).expect("below a 16-bit shard count");
            topic.partitions.push(ShardId(shard));
            self.placed += 1;
        }
    }

    fn insert(&mut self, topic: Topic) -> Vec<TopicId> {
        let topic = Arc::new(topic);
        self.topics.insert(Arc::clone(&topic.name), Arc::clone(&topic));
        self.topics_by_id.insert(topic.id, Arc::clone(&topic));
        vec![topic.id]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str, id: u8, partitions: i32) -> Command {
        Command::CreateTopic {
            name: name.into(),
            id: TopicId([id; 16]),
            partitions,
            config: BTreeMap::new(),
        }
    }

    #[test]
    fn partitions_are_spread_over_the_shards_in_turn() {
        let mut image = Image::new(2);
        image.apply(&create("a", 1, 3));
        image.apply(&create("b", 2, 1));
        let shards = |name| {
            image
                .topic(name)
                .unwrap()
                .partitions
                .iter()
                .map(|shard| shard.0)
                .collect::<Vec<_>>()
        };
        assert_eq!((shards("a"), shards("b")), (vec![0, 1, 0], vec![1]));
    }

    #[test]
    fn a_topic_created_after_an_unclean_start_begins_at_leader_epoch_0() {
        let mut image = Image::new(1);
        image.apply(&create("old", 1, 1));
        image.apply(&Command::RaiseLeaderEpochs);
        image.apply(&create("new", 2, 1));
        assert_eq!(image.topic("old").unwrap().leader_epoch, LeaderEpoch(1));
        assert_eq!(image.topic("new").unwrap().leader_epoch, LeaderEpoch(0));
    }

    #[test]
    fn a_deleted_topic_is_gone_by_name_and_by_id() {
        let mut image = Image::new(1);
        image.apply(&create("t", 1, 1));
        assert_eq!(
            image.apply(&Command::DeleteTopic { id: TopicId([1; 16]) }),
            [TopicId([1; 16])]
        );
        assert!(image.topic("t").is_none() && image.topic_by_id(TopicId([1; 16])).is_none());
    }
}
