//! Fetch sessions (KIP-227).

use anyhow::Result;
use serde_json::{Value, json};

use super::fetch::{BY_ID, body, named, topic};
use crate::api_sweep::records::Batch;
use crate::api_sweep::side::Side;

/// The first version with sessions.
const SESSIONS: i16 = 7;

fn with(topics: &[Value], id: &Value, epoch: i32, forgotten: &Value) -> Value {
    let mut request = body(topics);
    request["SessionId"] = id.clone();
    request["SessionEpoch"] = json!(epoch);
    request["ForgottenTopicsData"] = forgotten.clone();
    request
}

fn forget(name: &Value, partitions: &[i32]) -> Value {
    let mut topic = name.clone();
    topic["Partitions"] = json!(partitions);
    json!([topic])
}

pub(super) fn life(side: &mut Side<'_>, version: i16) -> Result<()> {
    if version < SESSIONS {
        return Ok(());
    }
    let full = side.topic("a", 3)?;
    for partition in 0..2 {
        side.fill(&full, partition, &[Batch::of(2).hex()])?;
    }
    let a = named(side, &full, version)?;
    let none = json!([]);
    let opened = side.ask(
        "opened",
        "Fetch",
        version,
        &with(&[topic(&a, &[(0, 0), (1, 2), (2, 0)])], &json!(0), 0, &none),
    )?;
    let id = opened["SessionId"].clone();
    let ask = |side: &mut Side<'_>, label: &str, epoch: i32, topics: &[Value], forgotten: &Value| {
        side.ask(label, "Fetch", version, &with(topics, &id, epoch, forgotten))
    };
    ask(side, "the same position again", 1, &[], &none)?;
    ask(side, "read on, nothing new", 2, &[topic(&a, &[(0, 2)])], &none)?;
    ask(side, "nothing new", 3, &[], &none)?;
    side.fill(&full, 1, &[Batch::of(1).hex()])?;
    ask(side, "a new record", 4, &[], &none)?;
    ask(side, "the new record again", 5, &[], &none)?;
    ask(side, "one partition forgotten", 6, &[], &forget(&a, &[1]))?;
    side.fill(&full, 1, &[Batch::of(1).hex()])?;
    ask(side, "news of a forgotten one", 7, &[], &none)?;
    ask(side, "it is back", 8, &[topic(&a, &[(1, 2)])], &none)?;
    let trimmed =
        json!({"Topics": [{"Name": full, "Partitions": [{"PartitionIndex": 0, "Offset": 2}]}], "TimeoutMs": 5000});
    side.quiet("DeleteRecords", 1, &trimmed)?;
    ask(side, "a moved log start", 9, &[topic(&a, &[(1, 4)])], &none)?;
    ask(side, "nothing new again", 10, &[], &none)?;
    ask(side, "out of range", 11, &[topic(&a, &[(0, 77)])], &none)?;
    ask(side, "still out of range", 12, &[], &none)?;
    ask(
        side,
        "a missing partition added",
        13,
        &[topic(&a, &[(0, 2), (9, 0)])],
        &none,
    )?;
    ask(side, "and it stays missing", 14, &[], &none)?;
    ask(side, "all forgotten", 15, &[], &forget(&a, &[0, 1, 2, 9]))?;
    ask(side, "an empty session", 16, &[], &none)?;
    ask(side, "closed", -1, &[], &none)?;
    ask(side, "after the close", 17, &[], &none)?;
    Ok(())
}

pub(super) fn refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    if version < SESSIONS {
        return Ok(());
    }
    let full = side.topic("a", 1)?;
    side.fill(&full, 0, &[Batch::of(2).hex()])?;
    let a = named(side, &full, version)?;
    let none = json!([]);
    let all = [topic(&a, &[(0, 0)])];
    let opened = side.ask("opened", "Fetch", version, &with(&all, &json!(0), 0, &none))?;
    let id = opened["SessionId"].clone();
    side.ask("an epoch too high", "Fetch", version, &with(&[], &id, 2, &none))?;
    side.ask("an epoch below all", "Fetch", version, &with(&[], &id, -2, &none))?;
    side.ask("the right epoch still", "Fetch", version, &with(&[], &id, 1, &none))?;
    side.ask("the same epoch again", "Fetch", version, &with(&[], &id, 1, &none))?;
    side.ask(
        "an unknown session",
        "Fetch",
        version,
        &with(&[], &json!(1_234_567), 1, &none),
    )?;
    side.ask(
        "an unknown session closed",
        "Fetch",
        version,
        &with(&all, &json!(1_234_567), -1, &none),
    )?;
    side.ask(
        "an unknown session opened anew",
        "Fetch",
        version,
        &with(&all, &json!(1_234_567), 0, &none),
    )?;
    side.ask("opened anew", "Fetch", version, &with(&all, &id, 0, &none))?;
    side.ask("the old one", "Fetch", version, &with(&[], &id, 2, &none))?;
    side.ask(
        "session 0 and an epoch",
        "Fetch",
        version,
        &with(&all, &json!(0), 3, &none),
    )?;
    side.ask("opened with nothing", "Fetch", version, &with(&[], &json!(0), 0, &none))?;
    side.ask(
        "nothing and no session",
        "Fetch",
        version,
        &with(&[], &json!(0), -1, &none),
    )?;
    if version >= BY_ID {
        let opened = side.ask("opened by id", "Fetch", version, &with(&all, &json!(0), 0, &none))?;
        let named = [topic(&json!({"Topic": full}), &[(0, 0)])];
        let by_name = with(&named, &opened["SessionId"], 1, &none);
        side.ask("gone on by name", "Fetch", BY_ID - 1, &by_name)?;
    } else {
        let opened = side.ask("opened by name", "Fetch", version, &with(&all, &json!(0), 0, &none))?;
        let id = side.topic_id(&full)?;
        let by_id = with(
            &[topic(&json!({"TopicId": id}), &[(0, 0)])],
            &opened["SessionId"],
            1,
            &none,
        );
        side.ask("gone on by id", "Fetch", BY_ID, &by_id)?;
    }
    Ok(())
}

pub(super) fn recreated(side: &mut Side<'_>, version: i16) -> Result<()> {
    if version < SESSIONS {
        return Ok(());
    }
    let full = side.topic("a", 1)?;
    side.fill(&full, 0, &[Batch::of(2).hex()])?;
    let a = named(side, &full, version)?;
    let none = json!([]);
    let opened = side.ask(
        "opened",
        "Fetch",
        version,
        &with(&[topic(&a, &[(0, 2)])], &json!(0), 0, &none),
    )?;
    let id = opened["SessionId"].clone();
    side.quiet("DeleteTopics", 5, &json!({"TopicNames": [full], "TimeoutMs": 5000}))?;
    side.settle();
    side.ask("the topic is gone", "Fetch", version, &with(&[], &id, 1, &none))?;
    side.topic("a", 1)?;
    side.settle();
    side.ask("it is another one", "Fetch", version, &with(&[], &id, 2, &none))?;
    let again = named(side, &full, version)?;
    side.ask(
        "the new one joins",
        "Fetch",
        version,
        &with(&[topic(&again, &[(0, 0)])], &id, 3, &forget(&a, &[0])),
    )?;
    side.ask(
        "the old one without a session",
        "Fetch",
        version,
        &body(&[topic(&a, &[(0, 0)])]),
    )?;
    Ok(())
}
