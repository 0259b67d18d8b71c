//! `hallows consume`: records become lines of standard output.

mod presence;
mod properties;
mod source;
mod start;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use hallows_client::{Client, ConsumedRecord, OffsetAt};
use indicatif::ProgressBar;
use regex_lite::Regex;

use crate::cluster::{ClusterArguments, Format};
use crate::interrupt::Interrupt;
use crate::names::AnyNames;
use crate::record::RecordView;
use crate::template::{self, Template};
use crate::time::TimeArgument;
use crate::{Exit, Failure, progress};
use properties::Properties;
use source::Source;
use start::{Span, Start};

/// How long one look for records waits; also how soon Ctrl-C is noticed.
const POLL_WAIT: Duration = Duration::from_millis(250);
/// What a record is in text, when nothing else is asked for.
const VALUE_AND_NEWLINE: &str = "%v\\n";

const EXAMPLES: &str = "\
Examples:
  hallows consume greetings --from-beginning
  hallows consume greetings --offset -10 --exit-at-end          the last ten records of each partition
  hallows consume orders --from-time 2026-01-31T12:00:00Z --num 100
  hallows consume orders --group billing --from-beginning --idle-timeout 2 --format '%p/%o %k: %v\\n'
  hallows consume orders --from-beginning --exit-at-end --output json > orders.json
  hallows consume --regex 'ord.*' --since 1h --exit-at-end --property print.key=true";

/// Flags of `consume`.
#[derive(Args, Debug)]
#[command(after_help = format!("{}\n\n{EXAMPLES}", template::HELP))]
pub struct ConsumeArguments {
    #[command(flatten)]
    names: AnyNames,
    /// Reads every topic whose whole name matches this regular expression, too.
    #[arg(long, short, value_name = "PATTERN")]
    regex: Option<String>,
    /// Reads as a member of this group, and commits what was printed.
    #[arg(long, short, value_name = "GROUP", conflicts_with_all = ["partition", "offset", "from_time"])]
    group: Option<String>,
    /// Starts at the first record there is; in a group, where nothing has been committed yet.
    #[arg(long, visible_alias = "beginning", conflicts_with_all = ["offset", "from_time"])]
    from_beginning: bool,
    /// Where to start: beginning, end, an offset, -N for N before the end, @TIME or s@TIME [default: end]; with :end
    /// behind it, or as e@TIME, also where to stop.
    #[arg(long, short, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Vec<Span>,
    /// Starts at the first record of this time or later: 2026-01-31T12:00:00Z, milliseconds, 15m, 1h or 2d ago.
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
    /// Stops when no record has come for so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "timeout_ms")]
    idle_timeout: Option<f64>,
    /// The same in milliseconds, as kafka-console-consumer.sh has it.
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// What to print of each record [default: %v\n].
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<Template>,
    /// What to print, as kafka-console-consumer.sh has it: print.key=true, key.separator=: and their kin; may be repeated.
    #[arg(
        long,
        visible_alias = "formatter-property",
        value_name = "NAME=VALUE",
        conflicts_with = "format"
    )]
    property: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(crate) fn run(arguments: &ConsumeArguments) -> Result<Exit, Failure> {
    let interrupt = Interrupt::watch()?;
    let mut source = arguments.open()?;
    let mut printer = Printer::new(arguments, source.remaining()?)?;
    let read = read(arguments, &mut source, &mut printer, &interrupt);
    printer.progress.finish_and_clear();
    // As a Java consumer does that is closed: where nothing was read, the group knows at least where it stands.
    let committed = if read.is_ok() {
        source.commit_positions()
    } else {
        Ok(())
    };
    // A member that leaves spares the others the wait for its session; after an error nobody may be there to tell.
    let left = source.leave();
    read?;
    committed?;
    left?;
    Ok(Exit::Done)
}

