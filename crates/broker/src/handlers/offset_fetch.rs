//! OffsetFetch, versions 1 to 10. All offsets of a group from 2, leader epochs from 5 (KIP-320), require_stable from 7
//! (KIP-447: an offset whose commit is on its way is not stable), several groups from 8 (KIP-709), topic ids from 10.
//!
//! Version 0 is not served: it reads from ZooKeeper. Deliberately missing: members of the newer group protocol.

use hallows_group_coordinator::{Answer, Committed, FetchOffsets, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::offset_fetch_request::OffsetFetchRequest;
use hallows_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use hallows_types::TopicId;

use super::decode_or_close;
use super::groups::{group_code, told};
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

const BATCHED_FROM: i16 = 8;
const TOPIC_IDS_FROM: i16 = 10;

/// One group of the request.
struct Wanted {
    group: String,
    topics: Option<Vec<WantedTopic>>,
    /// What kept its coordinator from being asked.
    refused: Option<ErrorCode>,
}

/// One topic of one group; the name is missing where the id is not known.
struct WantedTopic {
    name: Option<String>,
    id: TopicId,
    partitions: Vec<i32>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(OffsetFetchRequest<'_>, context, body);
    let mut wanted = wanted(shard, context.version, &request);
    let named = wanted
        .iter()
        .flat_map(|group| group.topics.iter().flatten())
        .map(|topic| topic.partitions.len());
    if wanted.len() + named.sum::<usize>() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
    }
    let mut ops = Vec::new();
    for group in &mut wanted {
        let fetch = fetch(group, request.require_stable);
        match shard.group_op(&context, Operation::Describe, &group.group, fetch) {
            Ok(op) => ops.push(op),
            Err(code) => group.refused = Some(code),
        }
    }
    shard.gather(context, ops, |shard, context, answers| {
        let mut answers = answers.into_iter();
        let groups = wanted
            .into_iter()
            .map(|group| {
                let result = match group.refused {
                    Some(code) => Err(code),
                    None => match told(answers.next().flatten()) {
                        Ok(Answer::Offsets(Ok(offsets))) => Ok(offsets),
                        Ok(Answer::Offsets(Err(error))) => Err(group_code(error)),
                        Ok(_) => Err(ErrorCode::UNKNOWN_SERVER_ERROR),
                        Err(code) => Err(code),
                    },
                };
                found(shard, group, result)
            })
            .collect();
        respond(&context, groups)
    })
}

fn wanted(shard: &Shard, version: i16, request: &OffsetFetchRequest<'_>) -> Vec<Wanted> {
    if version < BATCHED_FROM {
        let topics = request.topics.as_ref().map(|topics| {
            let topic = |topic: &hallows_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic<'_>| {
                let name = Some(topic.name.to_owned());
                WantedTopic {
                    name,
                    id: TopicId::ZERO,
                    partitions: topic.partition_indexes.clone(),
                }
            };
            topics.iter().map(topic).collect()
        });
        return vec![Wanted {
            group: request.group_id.to_owned(),
            topics,
            refused: None,
        }];
    }
    let group = |group: &hallows_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup<'_>| {
        let topics = group.topics.as_ref().map(|topics| {
            let topic = |topic: &hallows_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics<'_>| {
                let name = if version >= TOPIC_IDS_FROM {
                    shard
                        .image
                        .topic_by_id(topic.topic_id)
                        .map(|known| known.name.to_string())
                } else {
                    Some(topic.name.to_owned())
                };
                WantedTopic {
                    name,
                    id: topic.topic_id,
                    partitions: topic.partition_indexes.clone(),
                }
            };
            topics.iter().map(topic).collect()
        });
        Wanted {
            group: group.group_id.to_owned(),
            topics,
            refused: None,
        }
    };
    request.groups.iter().map(group).collect()
}

