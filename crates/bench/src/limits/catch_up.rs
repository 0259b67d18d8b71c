//! Cold data is read from its start to its end while producers of another partition wait for their acknowledgements.
//!
//! All clients run on the broker's processors here. Producers then wait for one behind the consumer, who takes in
//! hundreds of megabytes a second, and that time counts as latency though the broker has no part in it. So each class is
//! measured twice: with the clients as the system schedules them, and with the producers before everybody else, as if
//! they had a machine of their own. The bar is on the second.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::table::Table;
use super::{LimitsPlan, process};
use crate::class::Class;
use crate::latency::Latencies;
use crate::load::{consume, number, open_loop, throughput};
use crate::machine;
use crate::result::spread;
use crate::subject::Subject;
use crate::topic::Target;

/// The producers' rate.
const RECORDS_PER_SECOND: u32 = 1_000;
/// How much the p99 may rise.
const RATIO_MAX: f64 = 2.0;
const CLASSES: [Class; 2] = [Class::Fsync, Class::Written];
/// How often each class is measured, alone and beside a catch-up in turn: a p99 alone differs twofold between runs.
const REPEATS: usize = 5;
/// How long the disk rests after the cold data was written and synced.
const REST: Duration = Duration::from_secs(30);
/// Producers run in pieces of this length, so that the last one ends soon after the reading.
const PIECE: Duration = Duration::from_secs(2);

/// How the threads of the producers are scheduled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Producers {
    /// Like all others.
    LikeOthers,
    /// Before all others, in this process and the broker's.
    BeforeOthers,
}

impl Producers {
    const ALL: [Self; 2] = [Self::LikeOthers, Self::BeforeOthers];

    const fn name(self) -> &'static str {
        match self {
            Self::LikeOthers => "",
            Self::BeforeOthers => ", producers first",
        }
    }
}

/// What producers saw.
struct Produced {
    acks: Latencies,
    /// How late the load generator sent; latencies contain it.
    lateness: Latencies,
}

/// One repeat.
struct Sample {
    alone: Produced,
    beside: Produced,
    read_mb_per_second: f64,
    memory_peak_mib: f64,
}

impl Sample {
    fn ratio(&self) -> f64 {
        self.beside.acks.percentile_us(99.0) / self.alone.acks.percentile_us(99.0)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p99_ms = |side: &Produced| side.acks.percentile_us(99.0) / 1000.0;
        let (alone, beside) = (p99_ms(&self.alone), p99_ms(&self.beside));
        write!(
            f,
            "p99 {alone:.2} ms alone, {beside:.2} ms beside it, {:.2} times",
            self.ratio()
        )
    }
}

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    // Known before gigabytes are written in vain.
    scheduled(Producers::BeforeOthers, || Ok(()))?;
    let subject = plan.start(&[])?;
    let cold = subject.fresh_topic(Class::Written, 1)?;
    let limit = throughput::Limit {
        length: Duration::MAX,
        bytes: usize::try_from(plan.cold_bytes)?,
    };
    let written = throughput::run(&cold, 1024, limit)?;
    let end = cold.next_offset + i64::try_from(written.records)?;
    let mut table = Table::new(format!(
        "Catch-up of {:.1} GiB of cold data, a consumer with Kafka's defaults; beside it {RECORDS_PER_SECOND} records of 1 KiB a second to another partition of the same shard, open loop; medians of {REPEATS} repeats",
        number(written.bytes) / f64::from(1 << 30)
    ));
    for class in CLASSES {
        let target = topic_on_the_same_shard(&subject, class)?;
        machine::sync()?;
        // What the disk still does with gigabytes just written would disturb whoever comes first.
        thread::sleep(REST);
        let mut samples = Producers::ALL.map(|producers| (producers, Vec::new()));
        for repeat in 1..=REPEATS {
            for (producers, samples) in &mut samples {
                let sample = one(&subject, (&cold, end), plan.length, (&target, *producers))?;
                eprintln!("{}{} {repeat}/{REPEATS}: {sample}", class.name(), producers.name());
                samples.push(sample);
            }
        }
        for (producers, samples) in &samples {
            show(&format!("`{}`{}", class.name(), producers.name()), samples, &mut table);
            table.note(verdict(class, *producers, samples));
        }
    }
    Ok(table)
}

