//! Classic consumer groups: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api_sweep::codec::hex;
use crate::api_sweep::side::{MAIN, Side};

/// The versions that scenarios about other APIs use.
pub(super) const JOIN: i16 = 5;
pub(super) const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const LEAVE: i16 = 3;
/// The first version that names a member before it takes it.
const NAMES_FIRST: i16 = 4;
/// The first version with static members.
const STATIC: i16 = 5;
/// A session that does not end during a scenario.
const SESSION_MS: i32 = 30_000;

/// What a consumer tells its leader: the topics it wants.
pub(super) fn subscription(topics: &[&str]) -> String {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).unwrap_or(0).to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    hex(&bytes)
}

/// A request to join; fields of `over` replace those of a plain consumer.
pub(super) fn join_body(group: &str, member: &str, over: &Value) -> Value {
    let mut body = json!({"GroupId": group, "SessionTimeoutMs": SESSION_MS, "RebalanceTimeoutMs": SESSION_MS,
        "MemberId": member, "ProtocolType": "consumer",
        "Protocols": [{"Name": "range", "Metadata": subscription(&["t"])}]});
    for (name, value) in over.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

pub(super) fn sync_body(group: &str, generation: i64, member: &str, assignments: &[(&str, &str)]) -> Value {
    let assignments: Vec<Value> = assignments
        .iter()
        .map(|(member, assignment)| json!({"MemberId": member, "Assignment": assignment}))
        .collect();
    json!({"GroupId": group, "GenerationId": generation, "MemberId": member, "ProtocolType": "consumer",
        "ProtocolName": "range", "Assignments": assignments})
}

fn heartbeat_body(group: &str, generation: i64, member: &str) -> Value {
    json!({"GroupId": group, "GenerationId": generation, "MemberId": member})
}

fn member_of(answer: &Value) -> String {
    answer["MemberId"].as_str().unwrap_or_default().to_owned()
}

/// Makes a group of one member that has its assignment. Gives the member and the generation.
pub(super) fn stable(side: &mut Side<'_>, group: &str, topics: &[&str]) -> Result<(String, i64)> {
    let over = json!({"Protocols": [{"Name": "range", "Metadata": subscription(topics)}]});
    let named = side.quiet("JoinGroup", JOIN, &join_body(group, "", &over))?;
    let member = member_of(&named);
    let joined = side.quiet("JoinGroup", JOIN, &join_body(group, &member, &over))?;
    let generation = joined["GenerationId"].as_i64().unwrap_or(-1);
    side.quiet(
        "SyncGroup",
        SYNC,
        &sync_body(group, generation, &member, &[(&member, "abcd")]),
    )?;
    Ok((member, generation))
}

/// Has the only member leave.
pub(super) fn leave(side: &mut Side<'_>, group: &str, member: &str) -> Result<()> {
    side.quiet(
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": [{"MemberId": member}]}),
    )?;
    Ok(())
}

pub(super) fn find(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let other = side.name("h");
    let mut ask = |label: &str, keys: &[&str], kind: i8| {
        let body = if version >= 4 {
            json!({"KeyType": kind, "CoordinatorKeys": keys})
        } else {
            json!({"KeyType": kind, "Key": keys.first().unwrap_or(&"")})
        };
        side.ask(label, "FindCoordinator", version, &body)
    };
    ask("of a group", &[&group], 0)?;
    ask("of a group without a name", &[""], 0)?;
    if version >= 1 {
        ask("of an unknown kind", &[&group], 9)?;
        ask("of a negative kind", &[&group], -1)?;
        if version < 6 {
            // From version 6 on the answer depends on whether the topic of share groups is there yet.
            ask("of a share group's partition", &[&group], 2)?;
        }
    }
    if version >= 4 {
        ask("of two groups", &[&group, &other], 0)?;
        ask("of one group twice", &[&group, &group], 0)?;
        ask("of none", &[], 0)?;
    }
    Ok(())
}

/// Joins at a version, with the extra step of those that name a member first.
fn join(side: &mut Side<'_>, connection: &str, label: &str, version: i16, group: &str, over: &Value) -> Result<String> {
    let named = side.ask_on(
        connection,
        &format!("{label} asks to join"),
        "JoinGroup",
        version,
        &join_body(group, "", over),
    )?;
    let member = member_of(&named);
    if version < NAMES_FIRST {
        return Ok(member);
    }
    let joined = join_body(group, &member, over);
    side.ask_on(connection, &format!("{label} joins"), "JoinGroup", version, &joined)?;
    Ok(member)
}

pub(super) fn rebalance(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let none = json!({});
    let a = join(side, MAIN, "a", version, &group, &none)?;
    side.ask(
        "a beats before it is assigned",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 1, &a),
    )?;
    side.ask(
        "a assigns",
        "SyncGroup",
        SYNC,
        &sync_body(&group, 1, &a, &[(&a, "aa01")]),
    )?;
    side.ask("a beats", "Heartbeat", HEARTBEAT, &heartbeat_body(&group, 1, &a))?;
    // A second one: named on its own connection, then both join at once.
    let mut b = String::new();
    if version >= NAMES_FIRST {
        let named = side.ask_on(
            "b",
            "b asks to join",
            "JoinGroup",
            version,
            &join_body(&group, "", &none),
        )?;
        b = member_of(&named);
    }
    side.post("b", "JoinGroup", version, &join_body(&group, &b, &none))?;
    std::thread::sleep(JOIN_PAUSE);
    side.ask(
        "a beats while b waits",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 1, &a),
    )?;
    side.ask(
        "a syncs while b waits",
        "SyncGroup",
        SYNC,
        &sync_body(&group, 1, &a, &[]),
    )?;
    side.ask("a joins again", "JoinGroup", version, &join_body(&group, &a, &none))?;
    b = member_of(&side.take("b", "b has joined")?);
    side.post("b", "SyncGroup", SYNC, &sync_body(&group, 2, &b, &[]))?;
    std::thread::sleep(JOIN_PAUSE);
    side.ask(
        "a beats before it assigns",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 2, &a),
    )?;
    side.ask(
        "a assigns both",
        "SyncGroup",
        SYNC,
        &sync_body(&group, 2, &a, &[(&a, "aa02"), (&b, "bb02")]),
    )?;
    side.take("b", "b is assigned")?;
    side.ask("b beats", "Heartbeat", HEARTBEAT, &heartbeat_body(&group, 2, &b))?;
    side.ask(
        "b with the generation before",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 1, &b),
    )?;
    side.ask(
        "b joins without a change",
        "JoinGroup",
        version,
        &join_body(&group, &b, &none),
    )?;
    side.ask("b syncs again", "SyncGroup", SYNC, &sync_body(&group, 2, &b, &[]))?;
    side.ask(
        "b leaves",
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": [{"MemberId": b}]}),
    )?;
    side.ask(
        "a beats after b left",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 2, &a),
    )?;
    side.ask("a joins alone", "JoinGroup", version, &join_body(&group, &a, &none))?;
    side.ask(
        "a leaves",
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": [{"MemberId": a}]}),
    )?;
    side.ask(
        "a beats after it left",
        "Heartbeat",
        HEARTBEAT,
        &heartbeat_body(&group, 3, &a),
    )?;
    Ok(())
}

