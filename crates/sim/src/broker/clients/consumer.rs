//! A consumer: fetch sessions, positions, and what leader epochs tell it after a restart.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use hallows_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_protocol::messages::list_offsets_response::ListOffsetsResponse;
use hallows_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use hallows_protocol::messages::offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
use hallows_types::TopicId;

use super::{Actor, MILLISECOND};
use crate::broker::Stage;
use crate::broker::book::{Delivered, Existence, PartitionName};
use crate::broker::link::{Asked, Link};
use crate::checks::truncation::Memory;
use crate::checks::{recreated, times};
use crate::ledger::header;
use crate::random::Choose;
use crate::violation::{Verdict, Violation};

/// Partitions it reads at once.
const PARTITIONS_MAX: usize = 6;
/// Versions it speaks; topics have names up to 12 and ids from 13 on.
const VERSIONS: [i16; 6] = [7, 9, 11, 12, 13, 17];
/// The first version that names topics by their ids.
const IDS_FROM: i16 = 13;
/// The first version whose request tells in which epoch was read last.
const LAST_EPOCH_FROM: i16 = 12;
/// The first version whose request tells the leader epoch.
const EPOCH_FROM: i16 = 9;
/// What a client that begins anew asks for.
const EARLIEST: i64 = -2;

/// What a partition needs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    Records,
    /// A place to read from.
    Position,
    /// The leader epoch changed: what was read may be gone.
    Validation,
}

/// One partition that is read.
struct Entry {
    position: i64,
    /// The leader epoch that the consumer knows.
    epoch: i32,
    /// The epoch of the last batch that it read, or -1.
    read_epoch: i32,
    need: Need,
    memory: Memory,
    /// What the session asks for; `None` while the partition is not part of it.
    in_session: Option<i64>,
    /// Whether the last request told in which epoch was read last.
    told_read_epoch: bool,
    /// The leader epoch that the session knows; -1 for none.
    told_epoch: i32,
}

/// A lookup by time that waits for its answer.
struct Lookup {
    name: PartitionName,
    target: i64,
    known_before: Option<(i64, i64)>,
}

/// A consumer.
pub(in crate::broker) struct Consumer {
    link: Link,
    lookup: Option<Lookup>,
    entries: BTreeMap<PartitionName, Entry>,
    /// Partitions that the session still has and the consumer does not.
    forgotten: Vec<PartitionName>,
    session: i32,
    session_epoch: i32,
    version: i16,
}

impl Consumer {
    pub(in crate::broker) fn new(owner: usize) -> Self {
        Self {
            link: Link::new(owner),
            lookup: None,
            entries: BTreeMap::new(),
            forgotten: Vec::new(),
            session: 0,
            session_epoch: 0,
            version: 12,
        }
    }

    fn choose_partitions(&mut self, stage: &mut Stage<'_>) {
        let gone: Vec<PartitionName> = self
            .entries
            .keys()
            .filter(|name| !stage.book.is_writable(**name))
            .copied()
            .collect();
        for name in gone {
            // One that asks by ids may not notice for a while that the topic is gone.
            let asks_on = self.version >= IDS_FROM && self.entries[&name].need == Need::Records;
            if !asks_on || stage.random.one_in(10) {
                self.drop_partition(name);
            }
        }
        if self.entries.len() < PARTITIONS_MAX && (self.entries.is_empty() || stage.random.one_in(10)) {
            let names = stage.book.writable();
            if !names.is_empty() {
                let name = names[stage.random.index(names.len())];
                let epoch = stage.book.topics[&name.topic].epoch.unwrap_or(-1);
                self.forgotten.retain(|forgotten| *forgotten != name);
                self.entries.entry(name).or_insert_with(|| Entry {
                    position: 0,
                    epoch,
                    read_epoch: -1,
                    need: Need::Position,
                    memory: Memory::default(),
                    in_session: None,
                    told_read_epoch: false,
                    told_epoch: -1,
                });
            }
        } else if self.entries.len() > 1 && stage.random.one_in(60) {
            let place = stage.random.index(self.entries.len());
            let name = *self.entries.keys().nth(place).expect("an index below the count");
            self.drop_partition(name);
        }
    }

