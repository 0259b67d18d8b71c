//! DeleteRecords, versions 0 to 2 (KIP-107).
//!
//! -1 means up to the high watermark. Answered once the new log start is durable; the request's timeout is for replicas
//! that are behind, and there are none.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::delete_records_request::DeleteRecordsRequest;
use hallows_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use hallows_types::Offset;

use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// What stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DeleteRecordsRequest<'_>, context, body);
    let mut plan = Plan::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let id = context
                .authorize(Operation::Delete, Resource::Topic(topic.name))
                .and_then(|()| shard.partition_id(topic.name, index))
                .and_then(|id| deletable(shard, topic.name).map(|()| id));
            let before = match partition.offset {
                HIGH_WATERMARK => Ok(None),
                offset @ 0.. => Ok(Some(Offset(offset))),
                _ => Err(ErrorCode::OFFSET_OUT_OF_RANGE),
            };
            match id.and_then(|id| before.map(|before| (id, before))) {
                Ok((id, before)) => plan.ask(topic.name, id, PartitionOp::DeleteRecords { before }),
                Err(code) => plan.refuse(topic.name, index, refused(index, code)),
            }
        }
    }
    plan.run(shard, context, deleted, |context, topics| {
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| DeleteRecordsTopicResult { name, partitions })
            .collect();
        answer(
            context,
            &DeleteRecordsResponse {
                throttle_time_ms: 0,
                topics,
            },
        )
    })
}

/// The broker's own topics keep what their coordinators need.
fn deletable(shard: &Shard, name: &str) -> Result<(), ErrorCode> {
    match shard.image.topic(name) {
        Some(topic) if topic.is_internal() => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
        _ => Ok(()),
    }
}

fn deleted(partition_index: i32, told: Option<OpAnswer>) -> DeleteRecordsPartitionResult {
    match told {
        Some(OpAnswer::LogStart(Ok(start))) => DeleteRecordsPartitionResult {
            partition_index,
            low_watermark: start.0,
            error_code: ErrorCode::NONE,
        },
        Some(OpAnswer::LogStart(Err(failure))) => refused(partition_index, partition_code(&failure)),
        _ => refused(partition_index, ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

const fn refused(partition_index: i32, error_code: ErrorCode) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark: -1,
        error_code,
    }
}