fn read(
    arguments: &ConsumeArguments,
    source: &mut Source,
    printer: &mut Printer,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let idle_max = arguments.idle_max()?;
    let mut heard = Instant::now();
    while !interrupt.is_wanted() && printer.left != Some(0) {
        if source.stops() && source.is_at_end()? {
            break;
        }
        let mut records = source.poll(POLL_WAIT)?;
        if !records.is_empty() {
            heard = Instant::now();
        } else if idle_max.is_some_and(|idle| heard.elapsed() >= idle) {
            break;
        }
        if let Some(left) = printer.left {
            let printed = usize::try_from(left).unwrap_or(usize::MAX).min(records.len());
            source.give_back(&records[printed..]);
            records.truncate(printed);
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
        let mut client = self.cluster.connect()?;
        let topics = self.topics(&mut client)?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let source = match &self.group {
            Some(group) => Source::group(client, group, &topics, self.from_beginning),
            None => Source::partitions(client, &topics, &self.partition, self.start()),
        }?;
        Ok(match self.stop() {
            Some(end) => source.until(end),
            None => source,
        })
    }

    /// The topics that were named and those that match.
    fn topics(&self, client: &mut Client) -> Result<Vec<String>, Failure> {
        let usage = |why: String| Failure::new(Exit::Usage, anyhow::Error::msg(why));
        let mut topics: Vec<String> = self.names.all().map(str::to_owned).collect();
        if let Some(pattern) = &self.regex {
            let regex = Regex::new(&format!("^(?:{pattern})$"))
                .map_err(|error| usage(format!("`{pattern}` is no regular expression: {error}")))?;
            let known = client.list_topics()?.into_iter().filter(|topic| !topic.is_internal);
            topics.extend(known.map(|topic| topic.name).filter(|name| regex.is_match(name)));
            if topics.is_empty() {
                return Err(Failure::new(
                    Exit::Refused,
                    anyhow::anyhow!("no topic matches `{pattern}`; `hallows topic list` shows all"),
                ));
            }
        }
        if topics.is_empty() {
            return Err(usage(
                "which topic? Give a name, as in `hallows consume TOPIC`, or --regex".to_owned(),
            ));
        }
        topics.sort_unstable();
        topics.dedup();
        Ok(topics)
    }

    fn start(&self) -> Start {
        let said = self.offset.iter().find_map(|span| span.start);
        match (self.from_beginning, said, self.from_time) {
            (true, _, _) => Start::At(OffsetAt::Earliest),
            (_, Some(start), _) => start,
            (_, _, Some(time)) => Start::At(OffsetAt::Time(time.0)),
            _ => Start::At(OffsetAt::Latest),
        }
    }

    /// Where reading stops; `None` where it goes on for ever.
    fn stop(&self) -> Option<OffsetAt> {
        let said = self.offset.iter().find_map(|span| span.stop);
        said.or(self.exit_at_end.then_some(OffsetAt::Latest))
    }

    fn idle_max(&self) -> Result<Option<Duration>, Failure> {
        if let Some(milliseconds) = self.timeout_ms {
            return Ok(Some(Duration::from_millis(milliseconds)));
        }
        let seconds = self.idle_timeout.map(Duration::try_from_secs_f64).transpose();
        seconds.map_err(|_| Failure::new(Exit::Usage, anyhow::anyhow!("--idle-timeout takes a number of seconds")))
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
    fn new(arguments: &ConsumeArguments, remaining: Option<u64>) -> Result<Self, Failure> {
        let properties =
            Properties::parse(&arguments.property).map_err(|why| Failure::new(Exit::Usage, anyhow::Error::msg(why)))?;
        let format = arguments
            .format
            .clone()
            .or(properties.map(|properties| properties.template()));
        let template = match (format, arguments.cluster.output()) {
            (Some(template), _) => Some(template),
            (None, Format::Json) => None,
            (None, Format::Text) => Some(VALUE_AND_NEWLINE.parse().expect("it is well formed")),
        };
        let ends = arguments.stop().and(remaining);
        let end = [arguments.num, ends].into_iter().flatten().min();
        let progress = match end {
            // Records on the terminal are progress enough.
            _ if io::stdout().is_terminal() || arguments.cluster.is_terse() => progress::none(),
            Some(end) => progress::bar(end, progress::Unit::Records),
            None => progress::counter(),
        };
        Ok(Self {
            template,
            left: arguments.num,
            progress,
            buffer: Vec::new(),
        })
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