/// Lets a request that must wait reach the broker before the next one, which comes on another connection.
const JOIN_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

pub(super) fn join_refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let mut ask = |label: &str, group: &str, member: &str, over: Value| {
        side.ask(label, "JoinGroup", version, &join_body(group, member, &over))
    };
    ask("no group", "", "", json!({}))?;
    ask("a session too short", &group, "", json!({"SessionTimeoutMs": 10}))?;
    ask(
        "a session too long",
        &group,
        "",
        json!({"SessionTimeoutMs": 2_000_000_000}),
    )?;
    ask("an unknown member", &group, "nobody", json!({}))?;
    ask("no protocols", &group, "", json!({"Protocols": []}))?;
    ask("no type of protocol", &group, "", json!({"ProtocolType": ""}))?;
    let taken = side.name("taken");
    let (member, _) = stable(side, &taken, &["t"])?;
    let mut ask = |label: &str, member: &str, over: Value| {
        side.ask(label, "JoinGroup", version, &join_body(&taken, member, &over))
    };
    ask("another type of protocol", "", json!({"ProtocolType": "connect"}))?;
    ask(
        "no protocol in common",
        "",
        json!({"Protocols": [{"Name": "sticky", "Metadata": ""}]}),
    )?;
    ask(
        "a member with another type of protocol",
        &member,
        json!({"ProtocolType": "connect"}),
    )?;
    ask(
        "a member with no protocol in common",
        &member,
        json!({"Protocols": [{"Name": "sticky", "Metadata": ""}]}),
    )?;
    ask("an unknown member of a known group", "nobody", json!({}))?;
    if version >= STATIC {
        ask(
            "an unknown member with an instance",
            "nobody",
            json!({"GroupInstanceId": "i"}),
        )?;
        ask("an empty instance", "", json!({"GroupInstanceId": ""}))?;
        ask(
            "an illegal instance",
            "",
            json!({"GroupInstanceId": "no spaces allowed"}),
        )?;
    }
    Ok(())
}

