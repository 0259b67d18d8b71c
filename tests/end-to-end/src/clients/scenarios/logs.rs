//! Scenarios without groups: what is sent, how it lies in the log, what is read.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hallows_client::{Codec, ConsumedRecord};

use crate::clients::bench::{Bench, lines, same, until};
use crate::clients::program::{Program, Said, crc32};

/// A time long ago, so that no broker can have made it up.
const LONG_AGO_MS: i64 = 1_600_000_000_000;
/// Old records stay.
const FOREVER: (&str, &str) = ("retention.ms", "-1");

pub(super) fn gzip(bench: &mut Bench) -> Result<()> {
    codec(bench, "gzip", Codec::Gzip)
}

pub(super) fn snappy(bench: &mut Bench) -> Result<()> {
    codec(bench, "snappy", Codec::Snappy)
}

pub(super) fn lz4(bench: &mut Bench) -> Result<()> {
    codec(bench, "lz4", Codec::Lz4)
}

pub(super) fn zstd(bench: &mut Bench) -> Result<()> {
    codec(bench, "zstd", Codec::Zstd)
}

/// Compressed batches lie in the log as the client sent them, and come back whole.
fn codec(bench: &Bench, name: &str, codec: Codec) -> Result<()> {
    let topic = format!("codec-{name}");
    bench.create(&topic, 1, &[])?;
    let sent = lines(0, 500);
    bench.produce(&sent, &[("topic", &topic), ("codec", name), ("linger", "200")])?;
    ensure!(keys(&bench.log(&topic)?) == key_set(&sent), "the log differs");
    let found = bench.codec_at(&topic, 0, 0)?;
    ensure!(found == codec, "the first batch is compressed with {found:?}");
    let read = bench.consume(
        sent.len(),
        &[("topic", &topic), ("partition", "0"), ("from", "earliest")],
    )?;
    same(&read, &sent)
}

