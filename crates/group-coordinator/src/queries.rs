//! Looking at groups, and deleting them.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::answer::{Answer, DescribedGroup, DescribedMember, GroupError, ListedGroup};
use crate::coordinator::{Coordinator, Then, answer};
use crate::event::{Effect, RequestId};
use crate::group::GroupState;
use crate::offsets::tombstone;
use crate::row::Row;

impl Coordinator {
    pub(crate) fn describe(&self, name: &str) -> Option<DescribedGroup> {
        let group = self.groups.get(name).filter(|group| group.state != GroupState::Dead)?;
        let stable = group.state == GroupState::Stable;
        let protocol = group.protocol.clone().filter(|_| stable).unwrap_or_default();
        let described = |(id, member): (&String, &crate::member::Member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable {
                member.metadata(&protocol)
            } else {
                Bytes::new()
            },
            assignment: if stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
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
            _ if name.is_empty() => Err(GroupError::InvalidGroupId),
            None | Some(GroupState::Dead) => Err(GroupError::GroupIdNotFound),
            Some(GroupState::Empty) => Ok(()),
            Some(_) => Err(GroupError::NonEmptyGroup),
        };
        match result {
            Ok(()) => self.delete_empty(Some(id), name, effects),
            Err(error) => answer(effects, id, Answer::Deleted(Err(error))),
        }
    }

    /// Deletes a group without members, offsets first.
    pub(crate) fn delete_empty(&mut self, id: Option<RequestId>, name: String, effects: &mut Vec<Effect>) {
        let Some(group) = self.groups.get_mut(&name) else {
            return;
        };
        group.state = GroupState::Dead;
        let mut rows: Vec<Row> = group
            .offsets
            .keys()
            .map(|partition| tombstone(&name, partition))
            .collect();
        rows.push(Row::Group {
            group: name.clone(),
            value: None,
        });
        self.append(rows, Then::Deleted { id, group: name }, effects);
    }
}
