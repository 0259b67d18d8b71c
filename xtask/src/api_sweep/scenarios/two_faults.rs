//! Requests with two faults at once: which of them is told says in which order a broker checks.
//!
//! Each API has a request without fault and a list of faults; every two faults that concern different fields are sent
//! together, at one version.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::metadata::NO_ID;
use crate::api_sweep::records::Batch;
use crate::api_sweep::side::Side;

/// The group of requests that name one; nobody is in it.
const GROUP: &str = "g";
/// No topic may be called so.
const ILLEGAL: &str = "no spaces allowed";

/// What a fault changes: fields by their JSON pointers, which are there in the request without fault.
type Changes = Vec<(&'static str, Value)>;

/// One API's requests.
struct Subject {
    version: i16,
    /// The request without fault.
    whole: Value,
    faults: Vec<(&'static str, Changes)>,
}

/// What requests are about, by the names they have on one side.
struct Names {
    topic: String,
    id: String,
    missing: String,
    group: String,
}

/// The APIs that have such requests.
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
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "AlterConfigs",
    "CreatePartitions",
    "IncrementalAlterConfigs",
    "OffsetDelete",
    "DescribeProducers",
    "DescribeTopicPartitions",
    "ElectLeaders",
    "AlterReplicaLogDirs",
    "AlterPartitionReassignments",
];

pub(super) fn run(side: &mut Side<'_>, version: i16) -> Result<()> {
    let api = side.subject();
    // Names do not matter for which version is asked.
    let probe = Names {
        topic: String::new(),
        id: NO_ID.to_owned(),
        missing: String::new(),
        group: String::new(),
    };
    if subject(&api, &probe)?.version != version {
        return Ok(());
    }
    let topic = side.topic(&format!("{api}-t"), 1)?;
    side.fill(&topic, 0, &[Batch::of(3).hex()])?;
    let names = Names {
        id: side.topic_id(&topic)?,
        topic,
        missing: side.name(&format!("{api}-missing")),
        group: side.name(&format!("{api}-{GROUP}")),
    };
    // The coordinator is there before it is asked, as the answers of an absent one are not those of interest.
    let coordinator = json!({"KeyType": 0, "CoordinatorKeys": [names.group]});
    side.quiet("FindCoordinator", 4, &coordinator)?;
    let coordinator = json!({"Groups": [names.group]});
    side.quiet("DescribeGroups", 5, &coordinator)?;
    let Subject { whole, faults, .. } = subject(&api, &names)?;
    for (index, (one, changes)) in faults.iter().enumerate() {
        for (other, more) in &faults[index + 1..] {
            if changes
                .iter()
                .any(|(one, _)| more.iter().any(|(other, _)| overlap(one, other)))
            {
                continue;
            }
            let mut request = whole.clone();
            for (path, value) in changes.iter().chain(more) {
                *request
                    .pointer_mut(path)
                    .with_context(|| format!("{api} has no {path}"))? = value.clone();
            }
            side.ask(&format!("{one}, {other}"), &api, version, &request)?;
        }
    }
    if groups(&api, &names).is_some() {
        // Kafka 4 describes what is committed.
        side.settle();
        let body = json!({"Groups": [names.group]});
        side.ask("what became of the group", "DescribeGroups", 5, &body)?;
    }
    Ok(())
}

/// Whether two pointers name one field or one inside of the other.
fn overlap(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn subject(api: &str, names: &Names) -> Result<Subject> {
    let found = topics(api, names)
        .or_else(|| partitions(api, names))
        .or_else(|| settings(api, names))
        .or_else(|| groups(api, names))
        .or_else(|| others(api, names));
    found.with_context(|| format!("{api} has no faults"))
}

fn topics(api: &str, names: &Names) -> Option<Subject> {
    let Names { topic, id, missing, .. } = names;
    Some(match api {
        "CreateTopics" => Subject {
            version: 6,
            whole: json!({"Topics": [{"Name": missing, "NumPartitions": 1, "ReplicationFactor": 1, "Assignments": [],
                "Configs": []}], "timeoutMs": 5000, "validateOnly": true}),
            faults: vec![
                ("it exists", vec![("/Topics/0/Name", json!(topic))]),
                ("an illegal name", vec![("/Topics/0/Name", json!(ILLEGAL))]),
                ("an empty name", vec![("/Topics/0/Name", json!(""))]),
                ("three replicas", vec![("/Topics/0/ReplicationFactor", json!(3))]),
                ("no replica", vec![("/Topics/0/ReplicationFactor", json!(0))]),
                ("no partition", vec![("/Topics/0/NumPartitions", json!(0))]),
                (
                    "an unknown broker",
                    vec![(
                        "/Topics/0/Assignments",
                        json!([{"PartitionIndex": 0, "BrokerIds": [9]}]),
                    )],
                ),
                (
                    "an unknown setting",
                    vec![("/Topics/0/Configs", json!([{"Name": "no.such.setting", "Value": "1"}]))],
                ),
                (
                    "a bad value",
                    vec![("/Topics/0/Configs", json!([{"Name": "retention.ms", "Value": "soon"}]))],
                ),
                (
                    "a null value",
                    vec![("/Topics/0/Configs", json!([{"Name": "retention.ms", "Value": null}]))],
                ),
            ],
        },
        "DeleteTopics" => Subject {
            version: 6,
            whole: json!({"Topics": [{"Name": missing, "TopicId": NO_ID_ZERO}, {"Name": missing, "TopicId": NO_ID_ZERO}],
                "TimeoutMs": 5000}),
            faults: vec![
                ("an illegal name", vec![("/Topics/0/Name", json!(ILLEGAL))]),
                ("an unknown id", vec![("/Topics/0/TopicId", json!(NO_ID))]),
                ("another unknown id", vec![("/Topics/1/TopicId", json!(NO_ID))]),
                ("no name", vec![("/Topics/0/Name", Value::Null)]),
                ("no other name", vec![("/Topics/1/Name", Value::Null)]),
            ],
        },
        "CreatePartitions" => Subject {
            version: 3,
            whole: json!({"Topics": [{"Name": topic, "Count": 2, "Assignments": null}], "TimeoutMs": 5000,
                "ValidateOnly": true}),
            faults: vec![
                ("a missing topic", vec![("/Topics/0/Name", json!(missing))]),
                ("an illegal name", vec![("/Topics/0/Name", json!(ILLEGAL))]),
                ("as many as there are", vec![("/Topics/0/Count", json!(1))]),
                ("a negative count", vec![("/Topics/0/Count", json!(-1))]),
                (
                    "an unknown broker",
                    vec![("/Topics/0/Assignments", json!([{"BrokerIds": [9]}]))],
                ),
                (
                    "too many assignments",
                    vec![("/Topics/0/Assignments", json!([{"BrokerIds": [1]}, {"BrokerIds": [1]}]))],
                ),
            ],
        },
        "Metadata" => Subject {
            version: 12,
            whole: json!({"Topics": [{"TopicId": NO_ID_ZERO, "Name": topic}], "AllowAutoTopicCreation": true}),
            faults: vec![
                ("its id", vec![("/Topics/0/TopicId", json!(id))]),
                ("an unknown id", vec![("/Topics/0/TopicId", json!(NO_ID))]),
                ("an empty name", vec![("/Topics/0/Name", json!(""))]),
                ("a missing name", vec![("/Topics/0/Name", json!(missing))]),
                ("an illegal name", vec![("/Topics/0/Name", json!(ILLEGAL))]),
                ("its name", vec![("/Topics/0/Name", json!(topic))]),
                ("no name", vec![("/Topics/0/Name", Value::Null)]),
            ],
        },
        "DescribeTopicPartitions" => Subject {
            version: 0,
            whole: json!({"Topics": [{"Name": topic}], "ResponsePartitionLimit": 10,
                "Cursor": {"TopicName": topic, "PartitionIndex": 0}}),
            faults: vec![
                ("a missing topic", vec![("/Topics/0/Name", json!(missing))]),
                ("an illegal name", vec![("/Topics/0/Name", json!(ILLEGAL))]),
                ("an empty name", vec![("/Topics/0/Name", json!(""))]),
                ("a page of none", vec![("/ResponsePartitionLimit", json!(0))]),
                ("a cursor elsewhere", vec![("/Cursor/TopicName", json!("zzz"))]),
                ("a cursor without topic", vec![("/Cursor/TopicName", json!(""))]),
                ("a negative cursor", vec![("/Cursor/PartitionIndex", json!(-1))]),
                ("a cursor behind", vec![("/Cursor/PartitionIndex", json!(9))]),
            ],
        },
        _ => return None,
    })
}

/// The id that stands for none.
const NO_ID_ZERO: &str = "00000000000000000000000000000000";

fn partitions(api: &str, names: &Names) -> Option<Subject> {
    let Names { topic, missing, .. } = names;
    let where_ = |topic_at: &'static str, index_at: &'static str| {
        vec![
            ("a missing topic", vec![(topic_at, json!(missing))]),
            ("an illegal name", vec![(topic_at, json!(ILLEGAL))]),
            ("an empty name", vec![(topic_at, json!(""))]),
            ("a missing partition", vec![(index_at, json!(7))]),
            ("a negative partition", vec![(index_at, json!(-1))]),
        ]
    };
    let with = |mut base: Vec<(&'static str, Changes)>, more: Vec<(&'static str, Changes)>| {
        base.extend(more);
        base
    };
    let corrupt = || {
        let mut hex = Batch::of(1).hex();
        // The last byte of the only record.
        hex.replace_range(hex.len() - 2.., "ff");
        hex
    };
    Some(match api {
        "Produce" => Subject {
            version: 9,
            whole: json!({"Acks": -1, "TimeoutMs": 5000, "TransactionalId": null,
                "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": Batch::of(1).hex()}]}]}),
            faults: with(
                where_("/TopicData/0/Name", "/TopicData/0/PartitionData/0/Index"),
                vec![
                    ("acks of 2", vec![("/Acks", json!(2))]),
                    (
                        "a damaged batch",
                        vec![("/TopicData/0/PartitionData/0/Records", json!(corrupt()))],
                    ),
                    (
                        "half a batch",
                        vec![("/TopicData/0/PartitionData/0/Records", json!(&corrupt()[..80]))],
                    ),
                    (
                        "an internal topic",
                        vec![("/TopicData/0/Name", json!("__consumer_offsets"))],
                    ),
                ],
            ),
        },
        "Fetch" => Subject {
            version: 12,
            whole: json!({"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 100_000, "IsolationLevel": 0,
                "SessionId": 0, "SessionEpoch": -1, "ForgottenTopicsData": [], "RackId": "",
                "Topics": [{"Topic": topic, "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": -1, "FetchOffset": 0,
                    "LastFetchedEpoch": -1, "LogStartOffset": -1, "PartitionMaxBytes": 100_000}]}]}),
            faults: with(
                where_("/Topics/0/Topic", "/Topics/0/Partitions/0/Partition"),
                vec![
                    (
                        "a future epoch",
                        vec![("/Topics/0/Partitions/0/CurrentLeaderEpoch", json!(99))],
                    ),
                    (
                        "behind the end",
                        vec![("/Topics/0/Partitions/0/FetchOffset", json!(99))],
                    ),
                    (
                        "a negative offset",
                        vec![("/Topics/0/Partitions/0/FetchOffset", json!(-5))],
                    ),
                    (
                        "an unknown session",
                        vec![("/SessionId", json!(77)), ("/SessionEpoch", json!(5))],
                    ),
                ],
            ),
        },
        "ListOffsets" => Subject {
            version: 7,
            whole: json!({"ReplicaId": -1, "IsolationLevel": 0, "Topics": [{"Name": topic, "Partitions":
                [{"PartitionIndex": 0, "CurrentLeaderEpoch": -1, "Timestamp": -1}]}]}),
            faults: with(
                where_("/Topics/0/Name", "/Topics/0/Partitions/0/PartitionIndex"),
                vec![
                    ("an unknown time", vec![("/Topics/0/Partitions/0/Timestamp", json!(-9))]),
                    (
                        "a later version's time",
                        vec![("/Topics/0/Partitions/0/Timestamp", json!(-4))],
                    ),
                    (
                        "a future epoch",
                        vec![("/Topics/0/Partitions/0/CurrentLeaderEpoch", json!(99))],
                    ),
                ],
            ),
        },
        "DeleteRecords" => Subject {
            version: 2,
            whole: json!({"TimeoutMs": 5000, "Topics": [{"Name": topic, "Partitions":
                [{"PartitionIndex": 0, "Offset": 0}]}]}),
            faults: with(
                where_("/Topics/0/Name", "/Topics/0/Partitions/0/PartitionIndex"),
                vec![
                    ("behind the end", vec![("/Topics/0/Partitions/0/Offset", json!(99))]),
                    ("a negative offset", vec![("/Topics/0/Partitions/0/Offset", json!(-7))]),
                    (
                        "an internal topic",
                        vec![("/Topics/0/Name", json!("__consumer_offsets"))],
                    ),
                ],
            ),
        },
        "OffsetForLeaderEpoch" => Subject {
            version: 4,
            whole: json!({"ReplicaId": -1, "Topics": [{"Topic": topic, "Partitions":
                [{"Partition": 0, "CurrentLeaderEpoch": -1, "LeaderEpoch": 0}]}]}),
            faults: with(
                where_("/Topics/0/Topic", "/Topics/0/Partitions/0/Partition"),
                vec![
                    (
                        "a future epoch",
                        vec![("/Topics/0/Partitions/0/CurrentLeaderEpoch", json!(99))],
                    ),
                    (
                        "an unknown epoch",
                        vec![("/Topics/0/Partitions/0/LeaderEpoch", json!(50))],
                    ),
                    ("no partitions", vec![("/Topics/0/Partitions", json!([]))]),
                ],
            ),
        },
        "DescribeProducers" => Subject {
            version: 0,
            whole: json!({"Topics": [{"Name": topic, "PartitionIndexes": [0]}]}),
            faults: with(
                where_("/Topics/0/Name", "/Topics/0/PartitionIndexes/0"),
                vec![("no partitions", vec![("/Topics/0/PartitionIndexes", json!([]))])],
            ),
        },
        "ElectLeaders" => Subject {
            version: 2,
            whole: json!({"ElectionType": 0, "TimeoutMs": 5000, "TopicPartitions":
                [{"Topic": topic, "Partitions": [0]}]}),
            faults: with(
                where_("/TopicPartitions/0/Topic", "/TopicPartitions/0/Partitions/0"),
                vec![("an unclean election", vec![("/ElectionType", json!(1))])],
            ),
        },
        "AlterReplicaLogDirs" => Subject {
            version: 2,
            whole: json!({"Dirs": [{"Path": "/nowhere", "Topics": [{"Name": topic, "Partitions": [0]}]}]}),
            faults: with(
                where_("/Dirs/0/Topics/0/Name", "/Dirs/0/Topics/0/Partitions/0"),
                vec![
                    ("a relative path", vec![("/Dirs/0/Path", json!("here"))]),
                    ("no path", vec![("/Dirs/0/Path", json!(""))]),
                ],
            ),
        },
        "AlterPartitionReassignments" => Subject {
            version: 0,
            whole: json!({"TimeoutMs": 5000, "Topics": [{"Name": topic, "Partitions":
                [{"PartitionIndex": 0, "Replicas": null}]}]}),
            faults: with(
                where_("/Topics/0/Name", "/Topics/0/Partitions/0/PartitionIndex"),
                vec![
                    (
                        "an unknown broker",
                        vec![("/Topics/0/Partitions/0/Replicas", json!([9]))],
                    ),
                    ("no replica", vec![("/Topics/0/Partitions/0/Replicas", json!([]))]),
                    (
                        "the same replica twice",
                        vec![("/Topics/0/Partitions/0/Replicas", json!([1, 1]))],
                    ),
                ],
            ),
        },
        _ => return None,
    })
}

