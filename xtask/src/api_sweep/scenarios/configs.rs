//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use anyhow::Result;
use serde_json::{Value, json};

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
