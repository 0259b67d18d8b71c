//! Syncing, heartbeats, leaving, and what happens to those that are not heard of.
//!
//! Source: Apache Kafka, GroupMetadataManager.classicGroupSync, classicGroupHeartbeat, classicGroupLeave.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::Now;

use crate::answer::{Answer, GroupError, Joined};
use crate::coordinator::{Coordinator, Then, answer};
use crate::event::{Effect, Heartbeat, Leave, LeavingMember, RequestId, Sync};
use crate::group::{Group, GroupState};
use crate::join::interrupt_syncs;
use crate::row::Row;
use crate::timers::Timer;

impl Coordinator {
    pub(crate) fn sync(&mut self, now: Now, id: RequestId, sync: Sync, effects: &mut Vec<Effect>) {
        if let Err(error) = self.sync_check(&sync) {
            return answer(effects, id, Answer::Synced(Err(error)));
        }
        self.heard_of(now, &sync.group, &sync.member_id);
        let Some(group) = self.groups.get_mut(&sync.group) else {
            return;
        };
        group.unsynced.remove(&sync.member_id);
        if group.unsynced.is_empty() {
            self.timers.cancel(&Timer::Sync(sync.group.clone()));
        }
        if group.state == GroupState::Stable {
            return answer(effects, id, Answer::Synced(Ok(group.synced(&sync.member_id))));
        }
        if let Some(member) = group.members.get_mut(&sync.member_id)
            && let Some(before) = member.syncing.replace(id)
        {
            // A retry replaces the sync it repeats.
            answer(effects, before, Answer::Synced(Err(GroupError::RebalanceInProgress)));
        }
        if group.is_leader(&sync.member_id) {
            self.assign(sync, effects);
        }
    }

