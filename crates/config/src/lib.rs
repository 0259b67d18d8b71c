//! One table of settings: name, unit, default, bounds and documentation.
//!
//! [`settings`] holds the table; everything else reads it. [`BrokerConfig::load`] merges defaults, a `.properties`
//! file, the environment and flags into typed fields and reports every mistake at once. [`TopicOverrides`] and
//! [`TopicConfig`] do the same for a topic, [`DynamicBrokerOverrides`] for what changes while the broker runs, and
//! [`describe`] answers DescribeConfigs. [`markdown::render`] writes `docs/config.md`.
//!
//! Invariants: a setting is named in one place; a default is within its bounds; where the name is Apache Kafka's,
//! so is the default, except for those a test lists with their reasons. A value that could not be honoured is
//! refused; one that has nothing to say here is passed over with a warning, and never in silence. This crate never does I/O: the caller hands over the text of the file and the
//! environment's pairs.
//!
//! The crate `config` is not used: it merges sources into one tree of values keyed by nested names, in which
//! `log.retention` would have to be a leaf and a branch at once, and it forgets which layer and which line a value
//! came from, which is just what DescribeConfigs and the messages have to tell.
#![no_std]

extern crate alloc;

mod broker_config;
mod contradictions;
pub mod describe;
mod dynamic;
mod effective;
mod error;
mod listener;
pub mod markdown;
pub mod meaningless;
pub mod properties;
pub mod setting;
pub mod settings;
mod sources;
mod suggest;
mod topic_config;
mod value;
mod words;

pub use broker_config::{BrokerConfig, Loaded};
pub use describe::{
    ConfigSource, DescribedSetting, Synonym, describe_all_brokers, describe_broker, describe_group, describe_topic,
};
pub use dynamic::{DynamicBrokerOverrides, Target};
pub use error::{ConfigError, ConfigErrors, ConfigWarnings, Place, Problem};
pub use listener::Listener;
pub use setting::{Resource, Setting};
pub use sources::{
    ENVIRONMENT_PREFIX, ENVIRONMENT_RESERVED, Sources, StaticValues, environment_variable, validate_group,
};
pub use topic_config::{TopicConfig, TopicOverrides};
pub use value::{Value, parse as parse_value};
pub use words::{CleanupPolicy, Durability, TimestampType};
