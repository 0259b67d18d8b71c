//! Memory and processor time by the number of connections.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::table::Table;
use super::{LimitsPlan, paced, process, with_cpu};
use crate::class::Class;
use crate::load::number;
use crate::machine;

/// How many connections.
const COUNTS: [usize; 3] = [1, 1_000, 10_000];
/// How long a broker rests before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);
/// How long idle work is watched; processor time counts in steps of 10 ms.
const IDLE_WATCH: Duration = Duration::from_secs(10);
/// The default, 50 as Kafka's, is overrun when thousands connect at once; each overrun costs the client a second.
const BACKLOG: (&str, &str) = ("socket.listen.backlog.size", "4096");
/// Partitions that the requests go to.
const PARTITIONS: usize = 100;

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let mut table = Table::new(format!(
        "Connections; active: each sends one record of 100 B a second, `durability=written`, {PARTITIONS} partitions, {} s; `{}={}`",
        plan.length.as_secs(),
        BACKLOG.0,
        BACKLOG.1
    ));
    for connections in COUNTS {
        eprintln!("{connections} connections");
        table.column(connections.to_string(), &one(plan, connections)?);
    }
    Ok(table)
}

fn one(plan: &LimitsPlan, connections: usize) -> Result<Vec<(&'static str, f64)>> {
    let subject = plan.start(&[BACKLOG])?;
    let pid = process(&subject)?;
    let target = subject.fresh_topic(Class::Written, i32::try_from(PARTITIONS)?)?;
    let before = Instant::now();
    let streams = paced::open(target.leader, connections)?;
    let opened = before.elapsed();
    thread::sleep(SETTLE);
    let idle = machine::resident_mib(pid)?;
    let ((), idle_cpu) = with_cpu(pid, || {
        thread::sleep(IDLE_WATCH);
        Ok(())
    })?;
    let load = paced::Plan {
        topic: &target.topic,
        partitions: PARTITIONS,
        requests_per_second: u32::try_from(connections).context("connections are few")?,
        length: plan.length,
    };
    machine::forget_peak(pid)?;
    let (latencies, cpu) = with_cpu(pid, || paced::run(&streams, load))?;
    let peak = machine::peak_mib(pid)?;
    let (_, sockets) = machine::descriptors(pid)?;
    drop(streams);
    thread::sleep(SETTLE);
    Ok(vec![
        ("opened in, ms", opened.as_secs_f64() * 1e3),
        ("memory idle, MiB", idle),
        ("memory active, peak, MiB", peak),
        ("memory after they closed, MiB", machine::resident_mib(pid)?),
        ("CPU idle, % of a core", idle_cpu),
        ("CPU active, % of a core", cpu),
        ("active: ack p50, ms", latencies.percentile_us(50.0) / 1000.0),
        ("active: ack p99, ms", latencies.percentile_us(99.0) / 1000.0),
        ("sockets", number(sockets)),
    ])
}
