//! What groups leave behind: OffsetCommit, OffsetFetch, OffsetDelete, DescribeGroups, ListGroups, DeleteGroups.

use anyhow::Result;
use serde_json::{Value, json};

use super::groups::{leave, stable};
use super::metadata::NO_ID;
use crate::api_sweep::side::Side;

/// The first version of OffsetCommit and OffsetFetch that names topics by id.
const BY_ID: i16 = 10;
/// The first version of OffsetFetch that asks for several groups.
const BATCHED: i16 = 8;

/// The offsets of partition 0 and 1 of one topic, as a request commits them.
fn commit_body(
    group: &str,
    generation: i64,
    member: &str,
    topic: &Value,
    partitions: &[(i32, i64, Option<&str>)],
) -> Value {
    let partitions: Vec<Value> = partitions
        .iter()
        .map(|(index, offset, metadata)| {
            json!({"PartitionIndex": index, "CommittedOffset": offset, "CommittedLeaderEpoch": 0, "CommittedMetadata": metadata})
        })
        .collect();
    let mut topic = topic.clone();
    topic["Partitions"] = Value::from(partitions);
    json!({"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member, "RetentionTimeMs": -1, "Topics": [topic]})
}

/// A topic as this version names it.
fn named(side: &mut Side<'_>, topic: &str, version: i16) -> Result<Value> {
    Ok(if version >= BY_ID {
        json!({"TopicId": side.topic_id(topic)?})
    } else {
        json!({"Name": topic})
    })
}

/// Puts all offsets of a group into the transcript.
fn offsets_then(side: &mut Side<'_>, group: &str) -> Result<()> {
    side.ask(
        "what is committed then",
        "OffsetFetch",
        5,
        &json!({"GroupId": group, "Topics": null}),
    )?;
    Ok(())
}

pub(super) fn commit(side: &mut Side<'_>, version: i16) -> Result<()> {
    let full = side.topic("t", 2)?;
    let topic = named(side, &full, version)?;
    let missing = if version >= BY_ID {
        json!({"TopicId": NO_ID})
    } else {
        json!({"Name": side.name("missing")})
    };
    let group = side.name("g");
    let mut ask = |label: &str,
                   group: &str,
                   generation: i64,
                   member: &str,
                   topic: &Value,
                   partitions: &[(i32, i64, Option<&str>)]| {
        side.ask(
            label,
            "OffsetCommit",
            version,
            &commit_body(group, generation, member, topic, partitions),
        )
    };
    ask("alone", &group, -1, "", &topic, &[(0, 5, Some("note")), (1, 7, None)])?;
    ask("backwards", &group, -1, "", &topic, &[(0, 3, Some(""))])?;
    ask(
        "a missing partition",
        &group,
        -1,
        "",
        &topic,
        &[(9, 1, None), (0, 4, None)],
    )?;
    ask("a missing topic", &group, -1, "", &missing, &[(0, 1, None)])?;
    ask("a negative offset", &group, -1, "", &topic, &[(1, -1, None)])?;
    ask(
        "a long note",
        &group,
        -1,
        "",
        &topic,
        &[(0, 9, Some(&"n".repeat(4096)))],
    )?;
    ask(
        "too long a note",
        &group,
        -1,
        "",
        &topic,
        &[(0, 10, Some(&"n".repeat(4097))), (1, 11, None)],
    )?;
    ask("no group", "", -1, "", &topic, &[(0, 1, None)])?;
    ask(
        "a member of an empty group",
        &group,
        -1,
        "nobody",
        &topic,
        &[(0, 1, None)],
    )?;
    ask(
        "a generation of an empty group",
        &group,
        4,
        "nobody",
        &topic,
        &[(0, 1, None)],
    )?;
    let none = json!({"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": []});
    side.ask("no topics", "OffsetCommit", version, &none)?;
    offsets_then(side, &group)?;
    let group = side.name("h");
    let (member, generation) = stable(side, &group, &["t"])?;
    let mut ask = |label: &str, generation: i64, member: &str| {
        side.ask(
            label,
            "OffsetCommit",
            version,
            &commit_body(&group, generation, member, &topic, &[(0, 5, None)]),
        )
    };
    ask("a member", generation, &member)?;
    ask("an older generation", generation - 1, &member)?;
    ask("a newer generation", generation + 1, &member)?;
    ask("an unknown member", generation, "nobody")?;
    ask("alone beside members", -1, "")?;
    offsets_then(side, &group)
}

pub(super) fn fetch(side: &mut Side<'_>, version: i16) -> Result<()> {
    let full = side.topic("t", 3)?;
    let by_name = json!({"Name": full});
    let topic = named(side, &full, version)?;
    let group = side.name("g");
    let other = side.name("h");
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&group, -1, "", &by_name, &[(0, 5, Some("note")), (1, 7, None)]),
    )?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&other, -1, "", &by_name, &[(2, 9, None)]),
    )?;
    let wanted = |topic: &Value, indexes: &[i32]| {
        let mut topic = topic.clone();
        topic["PartitionIndexes"] = json!(indexes);
        json!([topic])
    };
    let body = |groups: &[(&str, Value)], stable: bool| {
        if version >= BATCHED {
            let groups: Vec<Value> = groups
                .iter()
                .map(|(group, topics)| json!({"GroupId": group, "Topics": topics}))
                .collect();
            json!({"Groups": groups, "RequireStable": stable})
        } else {
            json!({"GroupId": groups[0].0, "Topics": groups[0].1, "RequireStable": stable})
        }
    };
    let unknown = side.name("unknown");
    let missing = if version >= BY_ID {
        json!({"TopicId": NO_ID})
    } else {
        json!({"Name": side.name("missing")})
    };
    let mut ask = |label: &str, groups: &[(&str, Value)], stable: bool| {
        side.ask(label, "OffsetFetch", version, &body(groups, stable))
    };
    ask("committed and not", &[(&group, wanted(&topic, &[0, 1, 2]))], false)?;
    ask("a missing partition", &[(&group, wanted(&topic, &[9]))], false)?;
    ask("a missing topic", &[(&group, wanted(&missing, &[0]))], false)?;
    ask("an unknown group", &[(&unknown, wanted(&topic, &[0]))], false)?;
    ask("no group", &[("", wanted(&topic, &[0]))], false)?;
    ask("no topics", &[(&group, json!([]))], false)?;
    if version >= 2 {
        ask("everything", &[(&group, Value::Null)], false)?;
        ask("everything of an unknown group", &[(&unknown, Value::Null)], false)?;
    }
    if version >= 7 {
        ask("stable ones", &[(&group, wanted(&topic, &[0]))], true)?;
    }
    if version >= BATCHED {
        ask(
            "two groups",
            &[(&group, wanted(&topic, &[0])), (&other, Value::Null)],
            false,
        )?;
        ask("no groups", &[], false)?;
        ask("a group twice", &[(&group, Value::Null), (&group, Value::Null)], false)?;
    }
    Ok(())
}

