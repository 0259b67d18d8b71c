//! From one generation to the next: waiting for members to join, and beginning.
//!
//! Source: Apache Kafka, GroupMetadataManager.prepareRebalance, completeClassicGroupJoin; KIP-134 (initial delay).

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::appends::{Left, Then};
use crate::coordinator::{Coordinator, answer};
use crate::event::Effect;
use crate::group::{Group, GroupState, InitialDelay};
use crate::timers::Timer;

/// A group of static members none of which is back looks again after this time at least: their rebalance timeout may be
/// zero, and their sessions end anyhow.
const REJOIN_WAIT_MIN: Duration = Duration::from_secs(1);

impl Coordinator {
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
            interrupt_syncs(group, GroupError::RebalanceInProgress, effects);
        }
        group.unsynced.clear();
        group.assigning = false;
        let initial = group.state == GroupState::Empty;
        group.enter(GroupState::PreparingRebalance, now.wall);
        self.timers.cancel(&Timer::Sync(name.into()));
        if initial {
            self.delay_initial(now, name, effects);
        } else {
            self.await_members(now, name, effects);
        }
    }

    /// The first members of a group usually start together: one rebalance for all instead of one each.
    fn delay_initial(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let delay = self.settings.initial_rebalance_delay;
        let Some(group) = self.groups.get_mut(name) else { return };
        if delay.is_zero() {
            return self.complete_join(now, name, effects);
        }
        group.initial_delay = Some(InitialDelay {
            remaining: group.members.rebalance_timeout().saturating_sub(delay),
            joined_since: false,
        });
        self.arm(now, Timer::Join(name.into()), delay);
    }

    /// Completes the join if everybody is there, else waits as long as the slowest member may take.
    fn await_members(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get(name) else { return };
        if group.everybody_joined() {
            return self.complete_join(now, name, effects);
        }
        let wait = group.members.rebalance_timeout();
        self.arm(now, Timer::Join(name.into()), wait);
    }

    /// Completes a join that nobody is missing from; one in its initial delay goes on waiting for more.
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
                self.arm(now, Timer::Join(name.into()), wait);
            }
            // Those that were given an id and have not come again with it are not waited for.
            Some(_) | None => self.complete_join(now, name, effects),
        }
    }

    /// Begins a generation with the members that joined. Static members keep their place until their sessions end.
    fn complete_join(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        self.timers.cancel(&Timer::Join(name.into()));
        let Some(group) = self.groups.get_mut(name) else { return };
        let late: Vec<String> = group
            .members
            .iter()
            .filter(|(id, member)| member.instance_id.is_none() && !group.members.has_joined(id))
            .map(|(id, _)| id.clone())
            .collect();
        for member in late {
            self.take_out(name, &member, effects);
        }
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.members.is_empty() {
            return self.became_empty(now, name, None, effects);
        }
        if !group.elect_leader() {
            group.initial_delay = None;
            let wait = group.members.rebalance_timeout().max(REJOIN_WAIT_MIN);
            return self.arm(now, Timer::Join(name.into()), wait);
        }
        group.next_generation(now.wall);
        self.answer_joins(now, name, effects);
    }

    fn answer_joins(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.members.clear_new();
        group.unsynced = group.members.ids().cloned().collect();
        for (member_id, id) in group.members.take_joins() {
            answer(effects, id, Answer::Joined(group.joined(&member_id)));
        }
        let wait = group.members.rebalance_timeout();
        let sessions: Vec<_> = group
            .members
            .iter()
            .map(|(id, member)| (id.clone(), member.session_timeout()))
            .collect();
        for (member_id, timeout) in sessions {
            self.arm_session(now, name, &member_id, timeout);
        }
        self.arm(now, Timer::Sync(name.into()), wait);
    }

    /// Members were taken out: the rest shares what they had.
    pub(crate) fn after_removal(&mut self, now: Now, name: &str, effects: &mut Vec<Effect>) {
        match self.groups.get(name) {
            Some(group) if group.members.is_empty() => self.became_empty(now, name, None, effects),
            Some(_) => self.rebalance_or_complete(now, name, effects),
            None => {}
        }
    }

    /// The last member is gone: the group waits for new ones, or for its offsets to expire.
    pub(crate) fn became_empty(&mut self, now: Now, name: &str, left: Option<Left>, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        group.next_generation(now.wall);
        let row = group.row();
        self.timers.cancel(&Timer::Join(name.into()));
        self.timers.cancel(&Timer::Sync(name.into()));
        let then = Then::Emptied { row: row.clone(), left };
        self.append_group(name, row, then, effects);
    }
}

/// Ends waiting syncs: what they wait for will not come.
pub(crate) fn interrupt_syncs(group: &mut Group, error: GroupError, effects: &mut Vec<Effect>) {
    group.members.clear_assignments();
    for (_, id) in group.members.take_syncs() {
        answer(effects, id, Answer::Synced(Err(error)));
    }
}
