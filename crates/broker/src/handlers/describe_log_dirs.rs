//! DescribeLogDirs, versions 1 to 5 (KIP-113, KIP-827, KIP-1066): the one data directory and what lies in it.
//!
//! The size of the file system and what is free of it are those of the last look at the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use hallows_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use hallows_types::PartitionId;

use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

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
    let space = shard.storage.disk_space();
    let log_dir = shard.config.data_directory.clone();
    plan.run(shard, context, described, move |context, topics| {
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
            total_bytes: told_bytes(space.total_bytes),
            usable_bytes: told_bytes(space.free_bytes),
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

fn told_bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// `None` for a partition that went away meanwhile.
fn described(partition_index: i32, told: Option<OpAnswer>) -> Option<DescribeLogDirsPartition> {
    match told {
        Some(OpAnswer::Described(Ok(description))) => Some(DescribeLogDirsPartition {
            partition_index,
            partition_size: told_bytes(description.size_bytes),
            offset_lag: 0,
            is_future_key: false,
        }),
        _ => None,
    }
}
