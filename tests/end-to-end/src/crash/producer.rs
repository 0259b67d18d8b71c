//! One producer of the crash test: pipelined requests on one connection until the connection breaks.
//!
//! An idempotent producer keeps what was not answered and sends it again after the restart with the same sequences, so
//! that nothing may be in the log twice. The others forget it: it may be in the log, or not.

use std::collections::VecDeque;
use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hallows_client::{ClientError, Codec, Connection, ConnectionOptions, ErrorCode, NewHeader, Ticket};
use hallows_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use hallows_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::messages::produce_response::ProduceResponse;
use hallows_record::{BatchBuilder, NewRecord, next_sequence};
use hallows_testkit::Random;
use hallows_types::WallTime;

use super::ledger::Acked;
use super::value::{self, Identity};

/// Requests on their way at once: what the dedupe window of idempotent producers covers.
const IN_FLIGHT_MAX: usize = 5;
/// The newest version of Produce that names topics.
const PRODUCE_NEWEST: i16 = 12;
/// The longest pause between two requests, in microseconds.
const PAUSE_US_MAX: u64 = 3_000;

/// What a producer is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) number: u64,
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    pub(crate) idempotent: bool,
}

/// A producer and what it has not had answers to.
pub(crate) struct Producer {
    settings: Settings,
    random: Random,
    identity: Option<(i64, i16)>,
    lanes: Vec<Lane>,
    unanswered: VecDeque<Batch>,
}

/// The place of a producer in one partition.
#[derive(Clone, Copy, Default)]
struct Lane {
    next: u64,
    /// The protocol's sequence, which starts again with every identity.
    next_sequence: i32,
}

/// A batch and what is in it.
#[derive(Clone)]
struct Batch {
    partition: i32,
    first: Identity,
    count: i32,
    bytes: Vec<u8>,
    sent_before: bool,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { producer, sequence } = self.first;
        let again = if self.sent_before { ", sent again" } else { "" };
        write!(
            f,
            "batch of producer {producer} for partition {}: {} records from {sequence}{again}",
            self.partition, self.count
        )
    }
}

/// An acknowledgement: partition, base offset, what it is of.
pub(crate) type Acknowledgement = (i32, i64, Acked);

/// What the batches of a run look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Load {
    /// Anything from single records to hundreds of kilobytes, with pauses, until the connection breaks.
    Mixed,
    /// Large batches without pause until this many bytes are acknowledged.
    Bulk(u64),
}

impl Producer {
    pub(crate) fn new(settings: Settings, seed: u64) -> Self {
        let lanes = vec![Lane::default(); usize::try_from(settings.partitions).expect("a count of partitions")];
        Self {
            random: Random::from_seed(seed ^ settings.number.rotate_left(17)),
            settings,
            identity: None,
            lanes,
            unanswered: VecDeque::new(),
        }
    }

    /// Produces until the broker is gone, or the load is done; returns what was acknowledged.
    ///
    /// # Errors
    /// When the broker refuses what it must take.
    pub(crate) fn run(&mut self, address: &str, epochs: &[i32], load: Load) -> Result<Vec<Acknowledgement>> {
        let mut acknowledged = Vec::new();
        match self.run_until_broken(address, epochs, load, &mut acknowledged) {
            Ok(()) => {}
            Err(error) if is_broken(&error) => {}
            Err(error) => return Err(error),
        }
        if !self.settings.idempotent {
            self.unanswered.clear();
        }
        self.unanswered.iter_mut().for_each(|batch| batch.sent_before = true);
        Ok(acknowledged)
    }

    fn run_until_broken(
        &mut self,
        address: &str,
        epochs: &[i32],
        load: Load,
        acknowledged: &mut Vec<Acknowledgement>,
    ) -> Result<()> {
        let options = ConnectionOptions {
            client_id: format!("producer-{}", self.settings.number),
            request_timeout: Duration::from_secs(30),
            ..ConnectionOptions::default()
        };
        let mut connection = Connection::open(address, &options)?;
        if self.settings.idempotent && self.identity.is_none() {
            self.identify(&mut connection)?;
        }
        let mut tickets: VecDeque<Ticket> = VecDeque::new();
        for index in 0..self.unanswered.len() {
            tickets.push_back(self.send(&mut connection, index)?);
        }
        let mut bytes = 0;
        loop {
            let done = matches!(load, Load::Bulk(limit) if bytes >= limit);
            while !done && tickets.len() < IN_FLIGHT_MAX {
                let batch = self.next_batch(load)?;
                bytes += u64::try_from(batch.bytes.len())?;
                self.unanswered.push_back(batch);
                tickets.push_back(self.send(&mut connection, self.unanswered.len() - 1)?);
                if load == Load::Mixed {
                    thread::sleep(Duration::from_micros(self.random.below(PAUSE_US_MAX)));
                }
            }
            let Some(ticket) = tickets.pop_front() else {
                return Ok(());
            };
            let answer: ProduceResponse = connection.receive(ticket)?;
            acknowledged.extend(self.settle(&answer, epochs)?);
        }
    }