pub(super) fn delete_offsets(side: &mut Side<'_>, version: i16) -> Result<()> {
    let kept = side.topic("kept", 1)?;
    let full = side.topic("t", 2)?;
    let group = side.name("g");
    let missing = side.name("missing");
    let all = [(0, 5, None), (1, 7, None)];
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&group, -1, "", &json!({"Name": full}), &all),
    )?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&group, -1, "", &json!({"Name": kept}), &[(0, 1, None)]),
    )?;
    let mut ask = |label: &str, group: &str, topic: &str, partitions: &[i32]| {
        let partitions: Vec<Value> = partitions
            .iter()
            .map(|index| json!({"PartitionIndex": index}))
            .collect();
        let body = json!({"GroupId": group, "Topics": [{"Name": topic, "Partitions": partitions}]});
        side.ask(label, "OffsetDelete", version, &body)
    };
    ask("one", &group, &full, &[0])?;
    ask("again", &group, &full, &[0])?;
    ask("a missing partition", &group, &full, &[9, 1])?;
    ask("a missing topic", &group, &missing, &[0])?;
    ask("an unknown group", &missing, &full, &[0])?;
    ask("no group", "", &full, &[0])?;
    side.ask(
        "no topics",
        "OffsetDelete",
        version,
        &json!({"GroupId": group, "Topics": []}),
    )?;
    offsets_then(side, &group)?;
    let busy = side.name("busy");
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&busy, -1, "", &json!({"Name": full}), &all),
    )?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&busy, -1, "", &json!({"Name": kept}), &[(0, 1, None)]),
    )?;
    stable(side, &busy, &[&full])?;
    let body = json!({"GroupId": busy, "Topics": [
        {"Name": full, "Partitions": [{"PartitionIndex": 0}]}, {"Name": kept, "Partitions": [{"PartitionIndex": 0}]}]});
    side.ask("a subscribed topic and another", "OffsetDelete", version, &body)?;
    offsets_then(side, &busy)
}

