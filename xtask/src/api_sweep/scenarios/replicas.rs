//! What a cluster has replicas and controllers for, asked of one node: ElectLeaders, AlterReplicaLogDirs,
//! AlterPartitionReassignments, ListPartitionReassignments, DescribeQuorum.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::api_sweep::side::Side;

/// The only node of every broker under comparison.
const NODE: i32 = 1;
/// Long enough that no answer comes for lack of time.
const TIMEOUT_MS: i32 = 30_000;
/// The longest name of a topic, and of a directory that Kafka would make for a replica on the move.
const NAME_CHARS_MAX: usize = 249;
/// How far a clock that says "now" may be from the sweep's.
const CLOCK_TOLERANCE_MS: u128 = 60_000;
/// The log of the cluster's metadata, as DescribeQuorum calls it.
const METADATA_LOG: &str = "__cluster_metadata";

pub(super) fn elect(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let other = side.topic("b", 1)?;
    let missing = side.name("missing");
    let types: &[i8] = if version == 0 { &[0] } else { &[0, 1] };
    for &kind in types {
        let mut ask = |label: &str, topics: Value| {
            let mut body = json!({"TopicPartitions": topics, "TimeoutMs": TIMEOUT_MS});
            if version >= 1 {
                body["ElectionType"] = Value::from(kind);
            }
            side.ask(&format!("type {kind}: {label}"), "ElectLeaders", version, &body)
        };
        ask(
            "three partitions",
            json!([{"Topic": name, "Partitions": [0, 1]}, {"Topic": other, "Partitions": [0]}]),
        )?;
        ask("a missing partition", json!([{"Topic": name, "Partitions": [0, 9]}]))?;
        ask("a negative partition", json!([{"Topic": name, "Partitions": [-1]}]))?;
        ask("a missing topic", json!([{"Topic": missing, "Partitions": [0]}]))?;
        ask(
            "an illegal name",
            json!([{"Topic": "no spaces allowed", "Partitions": [0]}]),
        )?;
        ask("a partition twice", json!([{"Topic": name, "Partitions": [1, 1]}]))?;
        ask(
            "a topic twice",
            json!([{"Topic": name, "Partitions": [0]}, {"Topic": name, "Partitions": [1]}]),
        )?;
        ask("a topic without partitions", json!([{"Topic": name, "Partitions": []}]))?;
        ask("none", json!([]))?;
    }
    if version >= 1 {
        for kind in [2, -1] {
            let body = json!({"ElectionType": kind, "TopicPartitions": [{"Topic": name, "Partitions": [0]}], "TimeoutMs": TIMEOUT_MS});
            side.ask(&format!("type {kind}"), "ElectLeaders", version, &body)?;
        }
    }
    let body = json!({"TopicPartitions": null, "TimeoutMs": TIMEOUT_MS});
    let mut answer = side.quiet("ElectLeaders", version, &body)?;
    keep_own(side, &mut answer["ReplicaElectionResults"], "Topic");
    side.note(
        "every partition, and what is told of these topics",
        "ElectLeaders",
        version,
        without_throttle(answer),
    );
    Ok(())
}

/// Leaves of a list that tells of everything the broker has what this block made.
pub(super) fn keep_own(side: &Side<'_>, list: &mut Value, key: &str) {
    let prefix = side.name("");
    if let Some(items) = list.as_array_mut() {
        items.retain(|item| item[key].as_str().is_some_and(|name| name.starts_with(&prefix)));
        items.sort_by_key(|item| item[key].to_string());
    }
}

pub(super) fn without_throttle(mut answer: Value) -> Value {
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("ThrottleTimeMs");
    }
    answer
}

/// The directory that the broker says its logs lie in.
fn log_dir(side: &mut Side<'_>) -> Result<String> {
    let answer = side.quiet("DescribeLogDirs", 1, &json!({"Topics": []}))?;
    let path = answer["Results"][0]["LogDir"].as_str().context("no log directory")?;
    Ok(path.to_owned())
}

