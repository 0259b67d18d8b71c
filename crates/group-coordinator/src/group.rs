//! One group: its generation, its members and its committed offsets.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use hallows_types::WallTime;

use crate::answer::{GroupError, Joined, JoinedMember, Synced};
use crate::member::Member;
use crate::roster::Roster;
use crate::row::{CommittedOffset, GroupRow};
use crate::subscription::{CONSUMER, subscribed_topics};

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

/// Rows of a group that are on their way into the log. What they say must not be overlooked until they are there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct InFlight {
    /// Appends of any kind.
    pub(crate) appends: usize,
    /// Appends that delete offsets; expiry does not repeat what is on its way.
    pub(crate) deletions: usize,
    /// Commits per partition; never zero.
    pub(crate) commits: BTreeMap<(String, i32), usize>,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) state: GroupState,
    pub(crate) state_since: WallTime,
    pub(crate) generation: i32,
    /// `None` for a group that only commits.
    pub(crate) protocol_type: Option<String>,
    /// The protocol of this generation; `None` before the first and without members.
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Roster,
    /// Ids given out to members that are to come again with them.
    pub(crate) pending: BTreeSet<String>,
    /// Members that have joined this generation and not synced.
    pub(crate) unsynced: BTreeSet<String>,
    /// Only while a rebalance out of `Empty` waits for further members.
    pub(crate) initial_delay: Option<InitialDelay>,
    /// Whether this generation's assignments are on their way into the log: a leader that repeats its sync only waits.
    pub(crate) assigning: bool,
    /// The topics that this generation's members subscribe to; `None` where that is not known.
    subscribed: Option<BTreeSet<String>>,
    /// Committed offsets that are in the log.
    pub(crate) offsets: BTreeMap<(String, i32), CommittedOffset>,
    pub(crate) in_flight: InFlight,
    /// The group's newest row that is in the log; what [`Group::row`] gives is ahead of it.
    pub(crate) logged: Option<GroupRow>,
}

impl Group {
    pub(crate) fn new(now: WallTime) -> Self {
        Self {
            state: GroupState::Empty,
            state_since: now,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Roster::default(),
            pending: BTreeSet::new(),
            unsynced: BTreeSet::new(),
            initial_delay: None,
            assigning: false,
            subscribed: None,
            offsets: BTreeMap::new(),
            in_flight: InFlight::default(),
            logged: None,
        }
    }

    pub(crate) const fn enter(&mut self, state: GroupState, now: WallTime) {
        self.state = state;
        self.state_since = now;
    }

