//! Produce without producer ids.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::fetch::read_all;
use super::metadata::NO_ID;
use crate::api_sweep::codec::hex;
use crate::api_sweep::records::{Batch, FIRST_TIMESTAMP};
use crate::api_sweep::side::{MAIN, Side};

/// The first version that names topics by id.
pub(super) const BY_ID: i16 = 13;

/// A request for one partition.
pub(super) fn to(topic: &Value, partition: i32, records: &str, acks: i16) -> Value {
    let records = if records.is_empty() {
        Value::Null
    } else {
        Value::from(records)
    };
    let mut topic = topic.clone();
    topic["PartitionData"] = json!([{"Index": partition, "Records": records}]);
    json!({"Acks": acks, "TimeoutMs": 5000, "TopicData": [topic]})
}

/// A topic as this version names it.
pub(super) fn named(side: &mut Side<'_>, topic: &str, version: i16) -> Result<Value> {
    Ok(if version >= BY_ID {
        json!({"TopicId": side.topic_id(topic)?})
    } else {
        json!({"Name": topic})
    })
}

pub(super) fn plain(side: &mut Side<'_>, version: i16) -> Result<()> {
    let a = side.topic("a", 2)?;
    let topic = named(side, &a, version)?;
    let one = Batch::of(1).hex();
    let three = Batch::of(3).hex();
    side.ask("the first", "Produce", version, &to(&topic, 0, &one, -1))?;
    side.ask("three more", "Produce", version, &to(&topic, 0, &three, 1))?;
    let mut two = topic.clone();
    two["PartitionData"] = json!([{"Index": 0, "Records": three}, {"Index": 1, "Records": one}]);
    side.ask(
        "two partitions",
        "Produce",
        version,
        &json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": [two]}),
    )?;
    let mut mixed = topic.clone();
    mixed["PartitionData"] = json!([{"Index": 1, "Records": one}, {"Index": 7, "Records": one}]);
    side.ask(
        "one partition that is missing",
        "Produce",
        version,
        &json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": [mixed]}),
    )?;
    side.ask(
        "no topics",
        "Produce",
        version,
        &json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": []}),
    )?;
    let mut none = topic.clone();
    none["PartitionData"] = json!([]);
    side.ask(
        "no partitions",
        "Produce",
        version,
        &json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": [none]}),
    )?;
    let offset = Batch {
        base_offset: 77,
        ..Batch::of(2)
    };
    side.ask(
        "a base offset of its own",
        "Produce",
        version,
        &to(&topic, 1, &offset.hex(), -1),
    )?;
    let missing = if version >= BY_ID {
        json!({"TopicId": NO_ID})
    } else {
        json!({"Name": side.name("missing")})
    };
    side.ask("a missing topic", "Produce", version, &to(&missing, 0, &one, -1))?;
    read_all(side, &a, 0)?;
    read_all(side, &a, 1)
}

fn sample(writer: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/record/testdata");
    Ok(hex(&std::fs::read(folder.join(format!("{writer}.bin")))?))
}

pub(super) fn codecs(side: &mut Side<'_>, version: i16) -> Result<()> {
    for writer in [
        "java-small-none",
        "java-small-gzip",
        "java-small-snappy",
        "java-small-lz4",
        "java-small-zstd",
        "python-small-gzip",
        "python-small-snappy",
        "python-small-snappy-raw",
        "python-small-lz4",
        "python-small-zstd",
        "java-large-gzip",
        "java-large-lz4",
        "java-large-snappy",
        "java-large-zstd",
    ] {
        let name = side.topic(writer, 1)?;
        let topic = named(side, &name, version)?;
        side.ask(writer, "Produce", version, &to(&topic, 0, &sample(writer)?, -1))?;
        let offsets = json!([{"PartitionIndex": 0, "Timestamp": -1}]);
        side.ask(
            &format!("{writer}, its end"),
            "ListOffsets",
            4,
            &json!({"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": offsets}]}),
        )?;
    }
    let name = side.topic("damaged", 1)?;
    let topic = named(side, &name, version)?;
    for (label, codec) in [
        ("gzip", 1),
        ("snappy", 2),
        ("lz4", 3),
        ("zstd", 4),
        ("codec 5", 5),
        ("codec 7", 7),
    ] {
        let batch = Batch {
            attributes: codec,
            ..Batch::of(1)
        };
        side.ask(
            &format!("not {label} but says so"),
            "Produce",
            version,
            &to(&topic, 0, &batch.hex(), -1),
        )?;
    }
    Ok(())
}

