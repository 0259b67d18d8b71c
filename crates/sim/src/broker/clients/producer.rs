//! A producer: several partitions, several batches in flight, retried in order where it is idempotent.

use std::collections::BTreeMap;

use bytes::Bytes;
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use hallows_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use hallows_record::Producer as Stamp;
use hallows_types::TopicId;

use super::{Actor, MILLISECOND};
use crate::broker::Stage;
use crate::broker::book::{BatchName, Existence, PartitionName};
use crate::broker::link::{Asked, Link};
use crate::checks::recreated;
use crate::log::producer::{Producer as Queue, batch};
use crate::random::Choose;
use crate::violation::{Verdict, Violation};

/// Requests on their way at once.
const REQUESTS_MAX: usize = 5;
/// Partitions it writes to at once.
const TARGETS_MAX: usize = 4;
/// Versions it speaks; topics are named up to 12.
const VERSIONS: [i16; 5] = [3, 7, 9, 12, 13];
/// The first version that names topics by their ids.
const IDS_FROM: i16 = 13;

/// A batch on its way.
struct Flight {
    target: PartitionName,
    batch: Bytes,
    /// When it was sent for the first time.
    since: u64,
    /// When it was sent now.
    at: u64,
    /// Whether the topic was named by its id.
    by_id: bool,
}

/// How a producer writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::broker) enum Style {
    /// With sequences and retries.
    Idempotent,
    /// Without sequences; what fails is given up.
    Plain,
    /// Without answers.
    Silent,
}

/// A producer.
pub(in crate::broker) struct Producer {
    link: Link,
    style: Style,
    /// Id and epoch of an idempotent one.
    identity: Option<(i64, i16)>,
    asked_identity: bool,
    targets: BTreeMap<PartitionName, Queue>,
    /// When a batch of an idempotent producer was first sent, by its name.
    first_sent: BTreeMap<BatchName, u64>,
    requests: BTreeMap<u64, Vec<Flight>>,
    next_request: u64,
    timeout_ms: i32,
}

impl Producer {
    pub(in crate::broker) fn new(owner: usize, style: Style) -> Self {
        Self {
            link: Link::new(owner),
            style,
            identity: None,
            asked_identity: false,
            targets: BTreeMap::new(),
            first_sent: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            timeout_ms: 1_000,
        }
    }

    fn identify(&mut self, stage: &mut Stage<'_>) {
        if std::mem::replace(&mut self.asked_identity, true) {
            return;
        }
        let version = [0, 2, 4][stage.random.index(3)];
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        self.link.send(stage, version, u64::MAX, &request);
    }

    fn identified(&mut self, stage: &mut Stage<'_>, answer: &InitProducerIdResponse) -> Verdict {
        self.asked_identity = false;
        if answer.error_code == ErrorCode::NONE {
            self.identity = Some((answer.producer_id, answer.producer_epoch));
            return stage.book.producer_ids.check(answer.producer_id, answer.producer_epoch);
        }
        Ok(())
    }

    /// Begins anew under another id: the log does not know what came before.
    fn forget_identity(&mut self) {
        self.identity = None;
        self.targets.clear();
        self.first_sent.clear();
        self.requests.clear();
    }

    /// Sequences are those of a partition for as long as the producer has its id, so none is ever dropped.
    fn choose_targets(&mut self, stage: &mut Stage<'_>) {
        let active = self
            .targets
            .keys()
            .filter(|name| stage.book.is_writable(**name))
            .count();
        if active == 0 || active < TARGETS_MAX && stage.random.one_in(20) {
            let names = stage.book.writable();
            if !names.is_empty() {
                let name = names[stage.random.index(names.len())];
                if self.style == Style::Idempotent && self.knew_another(stage, name) {
                    // What is still on its way by the name must not be taken for what comes now.
                    return self.forget_identity();
                }
                let (id, _) = self.identity.unwrap_or((-1, -1));
                self.targets.entry(name).or_insert_with(|| Queue::new(id));
            }
        }
    }

