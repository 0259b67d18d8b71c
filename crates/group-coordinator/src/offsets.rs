//! Committed offsets: committing, reading and deleting them.
//!
//! Source: Apache Kafka, OffsetMetadataManager and ClassicGroup.validateOffsetCommit.

use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, Committed, GroupError};
use crate::coordinator::{Coordinator, Then, answer};
use crate::event::{CommitOffsets, DeleteOffsets, Effect, FetchOffsets, RequestId};
use crate::group::{Group, GroupState};
use crate::row::{CommittedOffset, Row};
use crate::subscription::subscribed_topics;

impl Coordinator {
    pub(crate) fn commit_offsets(&mut self, now: Now, id: RequestId, commit: CommitOffsets, effects: &mut Vec<Effect>) {
        if let Err(error) = self.commit_check(now, &commit) {
            let results = commit.partitions.iter().map(|_| Err(error)).collect();
            return answer(effects, id, Answer::Committed(results));
        }
        self.heard_of(now, &commit.group, &commit.member_id);
        let mut rows = Vec::new();
        let mut offsets = Vec::new();
        let mut results = Vec::new();
        for partition in commit.partitions {
            if partition.metadata.len() > self.settings.offset_metadata_bytes_max {
                results.push(Err(GroupError::OffsetMetadataTooLarge));
                continue;
            }
            results.push(Ok(()));
            let value = CommittedOffset {
                offset: partition.offset,
                leader_epoch: partition.leader_epoch,
                metadata: partition.metadata,
                committed_at: now.wall,
                expires_at: partition.expires_at,
            };
            offsets.push(((partition.topic.clone(), partition.partition), value.clone()));
            rows.push(Row::Offset {
                group: commit.group.clone(),
                topic: partition.topic,
                partition: partition.partition,
                value: Some(value),
            });
        }
        if rows.is_empty() {
            return answer(effects, id, Answer::Committed(results));
        }
        self.append(
            rows,
            Then::Committed {
                id,
                group: commit.group,
                offsets,
                results,
            },
            effects,
        );
    }

    fn commit_check(&mut self, now: Now, commit: &CommitOffsets) -> Result<(), GroupError> {
        if commit.group.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if !self.groups.contains_key(&commit.group) {
            if commit.generation >= 0 {
                return Err(GroupError::IllegalGeneration);
            }
            if self.groups.len() >= self.settings.groups_max {
                return Err(GroupError::GroupMaxSizeReached);
            }
            self.groups.insert(commit.group.clone(), Group::new(now.wall));
        }
        let group = &self.groups[&commit.group];
        if group.state == GroupState::Dead {
            return Err(GroupError::NotAvailable);
        }
        if commit.generation < 0 && group.state == GroupState::Empty {
            return Ok(());
        }
        if commit.generation < 0 && commit.member_id.is_empty() && commit.instance_id.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        group.check_member(&commit.member_id, commit.instance_id.as_deref())?;
        if commit.generation != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if group.state == GroupState::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    pub(crate) fn fetch_offsets(&self, fetch: &FetchOffsets) -> Result<Vec<Committed>, GroupError> {
        let group = self
            .groups
            .get(&fetch.group)
            .filter(|group| group.state != GroupState::Dead);
        let committed = |topic: &String, partition: i32| Committed {
            topic: topic.clone(),
            partition,
            committed: group
                .and_then(|group| group.offsets.get(&(topic.clone(), partition)))
                .cloned(),
        };
        Ok(match (&fetch.partitions, group) {
            (Some(partitions), _) => partitions
                .iter()
                .map(|(topic, partition)| committed(topic, *partition))
                .collect(),
            (None, Some(group)) => group
                .offsets
                .keys()
                .map(|(topic, partition)| committed(topic, *partition))
                .collect(),
            (None, None) => Vec::new(),
        })
    }

    pub(crate) fn delete_offsets(&mut self, id: RequestId, delete: DeleteOffsets, effects: &mut Vec<Effect>) {
        let group = self
            .groups
            .get(&delete.group)
            .filter(|group| group.state != GroupState::Dead);
        let Some(group) = group else {
            return answer(effects, id, Answer::OffsetsDeleted(Err(GroupError::GroupIdNotFound)));
        };
        let subscribed = match group.state {
            GroupState::Empty => Vec::new(),
            _ if group.protocol_type.as_deref() == Some("consumer") => subscribed_topics(group),
            _ => return answer(effects, id, Answer::OffsetsDeleted(Err(GroupError::NonEmptyGroup))),
        };
        let mut results = Vec::new();
        let mut partitions = Vec::new();
        for partition in delete.partitions {
            if subscribed.contains(&partition.0) {
                results.push(Err(GroupError::GroupSubscribedToTopic));
                continue;
            }
            results.push(Ok(()));
            if group.offsets.contains_key(&partition) {
                partitions.push(partition);
            }
        }
        if partitions.is_empty() {
            return answer(effects, id, Answer::OffsetsDeleted(Ok(results)));
        }
        self.append_offset_tombstones(Some(id), delete.group, partitions, results, effects);
    }

    pub(crate) fn append_offset_tombstones(
        &mut self,
        id: Option<RequestId>,
        group: String,
        partitions: Vec<(String, i32)>,
        results: Vec<Result<(), GroupError>>,
        effects: &mut Vec<Effect>,
    ) {
        let rows = partitions
            .iter()
            .map(|partition| tombstone(&group, partition))
            .collect();
        self.append(
            rows,
            Then::OffsetsDeleted {
                id,
                group,
                partitions,
                results,
            },
            effects,
        );
    }

    /// A topic is gone: nobody can go on from an offset in it.
    pub(crate) fn topic_deleted(&mut self, topic: &str, effects: &mut Vec<Effect>) {
        let mut gone = Vec::new();
        for (name, group) in &self.groups {
            let partitions: Vec<_> = group
                .offsets
                .keys()
                .filter(|(other, _)| other == topic)
                .cloned()
                .collect();
            if !partitions.is_empty() {
                gone.push((name.clone(), partitions));
            }
        }
        for (group, partitions) in gone {
            self.append_offset_tombstones(None, group, partitions, Vec::new(), effects);
        }
    }
}

/// The row that deletes an offset.
pub(crate) fn tombstone(group: &str, (topic, partition): &(String, i32)) -> Row {
    Row::Offset {
        group: group.into(),
        topic: topic.clone(),
        partition: *partition,
        value: None,
    }
}
