//! OffsetForLeaderEpoch, versions 2 to 4 (KIP-101, KIP-320).
//!
//! The largest epoch not above the asked one, and its end offset; nothing known is -1 and -1, never 0.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use hallows_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use hallows_types::LeaderEpoch;

use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(OffsetForLeaderEpochRequest<'_>, context, body);
    let mut plan = Plan::new();
    for topic in &request.topics {
        plan.enter(topic.topic);
        for partition in &topic.partitions {
            let id = context
                .authorize(Operation::Describe, Resource::Topic(topic.topic))
                .and_then(|()| shard.partition_id(topic.topic, partition.partition));
            match id {
                Ok(id) => plan.ask(
                    topic.topic,
                    id,
                    PartitionOp::EpochEnd {
                        epoch: LeaderEpoch(partition.leader_epoch),
                        current_epoch: LeaderEpoch(partition.current_leader_epoch),
                    },
                ),
                Err(code) => plan.refuse(topic.topic, partition.partition, unknown(partition.partition, code)),
            }
        }
    }
    plan.run(shard, context, epoch_end, |context, topics| {
        let topics = topics
            .into_iter()
            .map(|(topic, partitions)| OffsetForLeaderTopicResult { topic, partitions })
            .collect();
        answer(
            context,
            &OffsetForLeaderEpochResponse {
                throttle_time_ms: 0,
                topics,
            },
        )
    })
}

fn epoch_end(partition: i32, told: Option<OpAnswer>) -> EpochEndOffset {
    match told {
        Some(OpAnswer::EpochEnd(Ok((epoch, end)))) => EpochEndOffset {
            error_code: ErrorCode::NONE,
            partition,
            leader_epoch: epoch.0,
            end_offset: end.0,
        },
        Some(OpAnswer::EpochEnd(Err(failure))) => unknown(partition, partition_code(&failure)),
        _ => unknown(partition, ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

const fn unknown(partition: i32, error_code: ErrorCode) -> EpochEndOffset {
    EpochEndOffset {
        error_code,
        partition,
        leader_epoch: -1,
        end_offset: -1,
    }
}
