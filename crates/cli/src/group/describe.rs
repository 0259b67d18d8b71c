//! `hallows group describe`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::anyhow;
use clap::Args;
use hallows_client::{Client, ErrorCode, OffsetAt};
use hallows_protocol::messages::ConsumerProtocolAssignment;
use hallows_protocol::messages::describe_groups_response::DescribedGroup;
use hallows_protocol::records::decode_versioned;
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::{Exit, Failure};

/// The state of a group that nobody has heard of.
const DEAD: &str = "Dead";

const EXAMPLES: &str = "\
Examples:
  hallows group describe billing
  hallows group describe billing --output json | jq '.[].total_lag'";

/// Flags of `group describe`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DescribeArguments {
    /// The groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Groups(Vec<Described>);

#[derive(Serialize)]
struct Described {
    group: String,
    state: String,
    assignor: String,
    coordinator: i32,
    members: Vec<Member>,
    partitions: Vec<Partition>,
    total_lag: i64,
}

#[derive(Serialize)]
struct Member {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    host: String,
    assigned: usize,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    log_end: Option<i64>,
    lag: Option<i64>,
    member: Option<String>,
}

pub(super) fn run(arguments: &DescribeArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let described = arguments.groups.iter().map(|group| describe(&mut client, group));
    arguments.cluster.print(&Groups(described.collect::<Result<_, _>>()?))?;
    Ok(Exit::Done)
}

fn describe(client: &mut Client, name: &str) -> Result<Described, Failure> {
    let unknown = || {
        Failure::new(
            Exit::Refused,
            anyhow!("there is no group {name}; `hallows group list` shows all"),
        )
    };
    let group = match client.describe_group(name) {
        Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => return Err(unknown()),
        described => described?,
    };
    if group.group_state == DEAD {
        return Err(unknown());
    }
    let owners = owners(&group);
    let partitions = partitions(client, name, &owners)?;
    let assigned = |id: &String| owners.values().filter(|owner| *owner == id).count();
    Ok(Described {
        group: group.group_id,
        state: group.group_state,
        assignor: group.protocol_data,
        coordinator: client.coordinator(name)?,
        total_lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
        members: group
            .members
            .into_iter()
            .map(|member| Member {
                assigned: assigned(&member.member_id),
                id: member.member_id,
                instance_id: member.group_instance_id,
                client_id: member.client_id,
                host: member.client_host,
            })
            .collect(),
        partitions,
    })
}

/// Which member reads which partition. Members whose assignment is not of the consumer protocol read none.
fn owners(group: &DescribedGroup) -> BTreeMap<(String, i32), String> {
    let mut owners = BTreeMap::new();
    for member in &group.members {
        let Ok((_, assignment)) = decode_versioned::<ConsumerProtocolAssignment<'_>>(&member.member_assignment) else {
            continue;
        };
        for topic in assignment.assigned_partitions {
            for partition in topic.partitions {
                owners.insert((topic.topic.to_owned(), partition), member.member_id.clone());
            }
        }
    }
    owners
}

fn partitions(
    client: &mut Client,
    group: &str,
    owners: &BTreeMap<(String, i32), String>,
) -> Result<Vec<Partition>, Failure> {
    let committed = client.committed_offsets(group, None)?;
    let mut by_topic: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partition) in committed.keys().chain(owners.keys()) {
        by_topic.entry(topic).or_default().insert(*partition);
    }
    let mut described = Vec::new();
    for (topic, indexes) in by_topic {
        let at_end: Vec<_> = indexes.iter().map(|index| (*index, OffsetAt::Latest)).collect();
        // A group may remember topics that are gone; they have no end.
        let ends = match client.topic(topic) {
            Ok(_) => client.list_offsets(topic, &at_end)?,
            Err(error) if error.code().is_some() => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        for partition in indexes {
            let key = (topic.to_owned(), partition);
            let committed = committed.get(&key).map(|committed| committed.offset);
            let log_end = ends.get(&partition).map(|end| end.offset);
            described.push(Partition {
                topic: topic.to_owned(),
                partition,
                committed,
                log_end,
                lag: log_end.zip(committed).map(|(end, committed)| (end - committed).max(0)),
                member: owners.get(&key).cloned(),
            });
        }
    }
    Ok(described)
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            group.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assignor = if self.assignor.is_empty() {
            String::new()
        } else {
            format!(", assignor {}", self.assignor)
        };
        write!(f, "group {}, {}{assignor}", self.group, self.state)?;
        write!(f, ", coordinator {}, total lag {}", self.coordinator, self.total_lag)?;
        if !self.partitions.is_empty() {
            let mut table = Table::new(["TOPIC", "PARTITION", "COMMITTED", "LOG-END", "LAG", "MEMBER"]);
            for partition in &self.partitions {
                table.row([
                    partition.topic.clone(),
                    partition.partition.to_string(),
                    number(partition.committed),
                    number(partition.log_end),
                    number(partition.lag),
                    partition.member.clone().unwrap_or_else(|| "-".to_owned()),
                ]);
            }
            write!(f, "\n{table}")?;
        }
        if !self.members.is_empty() {
            let mut table = Table::new(["MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"]);
            for member in &self.members {
                table.row([
                    member.id.clone(),
                    member.instance_id.clone().unwrap_or_else(|| "-".to_owned()),
                    member.client_id.clone(),
                    member.host.clone(),
                    member.assigned.to_string(),
                ]);
            }
            write!(f, "\n{table}")?;
        }
        Ok(())
    }
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_lag_and_members() {
        let partition = |partition, committed, member: Option<&str>| Partition {
            topic: "orders".to_owned(),
            partition,
            committed,
            log_end: Some(10),
            lag: committed.map(|committed| 10 - committed),
            member: member.map(str::to_owned),
        };
        let group = Described {
            group: "billing".to_owned(),
            state: "Stable".to_owned(),
            assignor: "range".to_owned(),
            coordinator: 1,
            members: vec![Member {
                id: "m-1".to_owned(),
                instance_id: None,
                client_id: "app".to_owned(),
                host: "/127.0.0.1".to_owned(),
                assigned: 1,
            }],
            partitions: vec![partition(0, Some(7), Some("m-1")), partition(1, None, None)],
            total_lag: 3,
        };
        let expected = "\
group billing, Stable, assignor range, coordinator 1, total lag 3
TOPIC   PARTITION  COMMITTED  LOG-END  LAG  MEMBER
orders  0          7          10       3    m-1
orders  1          -          10       -    -
MEMBER  INSTANCE  CLIENT  HOST        PARTITIONS
m-1     -         app     /127.0.0.1  1";
        assert_eq!(Groups(vec![group]).to_string(), expected);
    }
}
