//! Leaving, and what happens to those that are not heard of.
//!
//! Source: Apache Kafka, GroupMetadataManager.classicGroupLeave, expireClassicGroupMemberHeartbeat, expirePendingSync.

use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::appends::Left;
use crate::coordinator::{Coordinator, answer};
use crate::event::{Effect, Leave, LeavingMember, RequestId};
use crate::group::GroupState;
use crate::join::refuse;

impl Coordinator {
    /// All leave, then there is one rebalance. The answer waits for the log where the last member left.
    pub(crate) fn leave(&mut self, now: Now, id: RequestId, leave: &Leave, effects: &mut Vec<Effect>) {
        match self.living_group(&leave.group) {
            Ok(_) => {}
            Err(GroupError::UnknownMemberId) => {
                let results = leave.members.iter().map(|_| Err(GroupError::UnknownMemberId));
                return answer(effects, id, Answer::Left(Ok(results.collect())));
            }
            Err(error) => return answer(effects, id, Answer::Left(Err(error))),
        }
        let mut removed = false;
        let mut results = Vec::new();
        for member in &leave.members {
            let result = self.leave_one(&leave.group, member, effects);
            removed |= result == Ok(true);
            results.push(result.map(|_| ()));
        }
        let empty = self.groups[&leave.group].members.is_empty();
        if removed && empty {
            let left = Left { id, results };
            return self.became_empty(now, &leave.group, Some(left), effects);
        }
        let any = results.iter().any(Result::is_ok);
        answer(effects, id, Answer::Left(Ok(results)));
        if removed {
            self.rebalance_or_complete(now, &leave.group, effects);
        } else if any {
            self.complete_if_everybody_joined(now, &leave.group, effects);
        }
    }

    /// Takes one out: `true` for a member, `false` for an id that was only given out.
    fn leave_one(
        &mut self,
        name: &str,
        leaving: &LeavingMember,
        effects: &mut Vec<Effect>,
    ) -> Result<bool, GroupError> {
        let group = self.groups.get_mut(name).ok_or(GroupError::UnknownMemberId)?;
        if group.pending.remove(&leaving.member_id) {
            self.cancel_session(name, &leaving.member_id);
            return Ok(false);
        }
        let member_id = match &leaving.instance_id {
            Some(instance_id) if leaving.member_id.is_empty() => {
                let known = group.members.instance(instance_id);
                known.cloned().ok_or(GroupError::UnknownMemberId)?
            }
            instance_id => {
                group.check_member(&leaving.member_id, instance_id.as_deref())?;
                leaving.member_id.clone()
            }
        };
        self.take_out(name, &member_id, effects);
        Ok(true)
    }

    /// Takes a member out and answers what it waits for. Its place is still to be shared: see `after_removal`.
    pub(crate) fn take_out(&mut self, name: &str, member_id: &str, effects: &mut Vec<Effect>) {
        self.cancel_session(name, member_id);
        let group = self.groups.get_mut(name);
        let Some(waits) = group.and_then(|group| group.remove(member_id)) else {
            return;
        };
        if let Some(id) = waits.join {
            refuse(effects, id, GroupError::UnknownMemberId, String::new());
        }
        if let Some(id) = waits.sync {
            answer(effects, id, Answer::Synced(Err(GroupError::UnknownMemberId)));
        }
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
        if !member.is_new && group.members.waits(member_id) {
            // It waits for us, not we for it.
            return self.heard_of(now, name, member_id);
        }
        self.take_out(name, member_id, effects);
        self.after_removal(now, name, effects);
    }

    /// Members that joined have not synced for the rebalance timeout: on without them, in one rebalance.
    pub(crate) fn sync_expired(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if !matches!(group.state, GroupState::CompletingRebalance | GroupState::Stable) || group.unsynced.is_empty() {
            return;
        }
        for member_id in core::mem::take(&mut group.unsynced) {
            self.take_out(name, &member_id, effects);
        }
        self.after_removal(now, name, effects);
    }
}
