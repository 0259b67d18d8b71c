//! `hallows topic describe`.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::Args;
use hallows_client::{Client, OffsetAt, Resource};
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::names::AnyNames;
use crate::table::Table;
use crate::{Exit, Failure};

/// What DescribeConfigs says of a setting that the topic itself has.
const SOURCE_TOPIC: i8 = 1;

const EXAMPLES: &str = "\
Examples:
  hallows topic describe
  hallows topic describe greetings
  hallows topic describe greetings --all-settings --output json";

/// Flags of `topic describe`.
#[derive(Args, Debug)]
#[command(after_help = format!("Without a name: every topic but the broker's own.\n\n{EXAMPLES}"))]
pub struct DescribeArguments {
    #[command(flatten)]
    names: AnyNames,
    /// Shows every setting that holds for the topic, not only its own.
    #[arg(long)]
    all_settings: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Topics(Vec<Described>);

#[derive(Serialize)]
struct Described {
    name: String,
    id: String,
    internal: bool,
    partitions: Vec<DescribedPartition>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    log_start: i64,
    log_end: i64,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    source: &'static str,
}

pub(super) fn run(arguments: &DescribeArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let mut names: Vec<String> = arguments.names.all().map(str::to_owned).collect();
    if names.is_empty() {
        let topics = client.list_topics()?.into_iter();
        names.extend(topics.filter(|topic| !topic.is_internal).map(|topic| topic.name));
    }
    let described = names
        .iter()
        .map(|name| describe(&mut client, name, arguments.all_settings));
    let described = Topics(described.collect::<Result<_, _>>()?);
    arguments.cluster.print(&described)?;
    Ok(Exit::Done)
}

fn describe(client: &mut Client, name: &str, all_settings: bool) -> Result<Described, Failure> {
    let topic = client.topic(name)?.clone();
    let at = |at| topic.partitions.keys().map(|index| (*index, at)).collect::<Vec<_>>();
    let starts = client.list_offsets(name, &at(OffsetAt::Earliest))?;
    let ends = client.list_offsets(name, &at(OffsetAt::Latest))?;
    let partitions = topic.partitions.iter().map(|(index, partition)| DescribedPartition {
        partition: *index,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        in_sync: partition.in_sync.clone(),
        log_start: starts.get(index).map_or(-1, |timed| timed.offset),
        log_end: ends.get(index).map_or(-1, |timed| timed.offset),
    });
    let settings = client.describe_configs(Resource::Topic(name), &[])?.into_iter();
    let settings = settings.filter(|setting| all_settings || setting.config_source == SOURCE_TOPIC);
    Ok(Described {
        name: topic.name.clone(),
        id: BASE64_URL_SAFE_NO_PAD.encode(topic.id.0),
        internal: topic.is_internal,
        partitions: partitions.collect(),
        settings: settings
            .map(|setting| Setting {
                name: setting.name,
                value: setting.value,
                source: source_word(setting.config_source),
            })
            .collect(),
    })
}

/// Where a value comes from, in words.
pub(crate) const fn source_word(source: i8) -> &'static str {
    match source {
        SOURCE_TOPIC => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker, static",
        5 => "default",
        _ => "unknown",
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no topics");
        }
        for (index, topic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            topic.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let internal = if self.internal { ", internal" } else { "" };
        let count = i32::try_from(self.partitions.len()).unwrap_or(i32::MAX);
        writeln!(
            f,
            "topic {}, id {}, {}{internal}",
            self.name,
            self.id,
            super::partitions(count)
        )?;
        for setting in &self.settings {
            let value = setting.value.as_deref().unwrap_or("");
            let source = if setting.source == "topic" {
                String::new()
            } else {
                format!("  ({})", setting.source)
            };
            writeln!(f, "  {}={value}{source}", setting.name)?;
        }
        let mut table = Table::new([
            "PARTITION",
            "LEADER",
            "EPOCH",
            "REPLICAS",
            "IN-SYNC",
            "LOG-START",
            "LOG-END",
        ]);
        for partition in &self.partitions {
            table.row([
                partition.partition.to_string(),
                partition
                    .leader
                    .map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                partition.leader_epoch.to_string(),
                ids(&partition.replicas),
                ids(&partition.in_sync),
                partition.log_start.to_string(),
                partition.log_end.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_settings_and_offsets() {
        let topic = Described {
            name: "greetings".to_owned(),
            id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
            internal: false,
            partitions: vec![DescribedPartition {
                partition: 0,
                leader: Some(1),
                leader_epoch: 2,
                replicas: vec![1],
                in_sync: vec![1],
                log_start: 0,
                log_end: 1_000_000,
            }],
            settings: vec![Setting {
                name: "durability".to_owned(),
                value: Some("written".to_owned()),
                source: "topic",
            }],
        };
        let expected = "\
topic greetings, id AAAAAAAAAAAAAAAAAAAAAQ, 1 partition
  durability=written
PARTITION  LEADER  EPOCH  REPLICAS  IN-SYNC  LOG-START  LOG-END
0          1       2      1         1        0          1000000";
        assert_eq!(Topics(vec![topic]).to_string(), expected);
    }
}
