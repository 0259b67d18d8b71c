//! Topics, their settings, and administration.

use std::thread;

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::MetadataRequest;
use hallows_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use hallows_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use hallows_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use hallows_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use hallows_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use hallows_protocol::messages::describe_topic_partitions_request::{
    Cursor, DescribeTopicPartitionsRequest, TopicRequest,
};
use hallows_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use hallows_types::TopicId;

use crate::support::{
    append, batch, call, connect, create, fetch, fresh_name, metadata, produce, sequenced, shared, start, topic,
    topic_id,
};

/// The resource types of topics and brokers.
pub(crate) const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// The operations of IncrementalAlterConfigs.
pub(crate) const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

#[test]
fn auto_creation_needs_the_requests_flag_and_the_brokers_setting() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = fresh_name("auto");
    let unasked = metadata(&mut connection, &name, false);
    assert_eq!(unasked.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    await_topic(&mut connection, &name);

    let strict = start(&[("auto.create.topics.enable", "false")]);
    let mut connection = connect(&strict);
    for _ in 0..3 {
        let answer = metadata(&mut connection, &name, true);
        assert_eq!(answer.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
}

/// Asks for a topic, creating it, until it has a leader; returns its id.
fn await_topic(connection: &mut Connection, name: &str) -> TopicId {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let answer = metadata(connection, name, true).topics.remove(0);
        match answer.error_code {
            ErrorCode::NONE => return answer.topic_id,
            ErrorCode::LEADER_NOT_AVAILABLE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            error => panic!("{name}: {error:?}"),
        }
        assert!(std::time::Instant::now() < deadline, "{name} never gets a leader");
    }
}

#[test]
fn concurrent_first_requests_create_a_topic_once() {
    let broker = shared();
    let name = fresh_name("raced");
    let ids: Vec<_> = thread::scope(|scope| {
        let askers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| await_topic(&mut connect(&broker), &name)))
            .collect();
        askers
            .into_iter()
            .map(|asker| asker.join().expect("it finds the topic"))
            .collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0] && *id != TopicId::ZERO), "{ids:?}");
}

#[test]
fn invalid_names_are_invalid_topics_everywhere() {
    let broker = shared();
    let mut connection = connect(&broker);
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ü", &long] {
        assert_eq!(
            create(&mut connection, name, 1, &[]),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "{name:?}"
        );
        let answer = metadata(&mut connection, name, true);
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::INVALID_TOPIC_EXCEPTION,
            "{name:?}"
        );
    }
}

#[test]
fn a_dot_and_an_underscore_collide() {
    let broker = shared();
    let mut connection = connect(&broker);
    assert_eq!(create(&mut connection, "col.li_sion", 1, &[]), ErrorCode::NONE);
    assert_eq!(
        create(&mut connection, "col_li.sion", 1, &[]),
        ErrorCode::INVALID_TOPIC_EXCEPTION
    );
}

#[test]
fn a_null_topic_list_in_metadata_means_all_and_an_empty_one_none() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    for version in 1..=12 {
        let mut ask = |topics| {
            let request = MetadataRequest {
                topics,
                allow_auto_topic_creation: true,
                ..MetadataRequest::default()
            };
            call(&mut connection, &request, version).topics
        };
        assert!(
            ask(None).iter().any(|topic| topic.name.as_deref() == Some(&name)),
            "version {version}"
        );
        assert_eq!(ask(Some(Vec::new())).len(), 0, "version {version}");
    }
}

pub(crate) fn delete(connection: &mut Connection, name: Option<&str>, topic_id: TopicId) -> ErrorCode {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name, topic_id }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    call(connection, &request, 6).responses[0].error_code
}

#[test]
fn a_recreated_topic_has_a_new_id_and_nothing_of_the_old_one() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    let old = topic_id(&mut connection, &name);
    append(&mut connection, &name, &sequenced(77, 0, 5, &[b"old"]));
    assert_eq!(delete(&mut connection, Some(&name), TopicId::ZERO), ErrorCode::NONE);
    assert_eq!(create(&mut connection, &name, 1, &[]), ErrorCode::NONE);
    assert_ne!(topic_id(&mut connection, &name), old);
    assert_eq!(fetch(&mut connection, &name, 0).high_watermark, 0);
    // The producer starts over, and its sequence is not held against it.
    assert_eq!(append(&mut connection, &name, &sequenced(77, 0, 0, &[b"new"])), 0);
}

