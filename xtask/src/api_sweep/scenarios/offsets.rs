//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api_sweep::records::{Batch, FIRST_TIMESTAMP};
use crate::api_sweep::side::Side;

pub(super) fn list(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let at = |first_timestamp: i64, count: usize| {
        Batch {
            first_timestamp,
            step_ms: 10,
            ..Batch::of(count)
        }
        .hex()
    };
    // Offsets 0 to 4 at 0..40, 5 at 1000, 6 to 8 at 500..520: times need not rise.
    side.fill(
        &name,
        0,
        &[
            at(FIRST_TIMESTAMP, 5),
            at(FIRST_TIMESTAMP + 1000, 1),
            at(FIRST_TIMESTAMP + 500, 3),
        ],
    )?;
    let missing = side.name("missing");
    let body = |name: &str, partitions: &[(i32, i64)], isolation: i8| {
        let partitions: Vec<Value> = partitions
            .iter()
            .map(|(index, timestamp)| json!({"PartitionIndex": index, "Timestamp": timestamp, "MaxNumOffsets": 1}))
            .collect();
        json!({"ReplicaId": -1, "IsolationLevel": isolation, "Topics": [{"Name": name, "Partitions": partitions}], "TimeoutMs": 5000})
    };
    let mut ask = |label: &str, name: &str, partition: i32, timestamp: i64| {
        side.ask(label, "ListOffsets", version, &body(name, &[(partition, timestamp)], 0))
    };
    for special in (-9..=-1).rev() {
        ask(&format!("timestamp {special}"), &name, 0, special)?;
        ask(&format!("timestamp {special}, no records"), &name, 1, special)?;
    }
    for after in [-5, 0, 1, 10, 35, 40, 41, 500, 505, 520, 521, 999, 1000, 1001] {
        ask(&format!("by time +{after}"), &name, 0, FIRST_TIMESTAMP + after)?;
    }
    ask("the epoch's start", &name, 0, 0)?;
    ask("the end of time", &name, 0, i64::MAX)?;
    ask("by time, no records", &name, 1, FIRST_TIMESTAMP)?;
    ask("a missing partition", &name, 9, -1)?;
    ask("a negative partition", &name, -1, -1)?;
    ask("a missing topic", &missing, 0, -1)?;
    ask("an illegal name", "no spaces allowed", 0, -1)?;
    side.ask(
        "two partitions",
        "ListOffsets",
        version,
        &body(&name, &[(0, -1), (1, -2)], 0),
    )?;
    side.ask(
        "a partition twice",
        "ListOffsets",
        version,
        &body(&name, &[(0, -1), (0, -2)], 0),
    )?;
    side.ask("read committed", "ListOffsets", version, &body(&name, &[(0, -1)], 1))?;
    side.ask("no partitions", "ListOffsets", version, &body(&name, &[], 0))?;
    side.ask(
        "no topics",
        "ListOffsets",
        version,
        &json!({"ReplicaId": -1, "Topics": []}),
    )?;
    Ok(())
}

pub(super) fn list_refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 1)?;
    side.fill(&name, 0, &[Batch::of(3).hex()])?;
    let body = |epoch: i32, timestamp: i64, replica: i32| {
        json!({"ReplicaId": replica, "Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": 0, "CurrentLeaderEpoch": epoch, "Timestamp": timestamp, "MaxNumOffsets": 1}]}]})
    };
    side.ask("a replica that is none", "ListOffsets", version, &body(-1, -1, 5))?;
    side.ask("a debugging consumer", "ListOffsets", version, &body(-1, -1, -2))?;
    if version >= 4 {
        side.ask("the current epoch", "ListOffsets", version, &body(0, -1, -1))?;
        side.ask("a newer epoch", "ListOffsets", version, &body(1, -1, -1))?;
        side.ask("an epoch below none", "ListOffsets", version, &body(-2, -1, -1))?;
    }
    let trimmed =
        json!({"Topics": [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": 5000});
    side.quiet("DeleteRecords", 1, &trimmed)?;
    side.ask(
        "earliest after DeleteRecords",
        "ListOffsets",
        version,
        &body(-1, -2, -1),
    )?;
    side.ask(
        "by time below the log start",
        "ListOffsets",
        version,
        &body(-1, FIRST_TIMESTAMP, -1),
    )?;
    Ok(())
}

pub(super) fn for_leader_epoch(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    side.fill(&name, 0, &[Batch::of(3).hex()])?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topic: &str, partition: i32, current: i32, epoch: i32| {
        let partitions = json!([{"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]);
        let body = json!({"ReplicaId": -1, "Topics": [{"Topic": topic, "Partitions": partitions}]});
        side.ask(label, "OffsetForLeaderEpoch", version, &body)
    };
    ask("the first epoch", &name, 0, -1, 0)?;
    ask("an epoch to come", &name, 0, -1, 1)?;
    ask("far to come", &name, 0, -1, i32::MAX)?;
    ask("no epoch", &name, 0, -1, -1)?;
    ask("below none", &name, 0, -1, -2)?;
    ask("no records", &name, 1, -1, 0)?;
    ask("no records, an epoch to come", &name, 1, -1, 7)?;
    ask("a missing partition", &name, 9, -1, 0)?;
    ask("a missing topic", &missing, 0, -1, 0)?;
    ask("current", &name, 0, 0, 0)?;
    ask("fenced by a newer one", &name, 0, 1, 0)?;
    let none = json!({"ReplicaId": -1, "Topics": []});
    side.ask("no topics", "OffsetForLeaderEpoch", version, &none)?;
    Ok(())
}

pub(super) fn delete_records(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    side.fill(&name, 0, &[3, 1, 2].map(|count| Batch::of(count).hex()))?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topic: &str, partition: i32, offset: i64| {
        let partitions = json!([{"PartitionIndex": partition, "Offset": offset}]);
        let body = json!({"Topics": [{"Name": topic, "Partitions": partitions}], "TimeoutMs": 5000});
        side.ask(label, "DeleteRecords", version, &body)
    };
    ask("nothing", &name, 0, 0)?;
    ask("inside a batch", &name, 0, 1)?;
    ask("less than before", &name, 0, 0)?;
    ask("above the end", &name, 0, 7)?;
    ask("below -1", &name, 0, -2)?;
    ask("everything", &name, 0, -1)?;
    ask("everything again", &name, 0, 6)?;
    ask("everything of nothing", &name, 1, -1)?;
    ask("a missing partition", &name, 9, 0)?;
    ask("a missing topic", &missing, 0, 0)?;
    ask("an illegal name", "no spaces allowed", 0, 0)?;
    let offsets = |timestamp: i64| json!({"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": timestamp}]}]});
    side.ask("the start then", "ListOffsets", 4, &offsets(-2))?;
    side.ask("the end then", "ListOffsets", 4, &offsets(-1))?;
    side.ask(
        "none",
        "DeleteRecords",
        version,
        &json!({"Topics": [], "TimeoutMs": 5000}),
    )?;
    side.fill(&name, 0, &[Batch::of(1).hex()])?;
    super::fetch::read_all(side, &name, 0)?;
    Ok(())
}
