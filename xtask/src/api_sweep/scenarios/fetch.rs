//! Fetch without sessions.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::metadata::NO_ID;
use super::produce::to;
use crate::api_sweep::records::Batch;
use crate::api_sweep::side::{MAIN, Side};

/// The first version that names topics by id.
pub(super) const BY_ID: i16 = 13;
/// The version that scenarios about other APIs read with.
const PLAIN_VERSION: i16 = 11;
/// How long a waiting fetch waits.
const WAIT: Duration = Duration::from_millis(600);

/// A topic of a request with partitions, each with where to begin.
pub(super) fn topic(name: &Value, partitions: &[(i32, i64)]) -> Value {
    let partitions: Vec<Value> = partitions
        .iter()
        .map(|(partition, offset)| {
            json!({"Partition": partition, "FetchOffset": offset, "LogStartOffset": -1, "PartitionMaxBytes": 1 << 20})
        })
        .collect();
    let mut topic = name.clone();
    topic["Partitions"] = Value::from(partitions);
    topic
}

/// A request without a session that does not wait.
pub(super) fn body(topics: &[Value]) -> Value {
    json!({"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 1, "MaxBytes": 10 << 20, "IsolationLevel": 0,
        "SessionId": 0, "SessionEpoch": -1, "Topics": topics, "ForgottenTopicsData": []})
}

/// A topic as this version names it.
pub(super) fn named(side: &mut Side<'_>, topic: &str, version: i16) -> Result<Value> {
    Ok(if version >= BY_ID {
        json!({"TopicId": side.topic_id(topic)?})
    } else {
        json!({"Topic": topic})
    })
}

/// Puts everything in a partition into the transcript.
pub(super) fn read_all(side: &mut Side<'_>, name: &str, partition: i32) -> Result<()> {
    let request = body(&[topic(&json!({"Topic": name}), &[(partition, 0)])]);
    side.ask("all there is then", "Fetch", PLAIN_VERSION, &request)?;
    Ok(())
}

/// Three batches: offsets 0 to 2, 3, and 4 to 5.
fn filled(side: &mut Side<'_>, name: &str, partitions: i32) -> Result<String> {
    let full = side.topic(name, partitions)?;
    for partition in 0..partitions {
        side.fill(&full, partition, &[3, 1, 2].map(|count| Batch::of(count).hex()))?;
    }
    Ok(full)
}

pub(super) fn plain(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = filled(side, "a", 2)?;
    let empty = side.topic("empty", 1)?;
    let a = named(side, &name, version)?;
    let none = named(side, &empty, version)?;
    let mut ask = |label: &str, topics: &[Value]| side.ask(label, "Fetch", version, &body(topics));
    ask("from the start", &[topic(&a, &[(0, 0)])])?;
    ask("inside a batch", &[topic(&a, &[(0, 1)])])?;
    ask("the last record", &[topic(&a, &[(0, 5)])])?;
    ask("the end", &[topic(&a, &[(0, 6)])])?;
    ask("two partitions", &[topic(&a, &[(1, 3), (0, 0)])])?;
    ask("an empty topic", &[topic(&none, &[(0, 0)])])?;
    ask("two topics", &[topic(&none, &[(0, 0)]), topic(&a, &[(0, 4)])])?;
    ask("no topics", &[])?;
    let mut committed = body(&[topic(&a, &[(0, 0)])]);
    committed["IsolationLevel"] = json!(1);
    side.ask("read committed", "Fetch", version, &committed)?;
    let trimmed =
        json!({"Topics": [{"Name": name, "Partitions": [{"PartitionIndex": 1, "Offset": 3}]}], "TimeoutMs": 5000});
    side.quiet("DeleteRecords", 1, &trimmed)?;
    let mut ask = |label: &str, topics: &[Value]| side.ask(label, "Fetch", version, &body(topics));
    ask("below a moved log start", &[topic(&a, &[(1, 2)])])?;
    ask("at a moved log start", &[topic(&a, &[(1, 3)])])?;
    Ok(())
}

pub(super) fn refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = filled(side, "a", 1)?;
    let a = named(side, &name, version)?;
    let missing = if version >= BY_ID {
        json!({"TopicId": NO_ID})
    } else {
        json!({"Topic": side.name("missing")})
    };
    let zero = if version >= BY_ID {
        json!({})
    } else {
        json!({"Topic": ""})
    };
    let mut ask = |label: &str, topics: &[Value]| side.ask(label, "Fetch", version, &body(topics));
    ask("above the end", &[topic(&a, &[(0, 7)])])?;
    ask("below 0", &[topic(&a, &[(0, -1)])])?;
    ask("far below 0", &[topic(&a, &[(0, i64::MIN)])])?;
    ask("far above the end", &[topic(&a, &[(0, i64::MAX)])])?;
    ask("a missing partition", &[topic(&a, &[(9, 0)])])?;
    ask("a negative partition", &[topic(&a, &[(-1, 0)])])?;
    ask("a missing topic", &[topic(&missing, &[(0, 0)])])?;
    ask("a topic without a name", &[topic(&zero, &[(0, 0)])])?;
    ask(
        "missing and good",
        &[topic(&missing, &[(0, 0)]), topic(&a, &[(0, 5), (9, 0)])],
    )?;
    ask("a partition twice", &[topic(&a, &[(0, 0), (0, 5)])])?;
    let mut isolated = body(&[topic(&a, &[(0, 0)])]);
    isolated["IsolationLevel"] = json!(7);
    side.ask("an unknown isolation level", "Fetch", version, &isolated)?;
    Ok(())
}