fn damaged() -> Vec<(&'static str, String)> {
    let good = Batch::of(3);
    let with = |change: fn(&mut Batch)| {
        let mut batch = good.clone();
        change(&mut batch);
        batch.hex()
    };
    let cut = |bytes: &[u8], by: usize| hex(&bytes[..bytes.len() - by]);
    let whole = good.bytes();
    let mut longer = whole.clone();
    longer.extend([0; 3]);
    vec![
        ("null records", String::new()),
        ("a wrong checksum", with(|batch| batch.crc_lie = true)),
        (
            "one record too many told",
            with(|batch| {
                batch.count_lie = 1;
                batch.delta_lie = 1;
            }),
        ),
        (
            "one record too few told",
            with(|batch| {
                batch.count_lie = -1;
                batch.delta_lie = -1;
            }),
        ),
        ("a count that is not the deltas'", with(|batch| batch.count_lie = 1)),
        (
            "a last offset that is not the count's",
            with(|batch| batch.delta_lie = 1),
        ),
        ("no records", with(|batch| batch.records.clear())),
        ("a control batch", with(|batch| batch.attributes = 0x20)),
        (
            "transactional without a producer",
            with(|batch| batch.attributes = 0x10),
        ),
        (
            "transactional",
            with(|batch| {
                batch.attributes = 0x10;
                batch.producer_id = 4000;
                batch.producer_epoch = 0;
                batch.base_sequence = 0;
            }),
        ),
        ("a delete horizon", with(|batch| batch.attributes = 0x40)),
        ("unused attributes", with(|batch| batch.attributes = 0x80)),
        ("append time claimed", with(|batch| batch.attributes = 8)),
        ("magic 0", with(|batch| batch.magic = 0)),
        ("magic 1", with(|batch| batch.magic = 1)),
        ("magic 3", with(|batch| batch.magic = 3)),
        ("two batches", hex(&[whole.clone(), whole.clone()].concat())),
        ("a torn batch", cut(&whole, 5)),
        ("half a header", hex(&whole[..30])),
        ("bytes behind the batch", hex(&longer)),
        (
            "a producer without an epoch",
            with(|batch| {
                batch.producer_id = 4000;
            }),
        ),
        (
            "a sequence without a producer",
            with(|batch| {
                batch.base_sequence = 0;
            }),
        ),
        (
            "a wrong largest timestamp",
            with(|batch| batch.max_timestamp_lie = 1000),
        ),
        (
            "a largest timestamp of none",
            with(|batch| batch.max_timestamp_lie = -1 - FIRST_TIMESTAMP - 2),
        ),
    ]
}

pub(super) fn refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    // Each in a topic of its own, since what one broker takes would move the offsets of the next.
    for (number, (label, records)) in damaged().into_iter().enumerate() {
        let name = side.topic(&number.to_string(), 1)?;
        let topic = named(side, &name, version)?;
        side.ask(label, "Produce", version, &to(&topic, 0, &records, -1))?;
    }
    let a = side.topic_with("small", 1, &[("max.message.bytes", "200")])?;
    let topic = named(side, &a, version)?;
    side.ask(
        "small enough",
        "Produce",
        version,
        &to(&topic, 0, &Batch::sized(100).hex(), -1),
    )?;
    // 61 bytes of header, eight of the record's own.
    side.ask(
        "just small enough",
        "Produce",
        version,
        &to(&topic, 0, &Batch::sized(130).hex(), -1),
    )?;
    side.ask(
        "just too large",
        "Produce",
        version,
        &to(&topic, 0, &Batch::sized(131).hex(), -1),
    )?;
    side.ask(
        "too large",
        "Produce",
        version,
        &to(&topic, 0, &Batch::sized(300).hex(), -1),
    )?;
    let mut empty = topic.clone();
    empty["PartitionData"] = json!([{"Index": 0, "Records": ""}]);
    side.ask(
        "no bytes",
        "Produce",
        version,
        &json!({"Acks": -1, "TimeoutMs": 5000, "TopicData": [empty]}),
    )?;
    let transactional = json!({"TransactionalId": "t", "Acks": -1, "TimeoutMs": 5000, "TopicData": []});
    if version >= 3 {
        side.ask(
            "a transactional id and nothing else",
            "Produce",
            version,
            &transactional,
        )?;
    }
    Ok(())
}

