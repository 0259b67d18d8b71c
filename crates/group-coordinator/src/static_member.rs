//! Static members that come back: a restart keeps the assignment without a rebalance.
//!
//! Source: Apache Kafka, GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin; KIP-345, KIP-814.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::appends::Then;
use crate::coordinator::{Coordinator, answer};
use crate::event::{Effect, Join, RequestId};
use crate::group::GroupState;
use crate::join::refuse;
use crate::member::{Profile, millis};
use crate::roster::Waits;

/// A static member's return, until its new id is in the log.
#[derive(Clone, Debug)]
pub(crate) struct Rejoin {
    pub(crate) id: RequestId,
    member_id: String,
    /// What it is called again if the log does not take the new id.
    member_id_before: String,
    profile_before: Profile,
    /// The leader by the id it had when the member came back.
    leader_before: String,
    skip_assignment: bool,
}

impl Coordinator {
    /// A static member came back without its id: its predecessor is fenced. In a stable group whose protocol stays,
    /// the generation goes on with the assignment it had; what the member subscribes to is not compared.
    pub(crate) fn replace_static(
        &mut self,
        now: Now,
        id: RequestId,
        join: &Join,
        before: &str,
        member_id: &str,
        effects: &mut Vec<Effect>,
    ) {
        if !self.appends.has_room() {
            return refuse(effects, id, GroupError::NotAvailable, String::new());
        }
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let leader_before = group.leader.clone().unwrap_or_default();
        let Some(waits) = group.rename(before, member_id) else {
            return;
        };
        fence(waits, before, effects);
        let Some(profile_before) = group.members.replace_profile(member_id, Profile::of(join)) else {
            return;
        };
        group.members.begin_join(member_id, id);
        let stays = group.state == GroupState::Stable && group.select_protocol() == group.protocol;
        self.cancel_session(&join.group, before);
        self.arm_session(now, &join.group, member_id, millis(join.session_timeout_ms));
        if !stays {
            return self.rebalance_or_complete(now, &join.group, effects);
        }
        let rejoin = Rejoin {
            id,
            member_id: member_id.into(),
            member_id_before: before.into(),
            profile_before,
            leader_before,
            skip_assignment: join.skip_assignment,
        };
        let row = self.groups[&join.group].row();
        let then = Then::Rejoined {
            rejoin: Box::new(rejoin),
            row: row.clone(),
        };
        self.append_group(&join.group, row, then, effects);
    }

    /// The new id is in the log. If a rebalance began meanwhile, the join is part of it and waits for its end.
    pub(crate) fn rejoined(&mut self, name: &str, rejoin: &Rejoin, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let waits = group.members.join_of(&rejoin.member_id) == Some(rejoin.id);
        if !waits || group.state != GroupState::Stable {
            return;
        }
        group.members.end_join(&rejoin.member_id);
        let mut joined = group.joined(&rejoin.member_id);
        if rejoin.skip_assignment {
            joined.skip_assignment = group.is_leader(&rejoin.member_id);
        } else {
            // An older leader would assign again. Under the leader's old id it takes itself for a follower.
            joined.members.clear();
            joined.leader.clone_from(&rejoin.leader_before);
        }
        answer(effects, rejoin.id, Answer::Joined(joined));
    }

    /// The log knows the member by its old id, so that is its name again.
    pub(crate) fn not_rejoined(
        &mut self,
        now: Now,
        name: &str,
        rejoin: Rejoin,
        error: GroupError,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.members.join_of(&rejoin.member_id) != Some(rejoin.id) {
            // It was answered: fenced, gone, or in a generation of its own.
            return;
        }
        group.members.end_join(&rejoin.member_id);
        let timeout = millis(rejoin.profile_before.session_timeout_ms);
        group.members.replace_profile(&rejoin.member_id, rejoin.profile_before);
        group.rename(&rejoin.member_id, &rejoin.member_id_before);
        self.cancel_session(name, &rejoin.member_id);
        self.arm_session(now, name, &rejoin.member_id_before, timeout);
        refuse(effects, rejoin.id, error, String::new());
    }
}

/// Tells a static member's predecessor that it was replaced.
fn fence(waits: Waits, member_id: &str, effects: &mut Vec<Effect>) {
    if let Some(id) = waits.join {
        refuse(effects, id, GroupError::FencedInstanceId, member_id.into());
    }
    if let Some(id) = waits.sync {
        answer(effects, id, Answer::Synced(Err(GroupError::FencedInstanceId)));
    }
}