    fn drop_partition(&mut self, name: PartitionName) {
        if let Some(entry) = self.entries.remove(&name)
            && entry.in_session.is_some()
        {
            self.forgotten.push(name);
        }
    }

    fn begin_session(&mut self, stage: &mut Stage<'_>) {
        self.session = 0;
        self.session_epoch = 0;
        self.forgotten.clear();
        self.entries.values_mut().for_each(|entry| entry.in_session = None);
        self.version = VERSIONS[stage.random.index(VERSIONS.len())];
    }

    /// Asks for the first record at or above a time near that of a batch that is known.
    fn ask_time(&mut self, stage: &mut Stage<'_>, name: PartitionName) {
        let Some(log) = stage.book.topics[&name.topic].logs.get(&name.index) else {
            return;
        };
        let ledger = &log.ledger;
        let place = stage.random.index(ledger.log.len().max(1));
        let Some(entry) = ledger.log.values().nth(place) else {
            return;
        };
        let target = entry.max_timestamp + i64::try_from(stage.random.below(5)).unwrap_or(0) - 2;
        let known_before = times::first_known(ledger, target);
        self.lookup = Some(Lookup {
            name,
            target,
            known_before,
        });
        self.ask_offset(stage, name, target);
    }

    fn looked_up(stage: &mut Stage<'_>, lookup: &Lookup, answer: &ListOffsetsResponse) -> Verdict {
        let name = lookup.name;
        let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next();
        let Some(found) = found.filter(|found| found.error_code == ErrorCode::NONE) else {
            return Ok(());
        };
        let may_expire = stage.book.topics[&name.topic].may_expire;
        if may_expire || stage.book.reads_may_flip || stage.book.is_succeeded(name.topic) {
            return Ok(());
        }
        let Some(log) = stage.book.log(name) else { return Ok(()) };
        let start = log.delete_asked.max(log.ledger.log_start);
        let answer = (found.offset >= 0).then_some((found.offset, found.timestamp));
        times::check_known(&log.ledger, lookup.target, lookup.known_before, start, answer)
            .map_err(|violation| violation.at(name))?;
        stage.book.times_looked_up += 1;
        Ok(())
    }

    fn ask_position(&mut self, stage: &mut Stage<'_>, name: PartitionName) {
        self.ask_offset(stage, name, EARLIEST);
    }

