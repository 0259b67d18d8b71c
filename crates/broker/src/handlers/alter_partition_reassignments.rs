//! AlterPartitionReassignments, versions 0 and 1 (KIP-455, KIP-860).
//!
//! This node is the only place where a replica can lie, and every partition lies there: an assignment to it changes
//! nothing and is accepted at once, any other is refused, and there is never a reassignment to cancel. The number of
//! replicas cannot change for the same reason, so whether it may (version 1) only comes back in the answer.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest;
use hallows_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};

use super::admin::ItemResult;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(AlterPartitionReassignmentsRequest<'_>, context, body);
    let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    if let Some(refused) = shard.refuse_named(count) {
        return refused;
    }
    // Kafka's controller is not asked about nothing, and its answer then is all defaults.
    if request.topics.is_empty() {
        return answer(context, &AlterPartitionReassignmentsResponse::default());
    }
    let mut response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        ..AlterPartitionReassignmentsResponse::default()
    };
    if let Err(code) = context.authorize(Operation::Alter, Resource::Cluster) {
        response.error_code = code;
        response.error_message = ItemResult::refusal(code).message;
        return answer(context, &response);
    }
    let timed_out = (request.timeout_ms <= 0).then(ItemResult::timed_out);
    if let Some(refused) = &timed_out {
        response.error_code = refused.code;
    }
    for topic in &request.topics {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| {
                let index = partition.partition_index;
                let result = match &timed_out {
                    Some(refused) => Err(refused.clone()),
                    None => reassign(shard, topic.name, index, partition.replicas.as_deref()),
                };
                let result = result.err().unwrap_or(ItemResult::OK);
                ReassignablePartitionResponse {
                    partition_index: index,
                    error_code: result.code,
                    error_message: result.message,
                }
            })
            .collect();
        response.responses.push(ReassignableTopicResponse {
            name: topic.name.to_owned(),
            partitions,
        });
    }
    answer(context, &response)
}

/// Moves one partition to `replicas`, or cancels its move with `None`.
fn reassign(shard: &Shard, topic: &str, index: i32, replicas: Option<&[i32]>) -> Result<(), ItemResult> {
    shard.partition_id(topic, index).map_err(ItemResult::refusal)?;
    match replicas {
        Some(replicas) => check_replicas(replicas, shard.identity.node_id),
        None => Err(ItemResult {
            code: ErrorCode::NO_REASSIGNMENT_IN_PROGRESS,
            message: None,
        }),
    }
}

/// Where replicas may lie, in Kafka's words.
fn check_replicas(replicas: &[i32], node: i32) -> Result<(), ItemResult> {
    let why = if replicas.is_empty() {
        "an empty replica list".to_owned()
    } else if let Some(other) = replicas.iter().find(|replica| **replica != node) {
        format!("broker {other}, but no such broker is registered")
    } else if replicas.len() > 1 {
        format!("the broker {node} more than once")
    } else {
        return Ok(());
    };
    Err(ItemResult::error(
        ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        format!("The manual partition assignment includes {why}."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_node_alone_is_an_assignment() {
        let check = |replicas: &[i32]| check_replicas(replicas, 7).err().and_then(|refused| refused.message);
        assert_eq!(check(&[7]), None);
        for (replicas, why) in [
            (&[][..], "an empty replica list."),
            (&[8], "broker 8, but no such broker is registered."),
            (&[7, 8], "broker 8, but no such broker is registered."),
            (&[7, 7], "the broker 7 more than once."),
        ] {
            let said = check(replicas).expect("it is refused");
            assert!(said.ends_with(why), "{said}");
        }
    }
}
