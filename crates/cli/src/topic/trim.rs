//! `hallows topic trim`.

use std::collections::BTreeMap;
use std::fmt;

use clap::Args;
use hallows_client::{Client, OffsetAt};
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::names::Name;
use crate::table::Table;
use crate::time::TimeArgument;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Records before the new beginning are gone for every reader, and their space comes back segment by segment.

Examples:
  hallows topic trim greetings --to-offset 1 --partition 0
  hallows topic trim greetings --to-time -1h --dry-run
  hallows topic trim greetings --to-end";

/// Flags of `topic trim`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TrimArguments {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    target: TargetArguments,
    /// Only these partitions; separated by commas.
    #[arg(long, short, value_name = "LIST", value_delimiter = ',')]
    partition: Vec<i32>,
    /// Removes nothing; shows what would go.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What becomes the first record.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct TargetArguments {
    /// The record with this offset, or the next there is.
    #[arg(long, visible_alias = "offset", short = 'o', value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// The first record of this time or later.
    #[arg(long, visible_alias = "before", value_name = "TIME", allow_hyphen_values = true)]
    to_time: Option<TimeArgument>,
    /// The next one to come: every record that is there goes.
    #[arg(long)]
    to_end: bool,
}

#[derive(Serialize)]
struct Trimmed {
    topic: String,
    done: bool,
    partitions: Vec<TrimmedPartition>,
}

#[derive(Serialize)]
struct TrimmedPartition {
    partition: i32,
    before: i64,
    log_start: i64,
}

pub(super) fn run(arguments: &TrimArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let topic = arguments.name.get();
    let wanted = wanted(&mut client, topic, arguments)?;
    let at = |at| wanted.keys().map(|index| (*index, at)).collect::<Vec<_>>();
    let starts = client.list_offsets(topic, &at(OffsetAt::Earliest))?;
    let moves: Vec<(i32, i64)> = wanted.into_iter().collect();
    let done = if arguments.dry_run {
        moves.iter().copied().collect()
    } else {
        client.delete_records(topic, &moves)?
    };
    let partitions = moves.into_iter().map(|(partition, wanted)| TrimmedPartition {
        partition,
        before: starts.get(&partition).map_or(-1, |start| start.offset),
        log_start: done.get(&partition).copied().unwrap_or(wanted),
    });
    let trimmed = Trimmed {
        topic: topic.to_owned(),
        done: !arguments.dry_run,
        partitions: partitions.collect(),
    };
    arguments.cluster.print(&trimmed)?;
    Ok(Exit::Done)
}

/// The new beginning of each partition, never before the present one and never behind the end.
fn wanted(client: &mut Client, topic: &str, arguments: &TrimArguments) -> Result<BTreeMap<i32, i64>, Failure> {
    let partitions: Vec<i32> = match arguments.partition.as_slice() {
        [] => client.topic(topic)?.partitions.keys().copied().collect(),
        some => some.to_vec(),
    };
    let at = |at| partitions.iter().map(|index| (*index, at)).collect::<Vec<_>>();
    let starts = client.list_offsets(topic, &at(OffsetAt::Earliest))?;
    let ends = client.list_offsets(topic, &at(OffsetAt::Latest))?;
    let timed = match &arguments.target.to_time {
        Some(time) => client.list_offsets(topic, &at(OffsetAt::Time(time.0)))?,
        None => BTreeMap::new(),
    };
    let new = partitions.iter().map(|index| {
        let end = ends.get(index).map_or(0, |end| end.offset);
        let start = starts.get(index).map_or(0, |start| start.offset);
        let target = match arguments.target.to_offset {
            Some(offset) => offset,
            // No record that late: all of them are before it.
            None => timed
                .get(index)
                .map(|timed| timed.offset)
                .filter(|at| *at >= 0)
                .unwrap_or(end),
        };
        (*index, target.min(end).max(start))
    });
    Ok(new.collect())
}

impl fmt::Display for Trimmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = if self.done { "trimmed" } else { "would be trimmed" };
        writeln!(f, "topic {} {said}", self.topic)?;
        let mut table = Table::new(["PARTITION", "LOG-START-BEFORE", "LOG-START"]);
        for partition in &self.partitions {
            table.row([
                partition.partition.to_string(),
                partition.before.to_string(),
                partition.log_start.to_string(),
            ]);
        }
        table.fmt(f)
    }
}
