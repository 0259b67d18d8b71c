//! CreateTopics, DeleteTopics, CreatePartitions, DescribeTopicPartitions.

use anyhow::Result;
use serde_json::{Value, json};

use super::metadata::NO_ID;
use crate::api_sweep::side::Side;

fn create_body(topics: &Value, validate_only: bool) -> Value {
    json!({"Topics": topics, "timeoutMs": 5000, "validateOnly": validate_only})
}

pub(super) fn create(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = |name: &str| side.name(name);
    let (a, b, c, d) = (name("a"), name("b"), name("c"), name("d"));
    let checked = name("checked");
    let one = |name: &str| json!([{"Name": name, "NumPartitions": 2, "ReplicationFactor": 1}]);
    let mut ask = |label: &str, topics: &Value, validate_only: bool| {
        side.ask(label, "CreateTopics", version, &create_body(topics, validate_only))
    };
    if version >= 1 {
        ask("validated only", &one(&checked), true)?;
    }
    ask("a new one", &one(&a), false)?;
    side.await_topic(&a, 2)?;
    let mut ask = |label: &str, topics: &Value, validate_only: bool| {
        side.ask(label, "CreateTopics", version, &create_body(topics, validate_only))
    };
    ask("the same again", &one(&a), false)?;
    ask("none", &json!([]), false)?;
    let defaults = json!([{"Name": b, "NumPartitions": -1, "ReplicationFactor": -1}]);
    ask("defaults of the broker", &defaults, false)?;
    let assigned = json!([{"Name": c, "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": [
        {"PartitionIndex": 1, "BrokerIds": [1]}, {"PartitionIndex": 0, "BrokerIds": [1]}]}]);
    ask("assignments", &assigned, false)?;
    let mixed = json!([
        {"Name": d, "NumPartitions": 1, "ReplicationFactor": 1},
        {"Name": a, "NumPartitions": 1, "ReplicationFactor": 1},
        {"Name": "no spaces allowed", "NumPartitions": 1, "ReplicationFactor": 1}]);
    ask("good and bad together", &mixed, false)?;
    if version >= 1 {
        ask("an existing one, validated only", &one(&a), true)?;
    }
    side.settle();
    let names: Vec<Value> = [a, b, c, d].iter().map(|name| json!({"Name": name})).collect();
    side.ask(
        "what there is then",
        "Metadata",
        9,
        &json!({"Topics": names, "AllowAutoTopicCreation": false}),
    )?;
    Ok(())
}