    fn sync_check(&self, sync: &Sync) -> Result<(), GroupError> {
        let group = self.living_group(&sync.group)?;
        group.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, known: &Option<String>| said.is_some() && said != known;
        if differs(&sync.protocol_type, &group.protocol_type) || differs(&sync.protocol, &group.protocol) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match group.state {
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// The leader's word goes into the log before anybody hears it.
    fn assign(&mut self, sync: Sync, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&sync.group) else {
            return;
        };
        for member in group.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for (member_id, assignment) in sync.assignments {
            if let Some(member) = group.members.get_mut(&member_id) {
                member.assignment = assignment;
            }
        }
        let generation = group.generation;
        let row = Row::Group {
            group: sync.group.clone(),
            value: Some(group.row()),
        };
        self.append(
            alloc::vec![row],
            Then::Assigned {
                group: sync.group,
                generation,
            },
            effects,
        );
    }

    pub(crate) fn assigned(&mut self, now: Now, name: &str, generation: i32, effects: &mut Vec<Effect>) {
        let Some(group) = self.assigning(name, generation) else {
            return;
        };
        group.enter(GroupState::Stable, now.wall);
        let mut waiting = Vec::new();
        for (member_id, member) in &mut group.members {
            waiting.extend(member.syncing.take().map(|id| (id, member_id.clone())));
        }
        for (id, member_id) in &waiting {
            answer(effects, *id, Answer::Synced(Ok(group.synced(member_id))));
        }
        for (_, member_id) in waiting {
            self.heard_of(now, name, &member_id);
        }
    }

    pub(crate) fn not_assigned(&mut self, now: Now, name: &str, generation: i32, effects: &mut Vec<Effect>) {
        if let Some(group) = self.assigning(name, generation) {
            interrupt_syncs(group, effects);
            self.rebalance_or_complete(now, name, effects);
        }
    }

    fn assigning(&mut self, name: &str, generation: i32) -> Option<&mut Group> {
        let group = self.groups.get_mut(name)?;
        (group.state == GroupState::CompletingRebalance && group.generation == generation).then_some(group)
    }

    pub(crate) fn heartbeat(&mut self, now: Now, heartbeat: &Heartbeat) -> Result<(), GroupError> {
        let group = self.living_group(&heartbeat.group)?;
        group.check_member(&heartbeat.member_id, heartbeat.instance_id.as_deref())?;
        if heartbeat.generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let state = group.state;
        self.heard_of(now, &heartbeat.group, &heartbeat.member_id);
        match state {
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    pub(crate) fn leave(&mut self, now: Now, id: RequestId, leave: &Leave, effects: &mut Vec<Effect>) {
        if leave.group.is_empty() {
            return answer(effects, id, Answer::Left(Err(GroupError::InvalidGroupId)));
        }
        if let Err(error) = self.living_group(&leave.group) {
            return answer(effects, id, Answer::Left(Err(error)));
        }
        let results = leave
            .members
            .iter()
            .map(|member| self.leave_one(now, &leave.group, member, effects))
            .collect();
        answer(effects, id, Answer::Left(Ok(results)));
    }

    fn leave_one(
        &mut self,
        now: Now,
        name: &str,
        leaving: &LeavingMember,
        effects: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let group = self.groups.get_mut(name).ok_or(GroupError::UnknownMemberId)?;
        let member_id = match &leaving.instance_id {
            Some(instance_id) if leaving.member_id.is_empty() => group
                .instances
                .get(instance_id)
                .cloned()
                .ok_or(GroupError::UnknownMemberId)?,
            _ => leaving.member_id.clone(),
        };
        if leaving.instance_id.is_none() && group.pending.remove(&member_id) {
            self.timers.cancel(&Timer::Session {
                group: name.into(),
                member: member_id,
            });
            self.complete_if_everybody_joined(now, name, effects);
            return Ok(());
        }
        group.check_member(&member_id, leaving.instance_id.as_deref())?;
        self.remove_member(now, name, &member_id, effects);
        Ok(())
    }

    /// Takes a member out, and rebalances what it had.
    fn remove_member(&mut self, now: Now, name: &str, member_id: &str, effects: &mut Vec<Effect>) {
        self.timers.cancel(&Timer::Session {
            group: name.into(),
            member: member_id.into(),
        });
        let Some(group) = self.groups.get_mut(name) else { return };
        let Some(member) = group.remove(member_id) else { return };
        if let Some(id) = member.joining {
            let joined = Joined {
                error: Some(GroupError::UnknownMemberId),
                generation: -1,
                member_id: member_id.into(),
                ..Joined::default()
            };
            answer(effects, id, Answer::Joined(joined));
        }
        if let Some(id) = member.syncing {
            answer(effects, id, Answer::Synced(Err(GroupError::UnknownMemberId)));
        }
        if group.members.is_empty() && group.pending.is_empty() {
            group.generation = if group.generation == i32::MAX {
                1
            } else {
                group.generation + 1
            };
            return self.became_empty(now, name, effects);
        }
        self.rebalance_or_complete(now, name, effects);
    }

    /// A member was not heard of for its session timeout.
    pub(crate) fn session_expired(&mut self, now: Now, name: &str, member_id: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.pending.remove(member_id) {
            return self.complete_if_everybody_joined(now, name, effects);
        }
        let Some(member) = group.members.get(member_id) else {
            return;
        };
        if !member.is_new && (member.joining.is_some() || member.syncing.is_some()) {
            // It waits for us, not we for it.
            return self.heard_of(now, name, member_id);
        }
        self.remove_member(now, name, member_id, effects);
    }

    /// Members that joined have not synced for the rebalance timeout: without them.
    pub(crate) fn sync_expired(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if !matches!(group.state, GroupState::CompletingRebalance | GroupState::Stable) {
            return;
        }
        for member_id in core::mem::take(&mut group.unsynced) {
            self.remove_member(now, name, &member_id, effects);
        }
    }

    /// Gives a member another session timeout.
    pub(crate) fn heard_of(&mut self, now: Now, name: &str, member_id: &str) {
        if let Some(member) = self.groups.get(name).and_then(|group| group.members.get(member_id)) {
            let timer = Timer::Session {
                group: name.into(),
                member: member_id.into(),
            };
            self.timers.set(timer, now.monotonic.after(member.session_timeout()));
        }
    }

    fn living_group(&self, name: &str) -> Result<&Group, GroupError> {
        if name.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self.groups.get(name).ok_or(GroupError::UnknownMemberId)?;
        if group.state == GroupState::Dead {
            Err(GroupError::NotAvailable)
        } else {
            Ok(group)
        }
    }
}
