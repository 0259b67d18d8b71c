//! The configuration: a `server.properties`, variables, flags, and the settings that requests change.
//!
//! The input is a file, and behind zero bytes further words: variables and flags, each `name=value`, and settings of
//! topics and of the running broker. Whatever is accepted must be described without contradiction.

use std::sync::OnceLock;

use hallows_config::{
    BrokerConfig, DynamicBrokerOverrides, ENVIRONMENT_PREFIX, Sources, Target, TopicConfig, TopicOverrides,
    describe_all_brokers, describe_broker, describe_group, describe_topic, properties, validate_group,
};

use crate::allocation::bounded;

/// Memory for the settings themselves, their descriptions and messages.
const BYTES_BESIDES: usize = 1 << 20;
/// Each mistake has a message of a few hundred bytes, and a line may be one byte long.
const BYTES_PER_BYTE: usize = 2048;
/// Describing everything takes long; inputs whose length is a multiple of this have it done.
const DESCRIBED_ONE_IN: usize = 16;

/// Tries an input.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    bounded(BYTES_PER_BYTE * data.len() + BYTES_BESIDES, || examine(text));
}

fn examine(text: &str) {
    let mut words = text.split('\0');
    let file = words.next().unwrap_or_default();
    let lines = properties::parse(file);
    assert!(lines.len() <= file.lines().count());
    let mut sources = Sources {
        file: Some(("server.properties".to_owned(), file.to_owned())),
        ..Sources::default()
    };
    let mut topic = TopicOverrides::default();
    let mut dynamic = DynamicBrokerOverrides::default();
    let broker = default_config();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name.split_at_checked(1) {
            Some(("T", name)) => change_topic(&mut topic, broker, name, value),
            Some(("D", name)) => drop(dynamic.set(Target::AllBrokers, name, value)),
            Some(("B", name)) => drop(dynamic.set(Target::ThisBroker, name, value)),
            Some(("G", name)) => drop(validate_group(name, value)),
            _ if name.starts_with(ENVIRONMENT_PREFIX) => sources.environment.push((name.to_owned(), value.to_owned())),
            _ => sources.flags.push((name.to_owned(), value.to_owned())),
        }
    }
    let config = match BrokerConfig::load(&sources) {
        Ok(config) => config,
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            broker.clone()
        }
    };
    let config = config.with_dynamic(&dynamic);
    let resolved = TopicConfig::resolve(&config, &topic);
    assert_eq!(TopicConfig::resolve(&config, &topic), resolved);
    if text.len().is_multiple_of(DESCRIBED_ONE_IN) {
        describe(&config, &topic);
    }
}

fn default_config() -> &'static BrokerConfig {
    static CONFIG: OnceLock<BrokerConfig> = OnceLock::new();
    CONFIG.get_or_init(BrokerConfig::default)
}

fn change_topic(topic: &mut TopicOverrides, broker: &BrokerConfig, name: &str, value: &str) {
    let valid = TopicOverrides::validate(name, value).is_ok();
    assert_eq!(topic.set(name, value).is_ok(), valid);
    let _ = topic.append(broker, name, value);
    let _ = topic.subtract(broker, name, value);
}

fn describe(config: &BrokerConfig, topic: &TopicOverrides) {
    assert!(!describe_topic(config, topic).is_empty());
    assert!(!describe_broker(config).is_empty());
    let _ = describe_all_brokers(config);
    let _ = describe_group(config);
}

/// Files and settings as people write them.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        "# a comment\nnode.id=1\nlisteners=PLAINTEXT://127.0.0.1:9092\nlog.dirs=/data\nlog.retention.hours=24\n",
        "num.partitions : 3\nlog.segment.bytes 1048576\nauto.create.topics.enable = false\nzookeeper.connect=x\n",
        "broker.id=7\nadvertised.listeners=PLAINTEXT://[::1]:1,B://h:2\nlog.roll.ms=\\u0031000\nlog.durabilty=fsync\n",
        "\0HALLOWS_LOG_RETENTION_MS=-1\0log.retention.minutes=5\0shards=2",
        "\0Tretention.ms=1000\0Tcleanup.policy=delete\0Tdurability=written\0Tsegment.bytes=1",
        "\0Dlog.retention.ms=60000\0Bmessage.max.bytes=1000\0Gconsumer.session.timeout.ms=1",
        "journal.bytes.max=1\njournal.file.bytes=999999999999\ntail.bytes.max=0\nmessage.max.bytes=-1\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    for setting in describe_broker(&BrokerConfig::default()) {
        seeds.push(format!("{}={}\n", setting.name, setting.value.unwrap_or_default()).into_bytes());
    }
    for setting in describe_topic(&BrokerConfig::default(), &TopicOverrides::default()) {
        seeds.push(format!("\0T{}={}", setting.name, setting.value.unwrap_or_default()).into_bytes());
    }
    seeds
}
