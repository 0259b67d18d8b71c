//! `hallows consume`: records become lines of standard output.

mod presence;
mod source;
mod start;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use hallows_client::{ConsumedRecord, OffsetAt};
use indicatif::ProgressBar;

use crate::cluster::{ClusterArguments, Format};
use crate::interrupt::Interrupt;
use crate::names::Names;
use crate::record::RecordView;
use crate::template::{self, Template};
use crate::time::TimeArgument;
use crate::{Exit, Failure, progress};
use source::Source;
use start::Start;

/// How long one look for records waits; also how soon Ctrl-C is noticed.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// What a record is in text, when nothing else is asked for.
const VALUE_AND_NEWLINE: &str = "%v\\n";

const EXAMPLES: &str = "\
Examples:
  hallows consume greetings --from-beginning
  hallows consume greetings --offset -10 --exit-at-end          the last ten records of each partition
  hallows consume orders --from-time 2026-01-31T12:00:00Z --num 100
  hallows consume orders --group billing --format '%p/%o %k: %v\\n'
  hallows consume orders --from-beginning --exit-at-end --output json > orders.json";

/// Flags of `consume`.
#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", template::HELP))]
pub struct ConsumeArguments {
    #[command(flatten)]
    names: Names,
    /// Reads as a member of this group, and commits what was printed.
    #[arg(long, short, value_name = "GROUP", conflicts_with_all = ["partition", "offset", "from_time"])]
    group: Option<String>,
    /// Starts at the first record there is; in a group, where nothing has been committed yet.
    #[arg(long, visible_alias = "beginning", conflicts_with_all = ["offset", "from_time"])]
    from_beginning: bool,
    /// Where to start: beginning, end, an offset, -N for N before the end, @TIME [default: end].
    #[arg(long, short, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Option<Start>,
    /// Starts at the first record of this time or later: 2026-01-31T12:00:00Z, milliseconds, or -15m.
    #[arg(
        long,
        visible_alias = "since",
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with = "offset"
    )]
    from_time: Option<TimeArgument>,
    /// Only these partitions; separated by commas.
    #[arg(long, short, value_name = "LIST", value_delimiter = ',')]
    partition: Vec<i32>,
    /// Stops after this many records.
    #[arg(long, short, visible_aliases = ["max-messages", "count"], short_alias = 'c', value_name = "COUNT")]
    num: Option<u64>,
    /// Stops where the log ends when it is reached.
    #[arg(long, short)]
    exit_at_end: bool,
    /// What to print of each record [default: %v\n].
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<Template>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(arguments: &ConsumeArguments) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let mut source = arguments.open()?;
    let mut printer = Printer::new(arguments, source.remaining()?);
    let read = read(arguments, &mut source, &mut printer, &interrupt);
    printer.progress.finish_and_clear();
    // A member that leaves spares the others the wait for its session; after an error nobody may be there to tell.
    let left = source.leave();
    read?;
    left?;
    Ok(Exit::Done)
}

fn read(
    arguments: &ConsumeArguments,
    source: &mut Source,
    printer: &mut Printer,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    while !interrupt.is_wanted() && printer.left != Some(0) {
        if arguments.exit_at_end && source.is_at_end()? {
            break;
        }
        let mut records = source.poll(POLL_WAIT)?;
        if let Some(left) = printer.left {
            records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        printer.print(&records)?;
        source.commit(&after(&records))?;
    }
    Ok(())
}

/// The offset after the last record of each partition.
fn after(records: &[ConsumedRecord]) -> BTreeMap<(String, i32), i64> {
    let mut after = BTreeMap::new();
    for record in records {
        after.insert((record.topic.to_string(), record.partition), record.offset + 1);
    }
    after
}

impl ConsumeArguments {
    fn open(&self) -> Result<Source, Failure> {
        let client = self.cluster.connect()?;
        let topics: Vec<&str> = self.names.all().collect();
        match &self.group {
            Some(group) => Source::group(client, group, &topics, self.from_beginning),
            None => Source::partitions(client, &topics, &self.partition, self.start()),
        }
    }

    fn start(&self) -> Start {
        match (self.from_beginning, self.offset, self.from_time) {
            (true, _, _) => Start::At(OffsetAt::Earliest),
            (_, Some(start), _) => start,
            (_, _, Some(time)) => Start::At(OffsetAt::Time(time.0)),
            _ => Start::At(OffsetAt::Latest),
        }
    }
}

struct Printer {
    /// `None` for JSON.
    template: Option<Template>,
    /// How many records may still be printed.
    left: Option<u64>,
    progress: ProgressBar,
    buffer: Vec<u8>,
}

impl Printer {
    fn new(arguments: &ConsumeArguments, remaining: Option<u64>) -> Self {
        let template = match (&arguments.format, arguments.cluster.output) {
            (Some(template), _) => Some(template.clone()),
            (None, Format::Json) => None,
            (None, Format::Text) => Some(VALUE_AND_NEWLINE.parse().expect("it is well formed")),
        };
        let ends = if arguments.exit_at_end { remaining } else { None };
        let end = [arguments.num, ends].into_iter().flatten().min();
        let progress = match end {
            // Records on the terminal are progress enough.
            _ if io::stdout().is_terminal() => progress::none(),
            Some(end) => progress::bar(end, progress::Unit::Records),
            None => progress::counter(),
        };
        Self {
            template,
            left: arguments.num,
            progress,
            buffer: Vec::new(),
        }
    }

    fn print(&mut self, records: &[ConsumedRecord]) -> Result<(), Failure> {
        self.buffer.clear();
        for record in records {
            let view = RecordView {
                topic: &record.topic,
                partition: record.partition,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                leader_epoch: record.leader_epoch,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            };
            match &self.template {
                Some(template) => template.write(&view, &mut self.buffer),
                None => {
                    self.buffer.extend_from_slice(view.to_json()?.as_bytes());
                    self.buffer.push(b'\n');
                }
            }
        }
        let mut out = io::stdout().lock();
        out.write_all(&self.buffer)?;
        out.flush()?;
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        self.left = self.left.map(|left| left.saturating_sub(count));
        self.progress.inc(count);
        Ok(())
    }
}
