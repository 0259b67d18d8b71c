//! A topic's own values, what it inherits, and what DescribeConfigs tells of both.
//!
//! `testdata/kafka-4.3.1-topic.tsv` and `-group.tsv` are the real broker's answers: name, value, source, type,
//! synonyms. The topic there was created with `retention.ms=1000` and `max.message.bytes=5000`.

use hallows_config::{
    BrokerConfig, CleanupPolicy, ConfigSource, DescribedSetting, Durability, DynamicBrokerOverrides, Sources, Target,
    TimestampType, TopicConfig, TopicOverrides, describe_all_brokers, describe_broker, describe_group, describe_topic,
    validate_group,
};

fn overrides(pairs: &[(&str, &str)]) -> TopicOverrides {
    let mut overrides = TopicOverrides::default();
    for (name, value) in pairs {
        overrides.set(name, value).unwrap_or_else(|error| panic!("{error}"));
    }
    overrides
}

fn broker(flags: &[(&str, &str)]) -> BrokerConfig {
    BrokerConfig::load(&Sources::from_flags(flags.iter().copied())).unwrap_or_else(|errors| panic!("{errors}"))
}

fn refused(name: &str, value: &str) -> String {
    TopicOverrides::default()
        .set(name, value)
        .expect_err("refused")
        .to_string()
}

fn one<'a>(all: &'a [DescribedSetting], name: &str) -> &'a DescribedSetting {
    all.iter().find(|setting| setting.name == name).expect("described")
}

/// A described setting in the form of the test data.
fn line(setting: &DescribedSetting) -> String {
    let synonyms: Vec<String> = setting
        .synonyms
        .iter()
        .map(|synonym| {
            format!(
                "{}={}@{}",
                synonym.name,
                synonym.value.as_deref().unwrap_or("null"),
                source(synonym.source)
            )
        })
        .collect();
    let value = setting.value.as_deref().unwrap_or("null");
    let kind = setting.kind.word().to_uppercase();
    format!(
        "{}\t{value}\t{}\t{kind}\t{}",
        setting.name,
        source(setting.source),
        synonyms.join("; ")
    )
}

fn source(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
        ConfigSource::Group => "GROUP_CONFIG",
    }
}

#[test]
fn a_topic_is_described_as_kafka_describes_it() {
    let topic = overrides(&[("retention.ms", "1000"), ("max.message.bytes", "5000")]);
    let described = describe_topic(&BrokerConfig::default(), &topic);
    assert!(described.is_sorted_by_key(|setting| setting.name));
    for expected in include_str!("../testdata/kafka-4.3.1-topic.tsv").lines() {
        let name = expected.split('\t').next().expect("a name");
        let ours = line(one(&described, name));
        if name == "min.insync.replicas" {
            // A freshly formatted Kafka stores this one as a dynamic default; here nothing was changed.
            assert_eq!(
                ours,
                "min.insync.replicas\t1\tDEFAULT_CONFIG\tINT\tmin.insync.replicas=1@DEFAULT_CONFIG"
            );
        } else {
            assert_eq!(ours, expected);
        }
    }
    assert_eq!(described.len(), 33 + 1, "Kafka's and `durability`");
    assert!(described.iter().all(|setting| !setting.read_only && !setting.sensitive));
}

#[test]
fn a_group_is_described_as_kafka_describes_it() {
    let described: Vec<String> = describe_group(&BrokerConfig::default()).iter().map(line).collect();
    let expected: Vec<&str> = include_str!("../testdata/kafka-4.3.1-group.tsv").lines().collect();
    assert_eq!(described, expected);
}