fn fetch(wanted: &Wanted, require_stable: bool) -> Request {
    let partitions = wanted.topics.as_ref().map(|topics| {
        let named = topics
            .iter()
            .filter_map(|topic| Some((topic.name.clone()?, &topic.partitions)));
        named
            .flat_map(|(name, partitions)| partitions.iter().map(move |partition| (name.clone(), *partition)))
            .collect()
    });
    Request::FetchOffsets(FetchOffsets {
        group: wanted.group.clone(),
        partitions,
        require_stable,
        ..FetchOffsets::default()
    })
}

fn found(shard: &Shard, wanted: Wanted, result: Result<Vec<Committed>, ErrorCode>) -> OffsetFetchResponseGroup {
    let offsets = match result {
        Ok(offsets) => offsets,
        Err(error_code) => {
            return OffsetFetchResponseGroup {
                group_id: wanted.group,
                topics: Vec::new(),
                error_code,
            };
        }
    };
    let id_of = |name: &str| shard.image.topic(name).map_or(TopicId::ZERO, |topic| topic.id);
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for committed in offsets {
        let partition = partition(&committed);
        match topics.last_mut() {
            Some(topic) if topic.name == committed.topic => topic.partitions.push(partition),
            _ => topics.push(OffsetFetchResponseTopics {
                topic_id: id_of(&committed.topic),
                name: committed.topic,
                partitions: vec![partition],
            }),
        }
    }
    let without_partitions = |topic: &&WantedTopic| topic.partitions.is_empty();
    for named in wanted.topics.iter().flatten().filter(without_partitions) {
        if let Some(name) = &named.name {
            topics.push(OffsetFetchResponseTopics {
                topic_id: id_of(name),
                name: name.clone(),
                partitions: Vec::new(),
            });
        }
    }
    for unknown in wanted.topics.into_iter().flatten().filter(|topic| topic.name.is_none()) {
        topics.push(OffsetFetchResponseTopics {
            name: String::new(),
            topic_id: unknown.id,
            partitions: unknown
                .partitions
                .into_iter()
                .map(|index| missing_partition(index, ErrorCode::UNKNOWN_TOPIC_ID))
                .collect(),
        });
    }
    OffsetFetchResponseGroup {
        group_id: wanted.group,
        topics,
        error_code: ErrorCode::NONE,
    }
}

fn partition(committed: &Committed) -> OffsetFetchResponsePartitions {
    if committed.unstable {
        return missing_partition(committed.partition, ErrorCode::UNSTABLE_OFFSET_COMMIT);
    }
    match &committed.committed {
        Some(value) => OffsetFetchResponsePartitions {
            partition_index: committed.partition,
            committed_offset: value.offset.0,
            committed_leader_epoch: value.leader_epoch.0,
            metadata: Some(value.metadata.clone()),
            error_code: ErrorCode::NONE,
        },
        None => OffsetFetchResponsePartitions {
            partition_index: committed.partition,
            committed_offset: -1,
            committed_leader_epoch: -1,
            metadata: Some(String::new()),
            error_code: ErrorCode::NONE,
        },
    }
}

fn missing_partition(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code,
    }
}

fn respond(context: &RequestContext, mut groups: Vec<OffsetFetchResponseGroup>) -> Outcome {
    if context.version >= BATCHED_FROM {
        return answer(
            context,
            &OffsetFetchResponse {
                groups,
                ..OffsetFetchResponse::default()
            },
        );
    }
    let group = groups.pop().unwrap_or_default();
    let topics = group
        .topics
        .into_iter()
        .map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: topic
                .partitions
                .into_iter()
                .map(|partition| OffsetFetchResponsePartition {
                    partition_index: partition.partition_index,
                    committed_offset: partition.committed_offset,
                    committed_leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata,
                    error_code: partition.error_code,
                })
                .collect(),
        })
        .collect();
    let response = OffsetFetchResponse {
        topics,
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    };
    answer(context, &response)
}