#[test]
fn delete_topics_by_id_deletes_and_an_unknown_id_says_so() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    let id = topic_id(&mut connection, &name);
    assert_eq!(
        delete(&mut connection, None, TopicId([9; 16])),
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    assert_eq!(delete(&mut connection, None, id), ErrorCode::NONE);
    let answer = metadata(&mut connection, &name, false);
    assert_eq!(answer.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete(&mut connection, None, id), ErrorCode::UNKNOWN_TOPIC_ID);
}

fn creatable(name: &str, num_partitions: i32) -> CreatableTopic<'_> {
    CreatableTopic {
        name,
        num_partitions,
        replication_factor: -1,
        ..CreatableTopic::default()
    }
}

fn create_all<'a>(topics: Vec<CreatableTopic<'a>>, validate_only: bool) -> CreateTopicsRequest<'a> {
    CreateTopicsRequest {
        topics,
        timeout_ms: 30_000,
        validate_only,
    }
}

#[test]
fn create_topics_answers_each_topic_by_itself() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (good, known) = (fresh_name("good"), topic(&mut connection, 1));
    let topics = vec![
        creatable(&good, 2),
        creatable(&known, 1),
        creatable("not valid", 1),
        creatable("zero", 0),
    ];
    let answer = call(&mut connection, &create_all(topics, false), 5);
    let error = |name: &str| {
        let found = answer.topics.iter().find(|topic| topic.name == name);
        found.expect("every topic is answered").error_code
    };
    assert_eq!(error(&good), ErrorCode::NONE);
    assert_eq!(error(&known), ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(error("not valid"), ErrorCode::INVALID_TOPIC_EXCEPTION);
    assert_eq!(error("zero"), ErrorCode::INVALID_PARTITIONS);
    topic_id(&mut connection, &good);
}

#[test]
fn minus_1_partitions_and_replicas_mean_the_brokers_defaults_and_configs_are_returned() {
    let broker = start(&[("num.partitions", "3")]);
    let mut connection = connect(&broker);
    let answer = call(&mut connection, &create_all(vec![creatable("defaults", -1)], false), 5);
    let topic = &answer.topics[0];
    assert_eq!(
        (topic.error_code, topic.num_partitions, topic.replication_factor),
        (ErrorCode::NONE, 3, 1)
    );
    let configs = topic.configs.as_ref().expect("from version 5 on");
    assert!(
        configs
            .iter()
            .any(|config| config.name == "retention.ms" && config.value.is_some())
    );
    assert_eq!(
        metadata(&mut connection, "defaults", false).topics[0].partitions.len(),
        3
    );
}

#[test]
fn validate_only_checks_and_creates_nothing() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = fresh_name("valid");
    let answer = call(&mut connection, &create_all(vec![creatable(&name, 1)], true), 5);
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE);
    let answer = metadata(&mut connection, &name, false);
    assert_eq!(answer.topics[0].error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_bad_config_is_refused_before_anything_is_created() {
    let broker = shared();
    let mut connection = connect(&broker);
    // The last two cannot be honoured yet, and are refused rather than ignored.
    for (name, value) in [
        ("retention.ms", Some("soon")),
        ("no.such.setting", Some("1")),
        ("max.message.bytes", Some("-5")),
        ("retention.ms", None),
        ("cleanup.policy", Some("compact")),
        ("compression.type", Some("zstd")),
    ] {
        let topic = fresh_name("bad");
        let mut request = creatable(&topic, 1);
        request.configs.push(CreatableTopicConfig { name, value });
        let answer = call(&mut connection, &create_all(vec![request], false), 5);
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::INVALID_CONFIG,
            "{name}={value:?}"
        );
        let answer = metadata(&mut connection, &topic, false);
        assert_eq!(
            answer.topics[0].error_code,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            "{name}={value:?}"
        );
    }
}

#[test]
fn create_partitions_answers_for_every_topic() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (grows, shrinks) = (topic(&mut connection, 1), topic(&mut connection, 3));
    let grow = |name, count| CreatePartitionsTopic {
        name,
        count,
        assignments: None,
    };
    let request = CreatePartitionsRequest {
        topics: vec![grow(&grows, 4), grow(&shrinks, 2), grow("no-such-topic", 2)],
        timeout_ms: 30_000,
        validate_only: false,
    };
    let answer = call(&mut connection, &request, 2);
    let mut errors: Vec<_> = answer
        .results
        .into_iter()
        .map(|result| (result.name, result.error_code))
        .collect();
    errors.sort();
    let mut expected = vec![
        (grows.clone(), ErrorCode::NONE),
        (shrinks, ErrorCode::INVALID_PARTITIONS),
        ("no-such-topic".to_owned(), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    ];
    expected.sort();
    assert_eq!(errors, expected);
    assert_eq!(metadata(&mut connection, &grows, false).topics[0].partitions.len(), 4);
}