/// A topic whose partition lies where the cold one does, which is harder than beside it on another shard.
fn topic_on_the_same_shard(subject: &Subject, class: Class) -> Result<Target> {
    // Partitions are dealt out in turn to as many shards as there are processors.
    let other_shards = i32::try_from(thread::available_parallelism()?.get() - 1)?;
    if other_shards > 0 {
        subject.create_topic(class, other_shards, &[])?;
    }
    subject.fresh_topic(class, 1)
}

/// Producers alone, then beside a catch-up.
fn one(
    subject: &Subject,
    (cold, end): (&Target, i64),
    length: Duration,
    (target, producers): (&Target, Producers),
) -> Result<Sample> {
    let pid = process(subject)?;
    machine::forget_pages(&subject.directory)?;
    let alone = scheduled(producers, || produce(target, length))?;
    machine::forget_peak(pid)?;
    let over = AtomicBool::new(false);
    let (read, beside) = thread::scope(|scope| -> Result<_> {
        let producing = scope.spawn(|| scheduled(producers, || produce_until(target, &over)));
        let read = consume::run(cold, end);
        over.store(true, Ordering::Relaxed);
        let beside = producing.join().ok().context("the producing thread failed")?;
        Ok((read?, beside?))
    })?;
    Ok(Sample {
        alone,
        beside,
        read_mb_per_second: number(read.bytes) / read.seconds / 1e6,
        memory_peak_mib: machine::peak_mib(pid)?,
    })
}

/// Adds two columns: producers alone and beside the catch-up.
fn show(name: &str, samples: &[Sample], table: &mut Table) {
    let median = |figure: &dyn Fn(&Sample) -> f64| {
        spread(samples.iter().map(figure).collect()).map_or(f64::NAN, |spread| spread.median)
    };
    let figures = |side: fn(&Sample) -> &Produced| {
        let acks = |percent| median(&|sample| side(sample).acks.percentile_us(percent) / 1000.0);
        vec![
            ("ack p50, ms", acks(50.0)),
            ("ack p99, ms", acks(99.0)),
            ("ack p99.9, ms", acks(99.9)),
            ("longest ack, ms", median(&|sample| side(sample).acks.max_ms())),
            (
                "sent late, p99, ms",
                median(&|sample| side(sample).lateness.percentile_us(99.0) / 1000.0),
            ),
        ]
    };
    table.column(format!("{name}, alone"), &figures(|sample| &sample.alone));
    let mut beside = figures(|sample| &sample.beside);
    beside.push(("p99 over p99 alone", median(&Sample::ratio)));
    beside.push(("read, MB/s", median(&|sample| sample.read_mb_per_second)));
    beside.push(("memory, peak, MiB", median(&|sample| sample.memory_peak_mib)));
    table.column(format!("{name}, beside it"), &beside);
}

fn verdict(class: Class, producers: Producers, samples: &[Sample]) -> String {
    let Some(ratio) = spread(samples.iter().map(Sample::ratio).collect()) else {
        return format!("`{}`{}: not measured.", class.name(), producers.name());
    };
    let judged = match producers {
        Producers::LikeOthers => "all clients alike, not judged".to_owned(),
        Producers::BeforeOthers => {
            let met = if ratio.median <= RATIO_MAX { "met" } else { "**MISSED**" };
            format!("at most {RATIO_MAX}: {met}")
        }
    };
    format!(
        "`{}`{}: {ratio} times the p99 without it; {judged}.",
        class.name(),
        producers.name()
    )
}

/// Runs `load` on a thread of its own; the threads it starts are scheduled like that one.
fn scheduled<T: Send>(producers: Producers, load: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let on_its_thread = || {
        if producers == Producers::BeforeOthers {
            machine::run_before_others()?;
        }
        load()
    };
    thread::scope(|scope| scope.spawn(on_its_thread).join()).map_err(|_| anyhow!("a producing thread panicked"))?
}

fn produce(target: &Target, length: Duration) -> Result<Produced> {
    let plan = open_loop::Plan {
        records_per_second: RECORDS_PER_SECOND,
        value_bytes: 1024,
        length,
        consume: false,
    };
    let open_loop::Outcome { acks, lateness, .. } = open_loop::run(target, plan)?;
    Ok(Produced { acks, lateness })
}

fn produce_until(target: &Target, over: &AtomicBool) -> Result<Produced> {
    let mut all = Produced {
        acks: Latencies::new(),
        lateness: Latencies::new(),
    };
    while !over.load(Ordering::Relaxed) {
        let piece = produce(target, PIECE)?;
        all.acks.merge(&piece.acks);
        all.lateness.merge(&piece.lateness);
    }
    Ok(all)
}