pub(super) fn describe(side: &mut Side<'_>, version: i16) -> Result<()> {
    let full = side.topic("t", 1)?;
    let (group, empty, only) = (side.name("g"), side.name("empty"), side.name("offsets"));
    let unknown = side.name("unknown");
    stable(side, &group, &["t"])?;
    let (member, _) = stable(side, &empty, &["t"])?;
    leave(side, &empty, &member)?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&only, -1, "", &json!({"Name": full}), &[(0, 5, None)]),
    )?;
    let mut ask = |label: &str, groups: &[&str], operations: bool| {
        let body = json!({"Groups": groups, "IncludeAuthorizedOperations": operations && version >= 3});
        side.ask(label, "DescribeGroups", version, &body)
    };
    ask("one with a member", &[&group], false)?;
    ask("with authorised operations", &[&group], true)?;
    ask("one that lost its member", &[&empty], false)?;
    ask("one of offsets only", &[&only], false)?;
    ask("an unknown one", &[&unknown], false)?;
    ask("several", &[&group, &unknown, &empty], false)?;
    ask("the same twice", &[&group, &group], false)?;
    ask("no name", &[""], false)?;
    ask("none", &[], false)?;
    Ok(())
}

pub(super) fn list(side: &mut Side<'_>, version: i16) -> Result<()> {
    let full = side.topic("t", 1)?;
    let (group, empty, only) = (side.name("g"), side.name("empty"), side.name("offsets"));
    stable(side, &group, &["t"])?;
    let (member, _) = stable(side, &empty, &["t"])?;
    leave(side, &empty, &member)?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&only, -1, "", &json!({"Name": full}), &[(0, 5, None)]),
    )?;
    let prefix = side.name("");
    let mut ask = |label: &str, states: &[&str], types: &[&str]| -> Result<()> {
        let mut body = json!({});
        if version >= 4 {
            body["StatesFilter"] = json!(states);
        }
        if version >= 5 {
            body["TypesFilter"] = json!(types);
        }
        let mut answer = side.quiet("ListGroups", version, &body)?;
        let own = |group: &Value| group["GroupId"].as_str().is_some_and(|name| name.starts_with(&prefix));
        if let Some(groups) = answer["Groups"].as_array_mut() {
            groups.retain(own);
            groups.sort_by_key(|group| group["GroupId"].to_string());
        }
        let seen = json!({"ErrorCode": answer["ErrorCode"], "Groups": answer["Groups"]});
        side.note(label, "ListGroups", version, seen);
        Ok(())
    };
    ask("all", &[], &[])?;
    if version >= 4 {
        ask("stable ones", &["Stable"], &[])?;
        ask("empty ones, in lower case", &["empty"], &[])?;
        ask("of two states", &["Stable", "Empty"], &[])?;
        ask("of an unknown state", &["Confused"], &[])?;
    }
    if version >= 5 {
        ask("classic ones", &[], &["classic"])?;
        ask("classic ones in capitals", &[], &["CLASSIC"])?;
        ask("consumer ones", &[], &["consumer"])?;
        ask("of an unknown type", &[], &["confused"])?;
    }
    Ok(())
}

pub(super) fn delete(side: &mut Side<'_>, version: i16) -> Result<()> {
    let full = side.topic("t", 1)?;
    let (group, empty, only) = (side.name("g"), side.name("empty"), side.name("offsets"));
    let unknown = side.name("unknown");
    stable(side, &group, &["t"])?;
    let (member, _) = stable(side, &empty, &["t"])?;
    leave(side, &empty, &member)?;
    side.quiet(
        "OffsetCommit",
        6,
        &commit_body(&only, -1, "", &json!({"Name": full}), &[(0, 5, None)]),
    )?;
    let mut ask =
        |label: &str, groups: &[&str]| side.ask(label, "DeleteGroups", version, &json!({"GroupsNames": groups}));
    ask("one with a member", &[&group])?;
    ask("an unknown one", &[&unknown])?;
    ask("no name", &[""])?;
    ask("good and bad together", &[&group, &empty, &unknown])?;
    ask("one of offsets only", &[&only])?;
    ask("again", &[&only])?;
    ask("the same twice", &[&unknown, &unknown])?;
    ask("none", &[])?;
    side.ask(
        "what there is then",
        "DescribeGroups",
        3,
        &json!({"Groups": [group, empty, only]}),
    )?;
    offsets_then(side, &only)
}
