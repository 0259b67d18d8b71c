//! OffsetCommit, versions 2 to 10. A retention of its own up to 4, leader epochs from 6 (KIP-320), static members from 7
//! (KIP-345), topic ids from 10 (KIP-848).
//!
//! Versions 0 and 1 are not served: they commit to ZooKeeper, or with a timestamp per partition, as no client since
//! Kafka 0.9 does. Deliberately missing: members of the newer group protocol.

use hallows_group_coordinator::{Answer, CommitOffsets, CommitPartition, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use hallows_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use hallows_types::{LeaderEpoch, Offset, TopicId, WallTime};

use super::decode_or_close;
use super::groups::result_code;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::response::answer;
use crate::shard::Shard;

const TOPIC_IDS_FROM: i16 = 10;
/// The first version whose clients know GROUP_ID_NOT_FOUND as the answer to a generation of an unknown group.
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;
const NO_RETENTION: i64 = -1;

/// One partition of the answer; `None` for one that the coordinator answers.
struct Part {
    name: String,
    id: TopicId,
    /// `None` where a topic that does not exist is named without partitions; Kafka tells it all the same.
    partition: Option<i32>,
    refused: Option<ErrorCode>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(OffsetCommitRequest<'_>, context, body);
    let expires_at = (request.retention_time_ms != NO_RETENTION)
        .then(|| WallTime(shard.now.wall.0.saturating_add(request.retention_time_ms)));
    let mut parts = Vec::new();
    let mut partitions = Vec::new();
    for topic in &request.topics {
        let named = resolve(shard, &context, topic);
        if topic.partitions.is_empty() && named.as_ref().is_ok_and(|name| shard.image.topic(name).is_none()) {
            parts.push(Part {
                name: topic.name.to_owned(),
                id: topic.topic_id,
                partition: None,
                refused: Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            });
        }
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let checked = named.as_ref().map_err(|code| *code).and_then(|name| {
                shard.partition_id(name, index)?;
                Ok(name)
            });
            parts.push(Part {
                name: named.as_deref().unwrap_or(topic.name).to_owned(),
                id: topic.topic_id,
                partition: Some(index),
                refused: checked.as_ref().err().copied(),
            });
            if let Ok(name) = checked {
                partitions.push(CommitPartition {
                    topic: name.clone(),
                    partition: index,
                    offset: Offset(partition.committed_offset),
                    leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                    metadata: partition.committed_metadata.unwrap_or_default().to_owned(),
                    expires_at,
                });
            }
        }
    }
    if parts.len() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
    }
    if partitions.is_empty() {
        return respond(&context, parts, Vec::new());
    }
    let count = partitions.len();
    let commit = CommitOffsets {
        group: request.group_id.to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(ToOwned::to_owned),
        group_id_not_found: context.version >= GROUP_ID_NOT_FOUND_FROM,
        partitions,
    };
    let group = commit.group.clone();
    shard.ask_coordinator(
        context,
        Operation::Read,
        &group,
        Request::CommitOffsets(commit),
        move |context, told| {
            let codes = match told {
                Ok(Answer::Committed(results)) => results.iter().map(result_code).collect(),
                Ok(_) => vec![ErrorCode::UNKNOWN_SERVER_ERROR; count],
                Err(code) => vec![code; count],
            };
            respond(context, parts, codes)
        },
    )
}

fn resolve(shard: &Shard, context: &RequestContext, topic: &OffsetCommitRequestTopic<'_>) -> Result<String, ErrorCode> {
    let name = if context.version >= TOPIC_IDS_FROM {
        let known = shard
            .image
            .topic_by_id(topic.topic_id)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_ID)?;
        known.name.to_string()
    } else {
        topic.name.to_owned()
    };
    context.authorize(Operation::Read, Resource::Topic(&name))?;
    Ok(name)
}

fn respond(context: &RequestContext, parts: Vec<Part>, codes: Vec<ErrorCode>) -> Outcome {
    let mut codes = codes.into_iter();
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::new();
    for part in parts {
        let error_code = part
            .refused
            .or_else(|| codes.next())
            .unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        let partition = part.partition.map(|partition_index| OffsetCommitResponsePartition {
            partition_index,
            error_code,
        });
        match topics.last_mut() {
            Some(topic) if topic.name == part.name && topic.topic_id == part.id => topic.partitions.extend(partition),
            _ => topics.push(OffsetCommitResponseTopic {
                name: part.name,
                topic_id: part.id,
                partitions: partition.into_iter().collect(),
            }),
        }
    }
    answer(
        context,
        &OffsetCommitResponse {
            throttle_time_ms: 0,
            topics,
        },
    )
}