fn settings(api: &str, names: &Names) -> Option<Subject> {
    let Names { topic, missing, .. } = names;
    let resources = || {
        vec![
            ("a missing topic", vec![("/Resources/0/ResourceName", json!(missing))]),
            ("an illegal name", vec![("/Resources/0/ResourceName", json!(ILLEGAL))]),
            ("an empty name", vec![("/Resources/0/ResourceName", json!(""))]),
            ("an unknown kind", vec![("/Resources/0/ResourceType", json!(99))]),
            ("a broker's", vec![("/Resources/0/ResourceType", json!(4))]),
        ]
    };
    let configs = |more: Vec<(&'static str, Value)>| {
        let mut faults = resources();
        faults.extend(
            more.into_iter()
                .map(|(label, value)| (label, vec![("/Resources/0/Configs", value)])),
        );
        faults
    };
    Some(match api {
        "DescribeConfigs" => Subject {
            version: 4,
            whole: json!({"Resources": [{"ResourceType": 2, "ResourceName": topic, "ConfigurationKeys": ["retention.ms"]}],
                "IncludeSynonyms": false, "IncludeDocumentation": false}),
            faults: {
                let mut faults = resources();
                faults.push((
                    "an unknown setting",
                    vec![("/Resources/0/ConfigurationKeys", json!(["no.such.setting"]))],
                ));
                faults
            },
        },
        "AlterConfigs" => Subject {
            version: 2,
            whole: json!({"Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": []}], "ValidateOnly": true}),
            faults: configs(vec![
                ("an unknown setting", json!([{"Name": "no.such.setting", "Value": "1"}])),
                ("a bad value", json!([{"Name": "retention.ms", "Value": "soon"}])),
                ("a null value", json!([{"Name": "retention.ms", "Value": null}])),
                (
                    "a null value and an unknown setting",
                    json!([{"Name": "no.such.setting", "Value": "1"}, {"Name": "retention.ms", "Value": null}]),
                ),
            ]),
        },
        "IncrementalAlterConfigs" => Subject {
            version: 1,
            whole: json!({"Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": []}], "ValidateOnly": true}),
            faults: configs(vec![
                (
                    "an unknown setting",
                    json!([{"Name": "no.such.setting", "ConfigOperation": 0, "Value": "1"}]),
                ),
                (
                    "a bad value",
                    json!([{"Name": "retention.ms", "ConfigOperation": 0, "Value": "soon"}]),
                ),
                (
                    "a null value",
                    json!([{"Name": "retention.ms", "ConfigOperation": 0, "Value": null}]),
                ),
                (
                    "no list",
                    json!([{"Name": "retention.ms", "ConfigOperation": 2, "Value": "1"}]),
                ),
                (
                    "the same setting twice, once null",
                    json!([{"Name": "retention.ms", "ConfigOperation": 0, "Value": "1"},
                        {"Name": "retention.ms", "ConfigOperation": 0, "Value": null}]),
                ),
                (
                    "a null value and an unknown setting",
                    json!([{"Name": "no.such.setting", "ConfigOperation": 0, "Value": "1"},
                        {"Name": "retention.ms", "ConfigOperation": 0, "Value": null}]),
                ),
            ]),
        },
        _ => return None,
    })
}

