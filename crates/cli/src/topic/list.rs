//! `hallows topic list`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::{Exit, Failure, output};

const EXAMPLES: &str = "\
Examples:
  hallows topic list
  hallows topic list --output json | jq -r '.[].name'";

/// Flags of `topic list`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListArguments {
    /// Also lists the topics that belong to the broker itself, such as __consumer_offsets.
    #[arg(long, short)]
    internal: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    partitions: usize,
    replicas: usize,
    internal: bool,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Topics(Vec<Listed>);

pub(super) fn run(arguments: &ListArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let topics = client.list_topics()?.into_iter();
    let topics = topics.filter(|topic| arguments.internal || !topic.is_internal);
    let listed = topics.map(|topic| Listed {
        partitions: topic.partitions.len(),
        replicas: topic
            .partitions
            .values()
            .map(|partition| partition.replicas.len())
            .max()
            .unwrap_or(0),
        internal: topic.is_internal,
        name: topic.name,
    });
    let listed: Vec<Listed> = listed.collect();
    if arguments.cluster.is_terse() {
        listed.iter().try_for_each(|listed| output::line(&listed.name))?;
        return Ok(Exit::Done);
    }
    arguments.cluster.print(&Topics(listed))?;
    Ok(Exit::Done)
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no topics");
        }
        let mut table = Table::new(["TOPIC", "PARTITIONS", "REPLICAS"]);
        for topic in &self.0 {
            table.row([
                topic.name.clone(),
                topic.partitions.to_string(),
                topic.replicas.to_string(),
            ]);
        }
        table.fmt(f)
    }
}
