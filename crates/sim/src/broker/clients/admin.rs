//! An administrator: topics come, grow, change and go; records are deleted.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use hallows_protocol::messages::create_topics_response::CreateTopicsResponse;
use hallows_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use hallows_protocol::messages::delete_records_response::DeleteRecordsResponse;
use hallows_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use hallows_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use hallows_protocol::messages::metadata_request::MetadataRequest;
use hallows_storage::Durability;

use super::{Actor, MILLISECOND};
use crate::broker::book::{Existence, PartitionName, Topic, durability_name};
use crate::broker::link::{Asked, Link};
use crate::broker::{Stage, metadata};
use crate::checks::{log_start, recreated};
use crate::random::Choose;
use crate::violation::{Verdict, Violation};

/// Topics at once, those that are kept for groups included.
const TOPICS_MAX: usize = 7;
/// Topics that groups count on.
pub(in crate::broker) const KEPT_TOPICS: u32 = 2;
/// The most partitions of a topic.
const PARTITIONS_MAX: i32 = 8;
/// The code of a topic among the resources that have settings.
const RESOURCE_TOPIC: i8 = 2;
const TIMEOUT_MS: i32 = 2_000;

/// What was asked for.
enum Pending {
    Create(u32),
    Delete(u32),
    Grow(u32, i32),
    DeleteRecords(PartitionName, i64),
    /// Topic, number of the change.
    Durability(u32, u64),
    Setting(u32),
    /// Topics that were there, and topics that were gone, when it was asked.
    Metadata(metadata::Before),
}

impl Pending {
    /// The topic that it changes by name.
    const fn topic(&self) -> Option<u32> {
        match self {
            Self::Create(number)
            | Self::Delete(number)
            | Self::Grow(number, _)
            | Self::Durability(number, _)
            | Self::Setting(number) => Some(*number),
            Self::DeleteRecords(name, _) => Some(name.topic),
            Self::Metadata(_) => None,
        }
    }
}

/// The administrator.
pub(in crate::broker) struct Admin {
    link: Link,
    pending: BTreeMap<u64, Pending>,
    next_tag: u64,
}

impl Admin {
    pub(in crate::broker) fn new(owner: usize) -> Self {
        Self {
            link: Link::new(owner),
            pending: BTreeMap::new(),
            next_tag: 0,
        }
    }

    fn note(&mut self, pending: Pending) -> u64 {
        self.next_tag += 1;
        self.pending.insert(self.next_tag, pending);
        self.next_tag
    }

