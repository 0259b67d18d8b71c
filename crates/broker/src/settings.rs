//! What storage is told of a topic's settings.

use std::sync::Arc;
use std::time::Duration;

use hallows_config::{BrokerConfig, Durability, DynamicBrokerOverrides, Target, TopicConfig, TopicOverrides};
use hallows_storage::{LogConfig, StorageSettings};

use hallows_types::TopicId;

use crate::handlers::REPLICAS;
use crate::metadata::{DynamicResource, Image, Topic};
use crate::shard::Shard;

/// A topic's overrides as the table of settings knows them.
pub(crate) fn overrides(topic: &Topic) -> TopicOverrides {
    let mut overrides = TopicOverrides::default();
    for (name, value) in &topic.overrides {
        overrides.restore(name, value);
    }
    overrides
}

/// What holds for one topic.
fn topic_config(config: &BrokerConfig, topic: &Topic) -> TopicConfig {
    TopicConfig::resolve(config, &overrides(topic))
}

impl Shard {
    /// What holds for one topic of the image.
    pub(crate) fn topic_config(&self, topic: &Topic) -> TopicConfig {
        self.topic_configs
            .get(&topic.id)
            .copied()
            .unwrap_or_else(|| topic_config(&self.config, topic))
    }

    /// Resolves the settings of one topic anew, or forgets them with the topic.
    pub(crate) fn resolve_topic_config(&mut self, id: TopicId) {
        let Some(topic) = self.image.topic_by_id(id) else {
            self.topic_configs.remove(&id);
            return;
        };
        let (name, resolved) = (Arc::clone(&topic.name), topic_config(&self.config, topic));
        let before = self.topic_configs.insert(id, resolved);
        let wanted = resolved.min_insync_replicas;
        if self.controller.is_some() && before.map(|before| before.min_insync_replicas) != Some(wanted) {
            tell_missing_replicas(Some(&name), wanted);
        }
    }

    /// Resolves the settings of every topic anew: the broker's own have changed.
    pub(crate) fn resolve_topic_configs(&mut self) {
        let resolved = |topic: &Arc<Topic>| (topic.id, topic_config(&self.config, topic));
        self.topic_configs = self.image.topics.values().map(resolved).collect();
    }
}

/// Says that acks=all will be refused, where more replicas are asked for than there are; without a topic, for all
/// topics that have no value of their own.
pub(crate) fn tell_missing_replicas(topic: Option<&str>, wanted: u32) {
    if wanted > REPLICAS {
        tracing::warn!(
            topic,
            "min.insync.replicas is {wanted}, and a partition has {REPLICAS} replica here: \
             batches with acks=all will be refused with NOT_ENOUGH_REPLICAS"
        );
    }
}

/// The settings of a topic's logs. Internal topics are always synced, and never lose records to retention.
pub(crate) fn log_config(config: &BrokerConfig, topic: &Topic) -> LogConfig {
    let resolved = topic_config(config, topic);
    let mut log = LogConfig {
        durability: durability(resolved.durability),
        segment_bytes: resolved.segment_bytes.min(index_full_at(&resolved)),
        segment_ms: resolved.segment_ms,
        index_interval_bytes: resolved.index_interval_bytes,
        retention_ms: resolved.retention_ms,
        retention_bytes: resolved.retention_bytes,
        delete_delay_ms: resolved.file_delete_delay_ms,
        producer_id_expiration_ms: config.producer_id_expiration_ms,
        max_batch_bytes: resolved.batch_bytes_max,
    };
    if topic.is_internal() {
        log.segment_bytes = config.offsets_topic_segment_bytes;
        internal(&mut log);
    }
    log
}

/// The size of a segment whose index is full: `segment.index.bytes` in entries of eight bytes, as Kafka counts,
/// one per `index.interval.bytes`.
fn index_full_at(resolved: &TopicConfig) -> u32 {
    const ENTRY_BYTES: u32 = 8;
    let entries = (resolved.segment_index_bytes / ENTRY_BYTES).max(1);
    entries.saturating_mul(resolved.index_interval_bytes.max(1))
}

/// The settings of the metadata log.
pub(crate) fn metadata_log_config(config: &BrokerConfig) -> LogConfig {
    let mut log = LogConfig {
        producer_id_expiration_ms: config.producer_id_expiration_ms,
        ..LogConfig::default()
    };
    internal(&mut log);
    log
}

fn internal(log: &mut LogConfig) {
    log.durability = hallows_storage::Durability::Fsync;
    log.retention_ms = None;
    log.retention_bytes = None;
    // What the broker writes itself is bounded by the requests it came from, not by the topic's setting.
    log.max_batch_bytes = u32::try_from(i32::MAX).expect("positive");
}

const fn durability(durability: Durability) -> hallows_storage::Durability {
    match durability {
        Durability::Fsync => hallows_storage::Durability::Fsync,
        Durability::Written => hallows_storage::Durability::Written,
        Durability::Memory => hallows_storage::Durability::Memory,
    }
}

/// The bounds of storage.
pub(crate) fn storage_settings(config: &BrokerConfig) -> StorageSettings {
    StorageSettings {
        journal_bytes_max: config.journal_bytes_max,
        journal_file_bytes: config.journal_file_bytes,
        tail_bytes_max: config.tail_bytes_max,
        disk_reserve_bytes: config.disk_reserve_bytes,
        segment_writeback_bytes: config.segment_writeback_bytes,
        retention_check_interval: Duration::from_millis(config.retention_check_interval_ms),
        producers_per_partition_max: usize::try_from(config.producers_per_partition_max).unwrap_or(usize::MAX),
        ..StorageSettings::default()
    }
}

/// The settings that the topic of committed offsets is created with.
pub(crate) fn offsets_topic_overrides(config: &BrokerConfig) -> std::collections::BTreeMap<String, String> {
    let overrides = TopicOverrides::of_offsets_topic(config);
    overrides
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The broker's dynamic settings as the table of settings knows them.
pub(crate) fn dynamic_overrides(image: &Image) -> DynamicBrokerOverrides {
    let mut dynamic = DynamicBrokerOverrides::default();
    for (resource, target) in [
        (DynamicResource::ClusterDefault, Target::AllBrokers),
        (DynamicResource::Broker, Target::ThisBroker),
    ] {
        for (name, value) in image.dynamic_configs.get(&resource).into_iter().flatten() {
            dynamic.restore(target, name, value);
        }
    }
    dynamic
}
