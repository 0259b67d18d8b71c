//! ElectLeaders, versions 0 to 2 (KIP-183, KIP-460).
//!
//! Every partition has one replica: where it can lead it does so already, and where it stopped for good nobody else
//! can. Version 0 knows only preferred elections, and has no error for the whole request.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use hallows_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::admin::ItemResult;
use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

/// Who is to lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Election {
    /// The first replica of the assignment.
    Preferred,
    /// Any replica, even one that lacks records.
    Unclean,
}

impl Election {
    const fn new(wire: i8) -> Option<Self> {
        match wire {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _ => None,
        }
    }

    /// What is said when no replica can lead.
    const fn nobody(self) -> ErrorCode {
        match self {
            Self::Preferred => ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE,
            Self::Unclean => ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE,
        }
    }
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ElectLeadersRequest<'_>, context, body);
    if let Err(code) = context.authorize(Operation::Alter, Resource::Cluster) {
        return refuse(shard, &context, &request, &ItemResult::refusal(code));
    }
    let Some(election) = Election::new(request.election_type) else {
        let why = format!("Unknown election type {}", request.election_type);
        let refused = ItemResult::error(ErrorCode::INVALID_REQUEST, why);
        return refuse(shard, &context, &request, &refused);
    };
    if request.timeout_ms <= 0 {
        return refuse(shard, &context, &request, &ItemResult::timed_out());
    }
    let (plan, tell) = match &request.topic_partitions {
        Some(topics) => {
            let mut plan = Plan::new();
            for named in topics {
                plan.begin(named.topic);
                for &index in &named.partitions {
                    match shard.partition_id(named.topic, index) {
                        Ok(id) => plan.ask(named.topic, id, PartitionOp::Describe),
                        Err(code) => plan.refuse(named.topic, index, told(index, code)),
                    }
                }
            }
            (plan, Tell::Everything)
        }
        None => {
            let mut plan = Plan::of_everything();
            for topic in shard.image.topics.values() {
                plan.begin(&topic.name);
                for (id, _) in topic.partition_ids() {
                    plan.ask(&topic.name, id, PartitionOp::Describe);
                }
            }
            (plan, Tell::WhatIsWrong)
        }
    };
    let read = move |index, described| told(index, outcome(election, described));
    plan.run(shard, context, read, move |context, topics| {
        let results = topics
            .into_iter()
            .map(|(topic, mut partition_result)| {
                partition_result.retain(|result| tell.includes(result.error_code));
                ReplicaElectionResult {
                    topic,
                    partition_result,
                }
            })
            .collect();
        respond(context, ErrorCode::NONE, results)
    })
}

/// What is told of a partition that is led as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tell {
    /// That it is: the request named it.
    Everything,
    /// Nothing: the request meant all there are.
    WhatIsWrong,
}

impl Tell {
    fn includes(self, code: ErrorCode) -> bool {
        self == Self::Everything || code != ErrorCode::ELECTION_NOT_NEEDED
    }
}

/// What comes of an election, by what the owner says of the partition.
fn outcome(election: Election, described: Option<OpAnswer>) -> ErrorCode {
    match described {
        Some(OpAnswer::Described(Ok(partition))) if partition.has_failed => election.nobody(),
        Some(OpAnswer::Described(Ok(_))) => ErrorCode::ELECTION_NOT_NEEDED,
        Some(OpAnswer::Described(Err(failure))) => partition_code(&failure),
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

fn told(partition_id: i32, code: ErrorCode) -> PartitionResult {
    result(partition_id, ItemResult::refusal(code))
}

fn result(partition_id: i32, result: ItemResult) -> PartitionResult {
    PartitionResult {
        partition_id,
        error_code: result.code,
        error_message: result.message,
    }
}

/// Every partition of the request, refused: version 0 has no other place for it.
fn refuse(shard: &Shard, context: &RequestContext, request: &ElectLeadersRequest<'_>, refused: &ItemResult) -> Outcome {
    let topics = request.topic_partitions.as_deref().unwrap_or_default();
    if let Some(too_many) = shard.refuse_named(topics.iter().map(|topic| topic.partitions.len()).sum()) {
        return too_many;
    }
    let results = topics
        .iter()
        .map(|topic| ReplicaElectionResult {
            topic: topic.topic.to_owned(),
            partition_result: topic
                .partitions
                .iter()
                .map(|&index| result(index, refused.clone()))
                .collect(),
        })
        .collect();
    respond(context, refused.code, results)
}

fn respond(context: &RequestContext, code: ErrorCode, results: Vec<ReplicaElectionResult>) -> Outcome {
    let response = ElectLeadersResponse {
        throttle_time_ms: 0,
        error_code: if context.version >= 1 { code } else { ErrorCode::NONE },
        replica_election_results: results,
    };
    answer(context, &response)
}

#[cfg(test)]
mod tests {
    use hallows_types::{LeaderEpoch, Offset};

    use super::*;
    use crate::op::{PartitionDescription, PartitionFailure};

    fn described(has_failed: bool) -> Option<OpAnswer> {
        Some(OpAnswer::Described(Ok(PartitionDescription {
            size_bytes: 0,
            leader_epoch: LeaderEpoch(0),
            high_watermark: Offset(0),
            log_end: Offset(0),
            has_failed,
        })))
    }

    #[test]
    fn a_partition_that_stopped_has_nobody_to_lead_it() {
        let check = |election, code| assert_eq!(outcome(election, described(true)), code);
        check(Election::Preferred, ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE);
        check(Election::Unclean, ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE);
        for election in [Election::Preferred, Election::Unclean] {
            assert_eq!(outcome(election, described(false)), ErrorCode::ELECTION_NOT_NEEDED);
            let gone = Some(OpAnswer::Described(Err(PartitionFailure::Unknown)));
            assert_eq!(outcome(election, gone), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
}
