//! Syncing and heartbeats.
//!
//! Source: Apache Kafka, GroupMetadataManager.classicGroupSync, classicGroupHeartbeat.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::appends::Then;
use crate::coordinator::{Coordinator, answer};
use crate::event::{Effect, Heartbeat, RequestId, Sync};
use crate::group::{Group, GroupState};
use crate::rebalance::interrupt_syncs;
use crate::row::GroupRow;
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
        if let Some(before) = group.members.begin_sync(&sync.member_id, id) {
            // A retry replaces the sync it repeats.
            answer(effects, before, Answer::Synced(Err(GroupError::RebalanceInProgress)));
        }
        if group.is_leader(&sync.member_id) && !group.assigning {
            self.assign(sync, effects);
        }
    }

    fn sync_check(&self, sync: &Sync) -> Result<(), GroupError> {
        let group = self.living_group(&sync.group)?;
        group.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs =
            |said: &Option<String>, known: &Option<String>| said.is_some() && known.is_some() && said != known;
        if differs(&sync.protocol_type, &group.protocol_type) || differs(&sync.protocol, &group.protocol) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match group.state {
            GroupState::Empty | GroupState::Dead => Err(GroupError::UnknownMemberId),
            GroupState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            GroupState::CompletingRebalance if !self.appends.has_room() => Err(GroupError::NotAvailable),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// The leader's word goes into the log before any member has it.
    fn assign(&mut self, sync: Sync, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&sync.group) else {
            return;
        };
        group.assigning = true;
        let assignments: BTreeMap<String, Bytes> = sync.assignments.into_iter().collect();
        let row = group.row_with(|member_id, _| assignments.get(member_id).cloned().unwrap_or_default());
        let then = Then::Assigned {
            generation: group.generation,
            row: row.clone(),
        };
        self.append_group(&sync.group, row, then, effects);
    }

    /// The leader's word is in the log. It counts unless a rebalance has begun since.
    pub(crate) fn assigned(&mut self, now: Now, name: &str, generation: i32, row: GroupRow, effects: &mut Vec<Effect>) {
        let Some(group) = self.assigning(name, generation) else {
            return;
        };
        for member in row.members {
            group.members.set_assignment(&member.member_id, member.assignment);
        }
        group.assigning = false;
        group.enter(GroupState::Stable, now.wall);
        let waiting = group.members.take_syncs();
        for (member_id, id) in &waiting {
            answer(effects, *id, Answer::Synced(Ok(group.synced(member_id))));
        }
        for member_id in waiting.keys() {
            self.heard_of(now, name, member_id);
        }
    }

    pub(crate) fn not_assigned(
        &mut self,
        now: Now,
        name: &str,
        generation: i32,
        error: GroupError,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(group) = self.assigning(name, generation) {
            interrupt_syncs(group, error, effects);
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

    /// Gives a member another session timeout. A new one that waits for its first rebalance keeps the longer time that
    /// it was given.
    pub(crate) fn heard_of(&mut self, now: Now, name: &str, member_id: &str) {
        let member = self.groups.get(name).and_then(|group| group.members.get(member_id));
        if let Some(member) = member.filter(|member| !member.is_new) {
            let timeout = member.session_timeout();
            self.arm_session(now, name, member_id, timeout);
        }
    }

    /// A group that members can be in.
    pub(crate) fn living_group(&self, name: &str) -> Result<&Group, GroupError> {
        let group = self.groups.get(name).ok_or(GroupError::UnknownMemberId)?;
        if group.state == GroupState::Dead {
            Err(GroupError::NotAvailable)
        } else {
            Ok(group)
        }
    }
}
