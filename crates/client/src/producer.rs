//! Records in: collected per partition, sent as one request per leader, tried again until a deadline.
//!
//! At most one batch per partition is on its way, so records of a partition keep their order through retries. A batch
//! that is sent again may be stored twice unless the producer is idempotent.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use hallows_record::{BatchBuilder, Codec, NewHeader, next_sequence};
use hallows_types::WallTime;

use crate::error::check;
use crate::partitioner::partition_for_key;
use crate::{Client, ClientError, Result, Ticket};

/// The newest version of Produce that names topics; later ones carry their ids.
const PRODUCE_NEWEST: i16 = 12;

/// When a broker answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acks {
    /// Never; records may be lost without notice.
    None,
    /// Once the leader has the records.
    Leader,
    /// Once all replicas in sync have them.
    #[default]
    All,
}

impl Acks {
    const fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// When a broker answers.
    pub acks: Acks,
    /// How batches are compressed.
    pub codec: Codec,
    /// Whether the broker recognises batches that were sent twice; needs [`Acks::All`].
    pub idempotent: bool,
    /// A batch is sent before it would exceed this many bytes, uncompressed.
    pub batch_bytes_max: usize,
    /// Everything is sent once this many bytes of records wait.
    pub buffer_bytes_max: usize,
    /// How long a batch is tried again; zero sends it once.
    pub delivery_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            codec: Codec::None,
            idempotent: false,
            batch_bytes_max: 512 << 10,
            buffer_bytes_max: 8 << 20,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// A record to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Where to.
    pub topic: &'a str,
    /// Which partition; without one the key decides, and without a key all records until the next flush share one.
    pub partition: Option<i32>,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: &'a [NewHeader<'a>],
    /// Milliseconds since 1970; now when left out.
    pub timestamp_ms: Option<i64>,
}

/// What became of one batch.
#[derive(Debug)]
pub struct Delivery {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// How many records it has.
    pub records: i32,
    /// Where it is, or why it is unknown whether it is anywhere.
    pub outcome: Result<Acknowledged>,
}

/// Where a batch was stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// The offset of its first record; `None` with [`Acks::None`].
    pub base_offset: Option<i64>,
    /// The broker's time, where the topic keeps that instead of the producer's; -1 otherwise.
    pub log_append_time_ms: i64,
}

/// A producer.
pub struct Producer {
    client: Client,
    options: ProducerOptions,
    /// Id and epoch, once asked for.
    identity: Option<(i64, i16)>,
    partitions: BTreeMap<(String, i32), Queue>,
    /// Bytes of all records that wait.
    buffered_bytes: usize,
    /// Where records without key and partition go; moves on with every flush.
    round: usize,
}

/// The records that wait for one partition.
struct Queue {
    builder: BatchBuilder,
    /// The sequence of the next batch's first record.
    next_sequence: i32,
}

/// A batch on its way.
struct Batch {
    topic: String,
    partition: i32,
    records: i32,
    bytes: Vec<u8>,
}

impl Producer {
    /// A producer on `client`.
    #[must_use]
    pub fn new(client: Client, options: ProducerOptions) -> Self {
        Self {
            client,
            options,
            identity: None,
            partitions: BTreeMap::new(),
            buffered_bytes: 0,
            round: 0,
        }
    }

    /// The client it uses.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The id and epoch that the broker gave an idempotent producer, once it has sent something.
    #[must_use]
    pub fn identity(&self) -> Option<(i64, i16)> {
        self.identity
    }

