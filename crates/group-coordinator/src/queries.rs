//! Looking at groups, and deleting them.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::Now;

use crate::answer::{Answer, DescribedGroup, DescribedMember, GroupError, ListedGroup};
use crate::appends::Then;
use crate::coordinator::{Coordinator, answer};
use crate::event::{Effect, RequestId};
use crate::group::GroupState;
use crate::member::Member;
use crate::offsets::{TOMBSTONES_PER_APPEND, tombstone};
use crate::row::Row;

impl Coordinator {
    /// What DescribeGroups shows: assignments always, metadata and protocol only of a stable group, as in Kafka.
    pub(crate) fn describe(&self, name: &str) -> Option<DescribedGroup> {
        let group = self.groups.get(name).filter(|group| group.state != GroupState::Dead)?;
        let stable = group.state == GroupState::Stable;
        let protocol = group.protocol.clone().filter(|_| stable).unwrap_or_default();
        let described = |(id, member): (&String, &Member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.profile.client_id.clone(),
            client_host: member.profile.client_host.clone(),
            metadata: if stable {
                member.metadata(&protocol)
            } else {
                Bytes::new()
            },
            assignment: member.assignment.clone(),
        };
        Some(DescribedGroup {
            state: group.state,
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: group.members.iter().map(described).collect(),
            protocol,
        })
    }

    pub(crate) fn list(&self) -> Vec<ListedGroup> {
        let living = self.groups.iter().filter(|(_, group)| group.state != GroupState::Dead);
        living
            .map(|(name, group)| ListedGroup {
                group: name.clone(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.state,
            })
            .collect()
    }

    pub(crate) fn delete(&mut self, id: RequestId, name: String, effects: &mut Vec<Effect>) {
        let result = match self.groups.get(&name).map(|group| group.state) {
            None | Some(GroupState::Dead) => Err(GroupError::GroupIdNotFound),
            Some(GroupState::Empty) if self.appends.has_room() => Ok(()),
            Some(GroupState::Empty) => Err(GroupError::NotAvailable),
            Some(_) => Err(GroupError::NonEmptyGroup),
        };
        match result {
            Ok(()) => self.delete_empty(Some(id), name, effects),
            Err(error) => answer(effects, id, Answer::Deleted(Err(error))),
        }
    }

    /// Deletes a group without members, offsets first; those on their way into the log get their tombstones behind them.
    pub(crate) fn delete_empty(&mut self, id: Option<RequestId>, name: String, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&name) else {
            return;
        };
        // Nobody can add to it from here on.
        group.state = GroupState::Dead;
        let mut partitions: Vec<_> = group.partitions().into_iter().collect();
        let last = partitions.split_off(partitions.len() - partitions.len() % TOMBSTONES_PER_APPEND);
        self.append_tombstones(None, &name, partitions, effects);
        let mut rows: Vec<Row> = last.iter().map(|partition| tombstone(&name, partition)).collect();
        rows.push(Row::Group {
            group: name.clone(),
            value: None,
        });
        self.append(&name, rows, Then::Deleted { id, offsets: last }, effects);
    }

    /// The log has forgotten the group, unless a part of its offsets could not be deleted: they stay, as those of a group
    /// that only commits.
    pub(crate) fn deleted(
        &mut self,
        now: Now,
        name: &str,
        id: Option<RequestId>,
        last: &[(String, i32)],
        effects: &mut Vec<Effect>,
    ) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let pending = core::mem::take(&mut group.pending);
        for partition in last {
            group.offsets.remove(partition);
        }
        group.forget_membership(now.wall);
        let result = if group.offsets.is_empty() {
            Ok(())
        } else {
            Err(GroupError::NotAvailable)
        };
        for member in &pending {
            self.cancel_session(name, member);
        }
        self.forget_if_vacant(name);
        if let Some(id) = id {
            answer(effects, id, Answer::Deleted(result));
        }
    }
}
