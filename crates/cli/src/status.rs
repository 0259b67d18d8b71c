//! `hallows cluster status` and `hallows health`: what there is, and whether it serves.

use std::fmt;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use hallows_client::{Client, ErrorCode};
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::{Exit, Failure};

const STATUS_EXAMPLES: &str = "\
Examples:
  hallows cluster status
  hallows cluster status --output json | jq .healthy";

const HEALTH_EXAMPLES: &str = "\
Ends with 0 when every partition has a leader and every data directory works, with 1 when not, with 3 when no broker
answers: made for probes of containers.

Examples:
  hallows health
  hallows health --timeout 1 --quiet";

/// What to do with a cluster.
#[derive(Subcommand, Debug)]
pub enum ClusterVerb {
    /// Show nodes, topics and health.
    #[command(visible_alias = "describe")]
    Status(StatusArguments),
}

/// Flags of `cluster status`.
#[derive(Args, Debug)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Flags of `health`.
#[derive(Args, Debug)]
#[command(after_help = HEALTH_EXAMPLES)]
pub struct HealthArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(verb: &ClusterVerb) -> Result<Exit, Failure> {
    match verb {
        ClusterVerb::Status(arguments) => {
            let status = Status::of(&mut arguments.cluster.connect()?)?;
            arguments.cluster.print(&status)?;
            Ok(Exit::Done)
        }
    }
}

pub(crate) fn health(arguments: &HealthArguments) -> Result<Exit, Failure> {
    let status = Status::of(&mut arguments.cluster.connect()?)?;
    if !arguments.cluster.is_terse() {
        arguments.cluster.print(&Health {
            healthy: status.healthy,
            problems: status.problems.clone(),
        })?;
    }
    Ok(if status.healthy { Exit::Done } else { Exit::Failed })
}

#[derive(Serialize)]
struct Health {
    healthy: bool,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Status {
    cluster_id: Option<String>,
    controller: Option<i32>,
    nodes: Vec<Node>,
    topics: usize,
    partitions: usize,
    healthy: bool,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Node {
    id: i32,
    address: String,
    /// What partitions take on its disks.
    log_bytes: Option<i64>,
    /// What is free there; `None` where it does not say.
    free_bytes: Option<i64>,
}

impl Status {
    fn of(client: &mut Client) -> Result<Self, Failure> {
        let topics = client.list_topics()?;
        let mut problems = Vec::new();
        for topic in &topics {
            let orphans = topic.partitions.values().filter(|partition| partition.leader.is_none());
            let count = orphans.count();
            if count > 0 {
                problems.push(format!("topic {}: {count} partitions have no leader", topic.name));
            }
        }
        let known: Vec<(i32, String)> = client.brokers().iter().map(|(id, at)| (*id, at.clone())).collect();
        let mut nodes = Vec::new();
        for (id, address) in known {
            let mut node = Node {
                id,
                address,
                log_bytes: None,
                free_bytes: None,
            };
            match client.describe_log_dirs(id) {
                Ok(directories) => {
                    for directory in directories {
                        if directory.error_code != ErrorCode::NONE {
                            problems.push(format!("node {id}: {} has {}", directory.log_dir, directory.error_code));
                        }
                        let sizes = directory.topics.iter().flat_map(|topic| &topic.partitions);
                        let bytes: i64 = sizes.map(|partition| partition.partition_size).sum();
                        *node.log_bytes.get_or_insert(0) += bytes;
                        node.free_bytes = (directory.usable_bytes >= 0).then_some(directory.usable_bytes);
                    }
                }
                Err(error) => problems.push(format!("node {id} does not answer: {error}")),
            }
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(Failure::new(
                Exit::Network,
                anyhow!("the cluster names no node; is it starting?"),
            ));
        }
        Ok(Self {
            cluster_id: client.cluster_id().map(str::to_owned),
            controller: client.controller(),
            nodes,
            topics: topics.iter().filter(|topic| !topic.is_internal).count(),
            partitions: topics.iter().map(|topic| topic.partitions.len()).sum(),
            healthy: problems.is_empty(),
            problems,
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.healthy {
            return f.write_str("healthy");
        }
        write!(f, "not healthy\n  {}", self.problems.join("\n  "))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.cluster_id.as_deref().unwrap_or("without an id");
        writeln!(
            f,
            "cluster {id}, {} topics, {} partitions",
            self.topics, self.partitions
        )?;
        let mut table = Table::new(["NODE", "ADDRESS", "CONTROLLER", "LOG-BYTES", "FREE-BYTES"]);
        let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        for node in &self.nodes {
            table.row([
                node.id.to_string(),
                node.address.clone(),
                if self.controller == Some(node.id) { "yes" } else { "" }.to_owned(),
                number(node.log_bytes),
                number(node.free_bytes),
            ]);
        }
        writeln!(f, "{table}")?;
        let health = Health {
            healthy: self.healthy,
            problems: self.problems.clone(),
        };
        health.fmt(f)
    }
}
