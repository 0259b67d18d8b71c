//! Offsets that nobody needs any more (KIP-211): retention counts from when a group became empty, even for offsets that
//! were committed later, and for a living group's topics that it no longer subscribes to from the commit.
//!
//! Source: Apache Kafka, ClassicGroup.offsetExpirationCondition, OffsetMetadataManager.cleanupExpiredOffsets.

use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::{Now, WallTime};

use crate::coordinator::Coordinator;
use crate::event::Effect;
use crate::group::{Group, GroupState};
use crate::row::CommittedOffset;
use crate::subscription::CONSUMER;
use crate::timers::Timer;

impl Coordinator {
    pub(crate) fn expire_offsets(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let interval = self.settings.offsets_retention_check_interval;
        self.arm(now, Timer::Expiry, interval);
        self.groups.retain(|_, group| !group.is_vacant());
        let retention_ms = i64::try_from(self.settings.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let mut expired = Vec::new();
        let mut deleted = Vec::new();
        for (name, group) in &self.groups {
            let partitions = expired_partitions(group, now.wall, retention_ms);
            let nothing_left = partitions.len() == group.offsets.len() && group.in_flight.appends == 0;
            if group.state == GroupState::Empty && group.pending.is_empty() && nothing_left {
                deleted.push(name.clone());
            } else if !partitions.is_empty() {
                expired.push((name.clone(), partitions));
            }
        }
        for (group, partitions) in expired {
            self.append_tombstones(None, &group, partitions, effects);
        }
        for group in deleted {
            self.delete_empty(None, group, effects);
        }
    }
}

fn expired_partitions(group: &Group, now: WallTime, retention_ms: i64) -> Vec<(String, i32)> {
    let since_empty = match (group.state, group.protocol_type.as_deref()) {
        (GroupState::Dead, _) => return Vec::new(),
        _ if group.in_flight.deletions > 0 => return Vec::new(),
        (GroupState::Empty, Some(_)) if group.state_since != WallTime::NONE => Some(group.state_since),
        (GroupState::Empty, _) => None,
        (GroupState::Stable, Some(CONSUMER)) if group.knows_subscription() => None,
        // A group in the middle of a rebalance, or of another kind, keeps what it has.
        _ => return Vec::new(),
    };
    let is_expired = |offset: &CommittedOffset| match offset.expires_at {
        Some(expires_at) => expires_at <= now,
        None => {
            let since = since_empty.unwrap_or(offset.committed_at);
            since.0.saturating_add(retention_ms) <= now.0
        }
    };
    let expired = group.offsets.iter().filter(|(partition, offset)| {
        // A commit on its way is newer than what would expire.
        !group.is_subscribed_to(&partition.0) && !group.in_flight.commits.contains_key(*partition) && is_expired(offset)
    });
    expired.map(|(partition, _)| partition.clone()).collect()
}
