//! The cells: each one workload with its settings, measured on one subject at a time.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::class::Class;
use crate::latency::Latencies;
use crate::load::{connections, consume, number, one_in_flight, open_loop, throughput};
use crate::machine;
use crate::metric::{Figures, Metric};
use crate::subject::{Kind, Subject};

/// The rate of the open loop.
const OPEN_LOOP_RATE: u32 = 5_000;
/// Producers of the cell with many connections.
const CONNECTIONS: usize = 50;
/// A throughput run ends here, below the kernel's limit for dirty pages.
const THROUGHPUT_BYTES_MAX: usize = 2 << 30;
/// How much the consumption cell reads.
const CONSUME_BYTES: usize = 2 << 30;
/// The small segments of the housekeeping cell: Kafka's least.
const SMALL_SEGMENT: &str = "1048576";
/// What the housekeeping cell keeps.
const SMALL_RETENTION: &str = "4194304";

/// One cell of the comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub enum Cell {
    /// 1 KiB records, one in flight.
    OneInFlight,
    /// 5,000 single 1 KiB records a second, whatever the broker does.
    OpenLoop,
    /// The same with a consumer that follows.
    EndToEnd,
    /// 64 KiB batches of 100 B records, 5 in flight.
    Throughput100,
    /// 64 KiB batches of 1 KiB records, 5 in flight.
    Throughput1k,
    /// 50 connections, one 100 B record per request.
    Connections,
    /// One consumer reads 2 GiB of 1 KiB records from its start.
    Consume,
    /// The open loop on a topic with segments of 1 MiB that keeps 4 MiB.
    Housekeeping,
    /// Memory and processor time, idle and loaded, with one partition.
    Memory1,
    /// The same with 1,000 partitions.
    Memory1000,
    /// From the start of the process to the first acknowledged record, on an empty directory.
    Start,
    /// Instructions per incremental fetch of a session over 1 and over 1,000 partitions.
    FetchSessions,
}

impl Cell {
    /// What the cell does, for the report.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::OneInFlight => "1 KiB records, one in flight",
            Self::OpenLoop => "5,000 single 1 KiB records a second, open loop",
            Self::EndToEnd => "5,000 single 1 KiB records a second, open loop, with a consumer",
            Self::Throughput100 => "64 KiB batches of 100 B records, 5 in flight",
            Self::Throughput1k => "64 KiB batches of 1 KiB records, 5 in flight",
            Self::Connections => "50 connections, one 100 B record per request",
            Self::Consume => "consumption of 2 GiB of 1 KiB records, page cache as production left it",
            Self::Housekeeping => "5,000 single 1 KiB records a second, segments of 1 MiB, 4 MiB kept",
            Self::Memory1 => "memory and idle work, 1 partition",
            Self::Memory1000 => "memory and idle work, 1,000 partitions",
            Self::Start => "start on an empty directory",
            Self::FetchSessions => "fetch sessions, one active partition",
        }
    }

    /// Which classes it is measured in; the cells in which nothing is produced have one.
    pub(crate) const fn classes(self) -> &'static [Class] {
        match self {
            Self::Consume | Self::FetchSessions => &[Class::Written],
            Self::Memory1 | Self::Memory1000 | Self::Start => &[Class::Fsync],
            _ => &[Class::Written, Class::Fsync],
        }
    }

    /// Whether the floor can do it; where it cannot follow or roll, it does the plain open loop.
    pub(crate) const fn has_floor(self) -> bool {
        !self.owns_subject()
    }

    /// Whether it starts subjects of its own instead of using running ones.
    pub(crate) const fn owns_subject(self) -> bool {
        matches!(
            self,
            Self::Memory1 | Self::Memory1000 | Self::Start | Self::FetchSessions
        )
    }

    /// The shards that the issue names for the cell.
    pub(crate) const fn shards(self) -> Option<u32> {
        match self {
            Self::OneInFlight => Some(1),
            _ => None,
        }
    }

    /// Whether fresh memory would distort it.
    const fn needs_touched_memory(self) -> bool {
        matches!(self, Self::Throughput100 | Self::Throughput1k | Self::Consume)
    }
}

