//! Offsets that nobody needs any more (KIP-211): retention counts from when a group became empty,
//! and for a living group's topics from when it no longer subscribed to them.

use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::{Now, WallTime};

use crate::coordinator::Coordinator;
use crate::event::Effect;
use crate::group::{Group, GroupState};
use crate::row::CommittedOffset;
use crate::subscription::subscribed_topics;
use crate::timers::Timer;

impl Coordinator {
    pub(crate) fn expire_offsets(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let interval = self.settings.offsets_retention_check_interval;
        self.timers.set(Timer::Expiry, now.monotonic.after(interval));
        let retention_ms = i64::try_from(self.settings.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let mut expired = Vec::new();
        let mut deleted = Vec::new();
        for (name, group) in &self.groups {
            let partitions = expired_partitions(group, now.wall, retention_ms);
            let nothing_left = partitions.len() == group.offsets.len();
            if group.state == GroupState::Empty && group.pending.is_empty() && nothing_left {
                deleted.push(name.clone());
            } else if !partitions.is_empty() {
                expired.push((name.clone(), partitions));
            }
        }
        for (group, partitions) in expired {
            self.append_offset_tombstones(None, group, partitions, Vec::new(), effects);
        }
        for group in deleted {
            self.delete_empty(None, group, effects);
        }
    }
}

fn expired_partitions(group: &Group, now: WallTime, retention_ms: i64) -> Vec<(String, i32)> {
    let subscribed = match (group.state, group.protocol_type.as_deref()) {
        (GroupState::Dead, _) => return Vec::new(),
        (GroupState::Stable, Some("consumer")) => subscribed_topics(group),
        (GroupState::Empty, _) => Vec::new(),
        // A group in the middle of a rebalance, or of another kind, keeps what it has.
        _ => return Vec::new(),
    };
    let counts_from = |offset: &CommittedOffset| match (group.state, &group.protocol_type) {
        (GroupState::Empty, Some(_)) => offset.committed_at.max(group.state_since),
        _ => offset.committed_at,
    };
    let is_expired = |offset: &CommittedOffset| match offset.expires_at {
        Some(expires_at) => expires_at <= now,
        None => counts_from(offset).0.saturating_add(retention_ms) <= now.0,
    };
    let expired = group
        .offsets
        .iter()
        .filter(|((topic, _), offset)| !subscribed.contains(topic) && is_expired(offset));
    expired.map(|(partition, _)| partition.clone()).collect()
}
