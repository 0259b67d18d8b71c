//! The same question to every API: a request of nothing but defaults, one that is cut short, and one that promises
//! more than it holds.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api_sweep::codec::encode;
use crate::api_sweep::side::{MAIN, Side};

/// The APIs that clients use, whether served or not yet. ApiVersions has a scenario of its own.
pub(super) const APIS: &[&str] = &[
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "AlterConfigs",
    "DescribeLogDirs",
    "CreatePartitions",
    "DeleteGroups",
    "IncrementalAlterConfigs",
    "OffsetDelete",
    "DescribeCluster",
    "DescribeProducers",
    "DescribeTopicPartitions",
    "ElectLeaders",
    "AlterReplicaLogDirs",
    "AlterPartitionReassignments",
    "ListPartitionReassignments",
    "DescribeQuorum",
    "ListConfigResources",
];
/// APIs whose request of defaults asks for everything the broker has.
const ALL_BY_DEFAULT: &[&str] = &["ListGroups"];
/// APIs that answer everything the broker has where a list is null.
const ALL_BY_NULL: &[&str] = &["Metadata", "DescribeLogDirs", "ElectLeaders"];

/// A request of defaults, except that it wants an answer and creates nothing.
fn defaults(api: &str, version: i16) -> Value {
    match api {
        "Produce" => json!({"Acks": 1}),
        // No list, or an empty one in version 0, would mean every topic there is.
        "Metadata" if version == 0 => json!({"Topics": [{"Name": "no spaces allowed"}]}),
        "DescribeTopicPartitions" => json!({"Topics": [{"Name": "no spaces allowed"}]}),
        // Nobody asks clients for metrics; no list would mean every kind of resource.
        "ListConfigResources" if version >= 1 => json!({"ResourceTypes": [16]}),
        "DescribeLogDirs" => json!({"Topics": []}),
        "OffsetFetch" if version < 8 => json!({"GroupId": "", "Topics": []}),
        _ => json!({}),
    }
}

pub(super) fn empty(side: &mut Side<'_>, version: i16) -> Result<()> {
    let api = side.subject();
    if ALL_BY_DEFAULT.contains(&api.as_str()) {
        return Ok(());
    }
    // Asked once: a coordinator that never was there is not one that passes.
    let body = defaults(&api, version);
    side.post(MAIN, &api, version, &body)?;
    side.take(MAIN, "defaults")?;
    Ok(())
}

pub(super) fn torn(side: &mut Side<'_>, version: i16) -> Result<()> {
    let api = side.subject();
    if ALL_BY_DEFAULT.contains(&api.as_str()) {
        return Ok(());
    }
    let whole = encode(&side.schema.api(&api).request, version, &defaults(&api, version))?;
    if !whole.is_empty() {
        side.ask_raw("one byte short", &api, version, &whole[..whole.len() - 1])?;
        side.ask_raw("cut in half", &api, version, &whole[..whole.len() / 2])?;
    }
    // A length or count of two thousand million wherever one is read.
    side.ask_raw("promises too much", &api, version, &[0x7f; 24])?;
    if !ALL_BY_NULL.contains(&api.as_str()) {
        side.ask_raw("negative everywhere", &api, version, &[0xff; 24])?;
    }
    Ok(())
}
