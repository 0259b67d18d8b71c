//! Inputs that clients would make: every API about the topic and group that exist, and a few histories.

use hallows_protocol::frame::encode_body;
use hallows_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use hallows_protocol::messages::create_topics_request::CreatableTopic;
use hallows_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use hallows_protocol::messages::describe_configs_request::DescribeConfigsResource;
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use hallows_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use hallows_protocol::messages::metadata_request::MetadataRequestTopic;
use hallows_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use hallows_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use hallows_protocol::messages::*;
use hallows_protocol::{ApiKey, Request};
use hallows_record::Codec;
use hallows_types::TopicId;

use super::requests::{self, TOPIC, TOPIC_ID_MARK};
use super::step;
use crate::targets::frames;

fn step_of(kind: u8, slot: u8) -> u8 {
    kind | slot << 4
}

fn request<R: Request>(slot: u8, version: i16, request: &R) -> Vec<u8> {
    let body = encode_body(request, version).unwrap_or_else(|error| panic!("{} {version}: {error}", R::NAME));
    raw_request(slot, R::KEY, version, &body)
}

fn raw_request(slot: u8, key: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let number = |number: i16| u8::try_from(number).expect("small");
    let mut step = vec![step_of(step::REQUEST, slot), number(key.number()), number(version)];
    step.extend_from_slice(&u16::try_from(body.len()).expect("small").to_le_bytes());
    step.extend_from_slice(body);
    step
}

fn produce(slot: u8, version: u8, choices: u8, batch: &[u8]) -> Vec<u8> {
    let mut step = vec![step_of(step::PRODUCE, slot), version - 3, choices];
    step.extend_from_slice(&u16::try_from(batch.len()).expect("small").to_le_bytes());
    step.extend_from_slice(batch);
    step
}

fn fetch(slot: u8, version: i16, offset: i64, session: (i32, i32)) -> Vec<u8> {
    let by_id = version >= 13;
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 4096,
        ..FetchPartition::default()
    };
    let topics = vec![FetchTopic {
        topic: if by_id { "" } else { TOPIC },
        topic_id: if by_id { TopicId(TOPIC_ID_MARK) } else { TopicId::ZERO },
        partitions: vec![partition(0), partition(1)],
    }];
    let of_session = version >= 7;
    request(
        slot,
        version,
        &FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 8192,
            session_id: if of_session { session.0 } else { 0 },
            session_epoch: if of_session { session.1 } else { -1 },
            topics,
            ..FetchRequest::default()
        },
    )
}

fn topics() -> Vec<Vec<u8>> {
    let created = CreatableTopic {
        name: "new",
        num_partitions: 2,
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    let create = CreateTopicsRequest {
        topics: vec![created],
        timeout_ms: 100,
        ..CreateTopicsRequest::default()
    };
    let grow = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: TOPIC,
            count: 5,
            assignments: None,
        }],
        timeout_ms: 100,
        validate_only: false,
    };
    let delete = DeleteTopicsRequest {
        topic_names: vec![TOPIC],
        timeout_ms: 100,
        ..DeleteTopicsRequest::default()
    };
    let partition = DeleteRecordsPartition {
        partition_index: 0,
        offset: 1,
    };
    let delete_records = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: TOPIC,
            partitions: vec![partition],
        }],
        timeout_ms: 100,
    };
    vec![
        request(1, 7, &create),
        request(1, 3, &grow),
        request(1, 5, &delete),
        request(1, 2, &delete_records),
    ]
}

fn configs() -> Vec<Vec<u8>> {
    let described = |resource_type, resource_name| DescribeConfigsResource {
        resource_type,
        resource_name,
        configuration_keys: None,
    };
    let describe = DescribeConfigsRequest {
        resources: vec![described(2, TOPIC), described(4, "1")],
        include_synonyms: true,
        include_documentation: true,
    };
    let alter = |resource_type, resource_name, name| IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name,
            configs: vec![AlterableConfig {
                name,
                config_operation: 0,
                value: Some("1000"),
            }],
        }],
        validate_only: false,
    };
    vec![
        request(1, 4, &describe),
        request(1, 1, &alter(2, TOPIC, "retention.ms")),
        request(1, 1, &alter(4, "", "log.retention.ms")),
    ]
}

fn descriptions() -> Vec<Vec<u8>> {
    let partitions = DescribeTopicPartitionsRequest {
        topics: vec![describe_topic_partitions_request::TopicRequest { name: TOPIC }],
        response_partition_limit: 2,
        cursor: None,
    };
    let producers = DescribeProducersRequest {
        topics: vec![describe_producers_request::TopicRequest {
            name: TOPIC,
            partition_indexes: vec![0, 1],
        }],
    };
    vec![
        request(1, 0, &partitions),
        request(1, 0, &producers),
        request(1, 4, &DescribeLogDirsRequest { topics: None }),
        request(1, 2, &DescribeClusterRequest::default()),
    ]
}