    /// Whether it has written to an earlier topic of the same name.
    fn knew_another(&self, stage: &Stage<'_>, name: PartitionName) -> bool {
        let wanted = &stage.book.topics[&name.topic].name;
        let mut others = self.targets.keys().filter(|known| known.topic != name.topic);
        others.any(|known| {
            let topic = stage.book.topics.get(&known.topic);
            topic.is_some_and(|topic| topic.name == *wanted)
        })
    }

    /// The next batch for one partition, if it may have one now.
    fn next_batch(&mut self, stage: &mut Stage<'_>, target: PartitionName, request: u64) -> Option<Bytes> {
        let time = stage.world.now().wall;
        if self.style != Style::Idempotent {
            let (bytes, _) = batch(stage.random, time, Stamp::NONE);
            return Some(bytes);
        }
        let queue = self.targets.get_mut(&target)?;
        if stage.random.one_in(25)
            && let Some((bytes, _)) = queue.repeat(stage.random)
        {
            return Some(bytes);
        }
        if queue.must_wait() {
            return None;
        }
        queue.next(stage.random, time, request).map(|(bytes, _)| bytes)
    }

    fn produce(&mut self, stage: &mut Stage<'_>) {
        let request = self.next_request;
        let mut flights = Vec::new();
        let wanted = 1 + stage.random.index(2);
        let version = VERSIONS[stage.random.index(VERSIONS.len())];
        let by_id = version >= IDS_FROM;
        let asks_on = by_id && stage.random.one_in(4);
        let known = self.targets.keys().copied();
        // One that names topics by their ids may not notice for a while that a topic is gone.
        let may_ask = |name: &PartitionName| {
            let topic = stage.book.topics.get(&name.topic);
            stage.book.is_writable(*name) || asks_on && topic.is_some_and(|topic| topic.id != TopicId::ZERO)
        };
        let names: Vec<PartitionName> = known.filter(may_ask).collect();
        let from = stage.random.index(names.len().max(1));
        for place in 0..names.len().min(wanted) {
            let target = names[(from + place) % names.len()];
            let Some(batch) = self.next_batch(stage, target, request) else {
                continue;
            };
            let now = stage.book.now;
            let since = if self.style == Style::Idempotent {
                *self.first_sent.entry(BatchName::of(&batch)).or_insert(now)
            } else {
                now
            };
            stage.book.sent(target, &batch, by_id);
            flights.push(Flight {
                target,
                batch,
                since,
                at: now,
                by_id,
            });
        }
        if !flights.is_empty() {
            self.next_request += 1;
            self.send(stage, version, request, flights);
        }
    }

