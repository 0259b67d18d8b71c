//! One group: its generation, its members and its committed offsets.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hallows_types::WallTime;

use crate::answer::{GroupError, Joined, JoinedMember, Synced};
use crate::member::Member;
use crate::row::{CommittedOffset, GroupRow, MemberRow};

/// Where a group is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum GroupState {
    /// No members; perhaps offsets.
    Empty,
    /// Members are to join again.
    PreparingRebalance,
    /// Everybody joined; the leader is to say who gets what.
    CompletingRebalance,
    /// Everybody works.
    Stable,
    /// Deleted.
    Dead,
}

impl GroupState {
    /// Kafka's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// The first rebalance of an empty group waits for further members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InitialDelay {
    /// How much longer it may be extended.
    pub(crate) remaining: Duration,
    /// Whether somebody joined since the last look.
    pub(crate) joined_since: bool,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) state: GroupState,
    pub(crate) state_since: WallTime,
    pub(crate) generation: i32,
    /// `None` for a group that only commits.
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Member ids of static members, by instance id.
    pub(crate) instances: BTreeMap<String, String>,
    /// Ids given out to members that are to come again with them.
    pub(crate) pending: BTreeSet<String>,
    /// Members that have joined this generation and not synced.
    pub(crate) unsynced: BTreeSet<String>,
    pub(crate) initial_delay: Option<InitialDelay>,
    pub(crate) offsets: BTreeMap<(String, i32), CommittedOffset>,
}

impl Group {
    pub(crate) const fn new(now: WallTime) -> Self {
        Self {
            state: GroupState::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            initial_delay: None,
            offsets: BTreeMap::new(),
        }
    }

    pub(crate) const fn enter(&mut self, state: GroupState, now: WallTime) {
        self.state = state;
        self.state_since = now;
    }

    /// Whether a member with these protocols could belong.
    pub(crate) fn accepts_protocols(&self, protocol_type: &str, protocols: &[(String, bytes::Bytes)]) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|(name, _)| self.members.values().all(|member| member.supports(name)))
    }

    /// Finds a member by id, and checks that a static one is who it says it is.
    pub(crate) fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            return match self.instances.get(instance_id) {
                None => Err(GroupError::UnknownMemberId),
                Some(known) if known != member_id => Err(GroupError::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn joining_count(&self) -> usize {
        self.members.values().filter(|member| member.joining.is_some()).count()
    }

    pub(crate) fn everybody_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some())
    }

    /// The longest time any member may take to join again.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(Member::rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    pub(crate) fn insert(&mut self, member_id: &str, protocol_type: &str, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.into());
        }
        if let Some(instance_id) = &member.instance_id {
            self.instances.insert(instance_id.clone(), member_id.into());
        }
        if self.leader.is_none() {
            self.leader = Some(member_id.into());
        }
        self.pending.remove(member_id);
        self.members.insert(member_id.into(), member);
    }

    pub(crate) fn remove(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        if let Some(instance_id) = &member.instance_id {
            self.instances.remove(instance_id);
        }
        self.unsynced.remove(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Keeps the leader if it has joined again, else takes somebody who has. `false` if nobody has.
    pub(crate) fn elect_leader(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let next = self
            .members
            .iter()
            .find(|(_, member)| member.joining.is_some())
            .map(|(id, _)| id.clone());
        if let Some(next) = next {
            self.leader = Some(next);
            return true;
        }
        false
    }

    /// The protocol most members like best among those that all support; of equals, the leader's favourite.
    pub(crate) fn select_protocol(&self) -> Option<String> {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        let candidates: Vec<&str> = leader
            .protocols
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| self.members.values().all(|member| member.supports(name)))
            .collect();
        let votes = |candidate: &str| {
            let favourite = |member: &&Member| {
                member
                    .protocols
                    .iter()
                    .find(|(name, _)| candidates.contains(&name.as_str()))
                    .map(|(name, _)| name.as_str())
                    == Some(candidate)
            };
            self.members.values().filter(favourite).count()
        };
        let mut best: Option<(usize, &str)> = None;
        for candidate in &candidates {
            let count = votes(candidate);
            if best.is_none_or(|(most, _)| count > most) {
                best = Some((count, candidate));
            }
        }
        best.map(|(_, name)| name.into())
    }

    /// What a member is told when its join is complete.
    pub(crate) fn joined(&self, member_id: &str) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if self.is_leader(member_id) {
            let joined = |(id, member): (&String, &Member)| JoinedMember {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(&protocol),
            };
            self.members.iter().map(joined).collect()
        } else {
            Vec::new()
        };
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.into(),
            members,
        }
    }

    /// What a member is told when its sync is complete.
    pub(crate) fn synced(&self, member_id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(member_id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    /// The group as its log keeps it.
    pub(crate) fn row(&self) -> GroupRow {
        let protocol = self.protocol.clone().unwrap_or_default();
        GroupRow {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: self
                .members
                .iter()
                .map(|(id, member)| MemberRow {
                    member_id: id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    rebalance_timeout_ms: member.rebalance_timeout_ms,
                    session_timeout_ms: member.session_timeout_ms,
                    subscription: member.metadata(&protocol),
                    assignment: member.assignment.clone(),
                })
                .collect(),
        }
    }

    /// Takes over what the log says, in place of what was known.
    pub(crate) fn restore(&mut self, row: GroupRow) {
        self.generation = row.generation;
        self.protocol_type = (!row.protocol_type.is_empty()).then_some(row.protocol_type);
        self.leader = row.leader;
        self.state_since = row.state_since;
        self.members.clear();
        self.instances.clear();
        for member in row.members {
            let id = member.member_id.clone();
            if let Some(instance_id) = &member.instance_id {
                self.instances.insert(instance_id.clone(), id.clone());
            }
            self.members
                .insert(id, Member::from_row(member, row.protocol.as_deref()));
        }
        self.protocol = row.protocol;
        self.state = if self.members.is_empty() {
            GroupState::Empty
        } else {
            GroupState::Stable
        };
    }

    /// What must hold between any two events.
    pub(crate) fn check_invariants(&self) {
        let empty = matches!(self.state, GroupState::Empty | GroupState::Dead);
        assert_eq!(
            empty,
            self.members.is_empty(),
            "members exactly while the group is not empty: {:?}",
            self.state
        );
        assert!(self.unsynced.iter().all(|id| self.members.contains_key(id)));
        assert!(self.pending.iter().all(|id| !self.members.contains_key(id)));
        assert!(self.instances.values().all(|id| self.members.contains_key(id)));
        assert!(self.leader.as_ref().is_none_or(|id| self.members.contains_key(id)));
        for member in self.members.values() {
            assert!(member.joining.is_none() || member.syncing.is_none());
            assert!(member.joining.is_none() || self.state == GroupState::PreparingRebalance);
            assert!(member.syncing.is_none() || self.state == GroupState::CompletingRebalance);
        }
    }
}