    fn ask_offset(&mut self, stage: &mut Stage<'_>, name: PartitionName, timestamp: i64) {
        let version = [1, 4, 6][stage.random.index(3)];
        let topic = stage.book.topics[&name.topic].name.clone();
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: &topic,
                partitions: vec![ListOffsetsPartition {
                    partition_index: name.index,
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        self.link.send(stage, version, 0, &request);
    }

    fn positioned(&mut self, stage: &mut Stage<'_>, answer: &ListOffsetsResponse) -> Verdict {
        for topic in &answer.topics {
            let Some(number) = stage.book.topic_named(&topic.name) else {
                continue;
            };
            for found in &topic.partitions {
                let name = PartitionName {
                    topic: number,
                    index: found.partition_index,
                };
                let Some(entry) = self
                    .entries
                    .get_mut(&name)
                    .filter(|_| found.error_code == ErrorCode::NONE)
                else {
                    continue;
                };
                entry.position = found.offset;
                entry.epoch = stage.book.topics[&number].epoch.unwrap_or(-1);
                entry.read_epoch = -1;
                // It asked for the earliest one.
                let log_start = found.offset;
                entry
                    .memory
                    .log_starts_at(log_start)
                    .map_err(|violation| violation.at(name))?;
                entry.memory.clear();
                entry.need = Need::Records;
            }
        }
        Ok(())
    }

    fn ask_epoch_end(&mut self, stage: &mut Stage<'_>, name: PartitionName) {
        let version = [2, 3, 4][stage.random.index(3)];
        let entry = &self.entries[&name];
        let topic = &stage.book.topics[&name.topic];
        let (topic_name, current) = (topic.name.clone(), topic.epoch.unwrap_or(-1));
        let request = OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: &topic_name,
                partitions: vec![OffsetForLeaderPartition {
                    partition: name.index,
                    current_leader_epoch: current,
                    leader_epoch: entry.read_epoch,
                }],
            }],
        };
        self.link.send(stage, version, 0, &request);
    }

    fn epoch_ended(&mut self, stage: &mut Stage<'_>, answer: &OffsetForLeaderEpochResponse) {
        for topic in &answer.topics {
            let Some(number) = stage.book.topic_named(&topic.topic) else {
                continue;
            };
            for found in &topic.partitions {
                let name = PartitionName {
                    topic: number,
                    index: found.partition,
                };
                if found.error_code == ErrorCode::NONE {
                    self.validated(stage, name, found.end_offset);
                }
            }
        }
    }

    /// Where the log ends for the epoch of what was read last; -1 when it knows no such epoch.
    fn validated(&mut self, stage: &mut Stage<'_>, name: PartitionName, end: i64) {
        let epoch = stage.book.topics[&name.topic].epoch.unwrap_or(-1);
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        if end < 0 {
            entry.need = Need::Position;
            return;
        }
        if let Some(log) = stage.book.log(name) {
            entry.memory.told(&log.ledger, end);
        }
        if end < entry.position {
            entry.position = end;
            // Whatever is below was read in this epoch or an earlier one; the next validation must not ask beyond it.
            entry.read_epoch = -1;
        }
        entry.epoch = epoch;
        entry.need = Need::Records;
    }

    fn fetch(&mut self, stage: &mut Stage<'_>) {
        let full = self.session_epoch == 0;
        let by_id = self.version >= IDS_FROM;
        let mut wanted: Vec<(String, TopicId, FetchPartition)> = Vec::new();
        for (name, entry) in &mut self.entries {
            let unchanged = entry.in_session == Some(entry.position);
            if entry.need != Need::Records || !full && unchanged && !stage.random.one_in(8) {
                continue;
            }
            if !by_id && !stage.book.is_writable(*name) {
                continue;
            }
            let is_valid = stage.book.topics[&name.topic].epoch == Some(entry.epoch);
            let tells_last = self.version >= LAST_EPOCH_FROM && entry.read_epoch >= 0 && stage.random.one_in(2);
            // A client that does not say what it knows is not told that it is outdated.
            let tells_epoch = self.version >= EPOCH_FROM && (!is_valid && !tells_last || !stage.random.one_in(4));
            if !is_valid && !tells_last && !tells_epoch {
                entry.need = Need::Validation;
                continue;
            }
            entry.in_session = Some(entry.position);
            entry.told_read_epoch = tells_last;
            entry.told_epoch = if tells_epoch { entry.epoch } else { -1 };
            let (topic, id) = stage.book.named(name.topic, by_id);
            let partition = FetchPartition {
                partition: name.index,
                current_leader_epoch: entry.told_epoch,
                fetch_offset: entry.position,
                last_fetched_epoch: if tells_last { entry.read_epoch } else { -1 },
                partition_max_bytes: i32::try_from(stage.random.wait_ns(2_000, 6)).unwrap_or(i32::MAX),
                ..FetchPartition::default()
            };
            wanted.push((topic, id, partition));
        }
        let forgotten = if full {
            Vec::new()
        } else {
            self.take_forgotten(stage, &wanted)
        };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(stage.random.below(300)).unwrap_or(0),
            min_bytes: [0, 1, 5_000][stage.random.index(3)],
            max_bytes: i32::try_from(stage.random.wait_ns(8_000, 6)).unwrap_or(i32::MAX),
            isolation_level: i8::from(stage.random.one_in(2)),
            session_id: self.session,
            session_epoch: self.session_epoch,
            topics: wanted
                .iter()
                .map(|(topic, id, partition)| FetchTopic {
                    topic,
                    topic_id: *id,
                    partitions: vec![partition.clone()],
                })
                .collect(),
            forgotten_topics_data: forgotten
                .iter()
                .map(|(topic, id, index)| ForgottenTopic {
                    topic,
                    topic_id: *id,
                    partitions: vec![*index],
                })
                .collect(),
            ..FetchRequest::default()
        };
        self.link.send(stage, self.version, 0, &request);
    }

    /// What the session has to forget: partitions that are not wanted any more, but for names that another topic has now;
    /// those are asked for again.
    fn take_forgotten(
        &mut self,
        stage: &Stage<'_>,
        wanted: &[(String, TopicId, FetchPartition)],
    ) -> Vec<(String, TopicId, i32)> {
        let by_id = self.version >= IDS_FROM;
        let forgotten = std::mem::take(&mut self.forgotten).into_iter();
        forgotten
            .filter(|name| stage.book.topics.contains_key(&name.topic))
            .map(|name| {
                let (topic, id) = stage.book.named(name.topic, by_id);
                (topic, id, name.index)
            })
            .filter(|(topic, id, index)| {
                let is_same = |(name, other, partition): &(String, TopicId, FetchPartition)| {
                    name == topic && other == id && partition.partition == *index
                };
                !wanted.iter().any(is_same)
            })
            .collect()
    }

    fn fetched(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: &FetchResponse) -> Verdict {
        if answer.error_code != ErrorCode::NONE {
            self.begin_session(stage);
            return Ok(());
        }
        let by_id = self.version >= IDS_FROM;
        if self.session_epoch == 0 {
            self.session = answer.session_id;
        }
        self.session_epoch = if answer.session_id == 0 {
            0
        } else {
            self.session_epoch + 1
        };
        for topic in &answer.responses {
            let number = if by_id {
                stage.book.topic_with_id(topic.topic_id)
            } else {
                stage.book.topic_named(&topic.topic)
            };
            let Some(number) = number else { continue };
            for data in &topic.partitions {
                let name = PartitionName {
                    topic: number,
                    index: data.partition_index,
                };
                if by_id {
                    Self::check_id(stage, asked, number, data)?;
                }
                self.fetched_one(stage, name, data)?;
            }
        }
        Ok(())
    }

    /// What was asked by an id is served only while that topic is there.
    fn check_id(stage: &mut Stage<'_>, asked: Asked, number: u32, data: &PartitionData) -> Verdict {
        let topic = &stage.book.topics[&number];
        let has_records = data.records.as_ref().is_some_and(|records| !records.is_empty());
        if data.error_code == ErrorCode::NONE || has_records {
            return recreated::check_served(topic.id, topic.gone_since, asked.at);
        }
        if data.error_code == ErrorCode::UNKNOWN_TOPIC_ID && topic.existence == Existence::Gone {
            stage.book.old_ids_refused += 1;
        }
        Ok(())
    }

    fn fetched_one(&mut self, stage: &mut Stage<'_>, name: PartitionName, data: &PartitionData) -> Verdict {
        let current = stage.book.topics[&name.topic].epoch.unwrap_or(-1);
        let Some(entry) = self.entries.get_mut(&name) else {
            return Ok(());
        };
        let Some(from) = entry.in_session else { return Ok(()) };
        match data.error_code {
            ErrorCode::NONE if data.diverging_epoch.end_offset >= 0 => {
                let end = data.diverging_epoch.end_offset;
                self.validated(stage, name, end);
                Ok(())
            }
            ErrorCode::NONE => {
                if entry.told_epoch >= 0 && entry.told_epoch < current {
                    let known = entry.told_epoch;
                    let detail = format!("{name}: epoch {known} may read although {current} is current");
                    return Err(Violation::new("leader epochs fence old readers only", detail));
                }
                if entry.epoch < current && entry.told_read_epoch {
                    // The log says that what was read up to here is still there.
                    self.validated(stage, name, from);
                }
                self.read(stage, name, from, data)
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let told = std::mem::replace(&mut entry.need, Need::Position) != Need::Position;
                let sure = told && !entry.told_read_epoch;
                Self::check_out_of_range(stage, name, from, sure)
            }
            ErrorCode::FENCED_LEADER_EPOCH => {
                let known = entry.told_epoch;
                entry.need = if entry.read_epoch < 0 {
                    Need::Position
                } else {
                    Need::Validation
                };
                entry.epoch = current;
                if known >= current {
                    let detail = format!("{name}: epoch {known} was fenced, it is the current one");
                    return Err(Violation::new("leader epochs fence old readers only", detail));
                }
                Ok(())
            }
            ErrorCode::UNKNOWN_LEADER_EPOCH => {
                let known = entry.told_epoch;
                let detail = format!("{name}: epoch {known} is said to be unknown, {current} is current");
                Err(Violation::new("leader epochs fence old readers only", detail))
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, stage: &mut Stage<'_>, name: PartitionName, from: i64, data: &PartitionData) -> Verdict {
        let read = Delivered {
            from,
            high_watermark: data.high_watermark,
            log_start: data.log_start_offset,
            records: data.records.clone().unwrap_or_default(),
        };
        let batches = stage.book.delivered(name, &read)?;
        let Some(entry) = self.entries.get_mut(&name) else {
            return Ok(());
        };
        entry
            .memory
            .log_starts_at(data.log_start_offset)
            .map_err(|violation| violation.at(name))?;
        for batch in batches {
            let found = header(&batch);
            if entry.need == Need::Records {
                entry.position = entry.position.max(found.end_offset().0);
                entry.read_epoch = found.partition_leader_epoch.0;
                entry.memory.read(batch);
            }
        }
        Ok(())
    }

    /// A position between the log start and the high watermark must be served.
    fn check_out_of_range(stage: &mut Stage<'_>, name: PartitionName, from: i64, sure: bool) -> Verdict {
        let may_expire = stage.book.topics[&name.topic].may_expire;
        let promised = stage.book.topics[&name.topic].is_promised();
        let Some(log) = stage.book.log(name).filter(|_| sure && promised && !may_expire) else {
            return Ok(());
        };
        let start = log.delete_asked.max(log.ledger.log_start);
        let end = log.ledger.high_watermark;
        if (start..=end).contains(&from) {
            let detail = format!("{name}: {from} is said to be out of range, {start}..={end} is there");
            return Err(Violation::new("reads are served", detail));
        }
        Ok(())
    }
}

impl Actor for Consumer {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict {
        if self.link.waiting() > 0 {
            return Ok(());
        }
        self.choose_partitions(stage);
        let wants = |need| move |(name, entry): (&PartitionName, &Entry)| (entry.need == need).then_some(*name);
        for entry in self.entries.values_mut() {
            if entry.need == Need::Validation && entry.read_epoch < 0 {
                entry.need = Need::Position;
            }
        }
        if let Some(name) = self.entries.iter().find_map(wants(Need::Validation)) {
            self.ask_epoch_end(stage, name);
        } else if let Some(name) = self.entries.iter().find_map(wants(Need::Position)) {
            self.ask_position(stage, name);
        } else if !self.entries.is_empty() {
            let readable = self.entries.keys().find(|name| stage.book.is_writable(**name)).copied();
            if let Some(name) = readable.filter(|_| stage.random.one_in(5)) {
                self.ask_time(stage, name);
                return Ok(());
            }
            if self.session_epoch == 0 || stage.random.one_in(50) {
                self.begin_session(stage);
            }
            self.fetch(stage);
        }
        Ok(())
    }

    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict {
        match answer {
            AnyResponse::Fetch(answer) => self.fetched(stage, asked, &answer),
            AnyResponse::ListOffsets(answer) => match self.lookup.take() {
                Some(lookup) => Self::looked_up(stage, &lookup, &answer),
                None => self.positioned(stage, &answer),
            },
            AnyResponse::OffsetForLeaderEpoch(answer) => {
                self.epoch_ended(stage, &answer);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn disconnected(&mut self, _stage: &mut Stage<'_>, lost: &[Asked]) {
        self.lookup = None;
        // Whether the server saw the last fetch of the session is not known; a new session costs little.
        if !lost.is_empty() {
            self.session_epoch = 0;
        }
    }

    fn patience(&self) -> u64 {
        2_500 * MILLISECOND
    }
}