pub(super) fn static_members(side: &mut Side<'_>, version: i16) -> Result<()> {
    if version < STATIC {
        return Ok(());
    }
    let group = side.name("g");
    let a_is = json!({"GroupInstanceId": "a"});
    let with = |mut body: Value, instance: &str| {
        body["GroupInstanceId"] = json!(instance);
        body
    };
    let joined = side.ask("a joins", "JoinGroup", version, &join_body(&group, "", &a_is))?;
    let a = member_of(&joined);
    side.ask(
        "a assigns",
        "SyncGroup",
        SYNC,
        &with(sync_body(&group, 1, &a, &[(&a, "aa01")]), "a"),
    )?;
    let again = side.ask("a restarts", "JoinGroup", version, &join_body(&group, "", &a_is))?;
    let new = member_of(&again);
    side.ask(
        "a fetches its assignment",
        "SyncGroup",
        SYNC,
        &with(sync_body(&group, 1, &new, &[]), "a"),
    )?;
    side.ask(
        "the old a beats",
        "Heartbeat",
        HEARTBEAT,
        &with(heartbeat_body(&group, 1, &a), "a"),
    )?;
    side.ask("the old a joins", "JoinGroup", version, &join_body(&group, &a, &a_is))?;
    side.ask(
        "the old a syncs",
        "SyncGroup",
        SYNC,
        &with(sync_body(&group, 1, &a, &[]), "a"),
    )?;
    side.ask(
        "the new a beats",
        "Heartbeat",
        HEARTBEAT,
        &with(heartbeat_body(&group, 1, &new), "a"),
    )?;
    side.ask(
        "an unknown instance beats",
        "Heartbeat",
        HEARTBEAT,
        &with(heartbeat_body(&group, 1, &new), "z"),
    )?;
    let commit =
        json!({"GroupId": group, "GenerationIdOrMemberEpoch": 1, "MemberId": a, "GroupInstanceId": "a", "Topics": []});
    side.ask("the old a commits", "OffsetCommit", 7, &commit)?;
    let other = json!({"GroupInstanceId": "a", "Protocols": [{"Name": "range", "Metadata": subscription(&["u"])}]});
    let changed = side.ask(
        "a restarts with another subscription",
        "JoinGroup",
        version,
        &join_body(&group, "", &other),
    )?;
    let newest = member_of(&changed);
    let members = |member: &str, instance: &str| json!([{"MemberId": member, "GroupInstanceId": instance}]);
    side.ask(
        "the old a leaves",
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": members(&a, "a")}),
    )?;
    side.ask(
        "an unknown instance leaves",
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": members("", "z")}),
    )?;
    side.ask(
        "a leaves by its instance",
        "LeaveGroup",
        LEAVE,
        &json!({"GroupId": group, "Members": members("", "a")}),
    )?;
    side.ask(
        "a beats after it left",
        "Heartbeat",
        HEARTBEAT,
        &with(heartbeat_body(&group, 2, &newest), "a"),
    )?;
    Ok(())
}

