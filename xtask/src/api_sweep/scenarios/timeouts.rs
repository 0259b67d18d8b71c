//! The same request with timeouts of zero, below zero and of a millisecond, and what became of it.

use anyhow::Result;
use serde_json::{Value, json};

use super::produce::{named, to};
use crate::api_sweep::records::Batch;
use crate::api_sweep::side::Side;

/// Timeouts that are no time to do anything in.
const TIMEOUTS_MS: [i32; 3] = [0, -1, 1];

/// The APIs whose requests have a time to be done in.
pub(super) const APIS: &[&str] = &[
    "Produce",
    "ListOffsets",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "CreatePartitions",
    "ElectLeaders",
    "AlterPartitionReassignments",
];

pub(super) fn run(side: &mut Side<'_>, version: i16) -> Result<()> {
    let api = side.subject();
    match api.as_str() {
        "Produce" => produce(side, version),
        "DeleteRecords" => delete_records(side, version),
        "ListOffsets" => list_offsets(side, version),
        _ => of_the_controller(side, &api, version),
    }
}

fn produce(side: &mut Side<'_>, version: i16) -> Result<()> {
    let a = side.topic(&format!("{}-a", side.subject()), 1)?;
    let topic = named(side, &a, version)?;
    let records = Batch::of(1).hex();
    for acks in [1, -1] {
        for timeout in TIMEOUTS_MS {
            let mut request = to(&topic, 0, &records, acks);
            request["TimeoutMs"] = json!(timeout);
            side.ask(&format!("acks {acks}, {timeout} ms"), "Produce", version, &request)?;
        }
    }
    end(side, &a, -1)
}

fn delete_records(side: &mut Side<'_>, version: i16) -> Result<()> {
    let a = side.topic(&format!("{}-a", side.subject()), 1)?;
    side.fill(&a, 0, &[Batch::of(5).hex()])?;
    for (offset, timeout) in (1..).zip(TIMEOUTS_MS) {
        let topics = json!([{"Name": a, "Partitions": [{"PartitionIndex": 0, "Offset": offset}]}]);
        let body = json!({"TimeoutMs": timeout, "Topics": topics});
        side.ask(&format!("{timeout} ms"), "DeleteRecords", version, &body)?;
    }
    end(side, &a, -2)
}

/// The first version of ListOffsets with a timeout (KIP-1075).
const LIST_OFFSETS_FROM: i16 = 10;

fn list_offsets(side: &mut Side<'_>, version: i16) -> Result<()> {
    if version < LIST_OFFSETS_FROM {
        return Ok(());
    }
    let a = side.topic(&format!("{}-a", side.subject()), 1)?;
    side.fill(&a, 0, &[Batch::of(3).hex()])?;
    for timeout in TIMEOUTS_MS {
        for timestamp in [-1, -2, -3, 0] {
            let partitions = json!([{"PartitionIndex": 0, "Timestamp": timestamp}]);
            let body =
                json!({"ReplicaId": -1, "TimeoutMs": timeout, "Topics": [{"Name": a, "Partitions": partitions}]});
            side.ask(&format!("{timestamp}, {timeout} ms"), "ListOffsets", version, &body)?;
        }
    }
    Ok(())
}

fn end(side: &mut Side<'_>, topic: &str, timestamp: i64) -> Result<()> {
    let partitions = json!([{"PartitionIndex": 0, "Timestamp": timestamp}]);
    let body = json!({"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": partitions}]});
    side.ask("where the log is then", "ListOffsets", 4, &body)?;
    Ok(())
}

/// A millisecond may be enough or not, so these are asked with none.
fn of_the_controller(side: &mut Side<'_>, api: &str, version: i16) -> Result<()> {
    for timeout in TIMEOUTS_MS.into_iter().filter(|timeout| *timeout <= 0) {
        let topic = if api == "CreateTopics" {
            side.name(&format!("{api}-new{timeout}"))
        } else {
            side.topic(&format!("{api}-t{timeout}"), 1)?
        };
        let body = request(api, version, &topic, timeout);
        side.ask(&format!("{timeout} ms"), api, version, &body)?;
        side.settle();
        side.ask(
            &format!("what there is after {timeout} ms"),
            "Metadata",
            9,
            &json!({"Topics": [{"Name": topic}], "AllowAutoTopicCreation": false}),
        )?;
    }
    Ok(())
}

fn request(api: &str, version: i16, topic: &str, timeout: i32) -> Value {
    match api {
        "CreateTopics" => json!({"Topics": [{"Name": topic, "NumPartitions": 1, "ReplicationFactor": 1}],
            "timeoutMs": timeout}),
        "DeleteTopics" if version >= 6 => json!({"Topics": [{"Name": topic}], "TimeoutMs": timeout}),
        "DeleteTopics" => json!({"TopicNames": [topic], "TimeoutMs": timeout}),
        "CreatePartitions" => json!({"Topics": [{"Name": topic, "Count": 2, "Assignments": null}],
            "TimeoutMs": timeout}),
        "ElectLeaders" => json!({"ElectionType": 0, "TimeoutMs": timeout, "TopicPartitions":
            [{"Topic": topic, "Partitions": [0]}]}),
        _ => json!({"TimeoutMs": timeout, "Topics": [{"Name": topic, "Partitions":
            [{"PartitionIndex": 0, "Replicas": [1]}]}]}),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::api_sweep::scenarios::every_api;
    use crate::api_sweep::schema::Schema;

    /// Tells what moves and changes nothing; nothing moves on one node.
    const NOT_ASKED: &str = "ListPartitionReassignments";

    #[test]
    fn every_request_with_a_timeout_is_asked_without_time() {
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/protocol/definitions");
        let schema = Schema::load(&definitions).expect("the definitions are there");
        for api in every_api::APIS {
            let fields = &schema.api(api).request.fields;
            let has_one = fields.iter().any(|field| field.name.eq_ignore_ascii_case("timeoutMs"));
            let is_asked = super::APIS.contains(api) || *api == NOT_ASKED;
            assert_eq!(has_one, is_asked, "{api}");
        }
    }
}
