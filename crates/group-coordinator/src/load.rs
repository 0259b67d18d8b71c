//! What the log says at a start.

use hallows_types::Now;

use crate::coordinator::Coordinator;
use crate::event::Effect;
use crate::group::Group;
use crate::row::{GroupRow, Row};
use crate::timers::Timer;
use alloc::string::String;
use alloc::vec::Vec;

impl Coordinator {
    /// Takes over one row, in the log's order: later rows win.
    pub(crate) fn load(&mut self, now: Now, row: Row) {
        match row {
            Row::Offset {
                group,
                topic,
                partition,
                value: Some(value),
            } => {
                let group = self.groups.entry(group).or_insert_with(|| Group::new(now.wall));
                group.offsets.insert((topic, partition), value);
            }
            Row::Offset {
                group,
                topic,
                partition,
                value: None,
            } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.remove(&(topic, partition));
                }
            }
            Row::Group { group, value } => self.load_group(now, group, value),
        }
    }

    fn load_group(&mut self, now: Now, name: String, row: Option<GroupRow>) {
        match row {
            Some(row) => {
                let group = self.groups.entry(name).or_insert_with(|| Group::new(now.wall));
                group.restore(row);
            }
            // Offsets have tombstones of their own; one without is a commit that must not be lost.
            None => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.forget_membership(now.wall);
                }
            }
        }
    }

    /// The log is read. Every member that it knows has a session from now on.
    pub(crate) fn load_finished(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !core::mem::take(&mut self.loading) {
            return;
        }
        self.groups.retain(|_, group| !group.is_vacant());
        let mut sessions = Vec::new();
        let mut above_max = Vec::new();
        for (name, group) in &self.groups {
            for (id, member) in group.members.iter() {
                sessions.push((name.clone(), id.clone(), member.session_timeout()));
            }
            if group.members.len() > self.settings.members_max {
                above_max.push(name.clone());
            }
        }
        for (group, member, timeout) in sessions {
            self.arm_session(now, &group, &member, timeout);
        }
        let interval = self.settings.offsets_retention_check_interval;
        self.arm(now, Timer::Expiry, interval);
        // The bound was lowered: members join again until it is reached.
        for group in above_max {
            self.rebalance_or_complete(now, &group, effects);
        }
        for topic in core::mem::take(&mut self.topics_deleted) {
            self.topic_deleted(topic, effects);
        }
    }
}