    fn create(&mut self, stage: &mut Stage<'_>) {
        let number = stage.book.number_topic();
        let durability = [Durability::Fsync, Durability::Written, Durability::Memory][stage.random.index(3)];
        let partitions = 1 + i32::try_from(stage.random.below(4)).expect("small");
        let name = stage.book.name_topic(number, stage.random);
        let mut topic = Topic::creating(stage.book.now, name.clone(), partitions, durability);
        topic.kept = number <= KEPT_TOPICS;
        let mut configs = vec![("durability", durability_name(durability).to_owned())];
        // A small index makes small segments.
        if stage.random.one_in(2) {
            configs.push(("segment.index.bytes", [8, 32, 128][stage.random.index(3)].to_string()));
        }
        if stage.random.one_in(4) {
            configs.push(("segment.ms", "500".to_owned()));
        }
        if stage.random.one_in(4) {
            configs.push(("retention.bytes", "60000".to_owned()));
            topic.may_expire = true;
        }
        stage.book.topics.insert(number, topic);
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name,
            value: Some(value),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: &name,
                num_partitions: partitions,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: configs.collect(),
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        };
        let version = [5, 7, 7][stage.random.index(3)];
        let tag = self.note(Pending::Create(number));
        self.link.send(stage, version, tag, &request);
    }

    fn created(stage: &mut Stage<'_>, number: u32, answer: &CreateTopicsResponse) -> Verdict {
        let Some(result) = answer.topics.first() else {
            return Ok(());
        };
        let others = stage.book.topics.iter().filter(|(other, _)| **other != number);
        recreated::check_new(result.topic_id, others.map(|(_, topic)| topic.id))?;
        let Some(topic) = stage.book.topics.get_mut(&number) else {
            return Ok(());
        };
        match result.error_code {
            ErrorCode::NONE => {
                topic.created(result.topic_id);
                stage.book.change_answered();
                Ok(())
            }
            ErrorCode::INVALID_REQUEST | ErrorCode::INVALID_CONFIG | ErrorCode::TOPIC_ALREADY_EXISTS => {
                let detail = format!("{}: {} {:?}", topic.name, result.error_code, result.error_message);
                Err(Violation::new("valid topics are created", detail))
            }
            _ => Ok(()),
        }
    }

    fn delete(&mut self, stage: &mut Stage<'_>, number: u32) {
        let topic = stage.book.topics.get_mut(&number).expect("chosen from the map");
        topic.existence = Existence::Deleting;
        let name = topic.name.clone();
        let version = [1, 4, 6][stage.random.index(3)];
        let mut request = DeleteTopicsRequest {
            timeout_ms: TIMEOUT_MS,
            ..DeleteTopicsRequest::default()
        };
        if version >= 6 {
            request.topics.push(DeleteTopicState {
                name: Some(&name),
                ..DeleteTopicState::default()
            });
        } else {
            request.topic_names.push(&name);
        }
        let tag = self.note(Pending::Delete(number));
        self.link.send(stage, version, tag, &request);
    }

    fn grow(&mut self, stage: &mut Stage<'_>, number: u32) {
        let topic = stage.book.topics.get_mut(&number).expect("chosen from the map");
        if topic.count.possible >= PARTITIONS_MAX {
            return;
        }
        topic.count.possible += 1;
        let (name, count) = (topic.name.clone(), topic.count.possible);
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: &name,
                count,
                assignments: None,
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        };
        let version = [0, 2, 3][stage.random.index(3)];
        let tag = self.note(Pending::Grow(number, count));
        self.link.send(stage, version, tag, &request);
    }

    fn delete_records(&mut self, stage: &mut Stage<'_>, number: u32) {
        let certain = stage.book.topics[&number].count.certain;
        let index = i32::try_from(stage.random.below(u64::try_from(certain).unwrap_or(0))).expect("small");
        let name = PartitionName { topic: number, index };
        let Some(log) = stage.book.log(name) else { return };
        let (start, end) = (log.ledger.log_start, log.ledger.end());
        let third = u64::try_from((end - start) / 3 + 1).unwrap_or(1);
        let mut offset = start + i64::try_from(stage.random.below(third)).expect("small");
        let log = stage.book.log(name).expect("just found");
        log.delete_asked = log.delete_asked.max(offset);
        if stage.random.one_in(20) {
            // Everything that is acknowledged when the request arrives.
            offset = -1;
            let log = stage.book.log(name).expect("just found");
            log.delete_asked = i64::MAX;
        }
        let topic = stage.book.topics[&number].name.clone();
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: &topic,
                partitions: vec![DeleteRecordsPartition {
                    partition_index: index,
                    offset,
                }],
            }],
            timeout_ms: TIMEOUT_MS,
        };
        let version = [0, 1, 2][stage.random.index(3)];
        let tag = self.note(Pending::DeleteRecords(name, offset));
        self.link.send(stage, version, tag, &request);
    }

    fn records_deleted(
        stage: &mut Stage<'_>,
        name: PartitionName,
        offset: i64,
        answer: &DeleteRecordsResponse,
    ) -> Verdict {
        let Some(part) = answer.topics.iter().flat_map(|topic| &topic.partitions).next() else {
            return Ok(());
        };
        let Some(log) = stage.book.log(name).filter(|_| part.error_code == ErrorCode::NONE) else {
            return Ok(());
        };
        if part.low_watermark < offset {
            let detail = format!("{name}: {offset} was asked for, {} answered", part.low_watermark);
            return Err(Violation::new("deleted records are deleted", detail));
        }
        if part.low_watermark > log.ledger.log_start {
            log_start::check(&mut log.ledger, part.low_watermark).map_err(|violation| violation.at(name))?;
        }
        if log.delete_asked == i64::MAX && offset == -1 {
            log.delete_asked = part.low_watermark;
        }
        Ok(())
    }

    fn alter(&mut self, stage: &mut Stage<'_>, number: u32) {
        let choice = stage.random.below(4);
        let durability = [Durability::Fsync, Durability::Written, Durability::Memory][stage.random.index(3)];
        let now = stage.book.now;
        let topic = stage.book.topics.get_mut(&number).expect("chosen from the map");
        let (setting, value) = match choice {
            0 | 1 => ("durability", durability_name(durability)),
            2 => ("segment.index.bytes", "16"),
            _ => ("retention.bytes", "40000"),
        };
        let pending = match choice {
            0 | 1 => {
                let change = self.next_tag + 1;
                topic.durability.asked(now, change, durability);
                Pending::Durability(number, change)
            }
            2 => Pending::Setting(number),
            _ => {
                topic.may_expire = true;
                Pending::Setting(number)
            }
        };
        let name = topic.name.clone();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: &name,
                configs: vec![AlterableConfig {
                    name: setting,
                    config_operation: 0,
                    value: Some(value),
                }],
            }],
            validate_only: false,
        };
        let version = [0, 1][stage.random.index(2)];
        let tag = self.note(pending);
        self.link.send(stage, version, tag, &request);
    }

    fn look(&mut self, stage: &mut Stage<'_>) {
        let version = [9, 10, 12, 13][stage.random.index(4)];
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let tag = self.note(Pending::Metadata(metadata::Before::now(stage.book)));
        self.link.send(stage, version, tag, &request);
    }

    fn any_topic(stage: &mut Stage<'_>, may_be_kept: bool) -> Option<u32> {
        let usable = stage.book.topics.iter();
        let usable: Vec<u32> = usable
            .filter(|(_, topic)| topic.is_usable() && (may_be_kept || !topic.kept))
            .map(|(number, _)| *number)
            .collect();
        (!usable.is_empty()).then(|| usable[stage.random.index(usable.len())])
    }

    fn is_topic_wanted(stage: &Stage<'_>) -> bool {
        let there = stage.book.topics.values();
        let there = there.filter(|topic| topic.existence != Existence::Gone).count();
        let kept = stage.book.topics.values().filter(|topic| topic.kept).count();
        kept < usize::try_from(KEPT_TOPICS).unwrap_or(0) || there < 3
    }
}