    /// Takes a record. When buffers are full, everything that waits is sent first and its outcome returned.
    ///
    /// # Errors
    /// When the topic or the partition does not exist, or the record cannot be part of any batch.
    pub fn send(&mut self, record: &NewRecord<'_>) -> Result<Vec<Delivery>> {
        let partition = self.partition_of(record)?;
        let encoded = hallows_record::NewRecord {
            timestamp: WallTime(record.timestamp_ms.unwrap_or_else(now_ms)),
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let size = BatchBuilder::record_bytes_max(&encoded);
        let key = (record.topic.to_owned(), partition);
        let waiting = self
            .partitions
            .get(&key)
            .map_or(0, |queue| queue.builder.records_bytes());
        let full = waiting > 0 && waiting + size > self.options.batch_bytes_max;
        let deliveries = if full || self.buffered_bytes + size > self.options.buffer_bytes_max {
            self.flush()
        } else {
            Vec::new()
        };
        let codec = self.options.codec;
        let queue = self.partitions.entry(key).or_insert_with(|| Queue {
            builder: BatchBuilder::new(codec),
            next_sequence: 0,
        });
        queue.builder.append(&encoded).map_err(|source| ClientError::Build {
            topic: record.topic.to_owned(),
            partition,
            source,
        })?;
        self.buffered_bytes += size;
        Ok(deliveries)
    }

    fn partition_of(&mut self, record: &NewRecord<'_>) -> Result<i32> {
        let round = self.round;
        let topic = self.client.topic(record.topic)?;
        let count = topic.partitions.len();
        let missing = |partition| ClientError::NoSuchPartition {
            topic: record.topic.to_owned(),
            partition,
            count,
        };
        match record.partition {
            Some(partition) if topic.partitions.contains_key(&partition) => Ok(partition),
            Some(partition) => Err(missing(partition)),
            None if count == 0 => Err(missing(0)),
            None => {
                let place = record.key.map_or(round % count, |key| partition_for_key(key, count));
                Ok(*topic.partitions.keys().nth(place).expect("a place below the count"))
            }
        }
    }

    /// Sends everything that waits and returns what became of each batch, in no particular order.
    ///
    /// A batch with an error may have been stored all the same. After one, an idempotent producer asks for a new
    /// identity, since the broker would refuse whatever follows a gap.
    pub fn flush(&mut self) -> Vec<Delivery> {
        self.round += 1;
        self.buffered_bytes = 0;
        if let Err(error) = self.identify() {
            return self.fail_all(error);
        }
        let mut deliveries = Vec::new();
        let mut batches = self.take_batches(&mut deliveries);
        let deadline = Instant::now() + self.options.delivery_timeout;
        while !batches.is_empty() {
            batches = self.send_once(batches, deadline, &mut deliveries);
            if !batches.is_empty() {
                thread::sleep(self.client.options().retry_pause);
                batches.iter().for_each(|batch| self.client.forget(&batch.topic));
            }
        }
        if deliveries.iter().any(|delivery| delivery.outcome.is_err()) {
            self.identity = None;
            self.partitions.clear();
        }
        deliveries
    }

    /// Gets an identity, if this producer needs one and has none.
    fn identify(&mut self) -> Result<()> {
        if !self.options.idempotent || self.identity.is_some() {
            return Ok(());
        }
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        let answer = self.client.retry(|client| {
            let answer = client.call_any(&request, i16::MAX)?;
            check("InitProducerId", answer.error_code, None, || {
                "an idempotent producer".to_owned()
            })?;
            Ok(answer)
        })?;
        self.identity = Some((answer.producer_id, answer.producer_epoch));
        Ok(())
    }

    /// Gives every waiting batch up; the first one carries the reason.
    fn fail_all(&mut self, error: ClientError) -> Vec<Delivery> {
        let mut error = Some(error);
        let queues = std::mem::take(&mut self.partitions);
        let waiting = queues.into_iter().filter(|(_, queue)| queue.builder.record_count() > 0);
        waiting
            .map(|((topic, partition), queue)| {
                let nobody = ClientError::NobodyIs {
                    role: "giver of identities",
                    subject: "producers".to_owned(),
                };
                let outcome = Err(error.take().unwrap_or(nobody));
                Delivery {
                    topic,
                    partition,
                    records: queue.builder.record_count(),
                    outcome,
                }
            })
            .collect()
    }

    fn take_batches(&mut self, deliveries: &mut Vec<Delivery>) -> Vec<Batch> {
        let mut batches = Vec::new();
        for ((topic, partition), queue) in &mut self.partitions {
            let records = queue.builder.record_count();
            if records == 0 {
                continue;
            }
            let mut builder = std::mem::replace(&mut queue.builder, BatchBuilder::new(self.options.codec));
            if let Some((id, epoch)) = self.identity {
                let base_sequence = queue.next_sequence;
                builder = builder.with_producer(hallows_record::Producer {
                    id,
                    epoch,
                    base_sequence,
                });
                queue.next_sequence = next_sequence(base_sequence, records);
            }
            let (topic, partition) = (topic.clone(), *partition);
            match builder.build() {
                Ok(bytes) => batches.push(Batch {
                    topic,
                    partition,
                    records,
                    bytes,
                }),
                Err(source) => {
                    let outcome = Err(ClientError::Build {
                        topic: topic.clone(),
                        partition,
                        source,
                    });
                    deliveries.push(Delivery {
                        topic,
                        partition,
                        records,
                        outcome,
                    });
                }
            }
        }
        batches
    }

    /// Sends every batch to its leader once; returns those to send again.
    fn send_once(&mut self, batches: Vec<Batch>, deadline: Instant, deliveries: &mut Vec<Delivery>) -> Vec<Batch> {
        let mut again = Vec::new();
        let mut by_leader: BTreeMap<i32, Vec<Batch>> = BTreeMap::new();
        let mut settle = |batch: Batch, outcome: Result<Acknowledged>| match outcome {
            Err(error) if error.is_retriable() && Instant::now() < deadline => again.push(batch),
            outcome => {
                let Batch {
                    topic,
                    partition,
                    records,
                    ..
                } = batch;
                deliveries.push(Delivery {
                    topic,
                    partition,
                    records,
                    outcome,
                });
            }
        };
        for batch in batches {
            match self.client.leader(&batch.topic, batch.partition) {
                Ok(node) => by_leader.entry(node).or_default().push(batch),
                Err(error) => settle(batch, Err(error)),
            }
        }
        let mut sent = Vec::new();
        for (node, batches) in by_leader {
            match self.send_to(node, &batches) {
                Ok(ticket) => sent.push((node, batches, ticket)),
                Err(error) => settle_all(batches, error, &mut settle),
            }
        }
        for (node, batches, ticket) in sent {
            match self.receive_from(node, ticket) {
                Ok(answer) => settle_answered(batches, answer.as_ref(), &mut settle),
                Err(error) => settle_all(batches, error, &mut settle),
            }
        }
        again
    }

    /// Sends one request; there is no ticket when no answer will come.
    fn send_to(&mut self, node: i32, batches: &[Batch]) -> Result<Option<Ticket>> {
        let acks = self.options.acks;
        let connection = self.client.connection(node)?;
        let request = request_of(batches, acks);
        let sent = connection
            .version_of::<ProduceRequest<'_>>(PRODUCE_NEWEST)
            .and_then(|version| connection.send(&request, version));
        let ticket = self.client.close_if_broken(node, sent)?;
        Ok((acks != Acks::None).then_some(ticket))
    }

    fn receive_from(&mut self, node: i32, ticket: Option<Ticket>) -> Result<Option<ProduceResponse>> {
        let Some(ticket) = ticket else { return Ok(None) };
        let received = self
            .client
            .connection(node)
            .and_then(|connection| connection.receive(ticket));
        self.client.close_if_broken(node, received).map(Some)
    }
}

/// One request with every batch; batches of one topic follow each other.
fn request_of(batches: &[Batch], acks: Acks) -> ProduceRequest<'_> {
    let mut topics: Vec<TopicProduceData<'_>> = Vec::new();
    for batch in batches {
        let data = PartitionProduceData {
            index: batch.partition,
            records: Some(&batch.bytes),
        };
        match topics.last_mut() {
            Some(last) if last.name == batch.topic => last.partition_data.push(data),
            _ => topics.push(TopicProduceData {
                name: &batch.topic,
                partition_data: vec![data],
                ..TopicProduceData::default()
            }),
        }
    }
    ProduceRequest {
        acks: acks.number(),
        timeout_ms: 30_000,
        topic_data: topics,
        ..ProduceRequest::default()
    }
}