fn metadata() -> Vec<Vec<u8>> {
    let versions = ApiVersionsRequest {
        client_software_name: "fuzz",
        client_software_version: "1",
    };
    let topic = MetadataRequestTopic {
        name: Some(TOPIC),
        ..MetadataRequestTopic::default()
    };
    let one = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: true,
        ..MetadataRequest::default()
    };
    let all = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let producer = InitProducerIdRequest {
        transaction_timeout_ms: 1000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    vec![
        request(0, 3, &versions),
        request(0, 9, &one),
        request(0, 12, &all),
        request(0, 4, &producer),
    ]
}

fn offsets() -> Vec<Vec<u8>> {
    let list = |timestamp| ListOffsetsTopic {
        name: TOPIC,
        partitions: vec![ListOffsetsPartition {
            partition_index: 0,
            timestamp,
            ..ListOffsetsPartition::default()
        }],
    };
    let by_time = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![list(-1), list(-2), list(-3), list(5)],
        ..ListOffsetsRequest::default()
    };
    let partition = OffsetForLeaderPartition {
        partition: 0,
        current_leader_epoch: -1,
        leader_epoch: 0,
    };
    let by_epoch = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: TOPIC,
            partitions: vec![partition],
        }],
    };
    vec![request(0, 7, &by_time), request(0, 4, &by_epoch)]
}

fn groups() -> Vec<Vec<u8>> {
    let member =
        |choice: u8, version: u8, rest: &[u8]| [&[step_of(step::MEMBER, 2), choice, version][..], rest].concat();
    vec![
        request(
            2,
            4,
            &FindCoordinatorRequest {
                coordinator_keys: vec!["g"],
                ..FindCoordinatorRequest::default()
            },
        ),
        member(0, 7, &[2, 0, 0]),
        member(0, 7, &[2, 0, 0]),
        vec![step::TIME, 0xff, 0x0f],
        member(0, 7, &[2, 0, 0]),
        member(1, 5, &[1, 7]),
        member(2, 4, &[]),
        member(4, 6, &[0, 9, 0]),
        request(
            2,
            8,
            &OffsetFetchRequest {
                groups: vec![OffsetFetchRequestGroup {
                    group_id: "g",
                    topics: None,
                    ..OffsetFetchRequestGroup::default()
                }],
                ..OffsetFetchRequest::default()
            },
        ),
        request(
            2,
            5,
            &DescribeGroupsRequest {
                groups: vec!["g"],
                include_authorized_operations: true,
            },
        ),
        request(2, 4, &ListGroupsRequest::default()),
        member(3, 4, &[]),
        request(
            2,
            2,
            &DeleteGroupsRequest {
                groups_names: vec!["g"],
            },
        ),
    ]
}

/// A request of each kind alone, histories of them, garbage, and the golden vectors.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let batch = requests::batch(&[b"one", b"two"], Codec::None);
    let packed = requests::batch(&[&[b'x'; 500]], Codec::Zstd);
    let data = vec![
        produce(0, 9, 0, &batch),
        produce(0, 13, 0x11, &packed),
        produce(0, 3, 0x22, &batch),
        fetch(0, 4, 0, (0, -1)),
        fetch(0, 11, 0, (0, 0)),
        fetch(0, 17, 1, (0, -1)),
        fetch(3, 12, 4, (0, 0)),
        vec![step::TIME, 0xff, 0x03],
    ];
    let ends = [vec![step::END, 1], vec![step::END, 2], vec![step::END, 5]];
    let garbage = vec![
        [&[step_of(step::GARBAGE, 3), 4, 0][..], &[0x7f, 0xff, 0xff, 0xff]].concat(),
        [&[step_of(step::GARBAGE, 3), 7, 0][..], &[0, 0, 0, 20, 0, 3, 0]].concat(),
    ];
    let kinds = [
        data,
        metadata(),
        offsets(),
        topics(),
        configs(),
        descriptions(),
        groups(),
        garbage,
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for shards in 0..2 {
        let history = |steps: &[Vec<u8>]| [&[shards][..], &steps.concat()].concat();
        for steps in &kinds {
            seeds.push(history(steps));
            for end in &ends {
                let again = [steps, std::slice::from_ref(end), steps].concat();
                seeds.push(history(&again));
            }
        }
        seeds.extend(kinds.iter().flatten().map(|step| history(std::slice::from_ref(step))));
        seeds.push(history(&kinds.concat()));
    }
    seeds.extend(frames::vectors().filter_map(|vector| {
        let key = frames::api_of(vector.name, "Request")?;
        (vector.body.len() < 4096).then(|| [&[0][..], &raw_request(0, key, vector.version, &vector.body)].concat())
    }));
    seeds
}