pub(super) fn alter_log_dirs(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let other = side.topic("b", 1)?;
    let missing = side.name("missing");
    let here = log_dir(side)?;
    let dir = |path: &str, topics: Value| json!({"Path": path, "Topics": topics});
    let mut ask = |label: &str, dirs: Value| side.ask(label, "AlterReplicaLogDirs", version, &json!({"Dirs": dirs}));
    let some = json!([{"Name": name, "Partitions": [0, 1]}, {"Name": other, "Partitions": [0]}]);
    let first = json!([{"Name": name, "Partitions": [0]}]);
    ask("to where they are", json!([dir(&here, some.clone())]))?;
    ask("to nowhere", json!([dir("/no/such/directory", some)]))?;
    ask("to an empty path", json!([dir("", first.clone())]))?;
    ask("to a relative path", json!([dir("data", first.clone())]))?;
    ask("to a folder inside", json!([dir(&format!("{here}/x"), first.clone())]))?;
    ask("with a slash behind", json!([dir(&format!("{here}/"), first.clone())]))?;
    ask(
        "a missing partition",
        json!([dir(&here, json!([{"Name": name, "Partitions": [1, 9]}]))]),
    )?;
    ask(
        "a negative partition",
        json!([dir(&here, json!([{"Name": name, "Partitions": [-1]}]))]),
    )?;
    let absent = json!([{"Name": missing, "Partitions": [0]}]);
    ask("a missing topic", json!([dir(&here, absent.clone())]))?;
    ask("a missing topic to nowhere", json!([dir("/no/such/directory", absent)]))?;
    ask(
        "an illegal name",
        json!([dir(&here, json!([{"Name": "no spaces allowed", "Partitions": [0]}]))]),
    )?;
    ask(
        "a long name",
        json!([dir(
            &here,
            json!([{"Name": "x".repeat(NAME_CHARS_MAX), "Partitions": [0]}])
        )]),
    )?;
    ask(
        "here and nowhere",
        json!([dir(&here, first.clone()), dir("/no/such/directory", first.clone())]),
    )?;
    ask(
        "nowhere and here",
        json!([dir("/no/such/directory", first.clone()), dir(&here, first)]),
    )?;
    ask(
        "a partition twice",
        json!([dir(&here, json!([{"Name": name, "Partitions": [0, 0]}]))]),
    )?;
    ask(
        "a topic without partitions",
        json!([dir(&here, json!([{"Name": name, "Partitions": []}]))]),
    )?;
    ask("a directory without topics", json!([dir(&here, json!([]))]))?;
    ask("none", json!([]))?;
    Ok(())
}

pub(super) fn alter_reassignments(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let missing = side.name("missing");
    let flags: &[bool] = if version == 0 { &[true] } else { &[true, false] };
    for &may_change in flags {
        let mut ask = |label: &str, topics: Value| {
            let mut body = json!({"TimeoutMs": TIMEOUT_MS, "Topics": topics});
            if version >= 1 {
                body["AllowReplicationFactorChange"] = Value::from(may_change);
            }
            let label = if may_change {
                label.to_owned()
            } else {
                format!("{label}, as many replicas")
            };
            side.ask(&label, "AlterPartitionReassignments", version, &body)
        };
        let one = |topic: &str, index: i32, replicas: Value| json!({"Name": topic, "Partitions": [{"PartitionIndex": index, "Replicas": replicas}]});
        ask("to where it is", json!([one(&name, 0, json!([NODE]))]))?;
        ask("to another node", json!([one(&name, 0, json!([9]))]))?;
        ask("to two nodes", json!([one(&name, 0, json!([NODE, 9]))]))?;
        ask("to a negative node", json!([one(&name, 0, json!([-1]))]))?;
        ask("to one node twice", json!([one(&name, 0, json!([NODE, NODE]))]))?;
        ask("to no node", json!([one(&name, 0, json!([]))]))?;
        ask("cancelled", json!([one(&name, 0, Value::Null)]))?;
        ask("a missing partition", json!([one(&name, 9, json!([NODE]))]))?;
        ask("a missing partition to nowhere", json!([one(&name, 9, json!([9]))]))?;
        ask("a negative partition", json!([one(&name, -1, json!([NODE]))]))?;
        ask("cancelled, a missing partition", json!([one(&name, 9, Value::Null)]))?;
        ask("a missing topic", json!([one(&missing, 0, json!([NODE]))]))?;
        ask("cancelled, a missing topic", json!([one(&missing, 0, Value::Null)]))?;
        ask("an illegal name", json!([one("no spaces allowed", 0, json!([NODE]))]))?;
        let two = json!([{"PartitionIndex": 0, "Replicas": [NODE]}, {"PartitionIndex": 1, "Replicas": [9]}]);
        ask("one may and one may not", json!([{"Name": name, "Partitions": two}]))?;
        let twice = json!([{"PartitionIndex": 0, "Replicas": [NODE]}, {"PartitionIndex": 0, "Replicas": null}]);
        ask("a partition twice", json!([{"Name": name, "Partitions": twice}]))?;
        ask(
            "a topic twice",
            json!([one(&name, 0, json!([NODE])), one(&name, 1, json!([NODE]))]),
        )?;
        ask("a topic without partitions", json!([{"Name": name, "Partitions": []}]))?;
        ask("none", json!([]))?;
    }
    list_reassigned(
        side,
        0,
        "what goes on then",
        &json!([{"Name": name, "PartitionIndexes": [0, 1]}]),
    )
}

