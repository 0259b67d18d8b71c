//! ListOffsets, versions 1 to 11.
//!
//! Version 0 is not served: it promises lists of segment offsets. Isolation from 2, leader epochs from 4,
//! -3 (largest timestamp) from 7 (KIP-734), -4 (earliest local) from 8 and -5 (latest tiered) from 9 (KIP-405, KIP-1005).
//! There is no tiered storage: -4 is the log start, -5 finds nothing.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use hallows_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use hallows_storage::TimeTarget;
use hallows_types::{LeaderEpoch, WallTime};

use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OffsetQuery, OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// The first version that answers with the epoch of the record's leader (KIP-320).
const LEADER_EPOCH_FROM: i16 = 4;

type Plan = super::by_partition::Plan<ListOffsetsPartitionResponse>;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ListOffsetsRequest<'_>, context, body);
    let mut asked = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *asked.entry((topic.name, partition.partition_index)).or_insert(0) += 1;
        }
    }
    let mut plan = Plan::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let times = asked.insert((topic.name, partition.partition_index), 0);
            // What stands twice is refused once.
            if times == Some(0) {
                continue;
            }
            if times > Some(1) {
                let answer = nothing(partition.partition_index, ErrorCode::INVALID_REQUEST);
                plan.refuse(topic.name, partition.partition_index, answer);
            } else {
                start(
                    shard,
                    &context,
                    request.isolation_level,
                    topic.name,
                    partition,
                    &mut plan,
                );
            }
        }
    }
    plan.run(shard, context, found, |context, topics| {
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopicResponse {
                name,
                partitions: without_unknown_fields(partitions, context.version),
            })
            .collect();
        answer(
            context,
            &ListOffsetsResponse {
                throttle_time_ms: 0,
                topics,
            },
        )
    })
}

fn start(
    shard: &Shard,
    context: &RequestContext,
    isolation_level: i8,
    name: &str,
    partition: &ListOffsetsPartition,
    plan: &mut Plan,
) {
    let index = partition.partition_index;
    // What a version does not know is refused before anything is looked up.
    let query = match (partition.timestamp, context.version) {
        (-1, _) => Some(OffsetQuery::Latest {
            read_committed: isolation_level == 1,
        }),
        (-2, _) | (-4, 8..) => Some(OffsetQuery::Earliest),
        (-3, 7..) => Some(OffsetQuery::Time(TimeTarget::Max)),
        (-5, 9..) | (-6, 11..) => None,
        (timestamp @ 0.., _) => Some(OffsetQuery::Time(TimeTarget::At(WallTime(timestamp)))),
        _ => return plan.refuse(name, index, nothing(index, ErrorCode::UNSUPPORTED_VERSION)),
    };
    let id = context
        .authorize(Operation::Describe, Resource::Topic(name))
        .and_then(|()| shard.partition_id(name, index));
    let (id, query) = match (id, query) {
        (Ok(id), Some(query)) => (id, query),
        (Ok(_), None) => return plan.refuse(name, index, nothing(index, ErrorCode::NONE)),
        (Err(code), _) => return plan.refuse(name, index, nothing(index, code)),
    };
    let current_epoch = LeaderEpoch(partition.current_leader_epoch);
    plan.ask(name, id, PartitionOp::ListOffset { query, current_epoch });
}

/// Leader epochs came with version 4; an encoder refuses to leave one out.
fn without_unknown_fields(
    mut partitions: Vec<ListOffsetsPartitionResponse>,
    version: i16,
) -> Vec<ListOffsetsPartitionResponse> {
    if version < LEADER_EPOCH_FROM {
        partitions.iter_mut().for_each(|partition| partition.leader_epoch = -1);
    }
    partitions
}

fn nothing(partition_index: i32, error_code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index,
        error_code,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
        ..ListOffsetsPartitionResponse::default()
    }
}

fn found(partition_index: i32, told: Option<OpAnswer>) -> ListOffsetsPartitionResponse {
    match told {
        Some(OpAnswer::Offset(Ok(Some(found)))) => ListOffsetsPartitionResponse {
            partition_index,
            timestamp: found.timestamp.0,
            offset: found.offset.0,
            leader_epoch: found.leader_epoch.0,
            ..ListOffsetsPartitionResponse::default()
        },
        Some(OpAnswer::Offset(Ok(None))) => nothing(partition_index, ErrorCode::NONE),
        Some(OpAnswer::Offset(Err(failure))) => nothing(partition_index, partition_code(&failure)),
        _ => nothing(partition_index, ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}
