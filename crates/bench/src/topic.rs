//! Fresh topics: every cell gets its own, and starts only once its leaders answer.

use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::codec::{Decoder, Encoder};
use crate::connection::{Receiver, Sender, open};
use crate::frame::{ProduceFrame, batch};

/// How long a new topic's leader may take to answer.
const LEADER_WAIT_MAX: Duration = Duration::from_secs(30);
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(2);
/// How long the broker may take to create or delete topics.
const ADMIN_TIMEOUT_MS: i32 = 30_000;
/// A Produce with this acks value is answered by the leader alone.
pub(crate) const ACKS_LEADER: i16 = 1;

/// What a workload is pointed at: partition 0 of a topic whose leader answers at `leader`.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) leader: SocketAddr,
    pub(crate) topic: String,
    /// The offset that partition 0's next record gets.
    pub(crate) next_offset: i64,
}

/// A topic to create.
pub(crate) struct NewTopic<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: i32,
    pub(crate) configs: &'a [(&'a str, &'a str)],
}

/// Sends `frame` on a connection of its own and returns the answer.
pub(crate) fn ask(address: SocketAddr, frame: &[u8]) -> Result<Vec<u8>> {
    let (mut sender, mut receiver) = open(address)?;
    sender.send(frame)?;
    Ok(receiver.receive()?.to_vec())
}

/// Creates a topic.
///
/// # Errors
/// When the broker refuses; its words are part of the error.
pub(crate) fn create(address: SocketAddr, topic: &NewTopic<'_>) -> Result<()> {
    let mut encoder = Encoder::request(19, 5);
    encoder.compact_count(1);
    encoder.string(topic.name);
    encoder.i32(topic.partitions);
    encoder.i16(1);
    encoder.compact_count(0);
    encoder.compact_count(topic.configs.len());
    for (name, value) in topic.configs {
        encoder.string(name);
        encoder.string(value);
        encoder.tags();
    }
    encoder.tags();
    encoder.i32(ADMIN_TIMEOUT_MS);
    encoder.i8(0);
    encoder.tags();
    let answer = ask(address, &encoder.finish())?;
    let mut decoder = Decoder::answer(&answer)?;
    decoder.i32()?;
    ensure!(
        decoder.count()? == 1,
        "the answer to CreateTopics does not name one topic"
    );
    let name = decoder.string()?;
    let error = decoder.i16()?;
    let message = decoder.string()?;
    ensure!(
        error == 0,
        "the broker refused to create topic {name}: error code {error} {message}"
    );
    Ok(())
}

/// Waits until the broker at `address` has a controller that answers, so that topics can be made.
///
/// # Errors
/// When it does not within half a minute.
pub(crate) fn await_broker(address: SocketAddr) -> Result<()> {
    let mut encoder = Encoder::request(3, 9);
    encoder.compact_count(0);
    encoder.i8(0);
    encoder.i8(0);
    encoder.i8(0);
    encoder.tags();
    let frame = encoder.finish();
    let deadline = Instant::now() + LEADER_WAIT_MAX;
    loop {
        let answered = ask(address, &frame).and_then(|answer| {
            let mut decoder = Decoder::answer(&answer)?;
            decoder.i32()?;
            ensure!(decoder.count()? > 0, "Metadata names no broker");
            Ok(())
        });
        match answered {
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => thread::sleep(RETRY_PAUSE),
            Ok(()) => return Ok(()),
        }
    }
}

/// Deletes a topic; a refusal is ignored, since the topic only takes space.
pub(crate) fn delete(address: SocketAddr, name: &str) -> Result<()> {
    let mut encoder = Encoder::request(20, 4);
    encoder.compact_count(1);
    encoder.string(name);
    encoder.i32(ADMIN_TIMEOUT_MS);
    encoder.tags();
    ask(address, &encoder.finish()).map(|_| ())
}

/// Those of the named settings that a topic has, as `name=value`.
///
/// # Errors
/// When the broker does not know version 4 of DescribeConfigs, or the topic.
pub(crate) fn settings(address: SocketAddr, topic: &str, names: &[&str]) -> Result<Vec<String>> {
    const TOPIC: i8 = 2;
    let mut encoder = Encoder::request(32, 4);
    encoder.compact_count(1);
    encoder.i8(TOPIC);
    encoder.string(topic);
    encoder.compact_count(names.len());
    names.iter().for_each(|name| encoder.string(name));
    encoder.tags();
    encoder.i8(0);
    encoder.i8(0);
    encoder.tags();
    let answer = ask(address, &encoder.finish())?;
    let mut decoder = Decoder::answer(&answer)?;
    decoder.i32()?;
    ensure!(
        decoder.count()? == 1,
        "the answer to DescribeConfigs does not name one topic"
    );
    let error = decoder.i16()?;
    let message = decoder.string()?;
    ensure!(error == 0, "error code {error} {message}");
    decoder.i8()?;
    decoder.bytes()?;
    let mut told = Vec::new();
    for _ in 0..decoder.count()? {
        let (name, value) = (decoder.string()?, decoder.string()?);
        told.push(format!("{name}={value}"));
        // Whether it is read-only, where it comes from, whether it is sensitive.
        decoder.take(3)?;
        ensure!(decoder.count()? == 0, "synonyms that were not asked for");
        decoder.i8()?;
        decoder.bytes()?;
        decoder.tags()?;
    }
    Ok(told)
}

