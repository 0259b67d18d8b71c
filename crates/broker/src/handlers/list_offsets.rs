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
use hallows_types::{LeaderEpoch, Monotonic, PartitionId, WallTime};

use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::gather::Answers;
use crate::op::{OffsetQuery, Op, OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// A partition of the answer: refused, or asked of its owner.
struct Part {
    topic: String,
    index: i32,
    state: State,
}

enum State {
    Refused(ErrorCode),
    /// Nothing can match.
    Nothing,
    Asked,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ListOffsetsRequest<'_>, context, body);
    let mut asked = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *asked.entry((topic.name, partition.partition_index)).or_insert(0) += 1;
        }
    }
    let mut parts = Vec::new();
    let mut ops = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let twice = asked[&(topic.name, partition.partition_index)] > 1;
            let state = if twice {
                State::Refused(ErrorCode::INVALID_REQUEST)
            } else {
                start(shard, &context, request.isolation_level, topic.name, partition, &mut ops)
            };
            parts.push(Part { topic: topic.name.to_owned(), index: partition.partition_index, state });
        }
    }
    shard.gather(context, ops, Monotonic::NEVER, move |_, context, answers| finish(&context, parts, answers))
}

fn start(
    shard: &Shard,
    context: &RequestContext,
    isolation_level: i8,
    name: &str,
    partition: &ListOffsetsPartition,
    ops: &mut Vec<Op>,
) -> State {
    if let Err(code) = context.authorize(Operation::Describe, Resource::Topic(name)) {
        return State::Refused(code);
    }
    let Some(topic) = shard.image.topic(name).filter(|topic| topic.shard(partition.partition_index).is_some())
    else {
        return State::Refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    };
    let query = match (partition.timestamp, context.version) {
        (-1, _) => OffsetQuery::Latest { read_committed: isolation_level == 1 },
        (-2, _) | (-4, 8..) => OffsetQuery::Earliest,
        (-3, 7..) => OffsetQuery::Time(TimeTarget::Max),
        (-5, 9..) => return State::Nothing,
        (-6, 11..) => return State::Nothing,
        (timestamp @ 0.., _) => OffsetQuery::Time(TimeTarget::At(WallTime(timestamp))),
        _ => return State::Refused(ErrorCode::UNSUPPORTED_VERSION),
    };
    let id = PartitionId { topic: topic.id, index: partition.partition_index };
    let current_epoch = LeaderEpoch(partition.current_leader_epoch);
    ops.push(Op::Partition(id, PartitionOp::ListOffset { query, current_epoch }));
    State::Asked
}

fn finish(context: &RequestContext, parts: Vec<Part>, answers: Answers) -> Outcome {
    let mut answers = answers.into_iter();
    let mut topics: Vec<ListOffsetsTopicResponse> = Vec::new();
    for part in parts {
        let response = match part.state {
            State::Refused(code) => refused(part.index, code),
            State::Nothing => refused(part.index, ErrorCode::NONE),
            State::Asked => found(part.index, answers.next().flatten()),
        };
        match topics.last_mut() {
            Some(topic) if topic.name == part.topic => topic.partitions.push(response),
            _ => topics.push(ListOffsetsTopicResponse { name: part.topic, partitions: vec![response] }),
        }
    }
    answer(context, &ListOffsetsResponse { throttle_time_ms: 0, topics })
}

fn refused(partition_index: i32, error_code: ErrorCode) -> ListOffsetsPartitionResponse {
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
        Some(OpAnswer::Offset(Ok(None))) => refused(partition_index, ErrorCode::NONE),
        Some(OpAnswer::Offset(Err(failure))) => refused(partition_index, partition_code(&failure)),
        _ => refused(partition_index, ErrorCode::REQUEST_TIMED_OUT),
    }
}
