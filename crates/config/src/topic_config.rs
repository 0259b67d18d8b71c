//! The configuration of one topic: its own values over what it inherits from the broker.

use crate::broker_config::{BrokerConfig, NEVER_FLUSHED};
use crate::error::{ConfigError, Place, Problem};
use crate::setting::{Kind, Resource};
use crate::settings;
use crate::sources;
use crate::value::{self, Value};
use crate::words::{CleanupPolicy, Durability, TimestampType};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The values a topic was given, by name, ordered. What is not here is inherited.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicOverrides(BTreeMap<String, String>);

impl TopicOverrides {
    /// Checks a value without setting it.
    ///
    /// # Errors
    /// [`Problem::Unknown`], [`Problem::Meaningless`], [`Problem::Malformed`], [`Problem::OutOfBounds`] or
    /// [`Problem::FixedForNow`]; all of them are INVALID_CONFIG on the wire.
    pub fn validate(name: &str, text: &str) -> Result<(), ConfigError> {
        sources::check(Resource::Topic, name, text, &Place::Request).map(|_| ())
    }

    /// Sets a value.
    ///
    /// # Errors
    /// Those of [`Self::validate`]; nothing is changed then.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        Self::validate(name, text)?;
        self.0.insert(name.into(), text.trim().into());
        Ok(())
    }

    /// Takes a value away; the inherited one holds again. Says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// Adds members to a list that are not in it yet: IncrementalAlterConfigs' APPEND.
    ///
    /// # Errors
    /// [`Problem::NotAList`], and those of [`Self::validate`] for the whole new list.
    pub fn append(&mut self, broker: &BrokerConfig, name: &str, text: &str) -> Result<(), ConfigError> {
        let mut members = self.members(broker, name)?;
        for member in value::members(text) {
            if !members.contains(&member) {
                members.push(member);
            }
        }
        self.set(name, &members.join(","))
    }

    /// Takes members out of a list: IncrementalAlterConfigs' SUBTRACT.
    ///
    /// # Errors
    /// [`Problem::NotAList`], and those of [`Self::validate`] for the whole new list.
    pub fn subtract(&mut self, broker: &BrokerConfig, name: &str, text: &str) -> Result<(), ConfigError> {
        let gone = value::members(text);
        let mut members = self.members(broker, name)?;
        members.retain(|member| !gone.contains(member));
        self.set(name, &members.join(","))
    }

    /// Puts back a value that was checked when it was first set, for example one read from the metadata log.
    pub fn restore(&mut self, name: &str, text: &str) {
        self.0.insert(name.into(), text.into());
    }

    /// The values of `__consumer_offsets`, which is the only compacted topic for now.
    #[must_use]
    pub fn of_offsets_topic(broker: &BrokerConfig) -> Self {
        let mut overrides = Self::default();
        overrides.restore("cleanup.policy", "compact");
        overrides.restore("compression.type", "producer");
        overrides.restore("durability", Durability::Fsync.word());
        overrides.restore("segment.bytes", &broker.offsets_topic_segment_bytes.to_string());
        overrides
    }

    /// The text set for a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names and texts, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Whether everything is inherited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members of the list as it holds now, inherited or not.
    fn members(&self, broker: &BrokerConfig, name: &str) -> Result<Vec<String>, ConfigError> {
        let setting = sources::find(Resource::Topic, name, &Place::Request)?;
        if setting.kind != Kind::List {
            let problem = Problem::NotAList {
                kind: setting.kind.word(),
            };
            return Err(ConfigError::new(name, &Place::Request, problem));
        }
        let inherited = || {
            setting
                .synonyms
                .first()
                .and_then(|synonym| broker.effective().text(synonym))
        };
        let text = self.get(name).map(String::from).or_else(inherited);
        Ok(value::members(text.as_deref().or(setting.default).unwrap_or("")))
    }

    /// The typed value set for a name; one that this build cannot read counts as not set.
    fn value(&self, name: &str) -> Option<Value> {
        let setting =
            settings::find(Resource::Topic, name).expect("the table has this setting, and a test reads every field");
        value::read_stored(setting, self.get(name)?)
    }

    fn u32(&self, name: &str) -> Option<u32> {
        self.u64(name).and_then(|number| u32::try_from(number).ok())
    }

    fn u64(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// A value whose negative numbers mean "unlimited"; `None` when it is not set.
    fn limit(&self, name: &str) -> Option<Option<u64>> {
        match self.value(name)? {
            Value::Integer(number) => Some(u64::try_from(number).ok()),
            _ => None,
        }
    }
}

