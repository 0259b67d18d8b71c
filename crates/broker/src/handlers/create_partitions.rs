//! CreatePartitions, versions 0 to 3 (KIP-195).
//!
//! Every topic of the request is answered. Deliberately missing: assignments to other nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use hallows_config::BrokerConfig;
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use hallows_protocol::messages::create_partitions_response::{CreatePartitionsResponse, CreatePartitionsTopicResult};

use super::admin::ItemResult;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::{AdminAnswer, Propose};
use crate::metadata::{Command, Image};
use crate::response::answer;
use crate::shard::Shard;

/// A topic that is to have more partitions.
struct Growth {
    name: String,
    count: i32,
    /// Whether each new partition is assigned to this broker, and how many are, if assignments are given.
    assignments: Option<(bool, usize)>,
    refused: Option<ItemResult>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(CreatePartitionsRequest<'_>, context, body);
    let mut seen = BTreeSet::new();
    // A name that stands twice is refused once.
    let growths: Vec<Growth> = request
        .topics
        .iter()
        .filter(|topic| seen.insert(topic.name))
        .map(|topic| growth(shard, &context, &request, topic))
        .collect();
    let names: Vec<String> = growths.iter().map(|growth| growth.name.clone()).collect();
    let propose = propose(Arc::clone(&shard.config), growths, request.validate_only);
    let deadline = shard.change_deadline(request.timeout_ms);
    shard.change(context, names.len(), deadline, propose, move |_, context, results| {
        let results = names
            .into_iter()
            .zip(results)
            .map(|(name, result)| CreatePartitionsTopicResult {
                name,
                error_code: result.code,
                error_message: result.message,
            })
            .collect();
        answer(
            &context,
            &CreatePartitionsResponse {
                throttle_time_ms: 0,
                results,
            },
        )
    })
}

fn growth(
    shard: &Shard,
    context: &RequestContext,
    request: &CreatePartitionsRequest<'_>,
    topic: &CreatePartitionsTopic<'_>,
) -> Growth {
    let times = request.topics.iter().filter(|other| other.name == topic.name).count();
    let refused = if times > 1 {
        Some(ItemResult::error(ErrorCode::INVALID_REQUEST, "Duplicate topic name."))
    } else {
        let denied = context.authorize(Operation::Alter, Resource::Topic(topic.name)).err();
        denied.map(|code| ItemResult { code, message: None })
    };
    let node = shard.identity.node_id;
    let assignments = topic.assignments.as_ref().map(|assignments| {
        (
            assignments.iter().all(|assignment| assignment.broker_ids == [node]),
            assignments.len(),
        )
    });
    Growth {
        name: topic.name.to_owned(),
        count: topic.count,
        assignments,
        refused,
    }
}

fn propose(config: Arc<BrokerConfig>, growths: Vec<Growth>, validate_only: bool) -> Propose {
    Box::new(move |image, _| {
        let mut commands = Vec::new();
        let mut total = image.partition_count();
        let results = growths
            .into_iter()
            .map(|growth| match check(image, &config, growth, &mut total) {
                Ok(command) => {
                    commands.push(command);
                    ItemResult::OK
                }
                Err(refused) => refused,
            })
            .collect();
        if validate_only {
            commands.clear();
        }
        (commands, AdminAnswer::Items(results))
    })
}

fn check(image: &Image, config: &BrokerConfig, growth: Growth, total: &mut u64) -> Result<Command, ItemResult> {
    if let Some(refused) = growth.refused {
        return Err(refused);
    }
    let Some(topic) = image.topic(&growth.name) else {
        let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        return Err(ItemResult { code, message: None });
    };
    let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let invalid = |message: String| Err(ItemResult::error(ErrorCode::INVALID_PARTITIONS, message));
    if growth.count == present {
        return invalid(format!("Topic already has {present} partition(s)."));
    }
    if growth.count < present {
        return invalid(format!(
            "The topic {} currently has {present} partition(s); {} would not be an increase.",
            growth.name, growth.count
        ));
    }
    let added = growth.count.abs_diff(present);
    if let Some((all_here, count)) = growth.assignments
        && (count != added as usize || !all_here)
    {
        let message = "Each new partition must be assigned to this broker, once: it is the only one.";
        return Err(ItemResult::error(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    let after = *total + u64::from(added);
    if after > u64::from(config.partitions_max) {
        return invalid(format!(
            "the node would have {after} partitions, more than partitions.max"
        ));
    }
    *total = after;
    Ok(Command::CreatePartitions {
        id: topic.id,
        count: growth.count,
    })
}
