//! The group coordinators of this shard: one per partition of `__consumer_offsets` that it owns.
//!
//! A group changes only by that partition's committed records.

use hallows_storage::PartitionKey;
use hallows_types::{Monotonic, PartitionId, ShardId};

use crate::metadata::Topic;
use crate::op::{AppendDone, AppendFailure, ReplyTo};
use crate::shard::Shard;

/// Work for a coordinator.
pub(crate) enum GroupOp {}

/// Its answer.
pub(crate) enum GroupAnswer {}

impl GroupOp {
    pub(crate) fn shard(&self) -> ShardId {
        match *self {}
    }

    pub(crate) fn not_here(self) -> GroupAnswer {
        match self {}
    }
}

/// The coordinators of a shard.
#[derive(Default)]
pub(crate) struct Coordinators {}

impl Coordinators {
    #[expect(clippy::unused_self, reason = "filled with the group APIs")]
    pub(crate) const fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }
}

impl Shard {
    pub(crate) fn group(&mut self, _reply: Option<ReplyTo>, _id: PartitionId, op: GroupOp) {
        match op {}
    }

    pub(crate) fn list_groups(&mut self, _reply: Option<ReplyTo>, op: GroupOp) {
        match op {}
    }

    pub(crate) fn coordinators_tick(&mut self) {}

    pub(crate) fn host_coordinator(&mut self, _topic: &Topic, _id: PartitionId, _key: PartitionKey) {}

    pub(crate) fn topic_deleted(&mut self, _name: &str) {}

    pub(crate) fn coordinator_appended(&mut self, _ticket: u64, _result: Result<AppendDone, AppendFailure>) {}
}
