//! What DescribeConfigs tells of a topic, of this broker, of all brokers, and of a group.
//!
//! All names are told, honoured or not, ordered by name. Values are in canonical form, synonyms as they were given.
//! Like Kafka, a quantity with several names lists its synonyms only from its own name on: a topic's `retention.ms`
//! that comes from `log.retention.hours` has none, and its source is the default.
//!
//! # Source
//! Apache Kafka 4.3.1's answers; `ConfigHelper` for the order of synonyms.

use crate::broker_config::{BrokerConfig, MS_PER_HOUR, flush_ms};
use crate::dynamic::Target;
use crate::effective::Effective;
use crate::setting::{Kind, Resource, Setting};
use crate::settings;
use crate::topic_config::{TopicConfig, TopicOverrides};
use crate::value;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Where a described value comes from.
///
/// # Source
/// `DescribeConfigsResponse.ConfigSource` for the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigSource {
    /// The topic has it of its own.
    DynamicTopic,
    /// Changed while running, for this broker.
    DynamicBroker,
    /// Changed while running, for all brokers.
    DynamicDefaultBroker,
    /// Given at the start.
    StaticBroker,
    /// Nobody gave one.
    Default,
    /// The group has it of its own.
    Group,
}

impl ConfigSource {
    /// The number on the wire (version 1 and later).
    #[must_use]
    pub const fn wire_id(self) -> i8 {
        match self {
            Self::DynamicTopic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
            Self::Group => 8,
        }
    }
}

/// One place that gives a value for a described setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    /// The name there.
    pub name: &'static str,
    /// The value there, as text; `None` when it must not be shown.
    pub value: Option<String>,
    /// Which layer it is.
    pub source: ConfigSource,
}

/// One setting as DescribeConfigs tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedSetting {
    /// The name.
    pub name: &'static str,
    /// The value in canonical form; `None` when it is null or must not be shown.
    pub value: Option<String>,
    /// Which layer the value comes from.
    pub source: ConfigSource,
    /// The type; [`Kind::wire_id`] has its number.
    pub kind: Kind,
    /// Whether it cannot be altered.
    pub read_only: bool,
    /// Whether its value must not be shown.
    pub sensitive: bool,
    /// All places that give a value, the strongest first.
    pub synonyms: Vec<Synonym>,
    /// For people.
    pub documentation: &'static str,
}

/// All settings of a topic.
#[must_use]
pub fn describe_topic(broker: &BrokerConfig, overrides: &TopicOverrides) -> Vec<DescribedSetting> {
    let describe = |setting: &'static Setting| {
        let own = overrides
            .get(setting.name)
            .and_then(|text| value::read(setting.kind, text));
        let mut synonyms = inherited_synonyms(broker, setting);
        let text = match own {
            Some(value) => {
                let text = value.to_text();
                synonyms.insert(0, synonym(setting, setting.name, &text, ConfigSource::DynamicTopic));
                Some(text)
            }
            None => inherited_value(broker, setting),
        };
        // What holds: settings of flushing make it stronger.
        let text = match setting.name {
            "durability" => Some(TopicConfig::resolve(broker, overrides).durability.word().to_string()),
            _ => text,
        };
        described(setting, text, synonyms)
    };
    sorted(settings::all(Resource::Topic).map(describe).collect())
}

/// All settings of this broker.
#[must_use]
pub fn describe_broker(broker: &BrokerConfig) -> Vec<DescribedSetting> {
    let describe = |setting: &'static Setting| {
        let value = match setting.name {
            // One number under two names: both tell what holds.
            "node.id" | "broker.id" => Some(broker.node_id.to_string()),
            _ => broker.effective().value_of(setting).map(|value| value.to_text()),
        };
        described(setting, value, broker_synonyms(broker, setting, setting.name))
    };
    sorted(settings::all(Resource::Broker).map(describe).collect())
}

/// The values changed for all brokers at once: the resource with the empty name. Nothing else is told there.
#[must_use]
pub fn describe_all_brokers(broker: &BrokerConfig) -> Vec<DescribedSetting> {
    let changed = broker.dynamic.values(Target::AllBrokers);
    let describe = |setting: &'static Setting| {
        let text = changed.get(setting.name)?;
        let mut synonyms = broker_synonyms(broker, setting, setting.name);
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        Some(described(
            setting,
            value::read(setting.kind, text).map(|value| value.to_text()),
            synonyms,
        ))
    };
    sorted(settings::all(Resource::Broker).filter_map(describe).collect())
}