pub(super) fn times(side: &mut Side<'_>, version: i16) -> Result<()> {
    let appended = side.topic_with("append", 1, &[("message.timestamp.type", "LogAppendTime")])?;
    let topic = named(side, &appended, version)?;
    side.ask(
        "append time",
        "Produce",
        version,
        &to(&topic, 0, &Batch::of(2).hex(), -1),
    )?;
    side.ask(
        "append time, compressed",
        "Produce",
        version,
        &to(&topic, 0, &sample("java-small-lz4")?, -1),
    )?;
    read_all(side, &appended, 0)?;
    let bounded = [
        ("message.timestamp.before.max.ms", "86400000"),
        ("message.timestamp.after.max.ms", "3600000"),
    ];
    let name = side.topic_with("bounded", 1, &bounded)?;
    let topic = named(side, &name, version)?;
    let at = |first_timestamp: i64| {
        Batch {
            first_timestamp,
            ..Batch::of(2)
        }
        .hex()
    };
    side.ask("too old", "Produce", version, &to(&topic, 0, &at(FIRST_TIMESTAMP), -1))?;
    side.ask(
        "too new",
        "Produce",
        version,
        &to(&topic, 0, &at(32_000_000_000_000), -1),
    )?;
    side.ask("without a time", "Produce", version, &to(&topic, 0, &at(-1), -1))?;
    let free = side.topic("free", 1)?;
    let topic = named(side, &free, version)?;
    side.ask("any time, without one", "Produce", version, &to(&topic, 0, &at(-1), -1))?;
    side.ask(
        "any time, an old one",
        "Produce",
        version,
        &to(&topic, 0, &at(1000), -1),
    )?;
    let falling = Batch {
        step_ms: -500,
        ..Batch::of(3)
    };
    side.ask("falling times", "Produce", version, &to(&topic, 0, &falling.hex(), -1))?;
    Ok(())
}

pub(super) fn acks(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 1)?;
    let topic = named(side, &name, version)?;
    let one = Batch::of(1).hex();
    side.ask("acks 1", "Produce", version, &to(&topic, 0, &one, 1))?;
    side.ask("acks 2", "Produce", version, &to(&topic, 0, &one, 2))?;
    side.ask("acks -2", "Produce", version, &to(&topic, 0, &one, -2))?;
    side.tell("Produce", version, &to(&topic, 0, &one, 0))?;
    let end =
        json!({"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]});
    // Its answer is the next one on the connection: acks 0 has none.
    side.ask("the end after acks 0", "ListOffsets", 4, &end)?;
    side.tell("Produce", version, &to(&topic, 9, &one, 0))?;
    side.ask("after an error with acks 0", "ListOffsets", 4, &end)?;
    for number in 0..3 {
        side.post(
            MAIN,
            "Produce",
            version,
            &to(&topic, 0, &Batch::of(number + 1).hex(), -1),
        )?;
    }
    side.post(MAIN, "ListOffsets", 4, &end)?;
    for label in [
        "the first in line",
        "the second in line",
        "the third in line",
        "the end behind them",
    ] {
        side.take(MAIN, label)?;
    }
    Ok(())
}