/// How to run a cell.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) class: Class,
    pub(crate) length: Duration,
}

/// Measures `cell` once on a running subject, with a topic of its own.
pub(crate) fn measure(cell: Cell, subject: &Subject, settings: Settings) -> Result<Figures> {
    if subject.kind != Kind::Remote && cell.needs_touched_memory() {
        machine::prepare_memory()?;
    } else if subject.kind != Kind::Remote {
        machine::sync()?;
    }
    match cell {
        Cell::OneInFlight => measure_one_in_flight(subject, settings),
        Cell::OpenLoop => measure_open_loop(subject, settings, false, &[]),
        Cell::EndToEnd => measure_open_loop(subject, settings, true, &[]),
        Cell::Housekeeping => {
            let small = [("segment.bytes", SMALL_SEGMENT), ("retention.bytes", SMALL_RETENTION)];
            measure_open_loop(subject, settings, false, &small)
        }
        Cell::Throughput100 => measure_throughput(subject, settings, 100),
        Cell::Throughput1k => measure_throughput(subject, settings, 1024),
        Cell::Connections => measure_connections(subject, settings),
        Cell::Consume => measure_consume(subject, settings),
        Cell::Memory1 | Cell::Memory1000 | Cell::Start | Cell::FetchSessions => {
            anyhow::bail!("{cell:?} starts its own subjects")
        }
    }
}

/// What was used while a workload ran.
struct Used {
    cpu_seconds: Option<f64>,
    flushes: Option<u64>,
}

/// Runs `load` and reads the subject's processor time and the machine's flushes around it.
fn watch<T>(subject: &Subject, load: impl FnOnce() -> Result<T>) -> Result<(T, Used)> {
    let cpu = || subject.pid().map(machine::cpu_seconds).transpose();
    let (cpu_before, flushes_before) = (cpu()?, machine::flushes());
    let outcome = load()?;
    let used = Used {
        cpu_seconds: cpu()?.zip(cpu_before).map(|(after, before)| after - before),
        flushes: machine::flushes()
            .zip(flushes_before)
            .map(|(after, before)| after.saturating_sub(before)),
    };
    Ok((outcome, used))
}

impl Used {
    fn per_million(&self, records: usize, figures: &mut Figures) {
        figures.extend(
            self.cpu_seconds
                .map(|seconds| (Metric::CpuPerMillion, seconds / number(records) * 1e6)),
        );
    }

    fn per_gb(&self, bytes: usize, figures: &mut Figures) {
        figures.extend(
            self.cpu_seconds
                .map(|seconds| (Metric::CpuPerGb, seconds / number(bytes) * 1e9)),
        );
    }

    /// Only in the synced class: elsewhere the kernel flushes when it likes.
    fn per_flush(&self, subject: &Subject, class: Class, acks: usize, figures: &mut Figures) {
        let Some(flushes) = self.flushes.filter(|&flushes| flushes > 0) else {
            return;
        };
        if class == Class::Fsync && subject.kind != Kind::Remote {
            let flushes = usize::try_from(flushes).unwrap_or(usize::MAX);
            figures.push((Metric::AcksPerFlush, number(acks) / number(flushes)));
        }
    }
}

fn acks(latencies: &Latencies) -> Figures {
    vec![
        (Metric::AckP50, latencies.percentile_us(50.0)),
        (Metric::AckP99, latencies.percentile_us(99.0)),
        (Metric::AckP999, latencies.percentile_us(99.9)),
        (Metric::AckMax, latencies.max_ms()),
    ]
}

fn measure_one_in_flight(subject: &Subject, settings: Settings) -> Result<Figures> {
    let target = subject.fresh_topic(settings.class, 1)?;
    let (outcome, used) = watch(subject, || one_in_flight::run(&target, 1024, settings.length))?;
    let mut figures = acks(&outcome.latencies);
    used.per_million(outcome.records, &mut figures);
    used.per_flush(subject, settings.class, outcome.records, &mut figures);
    subject.drop_topic(&target.topic)?;
    Ok(figures)
}