pub(super) fn sync(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let missing = side.name("missing");
    let (member, generation) = stable(side, &group, &["t"])?;
    let mut ask = |label: &str, body: Value| side.ask(label, "SyncGroup", version, &body);
    ask("again", sync_body(&group, generation, &member, &[]))?;
    ask("an older generation", sync_body(&group, generation - 1, &member, &[]))?;
    ask("a newer generation", sync_body(&group, generation + 1, &member, &[]))?;
    ask("an unknown member", sync_body(&group, generation, "nobody", &[]))?;
    ask("no member", sync_body(&group, generation, "", &[]))?;
    ask("an unknown group", sync_body(&missing, generation, &member, &[]))?;
    ask("no group", sync_body("", generation, &member, &[]))?;
    if version >= 5 {
        let with = |name: &str, value: Value| {
            let mut body = sync_body(&group, generation, &member, &[]);
            body[name] = value;
            body
        };
        ask("another type of protocol", with("ProtocolType", json!("connect")))?;
        ask("another protocol", with("ProtocolName", json!("sticky")))?;
        ask("no type of protocol", with("ProtocolType", Value::Null))?;
        ask("no protocol", with("ProtocolName", Value::Null))?;
    }
    Ok(())
}

pub(super) fn heartbeat(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let missing = side.name("missing");
    let (member, generation) = stable(side, &group, &["t"])?;
    let mut ask = |label: &str, group: &str, generation: i64, member: &str| {
        side.ask(label, "Heartbeat", version, &heartbeat_body(group, generation, member))
    };
    ask("a member", &group, generation, &member)?;
    ask("an older generation", &group, generation - 1, &member)?;
    ask("a newer generation", &group, generation + 1, &member)?;
    ask("an unknown member", &group, generation, "nobody")?;
    ask("no member", &group, generation, "")?;
    ask("an unknown group", &missing, generation, &member)?;
    ask("no group", "", generation, &member)?;
    leave(side, &group, &member)?;
    side.ask(
        "after leaving",
        "Heartbeat",
        version,
        &heartbeat_body(&group, generation, &member),
    )?;
    Ok(())
}

pub(super) fn leaving(side: &mut Side<'_>, version: i16) -> Result<()> {
    let group = side.name("g");
    let missing = side.name("missing");
    let (member, _) = stable(side, &group, &["t"])?;
    let mut ask = |label: &str, group: &str, members: &[&str]| {
        let body = if version >= 3 {
            let members: Vec<Value> = members.iter().map(|member| json!({"MemberId": member})).collect();
            json!({"GroupId": group, "Members": members})
        } else {
            json!({"GroupId": group, "MemberId": members.first().unwrap_or(&"")})
        };
        side.ask(label, "LeaveGroup", version, &body)
    };
    ask("an unknown group", &missing, &["nobody"])?;
    ask("no group", "", &["nobody"])?;
    ask("an unknown member", &group, &["nobody"])?;
    ask("no member", &group, &[])?;
    if version >= 3 {
        ask("an unknown and a known one", &group, &["nobody", &member])?;
    }
    ask("the member", &group, &[&member])?;
    ask("again", &group, &[&member])?;
    Ok(())
}
