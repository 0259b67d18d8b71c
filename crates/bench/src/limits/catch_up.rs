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
/// How often each class is measured, alone and beside a catch-up in turn: a p99 alone differs twofold between runs.
const REPEATS: usize = 3;
/// How long the disk rests after the cold data was written and synced.
const REST: Duration = Duration::from_secs(30);
/// Producers run in pieces of this length, so that the last one ends soon after the reading.
const PIECE: Duration = Duration::from_secs(2);

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let subject = plan.start(&[])?;
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
    for class in CLASSES {
        let target = subject.fresh_topic(class, 1)?;
        machine::sync()?;
        // What the disk still does with gigabytes just written would disturb whoever comes first.
        thread::sleep(REST);
        let mut ratios = (1..=REPEATS)
            .map(|repeat| {
                eprintln!("{} {repeat}/{REPEATS}", class.name());
                one(
                    &subject,
                    (&cold, end),
                    plan.length,
                    (class, &target, repeat),
                    &mut table,
                )
            })
            .collect::<Result<Vec<f64>>>()?;
        ratios.sort_by(f64::total_cmp);
        let (least, median, most) = (ratios[0], ratios[REPEATS / 2], ratios[REPEATS - 1]);
        table.note(format!(
            "`{}`: {median:.2} ({least:.2} to {most:.2}) times the p99 without it, at most {RATIO_MAX}: {}.",
            class.name(),
            if median <= RATIO_MAX { "met" } else { "**MISSED**" }
        ));
    }
    Ok(table)
}

/// Producers alone, then beside a catch-up; what both show goes into the table. Gives the ratio of their p99.
fn one(
    subject: &Subject,
    (cold, end): (&Target, i64),
    length: Duration,
    (class, target, repeat): (Class, &Target, usize),
    table: &mut Table,
) -> Result<f64> {
    let pid = process(subject)?;
    machine::forget_pages(&subject.directory)?;
    let alone = produce(target, length)?;
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
    table.column(format!("`{}` alone, {repeat}", class.name()), &figures(&alone));
    let mut during = figures(&beside);
    during.push(("p99 over p99 alone", ratio));
    during.push(("read, MB/s", number(read.bytes) / read.seconds / 1e6));
    during.push(("memory, peak, MiB", machine::peak_mib(pid)?));
    table.column(format!("beside it, {repeat}"), &during);
    Ok(ratio)
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
