//! Idempotent producers: InitProducerId, sequences, DescribeProducers.

use anyhow::Result;
use serde_json::{Value, json};

use super::fetch::read_all;
use super::produce::{named, to};
use crate::api_sweep::records::Batch;
use crate::api_sweep::side::Side;

pub(super) fn idempotent(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 1)?;
    let topic = named(side, &name, version)?;
    let (id, epoch) = side.producer()?;
    let mut ask = |label: &str, count: usize, epoch: i16, sequence: i32| {
        let batch = Batch::of(count).by(id, epoch, sequence);
        side.ask(label, "Produce", version, &to(&topic, 0, &batch.hex(), -1))
    };
    ask("the first", 2, epoch, 0)?;
    ask("the second", 1, epoch, 2)?;
    ask("the second again", 1, epoch, 2)?;
    ask("the first again", 2, epoch, 0)?;
    ask("a gap", 1, epoch, 5)?;
    ask("half of the first", 1, epoch, 1)?;
    ask("a newer epoch, not from 0", 1, epoch + 1, 3)?;
    ask("a newer epoch", 1, epoch + 1, 0)?;
    ask("the older epoch", 1, epoch, 3)?;
    for sequence in 1..=6 {
        ask("more", 1, epoch + 1, sequence)?;
    }
    ask("the last but four again", 1, epoch + 1, 2)?;
    ask("the last but five again", 1, epoch + 1, 1)?;
    read_all(side, &name, 0)
}

pub(super) fn sequences(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let topic = named(side, &name, version)?;
    let (id, epoch) = side.producer()?;
    let mut ask = |label: &str, partition: i32, batch: Batch| {
        side.ask(label, "Produce", version, &to(&topic, partition, &batch.hex(), -1))
    };
    let last = i32::MAX;
    ask("anywhere at first", 0, Batch::of(1).by(id, epoch, last - 2))?;
    ask("up to the last number", 0, Batch::of(2).by(id, epoch, last - 1))?;
    ask("from 0 again", 0, Batch::of(1).by(id, epoch, 0))?;
    ask("across the end, elsewhere", 1, Batch::of(4).by(id, epoch, last - 1))?;
    ask("behind the end, elsewhere", 1, Batch::of(1).by(id, epoch, 2))?;
    ask("across the end again", 1, Batch::of(4).by(id, epoch, last - 1))?;
    ask("a negative sequence", 0, Batch::of(1).by(id, epoch, -2))?;
    ask("a negative epoch", 0, Batch::of(1).by(id, -2, 1))?;
    ask("an id that nobody handed out", 0, Batch::of(1).by(1 << 40, 3, 9))?;
    ask("an id below none", 0, Batch::of(1).by(-2, 0, 0))?;
    Ok(())
}

pub(super) fn init(side: &mut Side<'_>, version: i16) -> Result<()> {
    let mut ask = |label: &str, fields: Value| {
        let mut body = json!({"TransactionalId": null, "TransactionTimeoutMs": 60000});
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        side.ask(label, "InitProducerId", version, &body)
    };
    ask("a new id", json!({}))?;
    ask("another", json!({}))?;
    ask("a timeout of nothing", json!({"TransactionTimeoutMs": 0}))?;
    ask("an empty transactional id", json!({"TransactionalId": ""}))?;
    if version >= 3 {
        ask("an id and an epoch", json!({"ProducerId": 5, "ProducerEpoch": 3}))?;
        ask("an id without its epoch", json!({"ProducerId": 5}))?;
        ask("an epoch without its id", json!({"ProducerEpoch": 5}))?;
    }
    Ok(())
}

pub(super) fn describe(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let missing = side.name("missing");
    let (first, epoch) = side.producer()?;
    let (second, _) = side.producer()?;
    for batch in [
        Batch::of(2).by(first, epoch, 0),
        Batch::of(1).by(first, epoch, 2),
        Batch::of(1).by(second, 0, 7),
    ] {
        side.fill(&name, 0, &[batch.hex()])?;
    }
    let mut ask =
        |label: &str, topics: Value| side.ask(label, "DescribeProducers", version, &json!({"Topics": topics}));
    ask("two partitions", json!([{"Name": name, "PartitionIndexes": [0, 1]}]))?;
    ask("a missing partition", json!([{"Name": name, "PartitionIndexes": [9]}]))?;
    ask("a missing topic", json!([{"Name": missing, "PartitionIndexes": [0]}]))?;
    ask(
        "an illegal name",
        json!([{"Name": "no spaces allowed", "PartitionIndexes": [0]}]),
    )?;
    ask("none", json!([]))?;
    Ok(())
}
