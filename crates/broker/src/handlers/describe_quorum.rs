//! DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836, KIP-853).
//!
//! The metadata log has one voter, which leads it: this node. Its offsets are those of the log itself, asked of the
//! shard that owns it. Deliberately missing: the id of the directory, since directories have none, and listeners of
//! controllers, since there are none.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_quorum_request::DescribeQuorumRequest;
use hallows_protocol::messages::describe_quorum_response::{
    DescribeQuorumResponse, Node, PartitionData, ReplicaState, TopicData,
};

use super::admin::ItemResult;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::METADATA_PARTITION;
use crate::errors::partition_code;
use crate::op::{Op, OpAnswer, PartitionDescription, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// The metadata log, as clients call it.
const METADATA_LOG: &str = "__cluster_metadata";

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeQuorumRequest<'_>, context, body);
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if let Some(refused) = shard.refuse_named(count) {
        return refused;
    }
    if let Err(error_code) = context.authorize(Operation::Describe, Resource::Cluster) {
        let response = DescribeQuorumResponse {
            error_code,
            error_message: ItemResult::refusal(error_code).message,
            ..DescribeQuorumResponse::default()
        };
        return answer(&context, &response);
    }
    if !names_the_metadata_log(&request) {
        let topics = request
            .topics
            .iter()
            .map(|topic| TopicData {
                topic_name: topic.topic_name.to_owned(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| failed(partition.partition_index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
                    .collect(),
            })
            .collect();
        return respond(&context, topics, Vec::new());
    }
    let ask = Op::Partition(METADATA_PARTITION, PartitionOp::Describe);
    shard.gather(context, vec![ask], |shard, context, answers| {
        let partition = match answers.into_iter().next().flatten() {
            Some(OpAnswer::Described(Ok(log))) => described(shard, &log),
            Some(OpAnswer::Described(Err(failure))) => failed(METADATA_PARTITION.index, partition_code(&failure)),
            _ => failed(METADATA_PARTITION.index, ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        let node = Node {
            node_id: shard.identity.node_id,
            listeners: Vec::new(),
        };
        let topic = TopicData {
            topic_name: METADATA_LOG.to_owned(),
            partitions: vec![partition],
        };
        respond(&context, vec![topic], vec![node])
    })
}

/// Kafka answers for its metadata log alone, named once and with nothing beside it.
fn names_the_metadata_log(request: &DescribeQuorumRequest<'_>) -> bool {
    let [topic] = request.topics.as_slice() else {
        return false;
    };
    let [partition] = topic.partitions.as_slice() else {
        return false;
    };
    topic.topic_name == METADATA_LOG && partition.partition_index == METADATA_PARTITION.index
}

fn described(shard: &Shard, log: &PartitionDescription) -> PartitionData {
    let node = shard.identity.node_id;
    // A leader has what it has at this moment.
    let now = shard.now.wall.0;
    let voter = ReplicaState {
        replica_id: node,
        log_end_offset: log.log_end.0,
        last_fetch_timestamp: now,
        last_caught_up_timestamp: now,
        ..ReplicaState::default()
    };
    PartitionData {
        partition_index: METADATA_PARTITION.index,
        leader_id: node,
        leader_epoch: log.leader_epoch.0,
        high_watermark: log.high_watermark.0,
        current_voters: vec![voter],
        ..PartitionData::default()
    }
}

fn failed(partition_index: i32, error_code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index,
        error_code,
        error_message: ItemResult::refusal(error_code).message,
        ..PartitionData::default()
    }
}

fn respond(context: &RequestContext, topics: Vec<TopicData>, nodes: Vec<Node>) -> Outcome {
    let mut response = DescribeQuorumResponse {
        topics,
        ..DescribeQuorumResponse::default()
    };
    if context.version >= 2 {
        response.nodes = nodes;
    }
    answer(context, &response)
}
