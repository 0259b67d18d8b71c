//! Joining: who may become a member, and when a generation begins.
//!
//! Source: Apache Kafka, GroupMetadataManager.classicGroupJoin; KIP-394 (ids first), KIP-345 (static members),
//! KIP-134 (initial delay), KIP-814 (static leaders).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, GroupError, Joined};
use crate::coordinator::{Coordinator, Then, answer};
use crate::event::{Effect, Join, RequestId};
use crate::group::{Group, GroupState, InitialDelay};
use crate::member::{Member, millis};
use crate::row::Row;
use crate::timers::Timer;

/// How long a new member may wait for its first rebalance before it is taken for gone, as in Kafka.
const NEW_MEMBER_JOIN_TIMEOUT: core::time::Duration = core::time::Duration::from_secs(300);

impl Coordinator {
    pub(crate) fn join(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        if let Err(error) = self.join_check(now, &join) {
            return refuse(effects, id, error, join.member_id);
        }
        if join.member_id.is_empty() {
            self.join_new(now, id, join, effects);
        } else {
            self.join_known(now, id, join, effects);
        }
    }

    fn join_check(&mut self, now: Now, join: &Join) -> Result<(), GroupError> {
        if join.group.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let session = millis(join.session_timeout_ms);
        if session < self.settings.session_timeout_min || session > self.settings.session_timeout_max {
            return Err(GroupError::InvalidSessionTimeout);
        }
        if !self.groups.contains_key(&join.group) {
            if !join.member_id.is_empty() {
                return Err(GroupError::UnknownMemberId);
            }
            if self.groups.len() >= self.settings.groups_max {
                return Err(GroupError::GroupMaxSizeReached);
            }
            self.groups.insert(join.group.clone(), Group::new(now.wall));
        }
        let group = &self.groups[&join.group];
        if group.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        if !self.has_room(group, &join.member_id) {
            return Err(GroupError::GroupMaxSizeReached);
        }
        if !group.accepts_protocols(&join.protocol_type, &join.protocols) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn has_room(&self, group: &Group, member_id: &str) -> bool {
        let max = self.settings.members_max;
        match group.state {
            GroupState::PreparingRebalance => {
                let waits = group
                    .members
                    .get(member_id)
                    .is_some_and(|member| member.joining.is_some());
                waits || group.joining_count() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                group.members.contains_key(member_id) || group.members.len() < max
            }
            GroupState::Empty | GroupState::Dead => true,
        }
    }

    fn join_new(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let stem = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let member_id = format!("{stem}-{}", join.unique);
        if let Some(instance_id) = &join.instance_id {
            if let Some(before) = group.instances.get(instance_id).cloned() {
                return self.replace_static(now, id, join, &before, member_id, effects);
            }
        } else if join.member_id_required {
            group.pending.insert(member_id.clone());
            let timer = Timer::Session {
                group: join.group,
                member: member_id.clone(),
            };
            self.timers
                .set(timer, now.monotonic.after(millis(join.session_timeout_ms)));
            return refuse(effects, id, GroupError::MemberIdRequired, member_id);
        }
        self.add_member(now, id, &join, member_id, effects);
    }

    fn join_known(&mut self, now: Now, id: RequestId, join: Join, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        if group.pending.contains(&join.member_id) && join.instance_id.is_none() {
            let member_id = join.member_id.clone();
            return self.add_member(now, id, &join, member_id, effects);
        }
        if let Err(error) = group.check_member(&join.member_id, join.instance_id.as_deref()) {
            return refuse(effects, id, error, join.member_id);
        }
        let same = group
            .members
            .get(&join.member_id)
            .is_some_and(|member| member.protocols == join.protocols);
        let leader = group.is_leader(&join.member_id);
        match group.state {
            GroupState::PreparingRebalance => self.update_member(now, id, &join, effects),
            // It may not have seen the answer to its last join: it gets it again.
            GroupState::CompletingRebalance if same => {
                answer(effects, id, Answer::Joined(group.joined(&join.member_id)));
            }
            GroupState::Stable if same && !leader => {
                answer(effects, id, Answer::Joined(group.joined(&join.member_id)));
            }
            // The leader joins again when what is to be assigned has changed.
            GroupState::CompletingRebalance | GroupState::Stable => self.update_member(now, id, &join, effects),
            GroupState::Empty | GroupState::Dead => {
                refuse(effects, id, GroupError::UnknownMemberId, join.member_id);
            }
        }
    }

    fn add_member(&mut self, now: Now, id: RequestId, join: &Join, member_id: String, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let mut member = Member::new(join);
        member.joining = Some(id);
        member.is_new = true;
        if let Some(delay) = &mut group.initial_delay {
            delay.joined_since = true;
        }
        // The group may be empty still: its state follows at once, in `rebalance`.
        group.insert(&member_id, &join.protocol_type, member);
        let timer = Timer::Session {
            group: join.group.clone(),
            member: member_id,
        };
        self.timers.set(timer, now.monotonic.after(NEW_MEMBER_JOIN_TIMEOUT));
        self.rebalance_or_complete(now, &join.group, effects);
    }

    fn update_member(&mut self, now: Now, id: RequestId, join: &Join, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let Some(member) = group.members.get_mut(&join.member_id) else {
            return;
        };
        let before = member.joining.replace(id);
        member.update(join);
        if let Some(before) = before {
            // A retry replaces the join it repeats.
            refuse(effects, before, GroupError::UnknownMemberId, join.member_id.clone());
        }
        if let Some(syncing) = member.syncing.take() {
            answer(effects, syncing, Answer::Synced(Err(GroupError::RebalanceInProgress)));
        }
        self.rebalance_or_complete(now, &join.group, effects);
    }

    /// A static member came back without its id: its predecessor is fenced, and if nothing else changed
    /// the generation goes on with the assignment it had.
    fn replace_static(
        &mut self,
        now: Now,
        id: RequestId,
        join: Join,
        before: &str,
        member_id: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(&join.group) else {
            return;
        };
        let was_leader = group.is_leader(before);
        let Some(mut member) = group.members.remove(before) else {
            return;
        };
        let unsynced = group.unsynced.remove(before);
        fence(effects, &mut member, before);
        self.timers.cancel(&Timer::Session {
            group: join.group.clone(),
            member: before.into(),
        });
        let protocol = group.protocol.clone();
        let kept = |member: &Member| protocol.as_deref().map(|protocol| member.metadata(protocol));
        let metadata_before = kept(&member);
        member.update(&join);
        let unchanged = metadata_before == kept(&member);
        if let Some(instance_id) = &join.instance_id {
            group.instances.insert(instance_id.clone(), member_id.clone());
        }
        if was_leader {
            group.leader = Some(member_id.clone());
        }
        if unsynced {
            group.unsynced.insert(member_id.clone());
        }
        let session = member.session_timeout();
        let stays = group.state == GroupState::Stable && unchanged;
        if !stays {
            member.joining = Some(id);
        }
        group.members.insert(member_id.clone(), member);
        let timer = Timer::Session {
            group: join.group.clone(),
            member: member_id.clone(),
        };
        self.timers.set(timer, now.monotonic.after(session));
        let same_protocol = group.select_protocol() == group.protocol;
        if stays && same_protocol {
            self.rejoin_static(id, &join, &member_id, was_leader, effects);
        } else {
            if let Some(member) = group.members.get_mut(&member_id) {
                member.joining = Some(id);
            }
            self.rebalance_or_complete(now, &join.group, effects);
        }
    }

    /// Answers a static member that came back into a stable group, once its new id is in the log.
    fn rejoin_static(&mut self, id: RequestId, join: &Join, member_id: &str, leader: bool, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get(&join.group) else {
            return;
        };
        let mut joined = group.joined(member_id);
        if leader {
            // Older leaders would assign again if they saw the members; newer ones are told not to.
            joined.skip_assignment = join.skip_assignment;
            if !join.skip_assignment {
                joined.members.clear();
                joined.leader = group.leader.clone().unwrap_or_default();
            }
        }
        let row = Row::Group {
            group: join.group.clone(),
            value: Some(group.row()),
        };
        self.append(alloc::vec![row], Then::Rejoined { id, joined }, effects);
    }

    /// Begins a rebalance, or, in one, sees whether everybody is there.
    pub(crate) fn rebalance_or_complete(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        match self.groups.get(name).map(|group| group.state) {
            Some(GroupState::PreparingRebalance) => self.complete_if_everybody_joined(now, name, effects),
            Some(GroupState::Empty | GroupState::CompletingRebalance | GroupState::Stable) => {
                self.rebalance(now, name, effects);
            }
            Some(GroupState::Dead) | None => {}
        }
    }

    fn rebalance(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.state == GroupState::CompletingRebalance {
            interrupt_syncs(group, effects);
        }
        group.unsynced.clear();
        self.timers.cancel(&Timer::Sync(name.into()));
        let initial = group.state == GroupState::Empty;
        group.enter(GroupState::PreparingRebalance, now.wall);
        let delay = self.settings.initial_rebalance_delay;
        if initial && !delay.is_zero() {
            let remaining = group.rebalance_timeout().saturating_sub(delay);
            group.initial_delay = Some(InitialDelay {
                remaining,
                joined_since: false,
            });
            self.timers.set(Timer::Join(name.into()), now.monotonic.after(delay));
        } else {
            self.await_members(now, name, effects);
        }
    }

    /// Completes the join if everybody is there, else waits as long as the slowest member may take.
    fn await_members(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.initial_delay = None;
        if group.everybody_joined() {
            return self.complete_join(now, name, effects);
        }
        self.timers
            .set(Timer::Join(name.into()), now.monotonic.after(group.rebalance_timeout()));
    }

    pub(crate) fn complete_if_everybody_joined(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let ready = self.groups.get(name).is_some_and(|group| {
            group.state == GroupState::PreparingRebalance && group.initial_delay.is_none() && group.everybody_joined()
        });
        if ready {
            self.complete_join(now, name, effects);
        }
    }

    /// The wait for members is over.
    pub(crate) fn join_expired(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.state != GroupState::PreparingRebalance {
            return;
        }
        match &mut group.initial_delay {
            Some(delay) if delay.joined_since && !delay.remaining.is_zero() => {
                delay.joined_since = false;
                let wait = self.settings.initial_rebalance_delay.min(delay.remaining);
                delay.remaining = delay.remaining.saturating_sub(wait);
                self.timers.set(Timer::Join(name.into()), now.monotonic.after(wait));
            }
            Some(_) => self.await_members(now, name, effects),
            None => self.complete_join(now, name, effects),
        }
    }

    /// Begins a generation with the members that joined.
    fn complete_join(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        self.timers.cancel(&Timer::Join(name.into()));
        let Some(group) = self.groups.get_mut(name) else { return };
        let late: Vec<String> = group
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance_id.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for member in late {
            group.remove(&member);
            self.timers.cancel(&Timer::Session {
                group: name.into(),
                member,
            });
        }
        if !group.members.is_empty() && !group.elect_leader() {
            // Only static members, and none is back yet: wait on, they keep their place until their sessions end.
            self.timers
                .set(Timer::Join(name.into()), now.monotonic.after(group.rebalance_timeout()));
            return;
        }
        group.generation = if group.generation == i32::MAX {
            1
        } else {
            group.generation + 1
        };
        if group.members.is_empty() {
            return self.became_empty(now, name, effects);
        }
        group.protocol = group.select_protocol();
        group.enter(GroupState::CompletingRebalance, now.wall);
        self.answer_joins(now, name, effects);
    }

    fn answer_joins(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let waits = group.rebalance_timeout();
        let mut joined = Vec::new();
        for (member_id, member) in &mut group.members {
            member.is_new = false;
            let timer = Timer::Session {
                group: name.into(),
                member: member_id.clone(),
            };
            self.timers.set(timer, now.monotonic.after(member.session_timeout()));
            if let Some(id) = member.joining.take() {
                joined.push((id, member_id.clone()));
            }
        }
        group.unsynced = group.members.keys().cloned().collect();
        for (id, member_id) in joined {
            answer(effects, id, Answer::Joined(group.joined(&member_id)));
        }
        self.timers.set(Timer::Sync(name.into()), now.monotonic.after(waits));
    }

    /// The last member is gone: the group waits for new ones, or for its offsets to expire.
    pub(crate) fn became_empty(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.protocol = None;
        group.leader = None;
        group.initial_delay = None;
        group.enter(GroupState::Empty, now.wall);
        self.timers.cancel(&Timer::Join(name.into()));
        self.timers.cancel(&Timer::Sync(name.into()));
        let row = Row::Group {
            group: name.into(),
            value: Some(group.row()),
        };
        self.append(alloc::vec![row], Then::Kept, effects);
    }
}

/// Tells waiting syncs that they must join again.
pub(crate) fn interrupt_syncs(group: &mut Group, effects: &mut Vec<Effect>) {
    for member in group.members.values_mut() {
        member.assignment = bytes::Bytes::new();
        if let Some(id) = member.syncing.take() {
            answer(effects, id, Answer::Synced(Err(GroupError::RebalanceInProgress)));
        }
    }
}

/// Tells a static member's predecessor that it was replaced.
fn fence(effects: &mut Vec<Effect>, member: &mut Member, member_id: &str) {
    if let Some(id) = member.joining.take() {
        refuse(effects, id, GroupError::FencedInstanceId, member_id.into());
    }
    if let Some(id) = member.syncing.take() {
        answer(effects, id, Answer::Synced(Err(GroupError::FencedInstanceId)));
    }
}

/// Answers a join that failed.
pub(crate) fn refuse(effects: &mut Vec<Effect>, id: RequestId, error: GroupError, member_id: String) {
    let joined = Joined {
        error: Some(error),
        generation: -1,
        member_id,
        ..Joined::default()
    };
    answer(effects, id, Answer::Joined(joined));
}
