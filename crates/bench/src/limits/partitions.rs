//! Memory, processor time and the time to start, by the number of partitions.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::table::Table;
use super::{LimitsPlan, paced, process, with_cpu};
use crate::class::Class;
use crate::load::number;
use crate::{machine, topic};

/// How many partitions.
const COUNTS: [i32; 3] = [1, 1_000, 10_000];
/// How long a broker rests before its memory is read and its idle work is watched.
const SETTLE: Duration = Duration::from_secs(3);
/// How long work is watched; processor time counts in steps of 10 ms. A checkpoint of what is new comes within it.
const WATCH: Duration = Duration::from_secs(10);
/// The load, over all partitions in turn.
const REQUESTS_PER_SECOND: u32 = 1_000;
/// Its connections.
const CONNECTIONS: usize = 10;

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let mut table = Table::new(format!(
        "Partitions of one topic, `durability=fsync`; loaded: {REQUESTS_PER_SECOND} records of 100 B a second to all partitions in turn, {CONNECTIONS} connections, {} s",
        plan.length.as_secs()
    ));
    for partitions in COUNTS {
        eprintln!("{partitions} partitions");
        table.column(partitions.to_string(), &one(plan, partitions)?);
    }
    Ok(table)
}

fn one(plan: &LimitsPlan, partitions: i32) -> Result<Vec<(&'static str, f64)>> {
    let mut subject = plan.start(&[])?;
    let name = subject.create_topic(Class::Fsync, partitions, &[])?;
    topic::await_leader(subject.address, &name, 1)?;
    thread::sleep(SETTLE);
    let pid = process(&subject)?;
    let empty = machine::resident_mib(pid)?;
    // Every partition takes a record.
    topic::await_leader(subject.address, &name, partitions)?;
    let filled = machine::resident_mib(pid)?;
    let ((), checkpoint_cpu) = with_cpu(pid, watch)?;
    let ((), idle_cpu) = with_cpu(pid, watch)?;
    let streams = paced::open(subject.address, CONNECTIONS)?;
    let load = paced::Plan {
        topic: &name,
        partitions: usize::try_from(partitions)?,
        requests_per_second: REQUESTS_PER_SECOND,
        length: plan.length,
    };
    let (latencies, cpu) = with_cpu(pid, || paced::run(&streams, load))?;
    let loaded = machine::resident_mib(pid)?;
    let (descriptors, _) = machine::descriptors(pid)?;
    drop(streams);
    let stop = subject.restart()?;
    topic::await_leader(subject.address, &name, 1)?;
    let start = subject.started_at.elapsed();
    Ok(vec![
        ("memory, MiB: partitions without records", empty),
        ("memory, MiB: a record in each", filled),
        ("memory, MiB: after the load", loaded),
        ("CPU of the 10 s of their checkpoint, % of a core", checkpoint_cpu),
        ("CPU idle, % of a core", idle_cpu),
        ("CPU loaded, % of a core", cpu),
        ("loaded: ack p99, ms", latencies.percentile_us(99.0) / 1000.0),
        ("open files", number(descriptors)),
        ("clean stop, ms", stop.as_secs_f64() * 1e3),
        (
            "start after it to the first acknowledged record, ms",
            start.as_secs_f64() * 1e3,
        ),
    ])
}

/// Lets the time of a watch pass.
fn watch() -> Result<()> {
    thread::sleep(WATCH);
    Ok(())
}