pub(super) fn limits(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 3)?;
    for partition in 0..3 {
        side.fill(&name, partition, &[Batch::sized(400).hex(), Batch::sized(400).hex()])?;
    }
    let a = named(side, &name, version)?;
    let mut ask = |label: &str, all: i64, each: i64, partitions: &[(i32, i64)]| {
        let mut request = body(&[topic(&a, partitions)]);
        request["MaxBytes"] = json!(all);
        for partition in request["Topics"][0]["Partitions"].as_array_mut().into_iter().flatten() {
            partition["PartitionMaxBytes"] = json!(each);
        }
        side.ask(label, "Fetch", version, &request)
    };
    let three = [(0, 0), (1, 0), (2, 0)];
    ask("one byte in all", 1, 1 << 20, &three)?;
    ask("no byte in all", 0, 1 << 20, &three)?;
    ask("one byte each", 1 << 20, 1, &three)?;
    ask("no byte each", 1 << 20, 0, &three)?;
    ask("one batch in all", 480, 1 << 20, &three)?;
    ask("one batch each", 1 << 20, 480, &three)?;
    ask("three batches in all", 1500, 1 << 20, &three)?;
    ask("the last partition first", 480, 1 << 20, &[(2, 0), (1, 0), (0, 0)])?;
    ask("an empty read, then too large a batch", 1, 1 << 20, &[(0, 2), (1, 0)])?;
    ask("an error, then too large a batch", 1, 1 << 20, &[(0, 9), (1, 0)])?;
    ask("negative in all", -1, 1 << 20, &three)?;
    ask("negative each", 1 << 20, -1, &three)?;
    Ok(())
}

pub(super) fn epochs(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = filled(side, "a", 1)?;
    let a = named(side, &name, version)?;
    let mut ask = |label: &str, current: i32, last: i32, offset: i64| {
        let mut request = body(&[topic(&a, &[(0, offset)])]);
        request["Topics"][0]["Partitions"][0]["CurrentLeaderEpoch"] = json!(current);
        request["Topics"][0]["Partitions"][0]["LastFetchedEpoch"] = json!(last);
        side.ask(label, "Fetch", version, &request)
    };
    ask("none", -1, -1, 5)?;
    if version >= 9 {
        ask("the current one", 0, -1, 5)?;
        ask("a newer one", 1, -1, 5)?;
        ask("far newer", i32::MAX, -1, 5)?;
        ask("below none", -2, -1, 5)?;
        ask("a newer one, out of range", 1, -1, 99)?;
    }
    if version >= 12 {
        ask("last fetched in this one", 0, 0, 5)?;
        ask("last fetched in a newer one", 0, 1, 5)?;
        ask("last fetched here, above the end", -1, 0, 9)?;
        ask("last fetched in none", 0, -2, 5)?;
    }
    Ok(())
}

/// Whether a fetch came back at once, after a while, or at the end of its wait.
fn pace(took: Duration) -> &'static str {
    if took < WAIT / 3 {
        "at once"
    } else if took < WAIT {
        "in between"
    } else {
        "at the end of its wait"
    }
}

pub(super) fn waits(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = filled(side, "a", 2)?;
    let a = named(side, &name, version)?;
    let request = |min_bytes: i32, partitions: &[(i32, i64)]| {
        let mut request = body(&[topic(&a, partitions)]);
        request["MaxWaitMs"] = json!(u32::try_from(WAIT.as_millis()).unwrap_or(0));
        request["MinBytes"] = json!(min_bytes);
        request
    };
    for (label, min_bytes, partitions) in [
        ("nothing there", 1, &[(0, 6)][..]),
        ("enough there", 1, &[(0, 0)][..]),
        ("not enough there", 1 << 20, &[(0, 0)][..]),
        ("nothing wanted", 0, &[(0, 6)][..]),
        ("an error beside nothing", 1 << 20, &[(0, 6), (1, 99)][..]),
        ("a missing partition", 1 << 20, &[(0, 6), (9, 0)][..]),
        ("no partitions", 1, &[][..]),
    ] {
        let began = Instant::now();
        side.ask(label, "Fetch", version, &request(min_bytes, partitions))?;
        side.note(&format!("{label}: came"), "Fetch", version, pace(began.elapsed()));
    }
    let began = Instant::now();
    side.post(MAIN, "Fetch", version, &request(1, &[(0, 6)]))?;
    std::thread::sleep(WAIT / 2);
    side.ask_on(
        "other",
        "a record meanwhile",
        "Produce",
        9,
        &to(&json!({"Name": name}), 0, &Batch::of(1).hex(), -1),
    )?;
    side.take(MAIN, "woken by a record")?;
    side.note("woken by a record: came", "Fetch", version, pace(began.elapsed()));
    Ok(())
}