#[test]
fn delete_records_takes_minus_1_for_the_high_watermark_and_refuses_what_is_above_it() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    append(&mut connection, &name, &batch(Codec::None, &[b"a", b"b", b"c"]));
    let mut delete = |offset| {
        let partition = DeleteRecordsPartition {
            partition_index: 0,
            offset,
        };
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: &name,
                partitions: vec![partition],
            }],
            timeout_ms: 30_000,
        };
        let answer = call(&mut connection, &request, 1).topics.remove(0).partitions.remove(0);
        (answer.error_code, answer.low_watermark)
    };
    assert_eq!(delete(4).0, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete(-2).0, ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(delete(2), (ErrorCode::NONE, 2));
    assert_eq!(delete(-1), (ErrorCode::NONE, 3));
}

#[test]
fn describe_topic_partitions_pages_with_a_cursor() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (first, second) = (topic(&mut connection, 3), topic(&mut connection, 2));
    let mut names = [first.as_str(), second.as_str()];
    names.sort_unstable();
    let mut seen = Vec::new();
    let mut cursor: Option<(String, i32)> = None;
    for _ in 0..5 {
        let request = DescribeTopicPartitionsRequest {
            topics: names.map(|name| TopicRequest { name }).into(),
            response_partition_limit: 2,
            cursor: cursor.as_ref().map(|(topic_name, partition_index)| Cursor {
                topic_name,
                partition_index: *partition_index,
            }),
        };
        let answer = call(&mut connection, &request, 0);
        let page: Vec<_> = answer
            .topics
            .iter()
            .flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|partition| (topic.name.clone(), partition.partition_index))
            })
            .collect();
        assert!(page.len() <= 2, "{page:?}");
        seen.extend(page);
        cursor = answer
            .next_cursor
            .map(|cursor| (cursor.topic_name, cursor.partition_index));
        if cursor.is_none() {
            break;
        }
    }
    let mut expected: Vec<_> = (0..3).map(|index| (Some(first.clone()), index)).collect();
    expected.extend((0..2).map(|index| (Some(second.clone()), index)));
    expected.sort();
    assert_eq!(seen, expected);
}

pub(crate) fn describe(connection: &mut Connection, kind: i8, name: &str) -> Vec<DescribeConfigsResourceResult> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name,
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let mut answer = call(connection, &request, 4);
    assert_eq!(answer.results[0].error_code, ErrorCode::NONE);
    answer.results.remove(0).configs
}

pub(crate) fn alter(connection: &mut Connection, topic: &str, changes: &[(&str, i8, Option<&str>)]) -> ErrorCode {
    let configs = changes.iter().map(|&(name, config_operation, value)| AlterableConfig {
        name,
        config_operation,
        value,
    });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic,
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    call(connection, &request, 1).responses[0].error_code
}

#[test]
fn describe_configs_tells_every_key_with_source_synonyms_type_and_documentation() {
    const DYNAMIC_TOPIC: i8 = 1;
    const DEFAULT: i8 = 5;
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    alter(&mut connection, &name, &[("max.message.bytes", SET, Some("123456"))]);
    let configs = describe(&mut connection, TOPIC, &name);
    let find = |key: &str| {
        let found = configs.iter().find(|config| config.name == key);
        found.unwrap_or_else(|| panic!("{key} is told"))
    };
    for key in [
        "cleanup.policy",
        "compression.type",
        "segment.bytes",
        "min.insync.replicas",
        "retention.ms",
    ] {
        assert_eq!(find(key).config_source, DEFAULT, "{key}");
        assert!(find(key).value.is_some(), "{key}");
    }
    let changed = find("max.message.bytes");
    assert_eq!(
        (changed.value.as_deref(), changed.config_source),
        (Some("123456"), DYNAMIC_TOPIC)
    );
    assert!(
        changed.synonyms.len() >= 2 && changed.synonyms[0].source == DYNAMIC_TOPIC,
        "{:?}",
        changed.synonyms
    );
    for config in &configs {
        assert_ne!(config.config_type, 0, "{}", config.name);
        assert!(
            config.documentation.as_ref().is_some_and(|text| !text.is_empty()),
            "{}",
            config.name
        );
    }
}

#[test]
fn sensitive_values_are_null() {
    let broker = shared();
    let mut connection = connect(&broker);
    let node = metadata(&mut connection, "x", false).brokers[0].node_id.to_string();
    let configs = describe(&mut connection, BROKER, &node);
    assert!(configs.len() > 50, "{}", configs.len());
    for config in configs.iter().filter(|config| config.is_sensitive) {
        assert_eq!(config.value, None, "{}", config.name);
    }
}