/// Settles batches whose request failed as a whole: the first with the reason, the rest with a copy of its words.
fn settle_all(batches: Vec<Batch>, error: ClientError, settle: &mut impl FnMut(Batch, Result<Acknowledged>)) {
    let (retriable, words) = (error.is_retriable(), error.to_string());
    let mut first = Some(error);
    for batch in batches {
        let copy = || ClientError::Broker {
            api: "Produce",
            subject: format!("partition {} of {}", batch.partition, batch.topic),
            code: if retriable {
                ErrorCode::NETWORK_EXCEPTION
            } else {
                ErrorCode::UNKNOWN_SERVER_ERROR
            },
            message: Some(words.clone()),
        };
        let error = first.take().unwrap_or_else(copy);
        settle(batch, Err(error));
    }
}

fn settle_answered(
    batches: Vec<Batch>,
    answer: Option<&ProduceResponse>,
    settle: &mut impl FnMut(Batch, Result<Acknowledged>),
) {
    for batch in batches {
        let outcome = match answer {
            None => Ok(Acknowledged {
                base_offset: None,
                log_append_time_ms: -1,
            }),
            Some(answer) => outcome_of(&batch, answer),
        };
        settle(batch, outcome);
    }
}

fn outcome_of(batch: &Batch, answer: &ProduceResponse) -> Result<Acknowledged> {
    let subject = || format!("partition {} of {}", batch.partition, batch.topic);
    let partitions = answer.responses.iter().filter(|topic| topic.name == batch.topic);
    let partition: Option<&PartitionProduceResponse> = partitions
        .flat_map(|topic| &topic.partition_responses)
        .find(|partition| partition.index == batch.partition);
    let partition = partition.ok_or_else(|| ClientError::Missing {
        api: "Produce",
        subject: subject(),
    })?;
    // A duplicate that the broker no longer remembers the offset of is stored, which is what was asked for.
    if partition.error_code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER {
        return Ok(Acknowledged {
            base_offset: None,
            log_append_time_ms: -1,
        });
    }
    check(
        "Produce",
        partition.error_code,
        partition.error_message.as_deref(),
        subject,
    )?;
    Ok(Acknowledged {
        base_offset: Some(partition.base_offset),
        log_append_time_ms: partition.log_append_time_ms,
    })
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
