//! The audit after every start: one client reads everything there is, before anybody else may act.
//!
//! What it reads is the whole log, so that the book is exact when the life of the machine begins.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use hallows_protocol::messages::describe_configs_response::DescribeConfigsResponse;
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use hallows_protocol::messages::fetch_response::FetchResponse;
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_protocol::messages::metadata_request::MetadataRequest;
use hallows_protocol::messages::metadata_response::MetadataResponse;
use hallows_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use hallows_record::{StructureLimits, check_structure, peek_size};
use hallows_storage::Durability;

use super::book::{PartitionName, parse_durability};
use super::clients::Actor;
use super::link::{Asked, Link};
use super::{Stage, metadata, offsets};
use crate::checks::recovery::Found;
use crate::violation::{Verdict, Violation};

const RESOURCE_TOPIC: i8 = 2;
const EARLIEST: i64 = -2;
/// Batches are up to 24 KiB, so a few come at once.
const FETCH_BYTES_MAX: i32 = 100_000;
/// How long the auditor waits for an answer, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

/// What is asked next.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Task {
    Metadata,
    Settings(u32),
    Start(PartitionName),
    Read(PartitionName),
    /// Where an epoch ends.
    EpochEnd(PartitionName, i32),
    Offsets(String),
}

/// A log as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadLog {
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
    pub(super) batches: Vec<Bytes>,
    /// What was asked of an epoch, and the answer.
    pub(super) epoch: Option<(i32, (i32, i64))>,
}

impl ReadLog {
    fn end(&self) -> i64 {
        let last = self.batches.last();
        last.map_or(self.log_start, |batch| crate::ledger::header(batch).end_offset().0)
    }

    /// In the words of recovery's checker.
    pub(super) fn found(&self, id: hallows_types::PartitionId) -> Found {
        Found {
            id,
            log_start: self.log_start,
            log_end: self.high_watermark,
            batches: self.batches.clone(),
        }
    }
}

/// The auditor.
pub(super) struct Auditor {
    link: Link,
    todo: VecDeque<Task>,
    /// Tasks done so far.
    learned: u64,
    /// What Metadata said.
    pub(super) metadata: Option<MetadataResponse>,
    pub(super) durabilities: BTreeMap<u32, Durability>,
    pub(super) logs: BTreeMap<PartitionName, ReadLog>,
    /// Partitions that answer with errors, and which.
    pub(super) failed: BTreeMap<PartitionName, ErrorCode>,
    names: BTreeMap<u32, (String, i32)>,
}

