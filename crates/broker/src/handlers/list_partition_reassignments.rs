//! ListPartitionReassignments, version 0 (KIP-455).
//!
//! A reassignment goes on while replicas are added or removed. Here an assignment either is what is there already or is
//! refused (see AlterPartitionReassignments), so none ever goes on; Kafka leaves out topics without one, missing ones
//! included.

use hallows_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use hallows_protocol::messages::list_partition_reassignments_response::ListPartitionReassignmentsResponse;

use super::admin::ItemResult;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ListPartitionReassignmentsRequest<'_>, context, body);
    let named = request.topics.iter().flatten();
    if let Some(refused) = shard.refuse_named(named.map(|topic| topic.partition_indexes.len()).sum()) {
        return refused;
    }
    let mut response = ListPartitionReassignmentsResponse {
        error_message: None,
        ..ListPartitionReassignmentsResponse::default()
    };
    if let Err(code) = context.authorize(Operation::Describe, Resource::Cluster) {
        response.error_code = code;
        response.error_message = ItemResult::refusal(code).message;
    }
    answer(context, &response)
}