#[test]
fn all_described_values_can_be_set_back() {
    for setting in describe_topic(&BrokerConfig::default(), &TopicOverrides::default()) {
        let value = setting.value.expect("no topic setting is null");
        TopicOverrides::validate(setting.name, &value).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn synonyms_name_every_layer_the_strongest_first() {
    let broker = broker(&[("message.max.bytes", "100")]);
    let mut dynamic = DynamicBrokerOverrides::default();
    dynamic
        .set(Target::AllBrokers, "message.max.bytes", "200")
        .expect("valid");
    dynamic
        .set(Target::ThisBroker, "message.max.bytes", "300")
        .expect("valid");
    let broker = broker.with_dynamic(&dynamic);
    let topic = overrides(&[("max.message.bytes", "400")]);
    let inherited = "message.max.bytes=300@DYNAMIC_BROKER_CONFIG; message.max.bytes=200@DYNAMIC_DEFAULT_BROKER_CONFIG; \
                     message.max.bytes=100@STATIC_BROKER_CONFIG; message.max.bytes=1048588@DEFAULT_CONFIG";
    assert_eq!(
        line(one(&describe_topic(&broker, &topic), "max.message.bytes")),
        format!(
            "max.message.bytes\t400\tDYNAMIC_TOPIC_CONFIG\tINT\tmax.message.bytes=400@DYNAMIC_TOPIC_CONFIG; {inherited}"
        )
    );
    assert_eq!(
        line(one(&describe_broker(&broker), "message.max.bytes")),
        format!("message.max.bytes\t300\tDYNAMIC_BROKER_CONFIG\tINT\t{inherited}")
    );
    let all: Vec<String> = describe_all_brokers(&broker).iter().map(line).collect();
    assert_eq!(
        all,
        [
            "message.max.bytes\t200\tDYNAMIC_DEFAULT_BROKER_CONFIG\tINT\tmessage.max.bytes=200@DYNAMIC_DEFAULT_BROKER_CONFIG"
        ]
    );
}

#[test]
fn a_time_span_inherited_in_another_unit_shows_its_value_in_milliseconds() {
    let broker = broker(&[("log.retention.hours", "2"), ("log.roll.ms", "5000")]);
    let topic = describe_topic(&broker, &TopicOverrides::default());
    assert_eq!(
        line(one(&topic, "retention.ms")),
        "retention.ms\t7200000\tDEFAULT_CONFIG\tLONG\t"
    );
    assert_eq!(
        line(one(&topic, "segment.ms")),
        "segment.ms\t5000\tSTATIC_BROKER_CONFIG\tLONG\tlog.roll.ms=5000@STATIC_BROKER_CONFIG; log.roll.hours=168@DEFAULT_CONFIG"
    );
    let all = describe_broker(&broker);
    assert_eq!(
        line(one(&all, "log.retention.ms")),
        "log.retention.ms\tnull\tDEFAULT_CONFIG\tLONG\t"
    );
    assert_eq!(
        line(one(&all, "log.retention.hours")),
        "log.retention.hours\t2\tSTATIC_BROKER_CONFIG\tINT\tlog.retention.hours=2@STATIC_BROKER_CONFIG; log.retention.hours=168@DEFAULT_CONFIG"
    );
}

#[test]
fn values_are_described_in_canonical_form() {
    let topic = overrides(&[("segment.bytes", " 02000000"), ("cleanup.policy", "delete ,")]);
    let described = describe_topic(&BrokerConfig::default(), &topic);
    assert_eq!(one(&described, "segment.bytes").value.as_deref(), Some("2000000"));
    assert_eq!(one(&described, "cleanup.policy").value.as_deref(), Some("delete"));
}

#[test]
fn own_values_beat_inherited_ones() {
    let broker = broker(&[("log.retention.bytes", "10"), ("log.durability", "written")]);
    let inherited = TopicConfig::resolve(&broker, &TopicOverrides::default());
    assert_eq!(
        (inherited.retention_bytes, inherited.durability),
        (Some(10), Durability::Written)
    );
    let topic = overrides(&[
        ("retention.bytes", "-1"),
        ("retention.ms", "-1"),
        ("durability", "memory"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "1"),
        ("segment.index.bytes", "4"),
        ("index.interval.bytes", "0"),
        ("file.delete.delay.ms", "0"),
        ("max.message.bytes", "0"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.before.max.ms", "1"),
        ("message.timestamp.after.max.ms", "2"),
        ("min.insync.replicas", "2"),
    ]);
    let expected = TopicConfig {
        durability: Durability::Memory,
        cleanup_policy: CleanupPolicy::Delete,
        segment_bytes: 1_048_576,
        segment_ms: 1,
        segment_index_bytes: 4,
        index_interval_bytes: 0,
        retention_ms: None,
        retention_bytes: None,
        file_delete_delay_ms: 0,
        batch_bytes_max: 0,
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_ms_max: 1,
        timestamp_after_ms_max: 2,
        min_insync_replicas: 2,
    };
    assert_eq!(TopicConfig::resolve(&broker, &topic), expected);
}

#[test]
fn the_offsets_topic_is_compacted_and_always_synced() {
    let broker = broker(&[("log.durability", "memory")]);
    let topic = TopicOverrides::of_offsets_topic(&broker);
    let config = TopicConfig::resolve(&broker, &topic);
    assert_eq!(
        (config.cleanup_policy, config.durability),
        (CleanupPolicy::Compact, Durability::Fsync)
    );
    assert_eq!(config.segment_bytes, 104_857_600);
    assert_eq!(
        one(&describe_topic(&broker, &topic), "cleanup.policy").value.as_deref(),
        Some("compact")
    );
}

#[test]
fn what_cannot_be_honoured_is_refused_with_the_reason() {
    assert_eq!(
        refused("cleanup.policy", "compact"),
        "`cleanup.policy` = `compact` cannot be honoured yet, because user topics are not compacted yet. Remove it, or give `delete`."
    );
    assert_eq!(
        refused("compression.type", "zstd"),
        "`compression.type` = `zstd` cannot be honoured yet, because batches are stored exactly as the producer compressed them. Remove it, or give `producer`."
    );
    assert!(refused("compression.type", "brotli").contains("must be one of"));
    assert!(refused("segment.bytes", "1").contains("at least 1048576 bytes"));
    assert!(refused("message.format.version", "2.0").contains("means nothing here"));
    assert!(refused("log.segment.bytes", "2000000").contains("Did you mean `segment.bytes`?"));
    assert!(refused("retention_ms", "1").contains("Did you mean `retention.ms`?"));
}

#[test]
fn only_lists_can_be_appended_to_and_subtracted_from() {
    let broker = BrokerConfig::default();
    let mut topic = TopicOverrides::default();
    topic
        .append(&broker, "cleanup.policy", "delete")
        .expect("it is in the list already");
    assert_eq!(topic.get("cleanup.policy"), Some("delete"));
    let appended = topic
        .append(&broker, "cleanup.policy", "compact")
        .expect_err("not honoured")
        .to_string();
    assert!(
        appended.contains("`delete,compact` cannot be honoured yet"),
        "{appended}"
    );
    assert!(
        topic.subtract(&broker, "cleanup.policy", "delete").is_err(),
        "an empty policy cannot be honoured"
    );
    assert_eq!(
        topic.get("cleanup.policy"),
        Some("delete"),
        "a refused change changes nothing"
    );
    assert_eq!(
        topic
            .append(&broker, "retention.ms", "1")
            .expect_err("no list")
            .to_string(),
        "`retention.ms` cannot be appended to or subtracted from: it is a long, and only lists have members. Set the whole value instead."
    );
}

#[test]
fn a_stored_value_of_another_release_counts_as_not_set() {
    let broker = BrokerConfig::default();
    let mut topic = TopicOverrides::default();
    for (name, text) in [
        ("segment.bytes", "-1"),
        ("durability", "twice"),
        ("retention.ms", "soon"),
        ("gone", "1"),
    ] {
        topic.restore(name, text);
    }
    assert_eq!(
        TopicConfig::resolve(&broker, &topic),
        TopicConfig::resolve(&broker, &TopicOverrides::default())
    );
    assert!(topic.remove("gone"));
}

#[test]
fn a_broker_names_its_id_under_both_names() {
    let all = describe_broker(&broker(&[("node.id", "7")]));
    assert_eq!(
        line(one(&all, "broker.id")),
        "broker.id\t7\tSTATIC_BROKER_CONFIG\tINT\tbroker.id=7@STATIC_BROKER_CONFIG; broker.id=-1@DEFAULT_CONFIG"
    );
    assert!(
        line(one(&all, "node.id")).starts_with("node.id\t7\tSTATIC_BROKER_CONFIG\tINT\tnode.id=7@STATIC_BROKER_CONFIG")
    );
    assert!(one(&all, "node.id").read_only && !one(&all, "log.segment.bytes").read_only);
}

#[test]
fn a_time_span_changed_while_running_lists_every_name_below_it() {
    let broker = broker(&[("log.retention.hours", "24")]);
    let mut dynamic = DynamicBrokerOverrides::default();
    dynamic
        .set(Target::AllBrokers, "log.retention.ms", "12345")
        .expect("valid");
    dynamic
        .set(Target::ThisBroker, "log.retention.ms", "23456")
        .expect("valid");
    // The real broker's answer to the same three values.
    assert_eq!(
        line(one(
            &describe_topic(&broker.with_dynamic(&dynamic), &TopicOverrides::default()),
            "retention.ms"
        )),
        "retention.ms\t23456\tDYNAMIC_BROKER_CONFIG\tLONG\tlog.retention.ms=23456@DYNAMIC_BROKER_CONFIG; \
         log.retention.ms=12345@DYNAMIC_DEFAULT_BROKER_CONFIG; log.retention.hours=24@STATIC_BROKER_CONFIG; \
         log.retention.hours=168@DEFAULT_CONFIG"
    );
}

#[test]
fn a_group_takes_its_defaults_only() {
    validate_group("consumer.session.timeout.ms", "45000").expect("the default");
    let refused = |name, value| validate_group(name, value).expect_err("refused").to_string();
    assert_eq!(
        refused("consumer.session.timeout.ms", "50000"),
        "`consumer.session.timeout.ms` = `50000` cannot be honoured yet, because only the classic group protocol is served yet. Remove it, or give `45000`."
    );
    assert!(refused("session.timeout", "1").contains("there is no group setting of this name"));
}

#[test]
fn what_asks_for_syncs_makes_a_topic_sync_before_it_acknowledges() {
    let durability = |broker: &BrokerConfig, topic: &TopicOverrides| {
        let resolved = TopicConfig::resolve(broker, topic).durability;
        let described = one(&describe_topic(broker, topic), "durability").value.clone();
        assert_eq!(
            described.as_deref(),
            Some(resolved.word()),
            "clients are told what holds"
        );
        resolved
    };
    let written = broker(&[("log.durability", "written")]);
    for (name, value) in [("flush.messages", "1"), ("flush.messages", "10000"), ("flush.ms", "0")] {
        assert_eq!(durability(&written, &overrides(&[(name, value)])), Durability::Fsync);
        let weaker = overrides(&[(name, value), ("durability", "memory")]);
        assert_eq!(durability(&written, &weaker), Durability::Fsync);
    }
    for (name, value) in [
        ("log.flush.interval.messages", "1"),
        ("log.flush.interval.ms", "1000"),
        ("log.flush.scheduler.interval.ms", "1000"),
    ] {
        let flushing = broker(&[("log.durability", "written"), (name, value)]);
        assert_eq!(
            durability(&flushing, &TopicOverrides::default()),
            Durability::Fsync,
            "{name}"
        );
        // A topic that asks for none of it has its own class again.
        let never = "9223372036854775807";
        let own = overrides(&[("flush.messages", never), ("flush.ms", never), ("durability", "memory")]);
        assert_eq!(durability(&flushing, &own), Durability::Memory, "{name}");
    }
    let never = overrides(&[
        ("flush.messages", "9223372036854775807"),
        ("flush.ms", "9223372036854775807"),
    ]);
    assert_eq!(durability(&written, &never), Durability::Written);
}

#[test]
fn what_is_inert_is_stored_described_and_still_checked() {
    let topic = overrides(&[
        ("delete.retention.ms", "1"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "2"),
        ("min.compaction.lag.ms", "3"),
        ("preallocate", "true"),
        ("segment.jitter.ms", "4"),
        ("leader.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1, 1:1"),
        ("compression.zstd.level", "9"),
        ("local.retention.ms", "5"),
        ("remote.log.copy.disable", "true"),
        ("unclean.leader.election.enable", "true"),
    ]);
    let broker = BrokerConfig::default();
    let described = describe_topic(&broker, &topic);
    for (name, text) in topic.iter() {
        let told = one(&described, name);
        assert_eq!(told.source, ConfigSource::DynamicTopic, "{name}");
        let canonical = if name.starts_with("follower") { "0:1,1:1" } else { text };
        assert_eq!(told.value.as_deref(), Some(canonical), "{name}");
    }
    let plain = TopicConfig::resolve(&broker, &TopicOverrides::default());
    assert_eq!(TopicConfig::resolve(&broker, &topic), plain);
    for (name, value) in [
        ("min.cleanable.dirty.ratio", "1.5"),
        ("preallocate", "perhaps"),
        ("max.compaction.lag.ms", "0"),
        ("leader.replication.throttled.replicas", "0-1"),
        ("leader.replication.throttled.replicas", "*,0:1"),
    ] {
        assert!(refused(name, value).contains(name), "{name} = {value}");
    }
}