/// Null and multi-byte keys, several headers, one of them empty.
pub(super) fn keys_and_headers(bench: &mut Bench) -> Result<()> {
    let topic = "keys-headers";
    bench.create(topic, 1, &[])?;
    let no_key = if matches!(bench.program, Program::JavaTools(_)) {
        "NULL"
    } else {
        ""
    };
    let sent: Vec<(String, String)> = [(no_key, "without a key"), ("k", "with one"), ("ключ→鍵", "wörld")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    bench.produce(&sent, &[("topic", topic), ("headers", "1")])?;
    let log = bench.log(topic)?;
    let first = log.first().context("a record")?;
    ensure!(
        first.key.as_ref().is_none_or(Vec::is_empty),
        "the first record has a key"
    );
    let tells_headers = !matches!(bench.program, Program::JavaTools(_));
    for (record, (_, value)) in log.iter().zip(&sent) {
        ensure!(
            record.value.as_deref() == Some(value.as_bytes()),
            "offset {} differs",
            record.offset
        );
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(
            !tells_headers || names == ["line", "empty"],
            "the headers are {names:?}"
        );
    }
    let read = bench.consume(3, &[("topic", topic), ("partition", "0"), ("from", "earliest")])?;
    ensure!(
        read[2].key == sent[2].0 && read[2].crc == crc32(sent[2].1.as_bytes()),
        "read {read:?}"
    );
    let start = if tells_headers { "line=" } else { "" };
    ensure!(
        read.iter().all(|record| record.headers.starts_with(start)),
        "read {read:?}"
    );
    Ok(())
}

/// A producer that retries through two kills writes every record once and in order.
pub(super) fn idempotent_retry_across_kill(bench: &mut Bench) -> Result<()> {
    const COUNT: usize = 1_500;
    const KILLS: [usize; 2] = [500, 1_000];
    let topic = "idempotent-kill";
    bench.create(topic, 3, &[])?;
    let sent = lines(0, COUNT);
    let mut producer = bench.start("produce", &[("topic", topic), ("idempotent", "1"), ("linger", "1")])?;
    for (number, (key, value)) in sent.iter().enumerate() {
        producer.write(key, value)?;
        thread::sleep(Duration::from_millis(1));
        if KILLS.contains(&number) {
            bench.broker.kill();
            thread::sleep(Duration::from_millis(300));
            bench.broker.restart()?;
        }
    }
    let said = producer.finish().context("the producer")?;
    let acked = said.iter().filter(|said| matches!(said, Said::Acked { .. })).count();
    ensure!(
        acked == COUNT || !bench.program.tells_acks(),
        "{acked} of {COUNT} were acknowledged"
    );
    each_once_and_in_order(&bench.log(topic)?, COUNT)
}

fn each_once_and_in_order(log: &[ConsumedRecord], count: usize) -> Result<()> {
    let mut last: BTreeMap<i32, usize> = BTreeMap::new();
    for record in log {
        let number = number_of(record)?;
        let before = last.insert(record.partition, number);
        ensure!(
            before.is_none_or(|before| before < number),
            "record {number} comes after {before:?} in partition {}",
            record.partition
        );
    }
    ensure!(
        log.len() == count,
        "the log has {} records, sent were {count}",
        log.len()
    );
    Ok(())
}

fn number_of(record: &ConsumedRecord) -> Result<usize> {
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    let number = key.and_then(|key| key.strip_prefix('k')?.parse().ok());
    number.with_context(|| format!("offset {} has no number", record.offset))
}

/// The first record at or after a time, inside a compressed batch.
pub(super) fn seek_by_time(bench: &mut Bench) -> Result<()> {
    let topic = "seek-by-time";
    bench.create(topic, 1, &[FOREVER])?;
    let start = LONG_AGO_MS.to_string();
    let sent = lines(0, 100);
    if !matches!(bench.program, Program::Own(_)) {
        // kcat and the console producer stamp records themselves: the time of one in the middle is taken instead.
        bench.produce(&sent, &[("topic", topic), ("codec", "gzip"), ("linger", "200")])?;
        return seek_to_own_time(bench, topic);
    }
    let options = [
        ("topic", topic),
        ("codec", "gzip"),
        ("timestamp", &start),
        ("linger", "200"),
    ];
    bench.produce(&sent, &options)?;
    let from = format!("time:{}", LONG_AGO_MS + 57_500);
    let read = bench.consume(1, &[("topic", topic), ("partition", "0"), ("from", &from)])?;
    ensure!(
        read[0].offset == 58,
        "the first record after the time has offset {}",
        read[0].offset
    );
    ensure!(
        read[0].timestamp == LONG_AGO_MS + 58_000,
        "its time is {}",
        read[0].timestamp
    );
    Ok(())
}

fn seek_to_own_time(bench: &Bench, topic: &str) -> Result<()> {
    let log = bench.log(topic)?;
    let wanted = log[57].timestamp_ms;
    let first = log
        .iter()
        .find(|record| record.timestamp_ms >= wanted)
        .context("a record")?;
    let from = format!("time:{wanted}");
    let read = bench.consume(1, &[("topic", topic), ("partition", "0"), ("from", &from)])?;
    ensure!(
        read[0].offset == first.offset,
        "offset {} instead of {}",
        read[0].offset,
        first.offset
    );
    Ok(())
}

pub(super) fn one_mebibyte_records(bench: &mut Bench) -> Result<()> {
    let topic = "one-mib";
    bench.create(topic, 1, &[("max.message.bytes", "8388608")])?;
    let sent: Vec<(String, String)> = (0..5)
        .map(|number| {
            let value: String = format!("{number:08} ").chars().cycle().take(1 << 20).collect();
            (format!("k{number}"), value)
        })
        .collect();
    bench.produce(&sent, &[("topic", topic)])?;
    let read = bench.consume(
        sent.len(),
        &[("topic", topic), ("partition", "0"), ("from", "earliest")],
    )?;
    same(&read, &sent)
}

/// Many small batches on their way at once keep their order.
pub(super) fn pipelining(bench: &mut Bench) -> Result<()> {
    const COUNT: usize = 5_000;
    let topic = "pipelining";
    bench.create(topic, 1, &[])?;
    let sent = lines(0, COUNT);
    bench.produce(&sent, &[("topic", topic), ("linger", "0")])?;
    each_once_and_in_order(&bench.log(topic)?, COUNT)?;
    let read = bench.consume(COUNT, &[("topic", topic), ("partition", "0"), ("from", "earliest")])?;
    same(&read, &sent)?;
    if matches!(bench.program, Program::JavaTools(_)) {
        perf_tools(bench)?;
    }
    Ok(())
}

/// Kafka's own programs for load: what they send is in the log, and what they read is all of it.
fn perf_tools(bench: &Bench) -> Result<()> {
    const COUNT: usize = 50_000;
    let topic = "perf-tools";
    bench.create(topic, 3, &[])?;
    let count = COUNT.to_string();
    let options = [("topic", topic), ("count", &count)];
    bench
        .start("perf-produce", &options)?
        .wait()
        .context("ProducerPerformance")?;
    let held = bench.log(topic)?.len();
    ensure!(held == COUNT, "ProducerPerformance sent {COUNT}, the log has {held}");
    let said = bench
        .start("perf-consume", &options)?
        .wait()
        .context("ConsumerPerformance")?;
    // It takes whole answers, so that it may count some beyond what it was asked for, but there are no more.
    ensure!(said == [Said::Counted(COUNT)], "ConsumerPerformance said {said:?}");
    let options = [("topic", "perf-latency"), ("count", "200")];
    bench.create("perf-latency", 1, &[])?;
    bench
        .start("perf-latency", &options)?
        .wait()
        .context("EndToEndLatency")?;
    let held = bench.log("perf-latency")?.len();
    ensure!(held == 200, "EndToEndLatency sent 200, the log has {held}");
    Ok(())
}

/// Create, describe, alter, describe, delete.
pub(super) fn admin(bench: &mut Bench) -> Result<()> {
    let topic = ("topic", "admin");
    let call = |options: &[(&str, &str)]| bench.start("admin", options)?.wait();
    call(&[
        ("action", "create"),
        topic,
        ("partitions", "3"),
        ("config", "retention.ms:7200000"),
    ])?;
    described(&call(&[("action", "describe"), topic])?, 3, "retention.ms", "7200000")?;
    call(&[("action", "alter"), topic, ("config", "max.message.bytes:2000000")])?;
    described(
        &call(&[("action", "describe"), topic])?,
        3,
        "max.message.bytes",
        "2000000",
    )?;
    call(&[("action", "delete"), topic])?;
    let mut client = bench.own()?;
    until(|| {
        client
            .list_topics()
            .is_ok_and(|topics| topics.iter().all(|known| known.name != topic.1))
    })
    .context("the topic is still there")
}

fn described(said: &[Said], partitions: usize, name: &str, value: &str) -> Result<()> {
    let together = format!("{name}={value}");
    let shown = said.iter().any(|said| match said {
        Said::Config(known, found) if known == "topic" => {
            found.contains(&together) && found.contains(&format!("partitions={partitions},"))
        }
        Said::Config(known, found) => known == name && found == value,
        _ => false,
    });
    let counted = said
        .iter()
        .all(|said| !matches!(said, Said::Partitions(count) if *count != partitions));
    if !(shown && counted) {
        bail!("{partitions} partitions and {together} were expected, said was {said:?}");
    }
    Ok(())
}

/// A position inside a batch: what comes before it in the batch is not shown.
pub(super) fn middle_of_a_batch(bench: &mut Bench) -> Result<()> {
    let topic = "mid-batch";
    bench.create(topic, 1, &[])?;
    let sent = lines(0, 100);
    bench.own_produce(topic, &sent)?;
    let read = bench.consume(2, &[("topic", topic), ("partition", "0"), ("from", "offset:57")])?;
    let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
    ensure!(offsets == [57, 58], "the offsets are {offsets:?}");
    same(&read, &sent[57..59])
}

/// Sending to a topic that does not exist yet creates it.
pub(super) fn auto_creation(bench: &mut Bench) -> Result<()> {
    let sent = lines(0, 20);
    bench.produce(&sent, &[("topic", "auto-create")])?;
    ensure!(keys(&bench.log("auto-create")?) == key_set(&sent), "the log differs");
    Ok(())
}

/// A running producer finds a topic that was deleted and created again, and nothing old is in it.
pub(super) fn topic_re_creation(bench: &mut Bench) -> Result<()> {
    let topic = "re-create";
    bench.create(topic, 1, &[])?;
    let (old, new) = (long_lines(0, 10), long_lines(10, 10));
    let mut producer = bench.start("produce", &[("topic", topic), ("linger", "1")])?;
    for (key, value) in &old {
        producer.write(key, value)?;
    }
    until(|| bench.log(topic).is_ok_and(|log| log.len() == old.len())).context("the first records")?;
    bench.own()?.delete_topic(topic)?;
    bench.create(topic, 1, &[])?;
    for (key, value) in &new {
        producer.write(key, value)?;
    }
    producer.finish().context("the producer")?;
    let log = bench.log(topic)?;
    ensure!(keys(&log) == key_set(&new), "the new topic has {:?}", keys(&log));
    ensure!(
        log.first().is_some_and(|record| record.offset == 0),
        "it does not begin at 0"
    );
    let mut read = bench.consume(new.len(), &[("topic", topic), ("partition", "0"), ("from", "earliest")])?;
    // Several requests are on their way at once, and without idempotence a retried one may come after the next.
    read.sort_by(|one, other| one.key.cmp(&other.key));
    same(&read, &new)
}

/// Lines of exactly 1024 bytes: kcat reads its input in pieces of that size, and would keep shorter ones to itself.
fn long_lines(from: usize, count: usize) -> Vec<(String, String)> {
    const LINE_BYTES: usize = 1024;
    let long = |(key, value): (String, String)| {
        let fill = LINE_BYTES - key.len() - "\t\n".len();
        (key, value.chars().cycle().take(fill).collect())
    };
    lines(from, count).into_iter().map(long).collect()
}

fn keys(log: &[ConsumedRecord]) -> BTreeSet<String> {
    let key = |record: &ConsumedRecord| {
        record
            .key
            .as_deref()
            .map(|key| String::from_utf8_lossy(key).into_owned())
    };
    log.iter().filter_map(key).collect()
}

fn key_set(sent: &[(String, String)]) -> BTreeSet<String> {
    sent.iter().map(|(key, _)| key.clone()).collect()
}