impl Auditor {
    pub(super) fn new(owner: usize) -> Self {
        Self {
            link: Link::new(owner),
            todo: VecDeque::from([Task::Metadata]),
            learned: 0,
            metadata: None,
            durabilities: BTreeMap::new(),
            logs: BTreeMap::new(),
            failed: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty()
    }

    /// How much was learned so far.
    pub(super) const fn learned(&self) -> u64 {
        self.learned
    }

    /// What is missing.
    pub(super) fn missing(&self) -> String {
        format!("{:?} and {} more", self.todo.front(), self.todo.len().saturating_sub(1))
    }

    fn ask(&mut self, stage: &mut Stage<'_>) {
        let Some(task) = self.todo.front().cloned() else { return };
        match task {
            Task::Metadata => {
                let request = MetadataRequest {
                    topics: None,
                    allow_auto_topic_creation: false,
                    ..MetadataRequest::default()
                };
                self.link.send(stage, 12, 0, &request);
            }
            Task::Settings(number) => {
                let (name, _) = &self.names[&number];
                let request = DescribeConfigsRequest {
                    resources: vec![DescribeConfigsResource {
                        resource_type: RESOURCE_TOPIC,
                        resource_name: name,
                        configuration_keys: Some(vec!["durability"]),
                    }],
                    ..DescribeConfigsRequest::default()
                };
                self.link.send(stage, 4, 0, &request);
            }
            Task::Start(name) => self.ask_start(stage, name),
            Task::Read(name) => self.ask_records(stage, name),
            Task::EpochEnd(name, epoch) => self.ask_epoch(stage, name, epoch),
            Task::Offsets(group) => {
                let mut places = stage.book.offsets.places();
                places.retain(|(of, ..)| *of == group);
                offsets::ask(stage, &mut self.link, &group, &places);
            }
        }
    }

    fn ask_start(&mut self, stage: &mut Stage<'_>, name: PartitionName) {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: &self.names[&name.topic].0,
                partitions: vec![ListOffsetsPartition {
                    partition_index: name.index,
                    timestamp: EARLIEST,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        self.link.send(stage, 6, 0, &request);
    }

    fn ask_records(&mut self, stage: &mut Stage<'_>, name: PartitionName) {
        let log = self.logs.entry(name).or_default();
        let request = FetchRequest {
            min_bytes: 0,
            max_bytes: FETCH_BYTES_MAX,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: &self.names[&name.topic].0,
                partitions: vec![FetchPartition {
                    partition: name.index,
                    fetch_offset: log.end(),
                    partition_max_bytes: FETCH_BYTES_MAX,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        self.link.send(stage, 12, 0, &request);
    }

    fn ask_epoch(&mut self, stage: &mut Stage<'_>, name: PartitionName, epoch: i32) {
        let (topic, current) = &self.names[&name.topic];
        let request = OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic,
                partitions: vec![OffsetForLeaderPartition {
                    partition: name.index,
                    current_leader_epoch: *current,
                    leader_epoch: epoch,
                }],
            }],
        };
        self.link.send(stage, 4, 0, &request);
    }

    fn learn_metadata(&mut self, stage: &mut Stage<'_>, answer: MetadataResponse) {
        for (number, topic) in metadata::topics(stage.book, &answer) {
            let epoch = topic.partitions.first().map_or(-1, |partition| partition.leader_epoch);
            let name = topic.name.clone().unwrap_or_default();
            self.names.insert(number, (name, epoch));
            self.todo.push_back(Task::Settings(number));
            for partition in &topic.partitions {
                let name = PartitionName {
                    topic: number,
                    index: partition.partition_index,
                };
                let asked = i32::try_from(stage.random.below(u64::try_from(epoch + 2).unwrap_or(1))).expect("small");
                self.todo.push_back(Task::Start(name));
                self.todo.push_back(Task::Read(name));
                self.todo.push_back(Task::EpochEnd(name, asked));
            }
        }
        let mut groups: Vec<String> = stage
            .book
            .offsets
            .places()
            .into_iter()
            .map(|(group, ..)| group)
            .collect();
        groups.dedup();
        self.todo.extend(groups.into_iter().map(Task::Offsets));
        self.metadata = Some(answer);
    }

    fn learn_settings(&mut self, number: u32, answer: &DescribeConfigsResponse) -> bool {
        let configs = answer.results.iter().flat_map(|result| &result.configs);
        let word = configs
            .filter(|config| config.name == "durability")
            .find_map(|config| config.value.as_deref());
        let Some(durability) = word.and_then(parse_durability) else {
            return false;
        };
        self.durabilities.insert(number, durability);
        true
    }

    /// Takes what was read; tells whether that was the end of the log.
    fn learn_records(&mut self, name: PartitionName, answer: &FetchResponse) -> Result<bool, Violation> {
        let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let Some(data) = parts
            .into_iter()
            .next()
            .filter(|_| answer.error_code == ErrorCode::NONE)
        else {
            return Ok(false);
        };
        if data.error_code == ErrorCode::OFFSET_OUT_OF_RANGE {
            // Retention was faster.
            self.logs.remove(&name);
            self.todo.push_front(Task::Start(name));
            return Ok(false);
        }
        if data.error_code != ErrorCode::NONE {
            self.failed.insert(name, data.error_code);
            return Ok(true);
        }
        let log = self.logs.entry(name).or_default();
        log.high_watermark = data.high_watermark;
        let mut rest = data.records.clone().unwrap_or_default();
        let before = log.end();
        while let Some(Ok(size)) = peek_size(&rest)
            && size <= rest.len()
        {
            let batch = rest.split_to(size);
            if let Err(error) = check_structure(&batch, &StructureLimits::stored()) {
                return Err(Violation::new("batches are whole", format!("{name}: {error}")));
            }
            log.batches.push(batch);
        }
        if log.end() >= log.high_watermark {
            return Ok(true);
        }
        if log.end() == before {
            let detail = format!(
                "{name}: nothing came from {before} on, the high watermark is {}",
                log.high_watermark
            );
            return Err(Violation::new("reads are served", detail));
        }
        Ok(false)
    }

    fn learn(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Result<bool, Violation> {
        let Some(task) = self.todo.front().cloned() else {
            return Ok(false);
        };
        match (task, answer) {
            (Task::Metadata, AnyResponse::Metadata(answer)) => {
                self.learn_metadata(stage, answer);
                Ok(true)
            }
            (Task::Settings(number), AnyResponse::DescribeConfigs(answer)) => Ok(self.learn_settings(number, &answer)),
            (Task::Start(name), AnyResponse::ListOffsets(answer)) => {
                let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
                if let Some(found) = found.filter(|found| found.error_code == ErrorCode::NONE) {
                    self.logs.entry(name).or_default().log_start = found.offset;
                } else {
                    self.failed
                        .insert(name, found.map_or(ErrorCode::NONE, |found| found.error_code));
                }
                Ok(true)
            }
            (Task::Read(name), AnyResponse::Fetch(answer)) => self.learn_records(name, &answer),
            (Task::EpochEnd(name, epoch), AnyResponse::OffsetForLeaderEpoch(answer)) => {
                let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
                if let Some(found) = found.filter(|found| found.error_code == ErrorCode::NONE) {
                    let answer = (found.leader_epoch, found.end_offset);
                    self.logs.entry(name).or_default().epoch = Some((epoch, answer));
                }
                Ok(true)
            }
            (Task::Offsets(group), AnyResponse::OffsetFetch(answer)) => {
                offsets::check(stage.book, &group, asked, &answer)?;
                Ok(offsets::is_answer(&answer))
            }
            _ => Ok(false),
        }
    }
}

impl Actor for Auditor {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict {
        if self.link.waiting() == 0 {
            self.ask(stage);
        }
        Ok(())
    }

    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict {
        if self.learn(stage, asked, answer)? {
            self.todo.pop_front();
            self.learned += 1;
            // At once: an audit is a long chain of answers. What was not learned waits for the next alarm.
            return self.act(stage);
        }
        Ok(())
    }

    fn disconnected(&mut self, _stage: &mut Stage<'_>, _lost: &[Asked]) {}

    fn patience(&self) -> u64 {
        PATIENCE
    }
}
