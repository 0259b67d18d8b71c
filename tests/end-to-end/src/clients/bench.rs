//! What a scenario has at hand: one client, one broker, and a client of our own to look behind the scenes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hallows_client::{
    Client, ClientOptions, Codec, Connection, ConsumedRecord, Consumer, ConsumerOptions, NewRecord, NewTopic, OffsetAt,
    Producer, ProducerOptions,
};
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use hallows_protocol::messages::fetch_response::FetchResponse;
use hallows_record::BatchHeader;
use hallows_testkit::Broker;

use super::program::{Options, PATIENCE, Program, Record, Running, Said, crc32};

/// The newest version of Fetch that names topics.
const FETCH_NEWEST: i16 = 12;

/// One client beside one broker.
pub(crate) struct Bench {
    pub(crate) program: Program,
    pub(crate) broker: Broker,
}

impl Bench {
    pub(crate) fn own(&self) -> Result<Client> {
        Ok(Client::connect(&[self.broker.address()], ClientOptions::default())?)
    }

    /// Creates a topic; scenarios have names of their own, so it is new.
    pub(crate) fn create(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        self.own()?.create_topic(&NewTopic {
            name: topic,
            partitions,
            replicas: 1,
            configs,
            validate_only: false,
        })?;
        Ok(())
    }

    pub(crate) fn start(&self, verb: &str, options: Options<'_>) -> Result<Running> {
        self.program.start(verb, &self.broker.address(), options)
    }

    /// Sends lines through the client; all must be acknowledged.
    pub(crate) fn produce(&self, lines: &[(String, String)], options: Options<'_>) -> Result<()> {
        let mut running = self.start("produce", options)?;
        for (key, value) in lines {
            running.write(key, value)?;
        }
        let said = running.finish().context("producing")?;
        let acked = said.iter().filter(|said| matches!(said, Said::Acked { .. })).count();
        ensure!(
            acked == lines.len() || !self.program.tells_acks(),
            "{acked} of {} records were acknowledged",
            lines.len()
        );
        Ok(())
    }

    /// Lets the client read `count` records and stop.
    pub(crate) fn consume(&self, count: usize, options: Options<'_>) -> Result<Vec<Record>> {
        let count = count.to_string();
        let mut all = options.to_vec();
        all.push(("count", &count));
        // Its input stays open: the end of it would end the client.
        let said = self.start("consume", &all)?.wait().context("consuming")?;
        Ok(records_of(said))
    }

    /// Sends lines with a client of our own, as one batch per partition.
    pub(crate) fn own_produce(&self, topic: &str, lines: &[(String, String)]) -> Result<()> {
        let mut producer = Producer::new(self.own()?, ProducerOptions::default());
        let mut deliveries = Vec::new();
        for (key, value) in lines {
            deliveries.extend(producer.send(&NewRecord {
                topic,
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            })?);
        }
        deliveries.extend(producer.flush());
        deliveries
            .into_iter()
            .try_for_each(|delivery| delivery.outcome.map(|_| ()))?;
        Ok(())
    }

    /// Everything in a topic, read by a client of our own.
    pub(crate) fn log(&self, topic: &str) -> Result<Vec<ConsumedRecord>> {
        let mut consumer = Consumer::new(self.own()?, ConsumerOptions::default());
        let partitions: Vec<i32> = consumer.client().topic(topic)?.partitions.keys().copied().collect();
        let mut ends = Vec::new();
        for partition in partitions {
            let found = consumer
                .client()
                .list_offsets(topic, &[(partition, OffsetAt::Latest)])?;
            ends.push((partition, found.get(&partition).context("an end")?.offset));
            consumer.assign_at(topic, partition, OffsetAt::Earliest)?;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        loop {
            let positions = consumer.positions();
            let at = |partition: i32| positions.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
            if ends.iter().all(|&(partition, end)| at(partition) >= end) {
                records.sort_by_key(|record: &ConsumedRecord| (record.partition, record.offset));
                return Ok(records);
            }
            ensure!(Instant::now() < deadline, "{topic} cannot be read to its end");
            records.extend(consumer.poll(Duration::from_millis(200))?);
        }
    }

    /// The codec of the batch at an offset.
    pub(crate) fn codec_at(&self, topic: &str, partition: i32, offset: i64) -> Result<Codec> {
        let mut connection = Connection::open(&self.broker.address(), &ClientOptions::default().connection)?;
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            topics: vec![FetchTopic {
                topic,
                partitions: vec![FetchPartition {
                    partition,
                    fetch_offset: offset,
                    partition_max_bytes: 1 << 20,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let version = connection.version_of::<FetchRequest<'_>>(FETCH_NEWEST)?;
        let answer: FetchResponse = connection.call(&request, version)?;
        let topic = answer.responses.first().context("a topic")?;
        let records = topic
            .partitions
            .first()
            .and_then(|partition| partition.records.as_deref());
        Ok(BatchHeader::parse(records.context("records")?)?.codec()?)
    }

    /// Waits until a group has this many members and none of them is moving.
    pub(crate) fn await_group(&self, group: &str, members: usize) -> Result<()> {
        let mut client = self.own()?;
        let mut seen = String::new();
        until(|| {
            // Before anybody has joined there is no such group.
            if let Ok(described) = client.describe_group(group) {
                seen = format!("{} with {} members", described.group_state, described.members.len());
                return described.group_state == "Stable" && described.members.len() == members;
            }
            false
        })
        .with_context(|| format!("group {group} never was Stable with {members} members, but {seen}"))
    }
}

/// Waits until something holds.
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            bail!("waited {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

pub(crate) fn records_of(said: Vec<Said>) -> Vec<Record> {
    let records = said.into_iter().filter_map(|said| match said {
        Said::Record(record) => Some(record),
        _ => None,
    });
    records.collect()
}

/// `count` lines with keys `k<n>` from `from` on.
pub(crate) fn lines(from: usize, count: usize) -> Vec<(String, String)> {
    let line = |number| (format!("k{number}"), format!("value {number} ").repeat(4));
    (from..from + count).map(line).collect()
}

/// Compares what a client saw with what was sent, record by record in the order of offsets.
pub(crate) fn same(records: &[Record], sent: &[(String, String)]) -> Result<()> {
    ensure!(
        records.len() == sent.len(),
        "{} records were read, {} were sent",
        records.len(),
        sent.len()
    );
    for (record, (key, value)) in records.iter().zip(sent) {
        ensure!(
            record.key == *key && record.length == value.len() && record.crc == crc32(value.as_bytes()),
            "offset {} has key {:?} and {} bytes, sent were key {key:?} and {} bytes",
            record.offset,
            record.key,
            record.length,
            value.len()
        );
    }
    Ok(())
}
