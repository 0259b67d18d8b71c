//! Offsets: where a log begins and ends, what was at a time, what a group has committed.

use std::collections::BTreeMap;

use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use hallows_protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use hallows_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};

use crate::error::check;
use crate::{Client, ClientError, Result};

/// The newest version of OffsetFetch that asks for one group; later ones ask for lists.
const OFFSET_FETCH_NEWEST: i16 = 7;
/// The newest version of OffsetCommit that names topics; later ones carry their ids.
const OFFSET_COMMIT_NEWEST: i16 = 9;

/// A place in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetAt {
    /// The first offset that can be read.
    Earliest,
    /// The offset that the next record gets.
    Latest,
    /// The first record with this time, in milliseconds since 1970, or a later one.
    Time(i64),
    /// The record with the largest time (KIP-734).
    MaxTimestamp,
}

impl OffsetAt {
    const fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Time(milliseconds) => milliseconds,
        }
    }
}

/// An offset and the time of its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimedOffset {
    /// The offset; -1 when there is no such record.
    pub offset: i64,
    /// The record's time; -1 when the question was not about a time.
    pub timestamp_ms: i64,
    /// The epoch of the leader that wrote it; -1 when unknown.
    pub leader_epoch: i32,
}

/// What a group has committed for a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The offset to read next.
    pub offset: i64,
    /// The epoch of the last record read; -1 when unknown.
    pub leader_epoch: i32,
    /// What the committer added.
    pub metadata: String,
}

impl Client {
    /// Looks up one place in each of some partitions of `topic`.
    ///
    /// # Errors
    /// The first partition's error that does not pass.
    pub fn list_offsets(&mut self, topic: &str, partitions: &[(i32, OffsetAt)]) -> Result<BTreeMap<i32, TimedOffset>> {
        self.retry(|client| {
            let found = client.list_offsets_once(topic, partitions);
            if found.is_err() {
                client.forget(topic);
            }
            found
        })
    }

