//! `hallows group reset`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::anyhow;
use clap::Args;
use hallows_client::{Client, OffsetAt};
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::time::TimeArgument;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Without --execute nothing is changed; what would be is shown.

Examples:
  hallows group reset billing --to-earliest
  hallows group reset billing --topic orders --to-datetime 2026-01-31T12:00:00Z --execute
  hallows group reset billing --topic orders:0,3 --shift-by -100 --execute";

/// Flags of `group reset`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ResetArguments {
    /// The group.
    #[arg(value_name = "GROUP")]
    group: String,
    /// A topic, or some of its partitions; may be repeated. Otherwise every partition the group has committed.
    #[arg(long, short, value_name = "TOPIC[:PARTITION,...]", value_parser = topic_partitions)]
    topic: Vec<TopicPartitions>,
    #[command(flatten)]
    target: TargetArguments,
    /// Changes the offsets instead of showing what would change.
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Where to.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArguments {
    /// To the first record there is.
    #[arg(long)]
    to_earliest: bool,
    /// To the end: what is there now is skipped.
    #[arg(long)]
    to_latest: bool,
    /// To this offset, or the nearest there is.
    #[arg(long, value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// To the first record of this time or later.
    #[arg(long, visible_alias = "to-time", value_name = "TIME", allow_hyphen_values = true)]
    to_datetime: Option<TimeArgument>,
    /// By this many records forwards, or backwards if negative.
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    shift_by: Option<i64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct TopicPartitions {
    topic: String,
    /// Empty for all.
    partitions: Vec<i32>,
}

fn topic_partitions(text: &str) -> Result<TopicPartitions, String> {
    let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
    let partitions = partitions.split(',').filter(|partition| !partition.is_empty());
    let partitions = partitions.map(|partition| {
        let number = partition.trim().parse::<i32>().ok();
        number.ok_or_else(|| format!("`{partition}` is no partition: give TOPIC or TOPIC:0,1,2"))
    });
    Ok(TopicPartitions {
        topic: topic.to_owned(),
        partitions: partitions.collect::<Result<_, _>>()?,
    })
}

#[derive(Serialize)]
struct Plan {
    group: String,
    executed: bool,
    partitions: Vec<Move>,
}

#[derive(Serialize)]
struct Move {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
}

type Committed = BTreeMap<(String, i32), i64>;

pub(super) fn run(arguments: &ResetArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let committed = client.committed_offsets(&arguments.group, None)?;
    let committed: Committed = committed
        .into_iter()
        .map(|(key, committed)| (key, committed.offset))
        .collect();
    let mut partitions = Vec::new();
    for (topic, indexes) in chosen(&mut client, &arguments.topic, &committed)? {
        partitions.extend(moves(&mut client, &topic, &indexes, &arguments.target, &committed)?);
    }
    if partitions.is_empty() {
        let nothing = anyhow!(
            "group {} has committed nothing, so there is nothing to reset. Name topics with --topic",
            arguments.group
        );
        return Err(Failure::new(Exit::Refused, nothing));
    }
    if arguments.execute {
        let offsets = partitions
            .iter()
            .map(|moved| ((moved.topic.clone(), moved.partition), moved.to));
        client.commit_offsets(&arguments.group, &offsets.collect())?;
    }
    let plan = Plan {
        group: arguments.group.clone(),
        executed: arguments.execute,
        partitions,
    };
    arguments.cluster.print(&plan)?;
    Ok(Exit::Done)
}

/// The partitions to move, by topic.
fn chosen(
    client: &mut Client,
    named: &[TopicPartitions],
    committed: &Committed,
) -> Result<BTreeMap<String, Vec<i32>>, Failure> {
    let mut chosen: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    if named.is_empty() {
        for (topic, partition) in committed.keys() {
            chosen.entry(topic.clone()).or_default().push(*partition);
        }
    }
    for TopicPartitions { topic, partitions } in named {
        let all = client.topic(topic)?.partitions.keys().copied();
        let partitions = if partitions.is_empty() {
            all.collect()
        } else {
            partitions.clone()
        };
        chosen.insert(topic.clone(), partitions);
    }
    Ok(chosen)
}

fn moves(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
    target: &TargetArguments,
    committed: &Committed,
) -> Result<Vec<Move>, Failure> {
    let mut look =
        |at: OffsetAt| client.list_offsets(topic, &partitions.iter().map(|index| (*index, at)).collect::<Vec<_>>());
    let starts = look(OffsetAt::Earliest)?;
    let ends = look(OffsetAt::Latest)?;
    let timed = target
        .to_datetime
        .map(|time| look(OffsetAt::Time(time.0)))
        .transpose()?;
    let mut moves = Vec::new();
    for partition in partitions {
        let of =
            |offsets: &BTreeMap<i32, hallows_client::TimedOffset>| offsets.get(partition).map_or(0, |at| at.offset);
        let (start, end) = (of(&starts), of(&ends));
        let from = committed.get(&(topic.to_owned(), *partition)).copied();
        let wanted = match target {
            TargetArguments { to_earliest: true, .. } => start,
            TargetArguments {
                to_offset: Some(offset),
                ..
            } => *offset,
            TargetArguments {
                shift_by: Some(count), ..
            } => from.unwrap_or(start).saturating_add(*count),
            // No record that late: the end, where the next one will be.
            TargetArguments {
                to_datetime: Some(_), ..
            } => timed.as_ref().map(of).filter(|at| *at >= 0).unwrap_or(end),
            _ => end,
        };
        moves.push(Move {
            topic: topic.to_owned(),
            partition: *partition,
            from,
            to: wanted.min(end).max(start),
        });
    }
    Ok(moves)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.executed {
            "moved"
        } else {
            "would move; --execute does it"
        };
        writeln!(f, "group {}: {said}", self.group)?;
        let mut table = Table::new(["TOPIC", "PARTITION", "FROM", "TO"]);
        for moved in &self.partitions {
            table.row([
                moved.topic.clone(),
                moved.partition.to_string(),
                moved.from.map_or_else(|| "-".to_owned(), |from| from.to_string()),
                moved.to.to_string(),
            ]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_may_name_partitions() {
        let check = |text: &str, partitions: &[i32]| {
            let parsed = topic_partitions(text).expect("it is well formed");
            assert_eq!(
                (parsed.topic.as_str(), parsed.partitions.as_slice()),
                ("orders", partitions),
                "{text}"
            );
        };
        check("orders", &[]);
        check("orders:", &[]);
        check("orders:0,3", &[0, 3]);
        assert!(topic_partitions("orders:x").is_err());
    }

    #[test]
    fn a_plan_says_whether_it_was_carried_out() {
        let plan = |executed| Plan {
            group: "billing".to_owned(),
            executed,
            partitions: vec![Move {
                topic: "orders".to_owned(),
                partition: 0,
                from: None,
                to: 5,
            }],
        };
        assert_eq!(
            plan(false).to_string(),
            "group billing: would move; --execute does it\nTOPIC   PARTITION  FROM  TO\norders  0          -     5"
        );
        assert!(plan(true).to_string().starts_with("group billing: moved\n"));
    }
}
