//! Committed offsets: committing, reading and deleting them.
//!
//! Source: Apache Kafka, OffsetMetadataManager and ClassicGroup.validateOffsetCommit.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, Committed, GroupError};
use crate::appends::Then;
use crate::coordinator::{Coordinator, answer};
use crate::event::{CommitOffsets, CommitPartition, DeleteOffsets, Effect, FetchOffsets, RequestId};
use crate::group::{Group, GroupState};
use crate::row::{CommittedOffset, Row};
use crate::subscription::CONSUMER;

/// Tombstones in one append, so that a group with very many offsets can be deleted within a batch's bound.
pub(crate) const TOMBSTONES_PER_APPEND: usize = 1000;

impl Coordinator {
    pub(crate) fn commit_offsets(&mut self, now: Now, id: RequestId, commit: CommitOffsets, effects: &mut Vec<Effect>) {
        if let Err(error) = self.commit_check(now, &commit) {
            let results = commit.partitions.iter().map(|_| Err(error)).collect();
            return answer(effects, id, Answer::Committed(results));
        }
        self.heard_of(now, &commit.group, &commit.member_id);
        let mut offsets = Vec::new();
        let mut results = Vec::new();
        for partition in commit.partitions {
            if utf16_is_longer(&partition.metadata, self.settings.offset_metadata_bytes_max) {
                results.push(Err(GroupError::OffsetMetadataTooLarge));
                continue;
            }
            results.push(Ok(()));
            offsets.push(committing(now, partition));
        }
        if offsets.is_empty() {
            answer(effects, id, Answer::Committed(results));
            return self.forget_if_vacant(&commit.group);
        }
        let row = |((topic, partition), value): &((String, i32), CommittedOffset)| Row::Offset {
            group: commit.group.clone(),
            topic: topic.clone(),
            partition: *partition,
            value: Some(value.clone()),
        };
        let rows = offsets.iter().map(row).collect();
        let then = Then::Committed { id, offsets, results };
        self.append(&commit.group, rows, then, effects);
    }