fn measure_open_loop(
    subject: &Subject,
    settings: Settings,
    consume: bool,
    configs: &[(&str, &str)],
) -> Result<Figures> {
    let target = subject.fresh_topic_with(settings.class, 1, configs)?;
    let plan = open_loop::Plan {
        records_per_second: OPEN_LOOP_RATE,
        value_bytes: 1024,
        length: settings.length,
        consume: consume && subject.kind != Kind::Floor,
    };
    let (outcome, used) = watch(subject, || open_loop::run(&target, plan))?;
    let mut figures = acks(&outcome.acks);
    if let Some(arrivals) = &outcome.arrivals {
        figures.push((Metric::ArrivalP50, arrivals.percentile_us(50.0)));
        figures.push((Metric::ArrivalP99, arrivals.percentile_us(99.0)));
        figures.push((Metric::ArrivalP999, arrivals.percentile_us(99.9)));
    }
    figures.push((Metric::LatenessP50, outcome.lateness.percentile_us(50.0)));
    figures.push((Metric::LatenessP99, outcome.lateness.percentile_us(99.0)));
    figures.push((Metric::LatenessP999, outcome.lateness.percentile_us(99.9)));
    figures.push((Metric::RecordsPerSecond, outcome.rate));
    used.per_million(outcome.records, &mut figures);
    used.per_flush(subject, settings.class, outcome.records, &mut figures);
    subject.drop_topic(&target.topic)?;
    Ok(figures)
}

fn measure_throughput(subject: &Subject, settings: Settings, value_bytes: usize) -> Result<Figures> {
    let target = subject.fresh_topic(settings.class, 1)?;
    let limit = throughput::Limit {
        length: settings.length,
        bytes: THROUGHPUT_BYTES_MAX,
    };
    let (outcome, used) = watch(subject, || throughput::run(&target, value_bytes, limit))?;
    let mut figures = acks(&outcome.latencies);
    figures.push((Metric::RecordsPerSecond, outcome.records_per_second()));
    figures.push((Metric::BytesPerSecond, number(outcome.bytes) / outcome.seconds / 1e6));
    used.per_million(outcome.records, &mut figures);
    used.per_gb(outcome.bytes, &mut figures);
    subject.drop_topic(&target.topic)?;
    Ok(figures)
}

fn measure_connections(subject: &Subject, settings: Settings) -> Result<Figures> {
    let target = subject.fresh_topic(settings.class, 1)?;
    let (outcome, used) = watch(subject, || connections::run(&target, CONNECTIONS, 100, settings.length))?;
    let mut figures = acks(&outcome.latencies);
    figures.push((Metric::RequestsPerSecond, outcome.requests_per_second));
    used.per_million(outcome.requests, &mut figures);
    used.per_flush(subject, settings.class, outcome.requests, &mut figures);
    subject.drop_topic(&target.topic)?;
    Ok(figures)
}

fn measure_consume(subject: &Subject, settings: Settings) -> Result<Figures> {
    let target = subject.fresh_topic(settings.class, 1)?;
    if subject.kind == Kind::Floor {
        let log = consume::RawLog::written(&target, CONSUME_BYTES)?;
        machine::sync()?;
        let (outcome, used) = watch(subject, || log.read())?;
        return Ok(consumed(&outcome, &used));
    }
    let limit = throughput::Limit {
        length: Duration::MAX,
        bytes: CONSUME_BYTES,
    };
    let produced = throughput::run(&target, 1024, limit)?;
    if subject.kind != Kind::Remote {
        machine::sync()?;
    }
    let records = i64::try_from(produced.records).context("a run has fewer than 2^63 records")?;
    let (outcome, used) = watch(subject, || consume::run(&target, target.next_offset + records))?;
    let mut figures = consumed(&outcome, &used);
    used.per_million(produced.records, &mut figures);
    subject.drop_topic(&target.topic)?;
    Ok(figures)
}

fn consumed(outcome: &consume::Outcome, used: &Used) -> Figures {
    let mut figures = vec![
        (Metric::BytesPerSecond, number(outcome.bytes) / outcome.seconds / 1e6),
        (Metric::RequestsPerSecond, number(outcome.fetches) / outcome.seconds),
    ];
    used.per_gb(outcome.bytes, &mut figures);
    figures
}