/// What holds for one topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicConfig {
    /// `durability`, or `fsync` where `flush.messages` or `flush.ms` asks for syncs.
    pub durability: Durability,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: u64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `retention.ms`; `None` is forever.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`, per partition; `None` is unlimited.
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    /// `max.message.bytes`: of a whole batch as it arrives.
    pub batch_bytes_max: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: u64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: u64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: u32,
}

impl TopicConfig {
    /// The topic's own values, and the broker's where it has none.
    #[must_use]
    pub fn resolve(broker: &BrokerConfig, overrides: &TopicOverrides) -> Self {
        let word = |name| overrides.get(name);
        Self {
            durability: durability(broker, overrides),
            cleanup_policy: cleanup_policy(overrides),
            segment_bytes: overrides.u32("segment.bytes").unwrap_or(broker.segment_bytes),
            segment_ms: overrides.u64("segment.ms").unwrap_or(broker.segment_ms),
            segment_index_bytes: overrides
                .u32("segment.index.bytes")
                .unwrap_or(broker.segment_index_bytes),
            index_interval_bytes: overrides
                .u32("index.interval.bytes")
                .unwrap_or(broker.index_interval_bytes),
            retention_ms: overrides.limit("retention.ms").unwrap_or(broker.retention_ms),
            retention_bytes: overrides.limit("retention.bytes").unwrap_or(broker.retention_bytes),
            file_delete_delay_ms: overrides
                .u64("file.delete.delay.ms")
                .unwrap_or(broker.file_delete_delay_ms),
            batch_bytes_max: overrides.u32("max.message.bytes").unwrap_or(broker.batch_bytes_max),
            timestamp_type: word("message.timestamp.type")
                .and_then(TimestampType::from_word)
                .unwrap_or(broker.timestamp_type),
            timestamp_before_ms_max: overrides
                .u64("message.timestamp.before.max.ms")
                .unwrap_or(broker.timestamp_before_ms_max),
            timestamp_after_ms_max: overrides
                .u64("message.timestamp.after.max.ms")
                .unwrap_or(broker.timestamp_after_ms_max),
            min_insync_replicas: overrides
                .u32("min.insync.replicas")
                .unwrap_or(broker.min_insync_replicas),
        }
    }
}

/// Kafka's settings of flushing ask for a sync after so many records or so much time; before every acknowledgement
/// is sooner than any of them.
fn durability(broker: &BrokerConfig, overrides: &TopicOverrides) -> Durability {
    let asks = |name| overrides.u64(name).map(|every| every < NEVER_FLUSHED);
    let by_count = asks("flush.messages").unwrap_or(broker.flush_by_count);
    if by_count || asks("flush.ms").unwrap_or(broker.flush_by_time) {
        return Durability::Fsync;
    }
    let own = overrides.get("durability").and_then(Durability::from_word);
    own.unwrap_or(broker.durability)
}

/// The broker's `log.cleanup.policy` is fixed to `delete`, so only the topic's own value matters.
fn cleanup_policy(overrides: &TopicOverrides) -> CleanupPolicy {
    let members = value::members(overrides.get("cleanup.policy").unwrap_or("delete"));
    if members.iter().any(|member| member == "compact") {
        CleanupPolicy::Compact
    } else {
        CleanupPolicy::Delete
    }
}
