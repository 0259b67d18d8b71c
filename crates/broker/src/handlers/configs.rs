//! What the three APIs of settings have in common: which resource is meant, and what it has now.

use std::collections::BTreeMap;

use hallows_config::{ConfigError, DynamicBrokerOverrides, Target, TopicOverrides};
use hallows_protocol::ErrorCode;

use super::admin::{ItemResult, check_topic_name};
use crate::metadata::{Command, DynamicResource, Image};
use crate::settings::overrides;

/// Kafka's number of a topic's settings.
pub(crate) const TOPIC: i8 = 2;
/// Kafka's number of a broker's settings; the empty name means all brokers.
pub(crate) const BROKER: i8 = 4;
/// Kafka's number of a broker's log levels.
pub(crate) const BROKER_LOGGER: i8 = 8;
/// Kafka's number of a client metrics subscription.
pub(crate) const CLIENT_METRICS: i8 = 16;
/// Kafka's number of a consumer group's settings.
pub(crate) const GROUP: i8 = 32;

/// Whose settings a request means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ConfigResource {
    Topic(String),
    AllBrokers,
    ThisBroker,
    Group(String),
}

impl ConfigResource {
    /// Reads the type and name of a request.
    ///
    /// # Errors
    /// INVALID_REQUEST for a kind that is not served, or another broker's name.
    pub(crate) fn new(kind: i8, name: &str, node_id: i32) -> Result<Self, ItemResult> {
        match kind {
            TOPIC => Ok(Self::Topic(name.to_owned())),
            BROKER if name.is_empty() => Ok(Self::AllBrokers),
            BROKER if name.parse() == Ok(node_id) => Ok(Self::ThisBroker),
            BROKER => Err(ItemResult::error(
                ErrorCode::INVALID_REQUEST,
                format!("Unexpected broker id, expected {node_id} or empty string, but received {name}"),
            )),
            GROUP => Ok(Self::Group(name.to_owned())),
            BROKER_LOGGER | CLIENT_METRICS => Err(ItemResult::error(
                ErrorCode::INVALID_REQUEST,
                "Settings of log levels and client metrics are not served.",
            )),
            _ => Err(ItemResult::error(
                ErrorCode::INVALID_REQUEST,
                format!("Unsupported resource type: {kind}"),
            )),
        }
    }

    /// Whether there can be such a resource.
    ///
    /// # Errors
    /// INVALID_REQUEST for a topic without name, INVALID_TOPIC_EXCEPTION for an illegal one.
    pub(crate) fn check_name(&self) -> Result<(), ItemResult> {
        match self {
            Self::Topic(name) if name.is_empty() => Err(ItemResult::error(
                ErrorCode::INVALID_REQUEST,
                "Default topic resources are not allowed.",
            )),
            Self::Topic(name) => check_topic_name(name),
            Self::AllBrokers | Self::ThisBroker | Self::Group(_) => Ok(()),
        }
    }

    /// The command that gives the resource exactly these settings, if that changes anything.
    pub(crate) fn command(&self, image: &Image, config: BTreeMap<String, String>) -> Option<Command> {
        if self.present(image).ok()? == config {
            return None;
        }
        Some(match self {
            Self::Topic(name) => Command::SetTopicConfig {
                id: image.topic(name)?.id,
                config,
            },
            Self::AllBrokers => Command::SetDynamicConfig {
                resource: DynamicResource::ClusterDefault,
                config,
            },
            Self::ThisBroker => Command::SetDynamicConfig {
                resource: DynamicResource::Broker,
                config,
            },
            Self::Group(name) => Command::SetDynamicConfig {
                resource: DynamicResource::Group(name.clone()),
                config,
            },
        })
    }

    /// What the resource has of its own now.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) fn present(&self, image: &Image) -> Result<BTreeMap<String, String>, ItemResult> {
        let dynamic = |resource| image.dynamic_configs.get(&resource).cloned().unwrap_or_default();
        match self {
            Self::Topic(name) => match image.topic(name) {
                Some(topic) => Ok(topic.overrides.clone()),
                None => Err(ItemResult::error(
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    format!("The topic '{name}' does not exist."),
                )),
            },
            Self::AllBrokers => Ok(dynamic(DynamicResource::ClusterDefault)),
            Self::ThisBroker => Ok(dynamic(DynamicResource::Broker)),
            Self::Group(name) => Ok(dynamic(DynamicResource::Group(name.clone()))),
        }
    }

    /// Checks one value.
    ///
    /// # Errors
    /// INVALID_CONFIG, or INVALID_REQUEST for a broker's setting, as Kafka answers.
    pub(crate) fn validate(&self, name: &str, value: &str) -> Result<(), ItemResult> {
        let checked = match self {
            Self::Topic(_) => TopicOverrides::validate(name, value),
            Self::AllBrokers => DynamicBrokerOverrides::validate(Target::AllBrokers, name, value),
            Self::ThisBroker => DynamicBrokerOverrides::validate(Target::ThisBroker, name, value),
            Self::Group(_) => hallows_config::validate_group(name, value),
        };
        checked.map_err(|error| self.refusal(&error))
    }

    /// A config error as an answer.
    pub(crate) fn refusal(&self, error: &ConfigError) -> ItemResult {
        let code = match self {
            Self::Topic(_) | Self::Group(_) => ErrorCode::INVALID_CONFIG,
            Self::AllBrokers | Self::ThisBroker => ErrorCode::INVALID_REQUEST,
        };
        ItemResult::error(code, error.to_string())
    }
}

/// A topic's own settings as the table of settings knows them.
pub(crate) fn topic_overrides(image: &Image, name: &str) -> Option<TopicOverrides> {
    image.topic(name).map(|topic| overrides(topic))
}