/// The address of the leader of partition 0, or `None` while there is none.
fn leader(address: SocketAddr, topic: &str) -> Result<Option<SocketAddr>> {
    let mut encoder = Encoder::request(3, 9);
    encoder.compact_count(1);
    encoder.string(topic);
    encoder.tags();
    encoder.i8(0);
    encoder.i8(0);
    encoder.i8(0);
    encoder.tags();
    let answer = ask(address, &encoder.finish())?;
    let mut decoder = Decoder::answer(&answer)?;
    decoder.i32()?;
    let mut brokers = Vec::new();
    for _ in 0..decoder.count()? {
        brokers.push((decoder.i32()?, decoder.string()?, decoder.i32()?));
        decoder.bytes()?;
        decoder.tags()?;
    }
    decoder.bytes()?;
    decoder.i32()?;
    ensure!(decoder.count()? == 1, "the answer to Metadata does not name one topic");
    let Some(node) = leader_of_first(&mut decoder)? else {
        return Ok(None);
    };
    let Some((_, host, port)) = brokers.into_iter().find(|broker| broker.0 == node) else {
        return Ok(None);
    };
    let port = u16::try_from(port).context("the leader's port is out of range")?;
    let mut addresses = (host.as_str(), port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}, which Metadata names as the leader's host"))?;
    Ok(addresses.next())
}

/// The node that leads partition 0 of the first topic of a Metadata answer.
fn leader_of_first(decoder: &mut Decoder<'_>) -> Result<Option<i32>> {
    if decoder.i16()? != 0 {
        return Ok(None);
    }
    decoder.bytes()?;
    decoder.i8()?;
    for _ in 0..decoder.count()? {
        let error = decoder.i16()?;
        let index = decoder.i32()?;
        let node = decoder.i32()?;
        if index == 0 {
            return Ok((error == 0 && node >= 0).then_some(node));
        }
        decoder.i32()?;
        for _ in 0..3 {
            let nodes = decoder.count()?;
            decoder.take(nodes * 4)?;
        }
        decoder.tags()?;
    }
    Ok(None)
}

/// Waits until the leader of every partition of `topic` has taken a small record.
///
/// Kafka answers NOT_LEADER_OR_FOLLOWER for some milliseconds after Metadata names the leader of a new topic.
///
/// # Errors
/// When a leader does not answer within half a minute.
pub(crate) fn await_leader(address: SocketAddr, topic: &str, partitions: i32) -> Result<Target> {
    let deadline = Instant::now() + LEADER_WAIT_MAX;
    let leader = loop {
        if let Some(found) = leader(address, topic)? {
            break found;
        }
        ensure!(
            Instant::now() < deadline,
            "topic {topic} has had no leader for {LEADER_WAIT_MAX:?}"
        );
        thread::sleep(RETRY_PAUSE);
    };
    let (mut sender, mut receiver) = open(leader)?;
    let mut next_offset = 0;
    for partition in (0..partitions).rev() {
        next_offset = 1 + await_append((&mut sender, &mut receiver), topic, partition, deadline)?;
    }
    Ok(Target {
        leader,
        topic: topic.to_owned(),
        next_offset,
    })
}

/// Appends one record to a partition, again and again until it is taken; returns its offset.
fn await_append(
    (sender, receiver): (&mut Sender, &mut Receiver),
    topic: &str,
    partition: i32,
    deadline: Instant,
) -> Result<i64> {
    let mut frame = ProduceFrame::new(topic, partition, ACKS_LEADER, &batch(1, 10, now_ms()));
    loop {
        sender.send(frame.numbered(1))?;
        let answer = receiver.receive()?;
        let code = frame.error(answer, 1)?;
        match code {
            0 => return frame.check(answer, 1),
            // Unknown topic or partition, leader not available, not leader: the broker has not caught up yet.
            3 | 5 | 6 if Instant::now() < deadline => thread::sleep(RETRY_PAUSE),
            _ => bail!("partition {partition} of the new topic {topic} refuses records with error code {code}"),
        }
    }
}

/// The wall clock in milliseconds, for the timestamps of records.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
