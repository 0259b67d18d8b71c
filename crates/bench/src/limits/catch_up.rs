//! Cold data is read from its start to its end while producers of another partition wait for their acknowledgements.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::table::Table;
use super::{LimitsPlan, process};
use crate::class::Class;
use crate::latency::Latencies;
use crate::load::{consume, number, open_loop, throughput};
use crate::machine;
use crate::subject::Subject;
use crate::topic::Target;

/// The producers' rate.
const RECORDS_PER_SECOND: u32 = 1_000;
/// How much the p99 may rise.
const RATIO_MAX: f64 = 2.0;
const CLASSES: [Class; 2] = [Class::Fsync, Class::Written];
/// How long the disk rests after the cold data was written and synced.
const REST: Duration = Duration::from_secs(30);
/// Producers run in pieces of this length, so that the last one ends soon after the reading.
const PIECE: Duration = Duration::from_secs(2);

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let subject = plan.start(&[])?;
    // Alone comes first: what the disk still does with gigabytes just written would disturb it.
    let mut alone = Vec::new();
    for class in CLASSES {
        eprintln!("{} alone", class.name());
        let target = subject.fresh_topic(class, 1)?;
        machine::sync()?;
        alone.push((class, produce(&target, plan.length)?, target));
    }
    let cold = subject.fresh_topic(Class::Written, 1)?;
    let limit = throughput::Limit {
        length: Duration::MAX,
        bytes: usize::try_from(plan.cold_bytes)?,
    };
    let written = throughput::run(&cold, 1024, limit)?;
    let end = cold.next_offset + i64::try_from(written.records)?;
    let mut table = Table::new(format!(
        "Catch-up of {:.1} GiB of cold data, a consumer with Kafka's defaults; beside it {RECORDS_PER_SECOND} records of 1 KiB a second to another partition, open loop",
        number(written.bytes) / f64::from(1 << 30)
    ));
    machine::sync()?;
    thread::sleep(REST);
    for alone in &alone {
        eprintln!("{} beside it", alone.0.name());
        one(&subject, (&cold, end), alone, &mut table)?;
    }
    Ok(table)
}

fn one(
    subject: &Subject,
    (cold, end): (&Target, i64),
    (class, alone, target): &(Class, Latencies, Target),
    table: &mut Table,
) -> Result<()> {
    let pid = process(subject)?;
    machine::forget_pages(&subject.directory)?;
    machine::forget_peak(pid)?;
    let over = AtomicBool::new(false);
    let (read, beside) = thread::scope(|scope| -> Result<_> {
        let producing = scope.spawn(|| produce_until(target, &over));
        let read = consume::run(cold, end);
        over.store(true, Ordering::Relaxed);
        let beside = producing.join().ok().context("the producing thread failed")?;
        Ok((read?, beside?))
    })?;
    let ratio = beside.percentile_us(99.0) / alone.percentile_us(99.0);
    let figures = |acks: &Latencies| {
        vec![
            ("ack p50, ms", acks.percentile_us(50.0) / 1000.0),
            ("ack p99, ms", acks.percentile_us(99.0) / 1000.0),
            ("ack p99.9, ms", acks.percentile_us(99.9) / 1000.0),
            ("longest ack, ms", acks.max_ms()),
        ]
    };
    table.column(format!("`{}` alone", class.name()), &figures(alone));
    let mut during = figures(&beside);
    during.push(("p99 over p99 alone", ratio));
    during.push(("read, MB/s", number(read.bytes) / read.seconds / 1e6));
    during.push(("memory, peak, MiB", machine::peak_mib(pid)?));
    table.column(format!("`{}` beside it", class.name()), &during);
    table.note(format!(
        "`{}`: {ratio:.2} times the p99 without it, at most {RATIO_MAX}: {}.",
        class.name(),
        if ratio <= RATIO_MAX { "met" } else { "**MISSED**" }
    ));
    Ok(())
}

fn produce(target: &Target, length: Duration) -> Result<Latencies> {
    let plan = open_loop::Plan {
        records_per_second: RECORDS_PER_SECOND,
        value_bytes: 1024,
        length,
        consume: false,
    };
    Ok(open_loop::run(target, plan)?.acks)
}

fn produce_until(target: &Target, over: &AtomicBool) -> Result<Latencies> {
    let mut all = Latencies::new();
    while !over.load(Ordering::Relaxed) {
        all.merge(&produce(target, PIECE)?);
    }
    Ok(all)
}
