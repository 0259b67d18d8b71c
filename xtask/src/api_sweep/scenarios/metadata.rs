//! Metadata.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api_sweep::side::Side;

/// An id that no topic has.
pub(super) const NO_ID: &str = "ffffffffffff4fffbfffffffffffffff";

/// Keeps only the topics of this block in an answer that tells all.
fn own(side: &Side<'_>, answer: &Value) -> Vec<String> {
    let topics = answer["Topics"].as_array().into_iter().flatten();
    let mut names: Vec<String> = topics
        .filter_map(|topic| topic["Name"].as_str().map(ToOwned::to_owned))
        .filter(|name| name.starts_with(&side.name("")))
        .collect();
    names.sort();
    names
}

pub(super) fn by_name(side: &mut Side<'_>, version: i16) -> Result<()> {
    let one = side.topic("a", 3)?;
    let other = side.topic("b", 1)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, names: &[&str]| {
        let topics: Vec<Value> = names.iter().map(|name| json!({"Name": name})).collect();
        let body = json!({"Topics": topics, "AllowAutoTopicCreation": false});
        // Before version 4 asking creates; what is missing is asked there by another scenario.
        side.ask(label, "Metadata", version, &body)
    };
    ask("one", &[&one])?;
    ask("two", &[&other, &one])?;
    ask("the same twice", &[&one, &one])?;
    ask("an illegal name", &["no spaces allowed"])?;
    ask("an empty name", &[""])?;
    ask("dots", &[".."])?;
    ask("too long a name", &[&"x".repeat(250)])?;
    if version >= 4 {
        ask("a missing one", &[&missing, &one])?;
    }
    if version >= 1 {
        ask("none", &[])?;
    }
    if version >= 8 {
        let body = json!({"Topics": [{"Name": one}], "AllowAutoTopicCreation": false,
            "IncludeClusterAuthorizedOperations": version <= 10, "IncludeTopicAuthorizedOperations": true});
        side.ask("with authorised operations", "Metadata", version, &body)?;
    }
    Ok(())
}

pub(super) fn all(side: &mut Side<'_>, version: i16) -> Result<()> {
    side.topic("a", 1)?;
    side.topic("b", 2)?;
    let topics = if version == 0 { json!([]) } else { Value::Null };
    let answer = side.quiet(
        "Metadata",
        version,
        &json!({"Topics": topics, "AllowAutoTopicCreation": false}),
    )?;
    let own = own(side, &answer);
    side.note("the names of all topics", "Metadata", version, own);
    Ok(())
}

pub(super) fn by_id(side: &mut Side<'_>, version: i16) -> Result<()> {
    let topic = side.topic("a", 1)?;
    let id = side.topic_id(&topic)?;
    let mut ask = |label: &str, topics: Value| {
        let body = json!({"Topics": topics, "AllowAutoTopicCreation": false});
        side.ask(label, "Metadata", version, &body)
    };
    if version < 10 {
        return Ok(());
    }
    ask("by id", json!([{"TopicId": id, "Name": null}]))?;
    ask("by an unknown id", json!([{"TopicId": NO_ID, "Name": null}]))?;
    ask(
        "by known and unknown id",
        json!([{"TopicId": NO_ID, "Name": null}, {"TopicId": id, "Name": null}]),
    )?;
    ask("by id and name", json!([{"TopicId": id, "Name": topic}]))?;
    ask("by zero id without name", json!([{"Name": null}]))?;
    ask(
        "by name and by id",
        json!([{"TopicId": id, "Name": null}, {"Name": topic}]),
    )?;
    Ok(())
}

pub(super) fn creates(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.name("new");
    let body = json!({"Topics": [{"Name": name}], "AllowAutoTopicCreation": true});
    let answer = side.quiet("Metadata", version, &body)?;
    // The first answer may already know the topic or not; both are right.
    let first = answer["Topics"][0]["ErrorCode"].as_i64();
    side.note(
        "the first answer is an error that passes",
        "Metadata",
        version,
        matches!(first, Some(0 | 3 | 5)),
    );
    side.await_topic(&name, 4)?;
    side.ask("the second answer", "Metadata", version, &body)?;
    let illegal = json!({"Topics": [{"Name": "no spaces allowed"}], "AllowAutoTopicCreation": true});
    side.ask("an illegal name", "Metadata", version, &illegal)?;
    let dotted = json!({"Topics": [{"Name": name.replace('-', "_")}, {"Name": name.replace('-', ".")}], "AllowAutoTopicCreation": true});
    side.quiet("Metadata", version, &dotted)?;
    side.settle();
    side.ask("colliding names", "Metadata", version, &dotted)?;
    Ok(())
}
