//! DescribeLogDirs, versions 1 to 5 (KIP-113, KIP-827, KIP-1066): the one data directory and what lies in it.
//!
//! Deliberately missing: the size of the file system (-1, as Kafka answers where it is unknown); a shard asks no disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use hallows_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use hallows_types::{Monotonic, PartitionId};

use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// "Not known" for the sizes of the file system.
const UNKNOWN_BYTES: i64 = -1;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeLogDirsRequest<'_>, context, body);
    if let Err(code) = context.authorize(Operation::Describe, Resource::Cluster) {
        let response = DescribeLogDirsResponse {
            error_code: code,
            ..DescribeLogDirsResponse::default()
        };
        return answer(&context, &response);
    }
    let mut wanted: BTreeMap<Arc<str>, Vec<PartitionId>> = BTreeMap::new();
    match &request.topics {
        None => {
            for topic in shard.image.topics.values() {
                wanted.insert(
                    Arc::clone(&topic.name),
                    topic.partition_ids().map(|(id, _)| id).collect(),
                );
            }
        }
        Some(topics) => {
            for named in topics {
                let ids = named
                    .partitions
                    .iter()
                    .filter_map(|index| shard.partition_id(named.topic, *index).ok());
                wanted.entry(named.topic.into()).or_default().extend(ids);
            }
        }
    }
    let mut plan = if request.topics.is_none() {
        Plan::of_everything()
    } else {
        Plan::new()
    };
    for (topic, ids) in &wanted {
        for id in ids {
            plan.ask(topic, *id, PartitionOp::Describe);
        }
    }
    let log_dir = shard.config.data_directory.clone();
    plan.run(shard, context, Monotonic::NEVER, described, move |context, topics| {
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| DescribeLogDirsTopic {
                name,
                partitions: partitions.into_iter().flatten().collect(),
            })
            .collect();
        let result = DescribeLogDirsResult {
            error_code: ErrorCode::NONE,
            log_dir,
            topics,
            total_bytes: UNKNOWN_BYTES,
            usable_bytes: UNKNOWN_BYTES,
            ..DescribeLogDirsResult::default()
        };
        answer(
            context,
            &DescribeLogDirsResponse {
                results: vec![result],
                ..DescribeLogDirsResponse::default()
            },
        )
    })
}

/// `None` for a partition that went away meanwhile.
fn described(partition_index: i32, told: Option<OpAnswer>) -> Option<DescribeLogDirsPartition> {
    match told {
        Some(OpAnswer::Described(Ok(description))) => Some(DescribeLogDirsPartition {
            partition_index,
            partition_size: i64::try_from(description.size_bytes).unwrap_or(i64::MAX),
            offset_lag: 0,
            is_future_key: false,
        }),
        _ => None,
    }
}