pub(super) fn create_refused(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.name("x");
    let mut ask = |label: &str, topics: Value| side.ask(label, "CreateTopics", version, &create_body(&topics, false));
    for (label, illegal) in [
        ("an empty name", String::new()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("a slash", "a/b".to_owned()),
        ("umlauts", "täst".to_owned()),
        ("too long a name", "x".repeat(250)),
    ] {
        ask(
            label,
            json!([{"Name": illegal, "NumPartitions": 1, "ReplicationFactor": 1}]),
        )?;
    }
    ask(
        "no partitions",
        json!([{"Name": name, "NumPartitions": 0, "ReplicationFactor": 1}]),
    )?;
    ask(
        "-2 partitions",
        json!([{"Name": name, "NumPartitions": -2, "ReplicationFactor": 1}]),
    )?;
    ask(
        "no replicas",
        json!([{"Name": name, "NumPartitions": 1, "ReplicationFactor": 0}]),
    )?;
    ask(
        "-2 replicas",
        json!([{"Name": name, "NumPartitions": 1, "ReplicationFactor": -2}]),
    )?;
    ask(
        "too many replicas",
        json!([{"Name": name, "NumPartitions": 1, "ReplicationFactor": 2}]),
    )?;
    let twice = json!([
        {"Name": name, "NumPartitions": 1, "ReplicationFactor": 1},
        {"Name": name, "NumPartitions": 2, "ReplicationFactor": 1}]);
    ask("the same twice", twice)?;
    let assigned = |assignments: Value, partitions: i32, replicas: i16| json!([{"Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas, "Assignments": assignments}]);
    let good = json!([{"PartitionIndex": 0, "BrokerIds": [1]}]);
    ask("assignments and a count", assigned(good.clone(), 1, -1))?;
    ask("assignments and replicas", assigned(good, -1, 1))?;
    ask(
        "an unknown broker",
        assigned(json!([{"PartitionIndex": 0, "BrokerIds": [9]}]), -1, -1),
    )?;
    ask(
        "a broker twice",
        assigned(json!([{"PartitionIndex": 0, "BrokerIds": [1, 1]}]), -1, -1),
    )?;
    ask(
        "no broker",
        assigned(json!([{"PartitionIndex": 0, "BrokerIds": []}]), -1, -1),
    )?;
    ask(
        "a gap",
        assigned(json!([{"PartitionIndex": 1, "BrokerIds": [1]}]), -1, -1),
    )?;
    let doubled = json!([{"PartitionIndex": 0, "BrokerIds": [1]}, {"PartitionIndex": 0, "BrokerIds": [1]}]);
    ask("a partition twice", assigned(doubled, -1, -1))?;
    Ok(())
}

pub(super) fn create_configs(side: &mut Side<'_>, version: i16) -> Result<()> {
    let names: Vec<String> = (0..12).map(|number| side.name(&number.to_string())).collect();
    let mut next = names.iter();
    let mut ask = |label: &str, configs: Value| {
        let name = next.next().expect("there are enough names");
        let topics = json!([{"Name": name, "NumPartitions": 1, "ReplicationFactor": 1, "Configs": configs}]);
        side.ask(label, "CreateTopics", version, &create_body(&topics, false))
    };
    ask(
        "good ones",
        json!([{"Name": "retention.ms", "Value": "1000"}, {"Name": "segment.bytes", "Value": "1048576"}]),
    )?;
    ask("an unknown one", json!([{"Name": "no.such.setting", "Value": "1"}]))?;
    ask("no number", json!([{"Name": "retention.ms", "Value": "soon"}]))?;
    ask("out of bounds", json!([{"Name": "segment.bytes", "Value": "1"}]))?;
    ask("null", json!([{"Name": "retention.ms", "Value": null}]))?;
    ask("no boolean", json!([{"Name": "preallocate", "Value": "perhaps"}]))?;
    ask(
        "no choice of the list",
        json!([{"Name": "message.timestamp.type", "Value": "Never"}]),
    )?;
    ask("an empty value", json!([{"Name": "retention.ms", "Value": ""}]))?;
    ask("spaces around", json!([{"Name": "retention.ms", "Value": " 1000 "}]))?;
    ask(
        "twice",
        json!([{"Name": "retention.ms", "Value": "1000"}, {"Name": "retention.ms", "Value": "2000"}]),
    )?;
    ask("compaction", json!([{"Name": "cleanup.policy", "Value": "compact"}]))?;
    ask("recompression", json!([{"Name": "compression.type", "Value": "lz4"}]))?;
    Ok(())
}

pub(super) fn delete(side: &mut Side<'_>, version: i16) -> Result<()> {
    let names = ["a", "b", "c", "d"].map(|name| side.topic(name, 1));
    let [a, b, c, d] = names.map(|name| name.unwrap_or_default());
    let c_id = side.topic_id(&c)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, names: &[&str]| {
        let topics: Vec<Value> = names.iter().map(|name| json!({"Name": name})).collect();
        // Before version 6 topics were a list of names.
        let body = if version >= 6 {
            json!({"Topics": topics, "TimeoutMs": 5000})
        } else {
            json!({"TopicNames": names, "TimeoutMs": 5000})
        };
        side.ask(label, "DeleteTopics", version, &body)
    };
    ask("one", &[&a])?;
    ask("the same again", &[&a])?;
    ask("good and bad together", &[&missing, &b, "no spaces allowed", ""])?;
    ask("none", &[])?;
    ask("the same twice", &[&d, &d])?;
    if version >= 6 {
        let mut ask = |label: &str, topics: Value| {
            side.ask(
                label,
                "DeleteTopics",
                version,
                &json!({"Topics": topics, "TimeoutMs": 5000}),
            )
        };
        ask("by an unknown id", json!([{"Name": null, "TopicId": NO_ID}]))?;
        ask("by zero id", json!([{"Name": null}]))?;
        ask("by id and name", json!([{"Name": c, "TopicId": c_id}]))?;
        ask(
            "by id twice",
            json!([{"Name": null, "TopicId": c_id}, {"Name": null, "TopicId": c_id}]),
        )?;
        ask("by id", json!([{"Name": null, "TopicId": c_id}]))?;
        ask("by id again", json!([{"Name": null, "TopicId": c_id}]))?;
    }
    side.settle();
    let names: Vec<Value> = [a, b, c, d].iter().map(|name| json!({"Name": name})).collect();
    side.ask(
        "what there is then",
        "Metadata",
        9,
        &json!({"Topics": names, "AllowAutoTopicCreation": false}),
    )?;
    Ok(())
}

pub(super) fn create_partitions(side: &mut Side<'_>, version: i16) -> Result<()> {
    let a = side.topic("a", 1)?;
    let b = side.topic("b", 1)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topics: Value, validate_only: bool| {
        let body = json!({"Topics": topics, "TimeoutMs": 5000, "ValidateOnly": validate_only});
        side.ask(label, "CreatePartitions", version, &body)
    };
    let to = |name: &str, count: i32, assignments: Value| json!([{"Name": name, "Count": count, "Assignments": assignments}]);
    let automatic = Value::Null;
    ask("validated only", to(&a, 3, automatic.clone()), true)?;
    ask("more", to(&a, 3, automatic.clone()), false)?;
    ask("as many as there are", to(&a, 3, automatic.clone()), false)?;
    ask("fewer", to(&a, 2, automatic.clone()), false)?;
    ask("none at all", to(&a, 0, automatic.clone()), false)?;
    ask("-1", to(&a, -1, automatic.clone()), false)?;
    ask("a missing topic", to(&missing, 2, automatic.clone()), false)?;
    ask("an illegal name", to("no spaces allowed", 2, automatic.clone()), false)?;
    ask(
        "assigned",
        to(&a, 5, json!([{"BrokerIds": [1]}, {"BrokerIds": [1]}])),
        false,
    )?;
    ask("too few assignments", to(&a, 7, json!([{"BrokerIds": [1]}])), false)?;
    ask(
        "too many assignments",
        to(&a, 6, json!([{"BrokerIds": [1]}, {"BrokerIds": [1]}])),
        false,
    )?;
    ask("an unknown broker", to(&a, 6, json!([{"BrokerIds": [9]}])), false)?;
    ask("no broker", to(&a, 6, json!([{"BrokerIds": []}])), false)?;
    ask("two replicas", to(&a, 6, json!([{"BrokerIds": [1, 2]}])), false)?;
    ask("an empty list of assignments", to(&a, 6, json!([])), false)?;
    ask(
        "good and bad together",
        json!([{"Name": b, "Count": 2, "Assignments": null}, {"Name": missing, "Count": 2, "Assignments": null}]),
        false,
    )?;
    ask(
        "the same twice",
        json!([{"Name": b, "Count": 4, "Assignments": null}, {"Name": b, "Count": 5, "Assignments": null}]),
        false,
    )?;
    ask("none", json!([]), false)?;
    side.settle();
    let names = json!([{"Name": a}, {"Name": b}]);
    side.ask(
        "what there is then",
        "Metadata",
        9,
        &json!({"Topics": names, "AllowAutoTopicCreation": false}),
    )?;
    Ok(())
}

pub(super) fn describe_partitions(side: &mut Side<'_>, version: i16) -> Result<()> {
    let a = side.topic("a", 3)?;
    let b = side.topic("b", 2)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, names: &[&str], limit: i32, cursor: Value| {
        let topics: Vec<Value> = names.iter().map(|name| json!({"Name": name})).collect();
        let body = json!({"Topics": topics, "ResponsePartitionLimit": limit, "Cursor": cursor});
        side.ask(label, "DescribeTopicPartitions", version, &body)
    };
    let from = |name: &str, partition: i32| json!({"TopicName": name, "PartitionIndex": partition});
    ask("two", &[&a, &b], 2000, Value::Null)?;
    ask("in another order", &[&b, &a], 2000, Value::Null)?;
    ask("the same twice", &[&a, &a], 2000, Value::Null)?;
    ask("a missing one", &[&missing, &a], 2000, Value::Null)?;
    ask("an illegal name", &["no spaces allowed", &a], 2000, Value::Null)?;
    ask("a page of one", &[&a, &b], 1, Value::Null)?;
    ask("a page of three", &[&a, &b], 3, Value::Null)?;
    ask("a page of four", &[&a, &b], 4, Value::Null)?;
    ask("from within", &[&a, &b], 2000, from(&a, 1))?;
    ask("from the second topic", &[&a, &b], 1, from(&b, 0))?;
    ask("from behind all partitions", &[&a, &b], 2000, from(&a, 9))?;
    ask("from a topic that is not asked for", &[&b], 2000, from(&a, 0))?;
    ask("from a missing topic", &[&b], 2000, from(&missing, 0))?;
    ask("from a negative partition", &[&a], 2000, from(&a, -1))?;
    ask("a page of none", &[&a], 0, Value::Null)?;
    ask("a negative page", &[&a], -1, Value::Null)?;
    Ok(())
}