    fn send(&mut self, stage: &mut Stage<'_>, version: i16, number: u64, flights: Vec<Flight>) {
        let acks = match self.style {
            Style::Idempotent => -1,
            Style::Silent => 0,
            Style::Plain => [-1, 1][stage.random.index(2)],
        };
        let names: Vec<(String, TopicId)> = flights
            .iter()
            .map(|flight| stage.book.named(flight.target.topic, flight.by_id))
            .collect();
        let topic_data = names
            .iter()
            .zip(&flights)
            .map(|((name, topic_id), flight)| TopicProduceData {
                name,
                topic_id: *topic_id,
                partition_data: vec![PartitionProduceData {
                    index: flight.target.index,
                    records: Some(&flight.batch),
                }],
            })
            .collect();
        let request = ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: self.timeout_ms,
            topic_data,
        };
        if acks == 0 {
            self.link.send_silently(stage, version, &request);
        } else {
            self.link.send(stage, version, number, &request);
            self.requests.insert(number, flights);
        }
    }

    fn produced(&mut self, stage: &mut Stage<'_>, number: u64, answer: &ProduceResponse) -> Verdict {
        let Some(flights) = self.requests.remove(&number) else {
            return Ok(());
        };
        let parts: Vec<&PartitionProduceResponse> = answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .collect();
        if parts.len() != flights.len() {
            let detail = format!("{} partitions were asked, {} answered", flights.len(), parts.len());
            return Err(Violation::new("everything asked is answered", detail));
        }
        for (flight, part) in flights.iter().zip(parts) {
            self.produced_one(stage, number, flight, part)?;
        }
        Ok(())
    }

    fn produced_one(
        &mut self,
        stage: &mut Stage<'_>,
        number: u64,
        flight: &Flight,
        part: &PartitionProduceResponse,
    ) -> Verdict {
        let target = flight.target;
        if flight.by_id {
            Self::check_id(stage, flight, part.error_code)?;
        } else if stage.book.is_succeeded(target.topic) {
            // Whose answer this is, nobody can tell; what was not acknowledged is not promised.
            if let Some(queue) = self.targets.get_mut(&target) {
                queue.retry(number);
            }
            return Ok(());
        }
        match part.error_code {
            ErrorCode::NONE => {
                if let Some(queue) = self.targets.get_mut(&target) {
                    queue.acknowledged(number);
                }
                self.first_sent.remove(&BatchName::of(&flight.batch));
                stage
                    .book
                    .acknowledged(target, &flight.batch, part.base_offset, flight.since)
            }
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            | ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::UNKNOWN_PRODUCER_ID => self.refused(stage, number, flight, part.error_code),
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                if let Some(queue) = self.targets.get_mut(&target) {
                    queue.acknowledged(number);
                }
                Ok(())
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID if stage.book.is_certain(target) => {
                let detail = format!("{target} is there, and was answered {}", part.error_code);
                Err(Violation::new("what is there is served", detail))
            }
            error if error.is_retriable() => {
                if let Some(queue) = self.targets.get_mut(&target) {
                    queue.retry(number);
                }
                Ok(())
            }
            error => {
                let detail = format!(
                    "{target}: a valid batch was refused with {error}: {:?}",
                    part.error_message
                );
                Err(Violation::new("valid batches are accepted", detail))
            }
        }
    }

    /// What was sent by an id is taken only while that topic is there.
    fn check_id(stage: &mut Stage<'_>, flight: &Flight, error: ErrorCode) -> Verdict {
        let Some(topic) = stage.book.topics.get(&flight.target.topic) else {
            return Ok(());
        };
        if error == ErrorCode::NONE {
            return recreated::check_served(topic.id, topic.gone_since, flight.at);
        }
        if error == ErrorCode::UNKNOWN_TOPIC_ID && topic.existence == Existence::Gone {
            stage.book.old_ids_refused += 1;
        }
        Ok(())
    }

    fn refused(&mut self, stage: &mut Stage<'_>, number: u64, flight: &Flight, error: ErrorCode) -> Verdict {
        let Some(queue) = self.targets.get_mut(&flight.target) else {
            return Ok(());
        };
        let front = queue.in_flight.front();
        let is_front = front.is_some_and(|front| front.request == Some(number) && front.batch == flight.batch);
        queue.retry(number);
        if !is_front {
            return Ok(());
        }
        let verdict = stage.book.refused(flight.target, &flight.batch, error);
        self.forget_identity();
        verdict
    }
}

impl Actor for Producer {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict {
        if self.style == Style::Idempotent && self.identity.is_none() {
            self.identify(stage);
            return Ok(());
        }
        if self.style == Style::Idempotent && stage.random.one_in(400) {
            self.forget_identity();
            return Ok(());
        }
        if self.link.waiting() < REQUESTS_MAX {
            self.choose_targets(stage);
            self.produce(stage);
        }
        Ok(())
    }

    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict {
        match answer {
            AnyResponse::InitProducerId(answer) => self.identified(stage, &answer),
            AnyResponse::Produce(answer) => self.produced(stage, asked.tag, &answer),
            _ => Ok(()),
        }
    }

    fn disconnected(&mut self, _stage: &mut Stage<'_>, _lost: &[Asked]) {
        self.asked_identity = false;
        self.requests.clear();
        self.targets.values_mut().for_each(Queue::disconnected);
    }

    fn patience(&self) -> u64 {
        3_000 * MILLISECOND
    }
}