    fn identify(&mut self, connection: &mut Connection) -> Result<()> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        let version = connection.version_of::<InitProducerIdRequest<'_>>(i16::MAX)?;
        let answer: InitProducerIdResponse = connection.call(&request, version)?;
        if answer.error_code.is_error() {
            bail!("InitProducerId: {}", answer.error_code);
        }
        self.identity = Some((answer.producer_id, answer.producer_epoch));
        self.lanes.iter_mut().for_each(|lane| lane.next_sequence = 0);
        Ok(())
    }

    fn next_batch(&mut self, load: Load) -> Result<Batch> {
        let partition = i32::try_from(self.random.below(self.settings.partitions.unsigned_abs().into()))?;
        let (count, filler) = match (load, self.random.below(16)) {
            (Load::Bulk(_), _) => (500, Some(1_000)),
            (_, 0..8) => (1, None),
            (_, 8..14) => (1 + self.random.below(100), None),
            (_, 14) => (1 + self.random.below(2_000), None),
            _ => (1, Some(usize::try_from(self.random.below(900_000))?)),
        };
        let lane = &mut self.lanes[usize::try_from(partition)?];
        let first = Identity {
            producer: self.settings.number,
            sequence: lane.next,
        };
        let mut builder = BatchBuilder::new(Codec::None);
        for sequence in first.sequence..first.sequence + count {
            let value = value::value(Identity { sequence, ..first }, filler);
            let no_headers: &[NewHeader<'_>] = &[];
            builder.append(&NewRecord {
                timestamp: WallTime(i64::try_from(sequence)?),
                key: None,
                value: Some(&value),
                headers: no_headers,
            })?;
        }
        let records = i32::try_from(count)?;
        lane.next += count;
        if let Some((id, epoch)) = self.identity {
            let base_sequence = lane.next_sequence;
            builder = builder.with_producer(hallows_record::Producer {
                id,
                epoch,
                base_sequence,
            });
            lane.next_sequence = next_sequence(base_sequence, records);
        }
        Ok(Batch {
            partition,
            first,
            count: records,
            bytes: builder.build()?,
            sent_before: false,
        })
    }

    fn send(&self, connection: &mut Connection, index: usize) -> Result<Ticket> {
        let batch = &self.unanswered[index];
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: &self.settings.topic,
                partition_data: vec![PartitionProduceData {
                    index: batch.partition,
                    records: Some(&batch.bytes),
                }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        let version = connection.version_of::<ProduceRequest<'_>>(PRODUCE_NEWEST)?;
        Ok(connection.send(&request, version)?)
    }

    /// Takes the answer to the oldest request.
    fn settle(&mut self, answer: &ProduceResponse, epochs: &[i32]) -> Result<Option<Acknowledgement>> {
        let batch = self.unanswered.pop_front().context("an answer without a request")?;
        let topic = answer.responses.first().context("an answer names its topic")?;
        let partition = topic
            .partition_responses
            .first()
            .context("an answer names its partition")?;
        match partition.error_code {
            ErrorCode::NONE => {}
            // It is stored, and its offset is no longer known to the broker.
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER if batch.sent_before => return Ok(None),
            code => bail!(
                "{}-{} refused {batch} with {code}; not answered yet: {}",
                self.settings.topic,
                batch.partition,
                self.unanswered
                    .iter()
                    .map(|batch| format!("{batch}, "))
                    .collect::<String>()
            ),
        }
        let acked = Acked {
            first: batch.first,
            count: batch.count.into(),
            epoch: (!batch.sent_before).then(|| epochs[usize::try_from(batch.partition).expect("an index")]),
        };
        Ok(Some((batch.partition, partition.base_offset, acked)))
    }
}

/// Whether the broker is gone, which is what this test is about.
fn is_broken(error: &anyhow::Error) -> bool {
    let client = error.downcast_ref::<ClientError>();
    client.is_some_and(|error| matches!(error, ClientError::Connect { .. } | ClientError::Connection { .. }))
}