    fn list_offsets_once(&mut self, topic: &str, partitions: &[(i32, OffsetAt)]) -> Result<BTreeMap<i32, TimedOffset>> {
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for &(partition_index, at) in partitions {
            let asked = ListOffsetsPartition {
                partition_index,
                timestamp: at.timestamp(),
                ..ListOffsetsPartition::default()
            };
            by_leader
                .entry(self.leader(topic, partition_index)?)
                .or_default()
                .push(asked);
        }
        let mut found = BTreeMap::new();
        for (node, partitions) in by_leader {
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic {
                    name: topic,
                    partitions,
                }],
                ..ListOffsetsRequest::default()
            };
            let answer = self.call_node(node, &request, i16::MAX)?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                let index = partition.partition_index;
                check("ListOffsets", partition.error_code, None, || {
                    format!("partition {index} of {topic}")
                })?;
                let timed = TimedOffset {
                    offset: partition.offset,
                    timestamp_ms: partition.timestamp,
                    leader_epoch: partition.leader_epoch,
                };
                found.insert(index, timed);
            }
        }
        Ok(found)
    }

    /// What `group` has committed, by topic and partition: for `topics`, or for all with `None`.
    ///
    /// # Errors
    /// Those of the coordinator that do not pass.
    pub fn committed_offsets(
        &mut self,
        group: &str,
        topics: Option<&[(&str, Vec<i32>)]>,
    ) -> Result<BTreeMap<(String, i32), CommittedOffset>> {
        let asked = topics.map(|topics| {
            let asked = topics.iter().map(|(name, partitions)| OffsetFetchRequestTopic {
                name,
                partition_indexes: partitions.clone(),
            });
            asked.collect()
        });
        let request = OffsetFetchRequest {
            group_id: group,
            topics: asked,
            ..OffsetFetchRequest::default()
        };
        let answer = self.retry(|client| {
            let answer = client.call_coordinator(group, &request, OFFSET_FETCH_NEWEST)?;
            check("OffsetFetch", answer.error_code, None, || format!("group {group}"))?;
            Ok(answer)
        })?;
        let mut committed = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let index = partition.partition_index;
                check("OffsetFetch", partition.error_code, None, || {
                    format!("partition {index} of {}", topic.name)
                })?;
                if partition.committed_offset < 0 {
                    continue;
                }
                let offset = CommittedOffset {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata.unwrap_or_default(),
                };
                committed.insert((topic.name.clone(), index), offset);
            }
        }
        Ok(committed)
    }

    /// Commits offsets for a group without members, as a reset does.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID when the group has members.
    pub fn commit_offsets(&mut self, group: &str, offsets: &BTreeMap<(String, i32), i64>) -> Result<()> {
        self.retry(|client| client.commit_as(group, ("", -1, None), offsets))
    }

    /// Commits offsets as a member: its id, generation and instance id.
    pub(crate) fn commit_as(
        &mut self,
        group: &str,
        (member_id, generation, instance): (&str, i32, Option<&str>),
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<()> {
        let mut topics: Vec<OffsetCommitRequestTopic<'_>> = Vec::new();
        for ((topic, partition_index), &committed_offset) in offsets {
            let partition = OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset,
                committed_metadata: Some(""),
                ..OffsetCommitRequestPartition::default()
            };
            match topics.last_mut() {
                Some(last) if last.name == topic => last.partitions.push(partition),
                _ => topics.push(OffsetCommitRequestTopic {
                    name: topic,
                    partitions: vec![partition],
                    ..OffsetCommitRequestTopic::default()
                }),
            }
        }
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: generation,
            member_id,
            group_instance_id: instance,
            topics,
            ..OffsetCommitRequest::default()
        };
        let answer = self.call_coordinator(group, &request, OFFSET_COMMIT_NEWEST)?;
        for topic in answer.topics {
            for partition in topic.partitions {
                let subject = || {
                    format!(
                        "partition {} of {} by group {group}",
                        partition.partition_index, topic.name
                    )
                };
                check("OffsetCommit", partition.error_code, None, subject)?;
            }
        }
        Ok(())
    }

    /// Forgets what `group` has committed for some partitions of `topic`.
    ///
    /// # Errors
    /// GROUP_SUBSCRIBED_TO_TOPIC while the group has members that read it.
    pub fn delete_offsets(&mut self, group: &str, topic: &str, partitions: &[i32]) -> Result<()> {
        let partitions = partitions
            .iter()
            .map(|&partition_index| OffsetDeleteRequestPartition { partition_index });
        let request = OffsetDeleteRequest {
            group_id: group,
            topics: vec![OffsetDeleteRequestTopic {
                name: topic,
                partitions: partitions.collect(),
            }],
        };
        self.retry(|client| {
            let answer = client.call_coordinator(group, &request, i16::MAX)?;
            check("OffsetDelete", answer.error_code, None, || format!("group {group}"))?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                let index = partition.partition_index;
                check("OffsetDelete", partition.error_code, None, || {
                    format!("partition {index} of {topic}")
                })?;
            }
            Ok(())
        })
    }

    /// Makes everything below an offset of each partition unreadable; returns the new first offsets.
    ///
    /// An offset of -1 stands for the end of the log.
    ///
    /// # Errors
    /// The first partition's error that does not pass.
    pub fn delete_records(&mut self, topic: &str, offsets: &[(i32, i64)]) -> Result<BTreeMap<i32, i64>> {
        let mut first_offsets = BTreeMap::new();
        for &(partition, offset) in offsets {
            let first = self.retry(|client| {
                let deleted = client.delete_records_once(topic, partition, offset);
                if deleted.is_err() {
                    client.forget(topic);
                }
                deleted
            })?;
            first_offsets.insert(partition, first);
        }
        Ok(first_offsets)
    }

    fn delete_records_once(&mut self, topic: &str, partition_index: i32, offset: i64) -> Result<i64> {
        use hallows_protocol::messages::delete_records_request as request;
        let node = self.leader(topic, partition_index)?;
        let partitions = vec![request::DeleteRecordsPartition {
            partition_index,
            offset,
        }];
        let body = request::DeleteRecordsRequest {
            topics: vec![request::DeleteRecordsTopic {
                name: topic,
                partitions,
            }],
            timeout_ms: 30_000,
        };
        let answer = self.call_node(node, &body, i16::MAX)?;
        let subject = || format!("partition {partition_index} of {topic}");
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or_else(|| ClientError::Missing {
            api: "DeleteRecords",
            subject: subject(),
        })?;
        check("DeleteRecords", partition.error_code, None, subject)?;
        Ok(partition.low_watermark)
    }
}