fn groups(api: &str, names: &Names) -> Option<Subject> {
    let Names {
        topic, missing, group, ..
    } = names;
    let member = |group_at: &'static str, more: Vec<(&'static str, Changes)>| {
        let mut faults = vec![("no group", vec![(group_at, json!(""))])];
        faults.extend(more);
        faults
    };
    let identity = || {
        vec![
            ("an unknown member", vec![("/MemberId", json!("nobody"))]),
            ("another generation", vec![("/GenerationId", json!(9))]),
            ("an unknown instance", vec![("/GroupInstanceId", json!("nobody's"))]),
        ]
    };
    Some(match api {
        "JoinGroup" => Subject {
            version: 9,
            whole: json!({"GroupId": group, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "MemberId": "",
                "GroupInstanceId": null, "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": ""}],
                "Reason": null}),
            faults: member(
                "/GroupId",
                vec![
                    ("an unknown member", vec![("/MemberId", json!("nobody"))]),
                    ("a short session", vec![("/SessionTimeoutMs", json!(1))]),
                    ("a long session", vec![("/SessionTimeoutMs", json!(100_000_000))]),
                    ("no protocol type", vec![("/ProtocolType", json!(""))]),
                    ("no protocols", vec![("/Protocols", json!([]))]),
                ],
            ),
        },
        "SyncGroup" => Subject {
            version: 5,
            whole: json!({"GroupId": group, "GenerationId": 1, "MemberId": "", "GroupInstanceId": null,
                "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": []}),
            faults: member("/GroupId", {
                let mut faults = identity();
                faults.push(("no protocol type", vec![("/ProtocolType", Value::Null)]));
                faults.push(("no protocol name", vec![("/ProtocolName", Value::Null)]));
                faults
            }),
        },
        "Heartbeat" => Subject {
            version: 4,
            whole: json!({"GroupId": group, "GenerationId": 1, "MemberId": "", "GroupInstanceId": null}),
            faults: member("/GroupId", identity()),
        },
        "LeaveGroup" => Subject {
            version: 5,
            whole: json!({"GroupId": group, "Members": [{"MemberId": "", "GroupInstanceId": null, "Reason": null}]}),
            faults: member(
                "/GroupId",
                vec![
                    ("an unknown member", vec![("/Members/0/MemberId", json!("nobody"))]),
                    (
                        "an unknown instance",
                        vec![("/Members/0/GroupInstanceId", json!("nobody's"))],
                    ),
                ],
            ),
        },
        "OffsetCommit" => Subject {
            version: 9,
            whole: json!({"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "GroupInstanceId": null,
                "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1,
                    "CommittedLeaderEpoch": -1, "CommittedMetadata": ""}]}]}),
            faults: member(
                "/GroupId",
                vec![
                    ("an unknown member", vec![("/MemberId", json!("nobody"))]),
                    ("another generation", vec![("/GenerationIdOrMemberEpoch", json!(9))]),
                    ("an unknown instance", vec![("/GroupInstanceId", json!("nobody's"))]),
                    ("a missing topic", vec![("/Topics/0/Name", json!(missing))]),
                    (
                        "a missing partition",
                        vec![("/Topics/0/Partitions/0/PartitionIndex", json!(7))],
                    ),
                    (
                        "long metadata",
                        vec![("/Topics/0/Partitions/0/CommittedMetadata", json!("m".repeat(5000)))],
                    ),
                    ("no partitions", vec![("/Topics/0/Partitions", json!([]))]),
                ],
            ),
        },
        "OffsetFetch" => Subject {
            version: 9,
            whole: json!({"Groups": [{"GroupId": group, "MemberId": null, "MemberEpoch": -1,
                "Topics": [{"Name": topic, "PartitionIndexes": [0]}]}], "RequireStable": false}),
            faults: member(
                "/Groups/0/GroupId",
                vec![
                    ("an unknown member", vec![("/Groups/0/MemberId", json!("nobody"))]),
                    ("another epoch", vec![("/Groups/0/MemberEpoch", json!(9))]),
                    ("a missing topic", vec![("/Groups/0/Topics/0/Name", json!(missing))]),
                    (
                        "a missing partition",
                        vec![("/Groups/0/Topics/0/PartitionIndexes/0", json!(7))],
                    ),
                    (
                        "no partitions",
                        vec![("/Groups/0/Topics/0/PartitionIndexes", json!([]))],
                    ),
                ],
            ),
        },
        "OffsetDelete" => Subject {
            version: 0,
            whole: json!({"GroupId": group, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}]}),
            faults: member(
                "/GroupId",
                vec![
                    ("a missing topic", vec![("/Topics/0/Name", json!(missing))]),
                    (
                        "a missing partition",
                        vec![("/Topics/0/Partitions/0/PartitionIndex", json!(7))],
                    ),
                    ("no partitions", vec![("/Topics/0/Partitions", json!([]))]),
                ],
            ),
        },
        _ => return None,
    })
}