/// All settings of a group; none can be altered yet.
#[must_use]
pub fn describe_group(broker: &BrokerConfig) -> Vec<DescribedSetting> {
    let describe = |setting: &'static Setting| {
        described(
            setting,
            setting.default.map(String::from),
            inherited_synonyms(broker, setting),
        )
    };
    sorted(settings::all(Resource::Group).map(describe).collect())
}

fn described(setting: &'static Setting, value: Option<String>, synonyms: Vec<Synonym>) -> DescribedSetting {
    DescribedSetting {
        name: setting.name,
        value: value.filter(|_| !setting.sensitive),
        source: synonyms
            .first()
            .map_or(ConfigSource::Default, |strongest| strongest.source),
        kind: setting.kind,
        read_only: setting.is_read_only(),
        sensitive: setting.sensitive,
        synonyms,
        documentation: setting.doc,
    }
}

fn sorted(mut settings: Vec<DescribedSetting>) -> Vec<DescribedSetting> {
    settings.sort_by_key(|setting| setting.name);
    settings
}

/// What a topic or a group gets from the broker; units differ only for time spans with several names.
fn inherited_value(broker: &BrokerConfig, setting: &Setting) -> Option<String> {
    let unlimited = |limit: Option<u64>| limit.map_or_else(|| "-1".to_string(), |number| number.to_string());
    match setting.name {
        "retention.ms" => Some(unlimited(broker.retention_ms)),
        "segment.ms" => Some(broker.segment_ms.to_string()),
        "segment.jitter.ms" => Some(roll_jitter_ms(broker.effective()).to_string()),
        "flush.ms" => Some(flush_ms(broker.effective()).to_string()),
        _ => match setting.synonyms.first() {
            Some(synonym) => broker.effective().text(synonym),
            None => setting.default.map(String::from),
        },
    }
}

/// The `segment.jitter.ms` of topics without their own.
fn roll_jitter_ms(values: Effective<'_>) -> u64 {
    values
        .limit("log.roll.jitter.ms")
        .unwrap_or_else(|| values.u64("log.roll.jitter.hours") * MS_PER_HOUR)
}

fn inherited_synonyms(broker: &BrokerConfig, setting: &'static Setting) -> Vec<Synonym> {
    let Some(first) = setting.synonyms.first() else {
        return Vec::new();
    };
    match settings::find(Resource::Broker, first) {
        Some(inherited) => broker_synonyms(broker, inherited, first),
        // A default without a broker setting of its own is told under its own name.
        None => setting
            .default
            .map(|text| synonym(setting, setting.name, text, ConfigSource::Default))
            .into_iter()
            .collect(),
    }
}

/// Every layer's value under every name of the quantity, the strongest first, from `name` itself on.
fn broker_synonyms(broker: &BrokerConfig, setting: &'static Setting, name: &str) -> Vec<Synonym> {
    let own_name = [setting.name];
    let names: &[&'static str] = match setting.synonyms {
        // Kafka describes these two pairs each for itself.
        [] | ["node.id", ..] | ["log.dirs", ..] => &own_name,
        synonyms => synonyms,
    };
    let dynamic = |target| broker.dynamic.values(target);
    let mut found = Vec::new();
    for source in [
        ConfigSource::DynamicBroker,
        ConfigSource::DynamicDefaultBroker,
        ConfigSource::StaticBroker,
        ConfigSource::Default,
    ] {
        for candidate in names {
            let text = match source {
                ConfigSource::DynamicBroker => dynamic(Target::ThisBroker).get(*candidate).map(String::as_str),
                ConfigSource::DynamicDefaultBroker => dynamic(Target::AllBrokers).get(*candidate).map(String::as_str),
                ConfigSource::StaticBroker => started_with(broker, candidate),
                _ => settings::find(Resource::Broker, candidate).and_then(|setting| setting.default),
            };
            found.extend(text.map(|text| synonym(setting, candidate, text, source)));
        }
    }
    found.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// The value given at the start. The node's id was given under both its names, whichever was used.
fn started_with<'a>(broker: &'a BrokerConfig, name: &str) -> Option<&'a str> {
    let given = |name| broker.statics.get(name);
    match name {
        "node.id" | "broker.id" => given("node.id").or_else(|| given("broker.id")),
        _ => given(name),
    }
}

fn synonym(setting: &Setting, name: &'static str, text: &str, source: ConfigSource) -> Synonym {
    Synonym {
        name,
        value: (!setting.sensitive).then(|| text.to_string()),
        source,
    }
}
