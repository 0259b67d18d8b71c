//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::replicas::without_throttle;
use crate::api_sweep::side::Side;

/// Kinds of resources.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

fn resource(kind: i8, name: &str, keys: Value) -> Value {
    json!({"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys})
}

pub(super) fn describe(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic_with("a", 1, &[("max.message.bytes", "2000")])?;
    let body = |resources: &[Value], synonyms: bool| json!({"Resources": resources, "IncludeSynonyms": synonyms && version >= 1, "IncludeDocumentation": version >= 3});
    let mut ask = |label: &str, resources: &[Value], synonyms: bool| {
        side.ask(label, "DescribeConfigs", version, &body(resources, synonyms))
    };
    ask("all of a topic", &[resource(TOPIC, &name, Value::Null)], true)?;
    let some = json!(["retention.ms", "max.message.bytes", "cleanup.policy", "no.such.setting"]);
    ask("some of a topic", &[resource(TOPIC, &name, some.clone())], false)?;
    ask("some of a topic with synonyms", &[resource(TOPIC, &name, some)], true)?;
    // Kafka takes an empty list for all.
    ask("an empty list of a topic", &[resource(TOPIC, &name, json!([]))], false)?;
    let of_broker = json!([
        "num.partitions",
        "log.retention.ms",
        "log.retention.hours",
        "message.max.bytes",
        "auto.create.topics.enable",
        "log.segment.bytes",
        "group.initial.rebalance.delay.ms",
        "offsets.retention.minutes",
        "node.id",
        "default.replication.factor",
        "log.cleanup.policy",
        "compression.type",
        "group.max.session.timeout.ms"
    ]);
    ask("some of the broker", &[resource(BROKER, "1", of_broker.clone())], true)?;
    ask(
        "some of the cluster's defaults",
        &[resource(BROKER, "", of_broker)],
        true,
    )?;
    ask(
        "two resources",
        &[
            resource(TOPIC, &name, json!(["retention.ms"])),
            resource(BROKER, "1", json!(["num.partitions"])),
        ],
        false,
    )?;
    Ok(())
}

pub(super) fn describe_refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    let missing = side.name("missing");
    let mut ask =
        |label: &str, resource: Value| side.ask(label, "DescribeConfigs", version, &json!({"Resources": [resource]}));
    ask("a missing topic", resource(TOPIC, &missing, Value::Null))?;
    ask("an illegal name", resource(TOPIC, "no spaces allowed", Value::Null))?;
    ask("an empty name", resource(TOPIC, "", Value::Null))?;
    ask("another broker", resource(BROKER, "9", Value::Null))?;
    ask("a broker that is no number", resource(BROKER, "one", Value::Null))?;
    ask("an unknown kind", resource(99, "x", Value::Null))?;
    ask("kind 0", resource(0, "x", Value::Null))?;
    ask("loggers of another broker", resource(LOGGER, "9", Value::Null))?;
    ask("client metrics", resource(METRICS, &missing, json!(["interval.ms"])))?;
    ask(
        "a group",
        resource(GROUP, &missing, json!(["consumer.session.timeout.ms"])),
    )?;
    side.ask("none", "DescribeConfigs", version, &json!({"Resources": []}))?;
    Ok(())
}

/// Puts what a topic's changed settings are into the transcript.
fn then(side: &mut Side<'_>, topic: &str) -> Result<()> {
    side.settle();
    let keys = json!(["retention.ms", "cleanup.policy", "max.message.bytes", "segment.bytes"]);
    side.ask(
        "what it is then",
        "DescribeConfigs",
        1,
        &json!({"Resources": [resource(TOPIC, topic, keys)]}),
    )?;
    Ok(())
}

pub(super) fn alter(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic_with("a", 1, &[("segment.bytes", "1048576")])?;
    let missing = side.name("missing");
    let mut ask = |label: &str, kind: i8, name: &str, configs: Value, validate_only: bool| {
        let resource = json!({"ResourceType": kind, "ResourceName": name, "Configs": configs});
        side.ask(
            label,
            "AlterConfigs",
            version,
            &json!({"Resources": [resource], "ValidateOnly": validate_only}),
        )
    };
    let retention = json!([{"Name": "retention.ms", "Value": "5000"}]);
    ask("validated only", TOPIC, &name, retention.clone(), true)?;
    ask("one setting", TOPIC, &name, retention.clone(), false)?;
    ask("a missing topic", TOPIC, &missing, retention.clone(), false)?;
    ask(
        "an unknown setting",
        TOPIC,
        &name,
        json!([{"Name": "no.such", "Value": "1"}]),
        false,
    )?;
    ask(
        "a bad value",
        TOPIC,
        &name,
        json!([{"Name": "retention.ms", "Value": "soon"}]),
        false,
    )?;
    ask(
        "null",
        TOPIC,
        &name,
        json!([{"Name": "retention.ms", "Value": null}]),
        false,
    )?;
    ask("an unknown kind", 99, "x", retention, false)?;
    ask(
        "another broker",
        BROKER,
        "9",
        json!([{"Name": "log.retention.ms", "Value": "5000"}]),
        false,
    )?;
    side.ask(
        "none",
        "AlterConfigs",
        version,
        &json!({"Resources": [], "ValidateOnly": false}),
    )?;
    then(side, &name)
}

/// What IncrementalAlterConfigs can do with a setting.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) fn incremental(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 1)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topic: &str, configs: &[(&str, i8, Option<&str>)], validate_only: bool| {
        let configs: Vec<Value> = configs
            .iter()
            .map(|(name, operation, value)| json!({"Name": name, "ConfigOperation": operation, "Value": value}))
            .collect();
        let resource = json!({"ResourceType": TOPIC, "ResourceName": topic, "Configs": configs});
        let body = json!({"Resources": [resource], "ValidateOnly": validate_only});
        side.ask(label, "IncrementalAlterConfigs", version, &body)
    };
    ask("validated only", &name, &[("retention.ms", SET, Some("7000"))], true)?;
    ask(
        "set",
        &name,
        &[
            ("retention.ms", SET, Some("5000")),
            ("segment.bytes", SET, Some("2097152")),
        ],
        false,
    )?;
    ask("delete", &name, &[("segment.bytes", DELETE, None)], false)?;
    ask(
        "delete what is not set",
        &name,
        &[("max.message.bytes", DELETE, None)],
        false,
    )?;
    ask(
        "append to no list",
        &name,
        &[("retention.ms", APPEND, Some("1"))],
        false,
    )?;
    ask(
        "subtract from no list",
        &name,
        &[("retention.ms", SUBTRACT, Some("1"))],
        false,
    )?;
    ask(
        "append what is there",
        &name,
        &[("cleanup.policy", APPEND, Some("delete"))],
        false,
    )?;
    ask(
        "subtract what is not there",
        &name,
        &[("cleanup.policy", SUBTRACT, Some("compact"))],
        false,
    )?;
    ask("an unknown operation", &name, &[("retention.ms", 9, Some("1"))], false)?;
    ask(
        "an unknown setting",
        &name,
        &[("no.such.setting", SET, Some("1"))],
        false,
    )?;
    ask(
        "delete an unknown setting",
        &name,
        &[("no.such.setting", DELETE, None)],
        false,
    )?;
    ask("a bad value", &name, &[("retention.ms", SET, Some("soon"))], false)?;
    ask("set to null", &name, &[("retention.ms", SET, None)], false)?;
    ask("append null", &name, &[("cleanup.policy", APPEND, None)], false)?;
    ask(
        "the same setting twice",
        &name,
        &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
        false,
    )?;
    ask("a missing topic", &missing, &[("retention.ms", SET, Some("1"))], false)?;
    ask(
        "an illegal name",
        "no spaces allowed",
        &[("retention.ms", SET, Some("1"))],
        false,
    )?;
    ask("no settings", &name, &[], false)?;
    ask(
        "an unknown word of a list",
        &name,
        &[("cleanup.policy", SET, Some("burn"))],
        false,
    )?;
    let other = |kind: i8, resource: &str, name: &str, value: &str| json!({"ResourceType": kind, "ResourceName": resource, "Configs": [{"Name": name, "ConfigOperation": SET, "Value": value}]});
    let mut ask = |label: &str, resources: Value| {
        side.ask(
            label,
            "IncrementalAlterConfigs",
            version,
            &json!({"Resources": resources, "ValidateOnly": false}),
        )
    };
    ask(
        "another broker",
        json!([other(BROKER, "9", "log.retention.ms", "5000")]),
    )?;
    ask(
        "a setting of the broker that is read only",
        json!([other(BROKER, "1", "node.id", "5")]),
    )?;
    ask("an unknown kind", json!([other(99, "x", "a", "b")]))?;
    ask(
        "the same resource twice",
        json!([
            other(TOPIC, &name, "retention.ms", "1"),
            other(TOPIC, &name, "retention.ms", "2")
        ]),
    )?;
    ask("none", json!([]))?;
    then(side, &name)
}