fn others(api: &str, _: &Names) -> Option<Subject> {
    Some(match api {
        "FindCoordinator" => Subject {
            version: 5,
            whole: json!({"KeyType": 0, "CoordinatorKeys": ["g"]}),
            faults: vec![
                ("an unknown kind", vec![("/KeyType", json!(9))]),
                ("an empty key", vec![("/CoordinatorKeys/0", json!(""))]),
                ("no keys", vec![("/CoordinatorKeys", json!([]))]),
            ],
        },
        "InitProducerId" => Subject {
            version: 4,
            whole: json!({"TransactionalId": null, "TransactionTimeoutMs": 60_000, "ProducerId": -1, "ProducerEpoch": -1}),
            faults: vec![
                ("an id without an epoch", vec![("/ProducerId", json!(5))]),
                ("an epoch without an id", vec![("/ProducerEpoch", json!(5))]),
                ("a negative timeout", vec![("/TransactionTimeoutMs", json!(-1))]),
            ],
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_sweep::scenarios::every_api;

    /// APIs of which no two fields can be wrong at once.
    const WITHOUT_PAIRS: &[&str] = &[
        "DescribeGroups",
        "ListGroups",
        "DescribeLogDirs",
        "DeleteGroups",
        "DescribeCluster",
        "ListPartitionReassignments",
        "DescribeQuorum",
        "ListConfigResources",
        "ConsumerGroupHeartbeat",
        "ConsumerGroupDescribe",
        "DescribeAcls",
        "CreateAcls",
        "DeleteAcls",
        "DescribeClientQuotas",
        "AlterClientQuotas",
        "DescribeUserScramCredentials",
        "AlterUserScramCredentials",
        "DescribeTransactions",
        "ListTransactions",
    ];

    #[test]
    fn every_api_has_its_faults_or_is_named_as_having_none() {
        let names = Names {
            topic: "t".to_owned(),
            id: NO_ID.to_owned(),
            missing: "m".to_owned(),
            group: "g".to_owned(),
        };
        for api in every_api::APIS {
            assert!(
                APIS.contains(api) != WITHOUT_PAIRS.contains(api),
                "{api} belongs in one list"
            );
        }
        for api in APIS {
            let Subject { whole, faults, .. } = subject(api, &names).expect("it has faults");
            for (label, changes) in faults {
                for (path, _) in changes {
                    assert!(whole.pointer(path).is_some(), "{api}, {label}: no {path}");
                }
            }
        }
    }
}