    /// Begins a generation: with the members that are there, or without any.
    pub(crate) fn next_generation(&mut self, now: WallTime) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.unsynced.clear();
        self.assigning = false;
        self.initial_delay = None;
        let leader = self.leader.as_deref();
        self.protocol = leader.and_then(|leader| self.members.select_protocol(leader));
        self.learn_subscription();
        let state = if self.members.is_empty() {
            GroupState::Empty
        } else {
            GroupState::CompletingRebalance
        };
        self.enter(state, now);
    }

    fn learn_subscription(&mut self) {
        let consumers = self.protocol_type.as_deref() == Some(CONSUMER);
        self.subscribed = match &self.protocol {
            _ if !consumers => None,
            _ if self.members.is_empty() => Some(BTreeSet::new()),
            Some(protocol) => subscribed_topics(&self.members, protocol),
            None => None,
        };
    }

    /// Whether the topics that its members subscribe to are known.
    pub(crate) const fn knows_subscription(&self) -> bool {
        self.subscribed.is_some()
    }

    /// Whether a member may be reading a topic: consumers whose subscription is not understood may read any.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type.as_deref() == Some(CONSUMER),
        }
    }

    /// Whether a member with these protocols could belong.
    pub(crate) fn accepts_protocols(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.members.all_support(name))
    }

    /// Finds a member by id, and checks that a static one is who it says it is.
    pub(crate) fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            return match self.members.instance(instance_id) {
                None => Err(GroupError::UnknownMemberId),
                Some(known) if known != member_id => Err(GroupError::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains(member_id) {
            Ok(())
        } else {
            Err(GroupError::UnknownMemberId)
        }
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn everybody_joined(&self) -> bool {
        self.pending.is_empty() && self.members.all_joined()
    }

    pub(crate) fn insert(&mut self, member_id: &str, protocol_type: &str, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.into());
        }
        self.leader.get_or_insert_with(|| member_id.into());
        self.pending.remove(member_id);
        self.members.insert(member_id, member);
    }

    /// Takes a member out; what it waits for is to be answered.
    pub(crate) fn remove(&mut self, member_id: &str) -> Option<crate::roster::Waits> {
        let (_, waits) = self.members.remove(member_id)?;
        self.unsynced.remove(member_id);
        if self.is_leader(member_id) {
            self.leader = self.members.ids().next().cloned();
        }
        Some(waits)
    }

    /// Gives a static member another id; what waits under the old one is to be answered.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Option<crate::roster::Waits> {
        let waits = self.members.rename(from, to)?;
        self.members.set_not_new(to);
        if self.is_leader(from) {
            self.leader = Some(to.into());
        }
        if self.unsynced.remove(from) {
            self.unsynced.insert(to.into());
        }
        Some(waits)
    }

    /// Keeps the leader if it has joined again, else takes somebody who has. `false` if nobody has.
    pub(crate) fn elect_leader(&mut self) -> bool {
        if self.leader.as_ref().is_some_and(|id| self.members.has_joined(id)) {
            return true;
        }
        let Some(next) = self.members.first_joined().cloned() else {
            return false;
        };
        self.leader = Some(next);
        true
    }

    /// What the protocol would be if a generation began now.
    pub(crate) fn select_protocol(&self) -> Option<String> {
        self.members.select_protocol(self.leader.as_deref()?)
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
        let assignment = self.members.get(member_id).map(|member| member.assignment.clone());
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        }
    }

    /// The group as its log is to keep it.
    pub(crate) fn row(&self) -> GroupRow {
        self.row_with(|_, member| member.assignment.clone())
    }

    /// The group as its log is to keep it, with assignments that its members do not have yet.
    pub(crate) fn row_with(&self, assignment: impl Fn(&String, &Member) -> Bytes) -> GroupRow {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member_row = |(id, member): (&String, &Member)| member.row(id, protocol, assignment(id, member));
        GroupRow {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_since: self.state_since,
            members: self.members.iter().map(member_row).collect(),
        }
    }

    /// Takes over what the log says, in place of what was known; the offsets stay.
    pub(crate) fn restore(&mut self, row: GroupRow) {
        self.logged = Some(row.clone());
        self.generation = row.generation;
        self.protocol_type = (!row.protocol_type.is_empty()).then_some(row.protocol_type);
        self.state_since = row.state_since;
        self.members = Roster::default();
        for member in row.members {
            let id = member.member_id.clone();
            let instance = member.instance_id.as_deref();
            let is_known = instance.is_some_and(|instance| self.members.instance(instance).is_some());
            // Each id and each instance names one member; a row that says otherwise is believed once.
            if !is_known && !self.members.contains(&id) {
                self.members
                    .insert(&id, Member::from_row(member, row.protocol.as_deref()));
            }
        }
        // A leader that is no member would never be heard of again.
        let leader = row.leader.filter(|leader| self.members.contains(leader));
        self.leader = leader.or_else(|| self.members.ids().next().cloned());
        self.protocol = row.protocol;
        self.learn_subscription();
        self.state = if self.members.is_empty() {
            GroupState::Empty
        } else {
            GroupState::Stable
        };
    }

    /// Makes it a group that only commits; its offsets stay.
    pub(crate) fn forget_membership(&mut self, now: WallTime) {
        *self = Self {
            offsets: core::mem::take(&mut self.offsets),
            in_flight: core::mem::take(&mut self.in_flight),
            ..Self::new(now)
        };
    }

    /// Whether nothing would be lost with it: it was made for a request that came to nothing.
    pub(crate) fn is_vacant(&self) -> bool {
        self.state == GroupState::Empty
            && self.protocol_type.is_none()
            && self.logged.is_none()
            && self.pending.is_empty()
            && self.offsets.is_empty()
            && self.in_flight.appends == 0
    }

    /// What must hold between any two events.
    pub(crate) fn check_invariants(&self) {
        let empty = matches!(self.state, GroupState::Empty | GroupState::Dead);
        assert_eq!(empty, self.members.is_empty(), "members exactly in {:?}", self.state);
        self.members.check_invariants();
        assert!(self.unsynced.iter().all(|id| self.members.contains(id)));
        assert!(self.pending.iter().all(|id| !self.members.contains(id)));
        assert_eq!(empty, self.leader.is_none(), "a leader exactly while there are members");
        assert!(self.leader.as_ref().is_none_or(|id| self.members.contains(id)));
        assert!(self.initial_delay.is_none() || self.state == GroupState::PreparingRebalance);
        assert!(!self.assigning || self.state == GroupState::CompletingRebalance);
        let completing = self.state == GroupState::CompletingRebalance;
        assert!(!completing || self.assigning || !self.unsynced.is_empty());
        for id in self.members.ids() {
            let syncs = self.members.waits(id) && !self.members.has_joined(id);
            assert!(!syncs || completing, "syncs wait only for the leader");
            let joins = self.members.has_joined(id);
            let may_join = matches!(self.state, GroupState::PreparingRebalance | GroupState::Stable);
            assert!(
                !joins || may_join,
                "joins wait only while a rebalance or a row is on its way"
            );
        }
        assert!(self.in_flight.commits.values().all(|count| *count > 0));
        assert!(self.in_flight.appends > 0 || self.in_flight.commits.is_empty());
    }
}