impl Actor for Admin {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict {
        if self.link.waiting() > 0 {
            return Ok(());
        }
        let topics = stage.book.topics.values();
        let there = topics.filter(|topic| topic.existence != Existence::Gone).count();
        if Self::is_topic_wanted(stage) || there < TOPICS_MAX && stage.random.one_in(15) {
            self.create(stage);
            return Ok(());
        }
        let choice = stage.random.below(40);
        let Some(number) = Self::any_topic(stage, choice >= 4) else {
            self.look(stage);
            return Ok(());
        };
        match choice {
            0 => self.delete(stage, number),
            1..6 => self.look(stage),
            6..9 => self.grow(stage, number),
            9..20 => self.delete_records(stage, number),
            20..30 => self.alter(stage, number),
            _ => {}
        }
        Ok(())
    }

    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict {
        let Some(pending) = self.pending.remove(&asked.tag) else {
            return Ok(());
        };
        let now = stage.book.now;
        match (pending, answer) {
            (Pending::Create(number), AnyResponse::CreateTopics(answer)) => Self::created(stage, number, &answer),
            (Pending::Delete(number), AnyResponse::DeleteTopics(answer)) => {
                let done = answer
                    .responses
                    .iter()
                    .all(|result| result.error_code == ErrorCode::NONE);
                if let Some(topic) = stage.book.topics.get_mut(&number).filter(|_| done) {
                    topic.is_gone(now);
                    stage.book.change_answered();
                }
                Ok(())
            }
            (Pending::Grow(number, count), AnyResponse::CreatePartitions(answer)) => {
                let done = answer.results.iter().all(|result| result.error_code == ErrorCode::NONE);
                if let Some(topic) = stage.book.topics.get_mut(&number).filter(|_| done) {
                    topic.count.certain = topic.count.certain.max(count);
                    stage.book.change_answered();
                }
                Ok(())
            }
            (Pending::DeleteRecords(name, offset), AnyResponse::DeleteRecords(answer)) => {
                Self::records_deleted(stage, name, offset, &answer)
            }
            (Pending::Durability(number, change), AnyResponse::IncrementalAlterConfigs(answer)) => {
                let done = answer
                    .responses
                    .iter()
                    .all(|result| result.error_code == ErrorCode::NONE);
                if let Some(topic) = stage.book.topics.get_mut(&number).filter(|_| done) {
                    topic.durability.answered(now, change, true);
                    stage.book.changes += 1;
                }
                Ok(())
            }
            (Pending::Metadata(before), AnyResponse::Metadata(answer)) => before.check(stage.book, &answer),
            _ => Ok(()),
        }
    }

    fn disconnected(&mut self, stage: &mut Stage<'_>, _lost: &[Asked]) {
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Some(topic) = pending.topic().and_then(|number| stage.book.topics.get_mut(&number)) {
                topic.strays = true;
            }
        }
    }

    fn patience(&self) -> u64 {
        5_000 * MILLISECOND
    }
}
