//! AlterReplicaLogDirs, versions 1 and 2 (KIP-113).
//!
//! There is one log directory, which DescribeLogDirs names: a replica that is to lie there does so already, and any
//! other path is not found. Kafka refuses topic names from which it could not make the name of a directory; here no
//! directory is named after a topic.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use hallows_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};

use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(AlterReplicaLogDirsRequest<'_>, context, body);
    // A partition that is sent to several places goes to the last one.
    let mut paths: BTreeMap<(&str, i32), &str> = BTreeMap::new();
    for dir in &request.dirs {
        for topic in &dir.topics {
            for &index in &topic.partitions {
                paths.insert((topic.name, index), dir.path);
            }
        }
    }
    let allowed = context.authorize(Operation::Alter, Resource::Cluster);
    let mut plan = Plan::new();
    for ((topic, index), path) in paths {
        let id = allowed
            .and_then(|()| check_path(shard, path))
            .and_then(|()| shard.partition_id(topic, index));
        match id {
            Ok(id) => plan.ask(topic, id, PartitionOp::Describe),
            Err(code) => plan.refuse(topic, index, result(index, code)),
        }
    }
    plan.run(shard, context, described, |context, topics| {
        let results = topics
            .into_iter()
            .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions })
            .collect();
        answer(
            context,
            &AlterReplicaLogDirsResponse {
                throttle_time_ms: 0,
                results,
            },
        )
    })
}

/// Kafka compares paths by letter.
fn check_path(shard: &Shard, path: &str) -> Result<(), ErrorCode> {
    if path == shard.config.data_directory {
        Ok(())
    } else {
        Err(ErrorCode::LOG_DIR_NOT_FOUND)
    }
}

/// A log that stopped for good cannot be opened, wherever it is to lie.
fn described(partition_index: i32, told: Option<OpAnswer>) -> AlterReplicaLogDirPartitionResult {
    let code = match told {
        Some(OpAnswer::Described(Ok(partition))) if partition.has_failed => ErrorCode::KAFKA_STORAGE_ERROR,
        Some(OpAnswer::Described(Ok(_))) => ErrorCode::NONE,
        Some(OpAnswer::Described(Err(failure))) => partition_code(&failure),
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    };
    result(partition_index, code)
}

const fn result(partition_index: i32, error_code: ErrorCode) -> AlterReplicaLogDirPartitionResult {
    AlterReplicaLogDirPartitionResult {
        partition_index,
        error_code,
    }
}
