//! OffsetDelete, version 0 (KIP-496).

use hallows_group_coordinator::{Answer, DeleteOffsets, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::offset_delete_request::OffsetDeleteRequest;
use hallows_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::decode_or_close;
use super::groups::{group_code, result_code};
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(OffsetDeleteRequest<'_>, context, body);
    let mut parts: Vec<(String, i32, Option<ErrorCode>)> = Vec::new();
    let mut partitions = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let refused = shard.partition_id(topic.name, partition.partition_index).err();
            if refused.is_none() {
                partitions.push((topic.name.to_owned(), partition.partition_index));
            }
            parts.push((topic.name.to_owned(), partition.partition_index, refused));
        }
    }
    if parts.len() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
    }
    let group = request.group_id.to_owned();
    let delete = DeleteOffsets {
        group: group.clone(),
        partitions,
    };
    shard.ask_coordinator(
        context,
        Operation::Delete,
        &group,
        Request::DeleteOffsets(delete),
        |context, told| {
            let codes: Vec<ErrorCode> = match told {
                Ok(Answer::OffsetsDeleted(Ok(results))) => results.iter().map(result_code).collect(),
                Ok(Answer::OffsetsDeleted(Err(error))) => return refused(context, group_code(error)),
                Ok(_) => return refused(context, ErrorCode::UNKNOWN_SERVER_ERROR),
                Err(code) => return refused(context, code),
            };
            answer(
                context,
                &OffsetDeleteResponse {
                    topics: topics(parts, codes),
                    ..OffsetDeleteResponse::default()
                },
            )
        },
    )
}

fn topics(parts: Vec<(String, i32, Option<ErrorCode>)>, codes: Vec<ErrorCode>) -> Vec<OffsetDeleteResponseTopic> {
    let mut codes = codes.into_iter();
    let mut topics: Vec<OffsetDeleteResponseTopic> = Vec::new();
    for (name, partition_index, refused) in parts {
        let error_code = refused
            .or_else(|| codes.next())
            .unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR);
        let partition = OffsetDeleteResponsePartition {
            partition_index,
            error_code,
        };
        match topics.last_mut() {
            Some(topic) if topic.name == name => topic.partitions.push(partition),
            _ => topics.push(OffsetDeleteResponseTopic {
                name,
                partitions: vec![partition],
            }),
        }
    }
    topics
}

fn refused(context: &RequestContext, error_code: ErrorCode) -> Outcome {
    answer(
        context,
        &OffsetDeleteResponse {
            error_code,
            ..OffsetDeleteResponse::default()
        },
    )
}