/// Gives a resource one setting, or takes it away.
fn set_one(side: &mut Side<'_>, kind: i8, resource: &str, name: &str, value: Option<&str>) -> Result<()> {
    let operation = if value.is_some() { SET } else { DELETE };
    let config = json!({"Name": name, "ConfigOperation": operation, "Value": value});
    let resource = json!({"ResourceType": kind, "ResourceName": resource, "Configs": [config]});
    let answer = side.quiet("IncrementalAlterConfigs", 1, &json!({"Resources": [resource]}))?;
    let code = &answer["Responses"][0]["ErrorCode"];
    ensure!(code.as_i64() == Some(0), "cannot set {name}: error {code}");
    side.settle();
    Ok(())
}

/// Which kinds are listed; none stands for all.
const LISTED_KINDS: &[&[i8]] = &[
    &[],
    &[TOPIC],
    &[BROKER],
    &[LOGGER],
    &[METRICS],
    &[GROUP],
    &[TOPIC, GROUP],
    &[GROUP, TOPIC, GROUP],
    &[BROKER, LOGGER],
];

pub(super) fn list_resources(side: &mut Side<'_>, version: i16) -> Result<()> {
    side.topic("a", 1)?;
    let (group, prefix) = (side.name("group"), side.name(""));
    // Kafka 3.9, which knows version 0 only, has no settings of groups by default.
    if version >= 1 {
        set_one(side, GROUP, &group, "consumer.session.timeout.ms", Some("45000"))?;
    }
    set_one(side, BROKER, "", "message.max.bytes", Some("1048589"))?;
    let lists = if version == 0 { &LISTED_KINDS[..1] } else { LISTED_KINDS };
    for kinds in lists {
        let body = if version == 0 {
            json!({})
        } else {
            json!({"ResourceTypes": kinds})
        };
        let mut answer = side.quiet("ListConfigResources", version, &body)?;
        // Of what other scenarios made nothing is told; nodes and the name of all of them have no letters.
        if let Some(resources) = answer["ConfigResources"].as_array_mut() {
            resources.retain(|resource| {
                let name = resource["ResourceName"].as_str().unwrap_or_default();
                name.starts_with(&prefix) || !name.contains(char::is_alphabetic)
            });
            resources.sort_by_key(ToString::to_string);
        }
        side.note(
            &format!("kinds {kinds:?}"),
            "ListConfigResources",
            version,
            without_throttle(answer),
        );
    }
    if version >= 1 {
        for kinds in [&[1_i8][..], &[0], &[-1], &[99], &[TOPIC, 99]] {
            side.ask(
                &format!("kinds {kinds:?}"),
                "ListConfigResources",
                version,
                &json!({"ResourceTypes": kinds}),
            )?;
        }
    }
    set_one(side, BROKER, "", "message.max.bytes", None)?;
    if version == 0 {
        return Ok(());
    }
    set_one(side, GROUP, &group, "consumer.session.timeout.ms", None)?;
    let answer = side.quiet("ListConfigResources", version, &json!({"ResourceTypes": [GROUP]}))?;
    let listed = answer["ConfigResources"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["ResourceName"] == *group));
    side.note(
        "the group without settings is listed",
        "ListConfigResources",
        version,
        listed,
    );
    Ok(())
}
