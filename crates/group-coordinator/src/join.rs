//! Joining: who may become a member.
//!
//! Source: Apache Kafka, GroupMetadataManager.classicGroupJoin; KIP-394 (ids first), KIP-345 (static members).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::coordinator::{Coordinator, answer, refused};
use crate::event::{Effect, Join, RequestId};
use crate::group::{Group, GroupState};
use crate::member::{Member, Profile, millis};

/// How long a new member may wait for its first rebalance before it is taken for gone, as in Kafka.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(300);
/// Ids given out at once in one group to members that have not come again with them. Further ones are answered
/// GROUP_MAX_SIZE_REACHED; each is forgotten after its session timeout.
pub(crate) const PENDING_MEMBERS_MAX: usize = 10_000;

impl Coordinator {
    pub(crate) fn join(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        if let Err(error) = self.find_or_create(now, &join) {
            return refuse(effects, id, error, join.member_id);
        }
        let group = &self.groups[&join.group];
        if !self.has_room(group, &join.member_id) {
            return self.turn_away(now, id, &join, effects);
        }
        if group.state == GroupState::Dead {
            refuse(effects, id, GroupError::NotAvailable, join.member_id);
        } else if !group.accepts_protocols(&join.protocol_type, &join.protocols) {
            refuse(effects, id, GroupError::InconsistentGroupProtocol, join.member_id);
        } else if join.member_id.is_empty() {
            self.join_new(now, id, join, effects);
        } else {
            self.join_known(now, id, join, effects);
        }
    }

    fn find_or_create(&mut self, now: Now, join: &Join) -> Result<(), GroupError> {
        if self.groups.contains_key(&join.group) {
            return Ok(());
        }
        if !join.member_id.is_empty() {
            return Err(GroupError::UnknownMemberId);
        }
        if self.groups.len() >= self.settings.groups_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        self.groups.insert(join.group.clone(), Group::new(now.wall));
        Ok(())
    }

    /// While members join again those that have joined are counted, not the members: the group may be above a bound
    /// that was lowered, and those that come last are turned away.
    fn has_room(&self, group: &Group, member_id: &str) -> bool {
        let max = self.settings.members_max;
        match group.state {
            GroupState::PreparingRebalance => group.members.has_joined(member_id) || group.members.joined_count() < max,
            GroupState::CompletingRebalance | GroupState::Stable => {
                group.members.contains(member_id) || group.members.len() < max
            }
            GroupState::Empty | GroupState::Dead => true,
        }
    }

    fn turn_away(&mut self, now: Now, id: RequestId, join: &Join, effects: &mut Vec<Effect>) {
        refuse(effects, id, GroupError::GroupMaxSizeReached, String::new());
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        if group.members.contains(&join.member_id) {
            self.take_out(&join.group, &join.member_id, effects);
            self.after_removal(now, &join.group, effects);
        } else if group.pending.remove(&join.member_id) {
            self.cancel_session(&join.group, &join.member_id);
            self.complete_if_everybody_joined(now, &join.group, effects);
        }
    }

    fn join_new(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let stem = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let member_id = format!("{stem}-{}", join.unique);
        if group.members.contains(&member_id) || group.pending.contains(&member_id) {
            // Whoever hosts this repeated itself; nobody may take over another's id.
            return refuse(effects, id, GroupError::UnknownServerError, String::new());
        }
        if let Some(instance_id) = &join.instance_id {
            if let Some(before) = group.members.instance(instance_id).cloned() {
                return self.replace_static(now, id, &join, &before, &member_id, effects);
            }
        } else if join.member_id_required {
            if group.pending.len() >= PENDING_MEMBERS_MAX {
                return refuse(effects, id, GroupError::GroupMaxSizeReached, String::new());
            }
            group.pending.insert(member_id.clone());
            self.arm_session(now, &join.group, &member_id, millis(join.session_timeout_ms));
            return refuse(effects, id, GroupError::MemberIdRequired, member_id);
        }
        self.add_member(now, id, &join, &member_id, effects);
    }

    fn join_known(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        let group = &self.groups[&join.group];
        if group.pending.contains(&join.member_id) && join.instance_id.is_none() {
            return self.add_member(now, id, &join, &join.member_id, effects);
        }
        if let Err(error) = group.check_member(&join.member_id, join.instance_id.as_deref()) {
            return refuse(effects, id, error, join.member_id);
        }
        let member = group.members.get(&join.member_id);
        let same = member.is_some_and(|member| member.profile.protocols == join.protocols);
        let leader = group.is_leader(&join.member_id);
        match group.state {
            // It may not have seen the answer to its last join: it gets it again.
            GroupState::CompletingRebalance if same => {
                answer(effects, id, Answer::Joined(group.joined(&join.member_id)));
            }
            GroupState::Stable if same && !leader => {
                answer(effects, id, Answer::Joined(group.joined(&join.member_id)));
            }
            // The leader joins again when what is to be assigned has changed.
            GroupState::PreparingRebalance | GroupState::CompletingRebalance | GroupState::Stable => {
                self.update_member(now, id, &join, effects);
            }
            GroupState::Empty | GroupState::Dead => {
                refuse(effects, id, GroupError::UnknownMemberId, join.member_id);
            }
        }
    }

    fn add_member(&mut self, now: Now, id: RequestId, join: &Join, member_id: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        if let Some(delay) = &mut group.initial_delay {
            delay.joined_since = true;
        }
        // The group may be empty still: its state follows at once, in `rebalance`.
        group.insert(member_id, &join.protocol_type, Member::new(join));
        group.members.begin_join(member_id, id);
        self.arm_session(now, &join.group, member_id, NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance_or_complete(now, &join.group, effects);
    }

    fn update_member(&mut self, now: Now, id: RequestId, join: &Join, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        group.members.replace_profile(&join.member_id, Profile::of(join));
        if let Some(before) = group.members.begin_join(&join.member_id, id) {
            // A retry replaces the join it repeats. Kafka never answers that one; the member itself stays as it is.
            refuse(effects, before, GroupError::RebalanceInProgress, join.member_id.clone());
        }
        if let Some(syncing) = group.members.end_sync(&join.member_id) {
            answer(effects, syncing, Answer::Synced(Err(GroupError::RebalanceInProgress)));
        }
        self.rebalance_or_complete(now, &join.group, effects);
    }
}

/// Answers a join that failed.
pub(crate) fn refuse(effects: &mut Vec<Effect>, id: RequestId, error: GroupError, member_id: String) {
    answer(effects, id, refused(error, member_id));
}
