//! The members of a group and what they wait for.
//!
//! Every join asks whether everybody has joined and which protocols all support, so both are kept, not searched:
//! a group of hundreds that joins again would otherwise cost the square of its size.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::event::RequestId;
use crate::member::{Member, Profile};

/// What a member that is gone had been waiting for; both are to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Waits {
    pub(crate) join: Option<RequestId>,
    pub(crate) sync: Option<RequestId>,
}

/// Members by id, with indexes that only this module changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    members: BTreeMap<String, Member>,
    /// Member ids of static members, by instance id.
    instances: BTreeMap<String, String>,
    /// How many members support each protocol; never zero.
    supporters: BTreeMap<String, usize>,
    /// Joins that wait for the others. A member waits for at most one of join and sync.
    joins: BTreeMap<String, RequestId>,
    /// Syncs that wait for the leader.
    syncs: BTreeMap<String, RequestId>,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn contains(&self, member_id: &str) -> bool {
        self.members.contains_key(member_id)
    }

    pub(crate) fn get(&self, member_id: &str) -> Option<&Member> {
        self.members.get(member_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.members.keys()
    }

    /// The member id of a static member.
    pub(crate) fn instance(&self, instance_id: &str) -> Option<&String> {
        self.instances.get(instance_id)
    }

    pub(crate) fn insert(&mut self, member_id: &str, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member_id.into());
        }
        self.count_protocols(&member.profile);
        let before = self.members.insert(member_id.into(), member);
        assert!(before.is_none(), "a member id names one member");
    }

    pub(crate) fn remove(&mut self, member_id: &str) -> Option<(Member, Waits)> {
        let member = self.members.remove(member_id)?;
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        self.discount_protocols(&member.profile);
        Some((member, self.end_waits(member_id)))
    }

    /// Gives a static member another id. What waits under the old one is to be answered.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Option<Waits> {
        let (member, waits) = self.remove(from)?;
        self.insert(to, member);
        Some(waits)
    }

    /// Takes over what a member says now; returns what it said before.
    pub(crate) fn replace_profile(&mut self, member_id: &str, profile: Profile) -> Option<Profile> {
        let before = core::mem::replace(&mut self.members.get_mut(member_id)?.profile, profile.clone());
        self.discount_protocols(&before);
        self.count_protocols(&profile);
        Some(before)
    }

    pub(crate) fn set_assignment(&mut self, member_id: &str, assignment: Bytes) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.assignment = assignment;
        }
    }

    pub(crate) fn clear_assignments(&mut self) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
    }

    /// Every member has been through a rebalance from here on, or is about to be answered by a first one.
    pub(crate) fn clear_new(&mut self) {
        for member in self.members.values_mut() {
            member.is_new = false;
        }
    }

    pub(crate) fn set_not_new(&mut self, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.is_new = false;
        }
    }

    // Waiting.

    /// A join waits; returns the one it repeats.
    pub(crate) fn begin_join(&mut self, member_id: &str, id: RequestId) -> Option<RequestId> {
        self.joins.insert(member_id.into(), id)
    }

    pub(crate) fn end_join(&mut self, member_id: &str) -> Option<RequestId> {
        self.joins.remove(member_id)
    }

    pub(crate) fn take_joins(&mut self) -> BTreeMap<String, RequestId> {
        core::mem::take(&mut self.joins)
    }

    pub(crate) fn join_of(&self, member_id: &str) -> Option<RequestId> {
        self.joins.get(member_id).copied()
    }

    pub(crate) fn has_joined(&self, member_id: &str) -> bool {
        self.joins.contains_key(member_id)
    }

    pub(crate) fn joined_count(&self) -> usize {
        self.joins.len()
    }

    pub(crate) fn all_joined(&self) -> bool {
        self.joins.len() == self.members.len()
    }

    pub(crate) fn first_joined(&self) -> Option<&String> {
        self.joins.keys().next()
    }

    /// A sync waits; returns the one it repeats.
    pub(crate) fn begin_sync(&mut self, member_id: &str, id: RequestId) -> Option<RequestId> {
        self.syncs.insert(member_id.into(), id)
    }

    pub(crate) fn end_sync(&mut self, member_id: &str) -> Option<RequestId> {
        self.syncs.remove(member_id)
    }

    pub(crate) fn take_syncs(&mut self) -> BTreeMap<String, RequestId> {
        core::mem::take(&mut self.syncs)
    }

    pub(crate) fn waits(&self, member_id: &str) -> bool {
        self.joins.contains_key(member_id) || self.syncs.contains_key(member_id)
    }

    fn end_waits(&mut self, member_id: &str) -> Waits {
        Waits {
            join: self.joins.remove(member_id),
            sync: self.syncs.remove(member_id),
        }
    }

    // Protocols and times.

    pub(crate) fn all_support(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol most members like best among those that all support; of equals, what `leader` likes best.
    pub(crate) fn select_protocol(&self, leader: &str) -> Option<String> {
        let candidates: Vec<&str> = names(&self.members.get(leader)?.profile)
            .filter(|name| self.all_support(name))
            .collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let favourite = names(&member.profile).find(|name| candidates.contains(name));
            *votes.entry(favourite?).or_default() += 1;
        }
        let count = |candidate: &str| votes.get(candidate).copied().unwrap_or(0);
        let most = candidates.iter().map(|candidate| count(candidate)).max()?;
        let chosen = candidates.into_iter().find(|candidate| count(candidate) == most)?;
        Some(chosen.into())
    }

    /// The longest time any member may take to join again.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.members.values().map(Member::rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    fn count_protocols(&mut self, profile: &Profile) {
        for name in distinct_names(profile) {
            *self.supporters.entry(name.into()).or_default() += 1;
        }
    }

    fn discount_protocols(&mut self, profile: &Profile) {
        for name in distinct_names(profile) {
            let Some(count) = self.supporters.get_mut(name) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(name);
            }
        }
    }

    /// Asserts that the indexes say what the members say.
    pub(crate) fn check_invariants(&self) {
        let mut again = Self::default();
        for (id, member) in &self.members {
            again.insert(id, member.clone());
        }
        assert_eq!(again.instances, self.instances);
        assert_eq!(again.supporters, self.supporters);
        assert!(
            self.joins
                .keys()
                .all(|id| self.contains(id) && !self.syncs.contains_key(id))
        );
        assert!(self.syncs.keys().all(|id| self.contains(id)));
    }
}

fn names(profile: &Profile) -> impl Iterator<Item = &str> {
    profile.protocols.iter().map(|(name, _)| name.as_str())
}

fn distinct_names(profile: &Profile) -> BTreeSet<&str> {
    names(profile).collect()
}