#[test]
fn what_describe_configs_tells_can_be_written_back() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    let configs = describe(&mut connection, TOPIC, &name);
    let writable = configs.iter().filter(|config| !config.read_only);
    let changes: Vec<_> = writable
        .map(|config| (config.name.as_str(), SET, config.value.as_deref()))
        .collect();
    assert!(changes.len() > 10);
    for change in &changes {
        assert_eq!(alter(&mut connection, &name, &[*change]), ErrorCode::NONE, "{change:?}");
    }
    let after = describe(&mut connection, TOPIC, &name);
    let value_of = |configs: &[DescribeConfigsResourceResult]| -> Vec<_> {
        configs
            .iter()
            .map(|config| (config.name.clone(), config.value.clone()))
            .collect()
    };
    assert_eq!(value_of(&after), value_of(&configs));
}

#[test]
fn brokers_the_cluster_default_and_groups_are_described_and_a_broker_setting_can_be_altered() {
    const GROUP: i8 = 32;
    let broker = start(&[]);
    let mut connection = connect(&broker);
    let node = metadata(&mut connection, "x", false).brokers[0].node_id.to_string();
    let alter_broker = |connection: &mut Connection, name: &str, value| {
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: BROKER,
                resource_name: name,
                configs: vec![AlterableConfig {
                    name: "log.retention.ms",
                    config_operation: SET,
                    value: Some(value),
                }],
            }],
            validate_only: false,
        };
        call(connection, &request, 1).responses[0].error_code
    };
    let retention = |configs: &[DescribeConfigsResourceResult]| {
        let found = configs.iter().find(|config| config.name == "log.retention.ms");
        found.and_then(|config| config.value.clone())
    };
    assert_eq!(
        retention(&describe(&mut connection, BROKER, "")),
        None,
        "nothing is set yet"
    );
    assert_eq!(alter_broker(&mut connection, "", "11111111"), ErrorCode::NONE);
    for name in ["", node.as_str()] {
        let configs = describe(&mut connection, BROKER, name);
        assert_eq!(retention(&configs).as_deref(), Some("11111111"), "broker {name:?}");
    }
    assert_eq!(alter_broker(&mut connection, &node, "22222222"), ErrorCode::NONE);
    for (name, expected) in [("", "11111111"), (node.as_str(), "22222222")] {
        let configs = describe(&mut connection, BROKER, name);
        assert_eq!(retention(&configs).as_deref(), Some(expected), "broker {name:?}");
    }
    let name = topic(&mut connection, 1);
    let configs = describe(&mut connection, TOPIC, &name);
    let inherited = configs.iter().find(|config| config.name == "retention.ms");
    assert_eq!(inherited.and_then(|config| config.value.as_deref()), Some("22222222"));
    assert!(!describe(&mut connection, GROUP, "any-group").is_empty());
}

#[test]
fn append_and_subtract_work_on_lists_only() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    for operation in [APPEND, SUBTRACT] {
        let error = alter(&mut connection, &name, &[("retention.ms", operation, Some("1"))]);
        assert_eq!(error, ErrorCode::INVALID_CONFIG);
    }
    assert_eq!(
        alter(&mut connection, &name, &[("cleanup.policy", APPEND, Some("delete"))]),
        ErrorCode::NONE
    );
    let configs = describe(&mut connection, TOPIC, &name);
    let policy = configs
        .iter()
        .find(|config| config.name == "cleanup.policy")
        .expect("it is told");
    assert_eq!(policy.value.as_deref(), Some("delete"), "it is there once");
    assert_eq!(
        alter(&mut connection, &name, &[("cleanup.policy", DELETE, None)]),
        ErrorCode::NONE
    );
}

#[test]
fn a_value_that_cannot_be_honoured_yet_is_refused_and_changes_nothing() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    let before = describe(&mut connection, TOPIC, &name);
    for (key, value) in [
        ("cleanup.policy", "compact"),
        ("compression.type", "gzip"),
        ("retention.ms", "x"),
    ] {
        let error = alter(
            &mut connection,
            &name,
            &[("segment.ms", SET, Some("5000000")), (key, SET, Some(value))],
        );
        assert_eq!(error, ErrorCode::INVALID_CONFIG, "{key}={value}");
    }
    assert_eq!(describe(&mut connection, TOPIC, &name), before);
    let answer = produce(&mut connection, &name, &batch(Codec::None, &[b"a"]));
    assert_eq!(answer.error_code, ErrorCode::NONE);
}