    fn commit_check(&mut self, now: Now, commit: &CommitOffsets) -> Result<(), GroupError> {
        if !self.appends.has_room() {
            return Err(GroupError::NotAvailable);
        }
        let Some(group) = self.groups.get(&commit.group) else {
            return self.commit_to_new(now, commit);
        };
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

    /// A commit outside any generation makes a group that only commits.
    fn commit_to_new(&mut self, now: Now, commit: &CommitOffsets) -> Result<(), GroupError> {
        match commit.generation {
            0.. if commit.group_id_not_found => Err(GroupError::GroupIdNotFound),
            0.. => Err(GroupError::IllegalGeneration),
            _ if self.groups.len() >= self.settings.groups_max => Err(GroupError::GroupMaxSizeReached),
            _ => {
                self.groups.insert(commit.group.clone(), Group::new(now.wall));
                Ok(())
            }
        }
    }

    pub(crate) fn fetch_offsets(&self, fetch: &FetchOffsets) -> Vec<Committed> {
        let group = self.groups.get(&fetch.group);
        let group = group.filter(|group| group.state != GroupState::Dead);
        let committed = |partition: &(String, i32)| Committed {
            topic: partition.0.clone(),
            partition: partition.1,
            committed: group.and_then(|group| group.offsets.get(partition)).cloned(),
            unstable: fetch.require_stable && group.is_some_and(|group| !group.is_stable(partition)),
        };
        match (&fetch.partitions, group) {
            (Some(partitions), _) => partitions.iter().map(committed).collect(),
            (None, Some(group)) => group.offsets.keys().map(committed).collect(),
            (None, None) => Vec::new(),
        }
    }

    pub(crate) fn delete_offsets(&mut self, id: RequestId, delete: DeleteOffsets, effects: &mut Vec<Effect>) {
        let group = match self.delete_check(&delete.group) {
            Ok(group) => group,
            Err(error) => return answer(effects, id, Answer::OffsetsDeleted(Err(error))),
        };
        let mut results = Vec::new();
        let mut partitions = BTreeSet::new();
        for partition in delete.partitions {
            if group.is_subscribed_to(&partition.0) {
                results.push(Err(GroupError::GroupSubscribedToTopic));
                continue;
            }
            results.push(Ok(()));
            if group.has_or_awaits(&partition) {
                partitions.insert(partition);
            }
        }
        if partitions.is_empty() {
            return answer(effects, id, Answer::OffsetsDeleted(Ok(results)));
        }
        let partitions = partitions.into_iter().collect();
        self.append_tombstones(Some((id, results)), &delete.group, partitions, effects);
    }

    fn delete_check(&self, name: &str) -> Result<&Group, GroupError> {
        let group = self.groups.get(name).ok_or(GroupError::GroupIdNotFound)?;
        let consumers = group.protocol_type.as_deref() == Some(CONSUMER);
        match group.state {
            GroupState::Dead => Err(GroupError::GroupIdNotFound),
            _ if !self.appends.has_room() => Err(GroupError::NotAvailable),
            GroupState::Empty => Ok(group),
            _ if consumers => Ok(group),
            _ => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Deletes offsets, in as many appends as it takes; a request is answered with the last.
    pub(crate) fn append_tombstones(
        &mut self,
        mut request: Option<(RequestId, Vec<Result<(), GroupError>>)>,
        group: &str,
        mut partitions: Vec<(String, i32)>,
        effects: &mut Vec<Effect>,
    ) {
        while !partitions.is_empty() {
            let rest = partitions.split_off(partitions.len().min(TOMBSTONES_PER_APPEND));
            let rows = partitions.iter().map(|partition| tombstone(group, partition)).collect();
            let answered = if rest.is_empty() { request.take() } else { None };
            let (id, results) = answered.map_or((None, Vec::new()), |(id, results)| (Some(id), results));
            let then = Then::OffsetsDeleted {
                id,
                partitions,
                results,
            };
            self.append(group, rows, then, effects);
            partitions = rest;
        }
    }

    /// A topic is gone: nobody can go on from an offset in it. Offsets on their way into the log go as well.
    pub(crate) fn topic_deleted(&mut self, topic: String, effects: &mut Vec<Effect>) {
        if self.loading {
            self.topics_deleted.insert(topic);
            return;
        }
        let mut gone = Vec::new();
        for (name, group) in &self.groups {
            let in_topic = group.partitions().into_iter().filter(|(other, _)| *other == topic);
            let partitions: Vec<_> = in_topic.collect();
            if !partitions.is_empty() {
                gone.push((name.clone(), partitions));
            }
        }
        for (group, partitions) in gone {
            self.append_tombstones(None, &group, partitions, effects);
        }
    }
}

impl Group {
    /// Every partition with an offset, in the log or on its way there.
    pub(crate) fn partitions(&self) -> BTreeSet<(String, i32)> {
        self.offsets
            .keys()
            .chain(self.in_flight.commits.keys())
            .cloned()
            .collect()
    }

    fn has_or_awaits(&self, partition: &(String, i32)) -> bool {
        self.offsets.contains_key(partition) || self.in_flight.commits.contains_key(partition)
    }

    /// Whether an offset is decided: none is on its way. Where there are transactions, theirs count here too.
    fn is_stable(&self, partition: &(String, i32)) -> bool {
        !self.in_flight.commits.contains_key(partition)
    }
}

fn committing(now: Now, partition: CommitPartition) -> ((String, i32), CommittedOffset) {
    let value = CommittedOffset {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata,
        committed_at: now.wall,
        expires_at: partition.expires_at,
    };
    ((partition.topic, partition.partition), value)
}

/// Kafka compares its setting "in bytes" with the length of a Java string, which counts UTF-16 units.
fn utf16_is_longer(text: &str, max: usize) -> bool {
    text.len() > max && text.encode_utf16().count() > max
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