fn list_reassigned(side: &mut Side<'_>, version: i16, label: &str, topics: &Value) -> Result<()> {
    let body = json!({"TimeoutMs": TIMEOUT_MS, "Topics": topics});
    side.ask(label, "ListPartitionReassignments", version, &body)?;
    Ok(())
}

pub(super) fn list_reassignments(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 2)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topics: Value| list_reassigned(side, version, label, &topics);
    ask("two partitions", json!([{"Name": name, "PartitionIndexes": [0, 1]}]))?;
    ask(
        "a missing partition",
        json!([{"Name": name, "PartitionIndexes": [9, -1]}]),
    )?;
    ask("a missing topic", json!([{"Name": missing, "PartitionIndexes": [0]}]))?;
    ask(
        "an illegal name",
        json!([{"Name": "no spaces allowed", "PartitionIndexes": [0]}]),
    )?;
    ask(
        "a topic without partitions",
        json!([{"Name": name, "PartitionIndexes": []}]),
    )?;
    ask("none", json!([]))?;
    ask("everything", Value::Null)
}

pub(super) fn describe_quorum(side: &mut Side<'_>, version: i16) -> Result<()> {
    let quorum = json!({"Topics": [{"TopicName": METADATA_LOG, "Partitions": [{"PartitionIndex": 0}]}]});
    let before = side.quiet("DescribeQuorum", version, &quorum)?;
    let before_end = high_watermark(&before);
    side.note("the quorum", "DescribeQuorum", version, judge(before));
    side.topic("a", 1)?;
    let after = side.quiet("DescribeQuorum", version, &quorum)?;
    side.note(
        "a topic makes its log longer",
        "DescribeQuorum",
        version,
        high_watermark(&after) > before_end,
    );
    let mut ask = |label: &str, topics: Value| side.ask(label, "DescribeQuorum", version, &json!({"Topics": topics}));
    let part = |index: i32| json!({"PartitionIndex": index});
    ask(
        "another partition",
        json!([{"TopicName": METADATA_LOG, "Partitions": [part(1)]}]),
    )?;
    ask(
        "two partitions",
        json!([{"TopicName": METADATA_LOG, "Partitions": [part(0), part(1)]}]),
    )?;
    ask(
        "its partition twice",
        json!([{"TopicName": METADATA_LOG, "Partitions": [part(0), part(0)]}]),
    )?;
    ask("no partition", json!([{"TopicName": METADATA_LOG, "Partitions": []}]))?;
    ask(
        "another topic",
        json!([{"TopicName": "__consumer_offsets", "Partitions": [part(0)]}]),
    )?;
    ask(
        "two topics",
        json!([{"TopicName": METADATA_LOG, "Partitions": [part(0)]}, {"TopicName": "x", "Partitions": [part(0)]}]),
    )?;
    ask("none", json!([]))?;
    Ok(())
}

fn high_watermark(answer: &Value) -> i64 {
    answer["Topics"][0]["Partitions"][0]["HighWatermark"]
        .as_i64()
        .unwrap_or(-1)
}

/// The numbers of a broker's own log as what can be said of every broker's.
fn judge(mut answer: Value) -> Value {
    let committed = high_watermark(&answer);
    let partition = &mut answer["Topics"][0]["Partitions"][0];
    partition["HighWatermark"] = Value::from(if committed > 0 { "above 0" } else { "none" });
    let epoch = partition["LeaderEpoch"].as_i64().unwrap_or(-1);
    partition["LeaderEpoch"] = Value::from(if epoch >= 0 { "an epoch" } else { "none" });
    for voter in partition["CurrentVoters"].as_array_mut().into_iter().flatten() {
        let end = voter["LogEndOffset"].as_i64().unwrap_or(-1);
        voter["LogEndOffset"] = Value::from(if end >= committed {
            "the high watermark or above"
        } else {
            "below"
        });
        for time in ["LastFetchTimestamp", "LastCaughtUpTimestamp"] {
            if voter.get(time).is_some() {
                voter[time] = Value::from(if is_now(&voter[time]) { "now" } else { "another time" });
            }
        }
        if let Some(id) = voter.get("ReplicaDirectoryId").and_then(Value::as_str) {
            let known = id.chars().any(|digit| digit != '0');
            voter["ReplicaDirectoryId"] = Value::from(if known { "an id" } else { "none" });
        }
    }
    for node in answer
        .get_mut("Nodes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for listener in node["Listeners"].as_array_mut().into_iter().flatten() {
            listener["Host"] = Value::from("*");
            listener["Port"] = Value::from("*");
        }
    }
    answer
}

fn is_now(time: &Value) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    let time = time.as_u64().map_or(0, u128::from);
    now.abs_diff(time) < CLOCK_TOLERANCE_MS
}
