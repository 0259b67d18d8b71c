//! What the APIs of groups have in common: where a group's coordinator is, and its errors as Kafka's.

use hallows_group_coordinator::{Answer, GroupError, Request};
use hallows_protocol::ErrorCode;
use hallows_types::PartitionId;

use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::coordinator::{GroupAnswer, GroupOp, partition_of};
use crate::gather::Answers;
use crate::metadata::OFFSETS_TOPIC;
use crate::op::{Op, OpAnswer, PartitionOp};
use crate::shard::Shard;

/// Kafka's code of a coordinator's refusal.
pub(super) const fn group_code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::LoadInProgress => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::NotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        GroupError::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        GroupError::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::UnknownMemberId => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::FencedInstanceId => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::InconsistentGroupProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::GroupMaxSizeReached => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        GroupError::GroupIdNotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
        GroupError::UnstableOffsetCommit => ErrorCode::UNSTABLE_OFFSET_COMMIT,
        GroupError::InvalidCommitOffsetSize => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        GroupError::UnknownServerError => ErrorCode::UNKNOWN_SERVER_ERROR,
        GroupError::GroupSubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
    }
}

/// The code of a result.
pub(super) fn result_code<T>(result: &Result<T, GroupError>) -> ErrorCode {
    result
        .as_ref()
        .map_or_else(|error| group_code(*error), |_| ErrorCode::NONE)
}

impl Shard {
    /// The partition whose coordinator owns a group; an error while `__consumer_offsets` does not exist.
    pub(super) fn coordinator_partition(&self, group: &str) -> Result<PartitionId, ErrorCode> {
        let topic = self
            .image
            .topic(OFFSETS_TOPIC)
            .ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        let index = partition_of(group, topic.partitions.len()).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        Ok(PartitionId { topic: topic.id, index })
    }

    /// An op for a group's coordinator, if the client may use the group and the coordinator exists.
    pub(super) fn group_op(
        &self,
        context: &RequestContext,
        operation: Operation,
        group: &str,
        request: Request,
    ) -> Result<Op, ErrorCode> {
        context.authorize(operation, Resource::Group(group))?;
        let id = self.coordinator_partition(group)?;
        Ok(Op::Partition(id, PartitionOp::Group(Box::new(GroupOp(request)))))
    }

    /// Asks one group's coordinator and finishes with its answer, or with the error that kept it from answering.
    pub(super) fn ask_coordinator(
        &mut self,
        context: RequestContext,
        operation: Operation,
        group: &str,
        request: Request,
        finish: impl FnOnce(&RequestContext, Result<Answer, ErrorCode>) -> Outcome + Send + 'static,
    ) -> Outcome {
        match self.group_op(&context, operation, group, request) {
            Ok(op) => self.gather(context, vec![op], |_, context, answers| {
                finish(&context, first(answers))
            }),
            Err(code) => finish(&context, Err(code)),
        }
    }
}

/// A coordinator's answer among gathered ones.
pub(super) fn told(answer: Option<OpAnswer>) -> Result<Answer, ErrorCode> {
    match answer {
        Some(OpAnswer::Group(answer)) => match *answer {
            GroupAnswer::Told(answer) => Ok(answer),
            GroupAnswer::NotCoordinator | GroupAnswer::Listed(_) => Err(ErrorCode::NOT_COORDINATOR),
        },
        _ => Err(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

fn first(answers: Answers) -> Result<Answer, ErrorCode> {
    told(answers.into_iter().next().flatten())
}
