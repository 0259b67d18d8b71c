//! `hallows produce`: lines of standard input become records.

pub(crate) mod input;
mod report;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hallows_client::{Acks, Codec, Delivery, NewHeader, NewRecord, Producer, ProducerOptions};
use indicatif::ProgressBar;

use crate::cluster::ClusterArguments;
use crate::names::Name;
use crate::record::InputRecord;
use crate::{Exit, Failure, progress};
use input::{InputFormat, LineParser};
use report::Report;

const EXAMPLES: &str = "\
Examples:
  echo 'hello' | hallows produce greetings
  hallows produce orders --key-separator : < orders.txt
  hallows produce orders --codec zstd --header source=import --partition 3 < lines.txt
  echo '{\"key\":\"k\",\"value\":{\"n\":1},\"headers\":{\"a\":\"b\"}}' | hallows produce orders --format json
  hallows consume a --from-beginning --exit-at-end --output json | hallows produce b --format json";

/// Flags of `produce`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ProduceArguments {
    #[command(flatten)]
    name: Name,
    /// What a line is: a value, or a JSON object with key, value, headers, partition and timestamp.
    #[arg(long, short, value_enum, default_value_t = InputFormat::Lines)]
    format: InputFormat,
    /// What stands between key and value in a line.
    #[arg(long, short = 'K', value_name = "TEXT")]
    key_separator: Option<String>,
    /// The key of every record whose line has none.
    #[arg(long, short, value_name = "TEXT", conflicts_with = "key_separator")]
    key: Option<String>,
    /// A header of every record; may be repeated.
    #[arg(long, short = 'H', value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The partition of every record; otherwise the key decides.
    #[arg(long, short, value_name = "NUMBER")]
    partition: Option<i32>,
    /// Sends an empty value as null: a tombstone.
    #[arg(long, short = 'Z', visible_alias = "tombstone")]
    empty_is_null: bool,
    /// How batches are compressed.
    #[arg(long, short = 'z', visible_aliases = ["compression", "compression-codec"], value_name = "CODEC", default_value = "none", value_parser = codec)]
    codec: Codec,
    /// When a record counts as sent: `all` as durable as the topic promises, `1` once the leader has it, `0` at once.
    #[arg(long, value_enum, default_value_t = AcksArgument::All)]
    acks: AcksArgument,
    /// Lets the broker recognise what is sent twice.
    #[arg(long)]
    idempotent: bool,
    /// How long a record waits for others to share its batch.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    linger_ms: u64,
    /// A batch is sent before it exceeds this size.
    #[arg(long, default_value_t = 512 << 10, value_name = "BYTES")]
    batch_bytes: usize,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// When a broker answers.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcksArgument {
    #[value(alias = "-1")]
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

fn header(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, value) = split.ok_or_else(|| format!("`{text}` has no value: give NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| {
        let names = Codec::ALL.map(Codec::name).join(", ");
        format!("`{text}` is no codec: give one of {names}")
    })
}

pub(crate) fn run(arguments: &ProduceArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect_creating()?;
    // A topic that cannot be had is told before a line is typed.
    client.topic(arguments.name.get())?;
    let mut sender = Sender {
        producer: Producer::new(client, arguments.producer_options()),
        parser: LineParser::new(
            arguments.format,
            arguments.key_separator.clone(),
            arguments.empty_is_null,
        ),
        arguments,
        report: Report::new(arguments.name.get()),
        progress: if arguments.cluster.is_terse() {
            progress::none()
        } else {
            progress_of_input()
        },
        waiting_since: None,
    };
    let sent = sender.send_all(&input::read_lines());
    sender.progress.finish_and_clear();
    // What was taken is sent even if a later line was wrong, and the report tells how far it went.
    let deliveries = sender.producer.flush();
    sender.report.note(deliveries);
    if !arguments.cluster.is_terse() || sender.report.has_failed() {
        arguments.cluster.print(&sender.report)?;
    }
    sent?;
    sender.report.into_exit()
}

/// A bar where the length is known, a counter otherwise, nothing where the person types.
fn progress_of_input() -> ProgressBar {
    match input::length() {
        Some(length) => progress::bar(length, progress::Unit::Bytes),
        None if io::stdin().is_terminal() => progress::none(),
        None => progress::counter(),
    }
}

impl ProduceArguments {
    fn producer_options(&self) -> ProducerOptions {
        ProducerOptions {
            acks: match self.acks {
                AcksArgument::All => Acks::All,
                AcksArgument::Leader => Acks::Leader,
                AcksArgument::None => Acks::None,
            },
            codec: self.codec,
            idempotent: self.idempotent,
            batch_bytes_max: self.batch_bytes,
            delivery_timeout: Duration::from_secs(self.cluster.timeout),
            ..ProducerOptions::default()
        }
    }
}

struct Sender<'a> {
    producer: Producer,
    parser: LineParser,
    arguments: &'a ProduceArguments,
    report: Report,
    progress: ProgressBar,
    /// Since when the oldest record that was not sent yet has waited.
    waiting_since: Option<Instant>,
}

impl Sender<'_> {
    fn send_all(&mut self, lines: &Receiver<io::Result<Vec<u8>>>) -> Result<(), Failure> {
        let linger = Duration::from_millis(self.arguments.linger_ms);
        loop {
            let received = match self.waiting_since {
                None => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => lines.recv_timeout(linger.saturating_sub(since.elapsed())),
            };
            match received {
                Ok(line) => self.send(&line?)?,
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.report.has_failed() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, line: &[u8]) -> Result<(), Failure> {
        let record = self.parser.parse(line).map_err(anyhow::Error::msg)?;
        let deliveries = self.hand_over(&record)?;
        self.advance(line.len());
        self.note(deliveries);
        if self.waiting_since.is_none() {
            self.waiting_since = Some(Instant::now());
        }
        Ok(())
    }

    fn hand_over(&mut self, record: &InputRecord) -> Result<Vec<Delivery>, Failure> {
        let of_all = self.arguments.header.iter();
        let of_all = of_all.map(|(key, value)| NewHeader {
            key,
            value: Some(value.as_bytes()),
        });
        let own = record.headers.iter().map(|(key, value)| NewHeader {
            key,
            value: value.as_deref(),
        });
        let headers: Vec<_> = of_all.chain(own).collect();
        let key = record
            .key
            .as_deref()
            .or(self.arguments.key.as_deref().map(str::as_bytes));
        Ok(self.producer.send(&NewRecord {
            topic: self.arguments.name.get(),
            partition: record.partition.or(self.arguments.partition),
            key,
            value: record.value.as_deref(),
            headers: &headers,
            timestamp_ms: record.timestamp_ms,
        })?)
    }

    fn advance(&mut self, line_bytes: usize) {
        if self.progress.length().is_some() {
            self.progress
                .inc(u64::try_from(line_bytes).unwrap_or(u64::MAX).saturating_add(1));
        } else {
            self.progress.inc(1);
        }
    }

    fn flush(&mut self) {
        self.waiting_since = None;
        let deliveries = self.producer.flush();
        self.note(deliveries);
    }

    fn note(&mut self, deliveries: Vec<Delivery>) {
        if !deliveries.is_empty() {
            self.waiting_since = None;
            self.report.note(deliveries);
        }
    }
}
