//! Cells that need a process of their own: memory, idle work, and the time to start.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cell::Cell;
use crate::class::Class;
use crate::load::{connections, number, throughput};
use crate::machine;
use crate::metric::{Figures, Metric};
use crate::run::Programs;
use crate::subject::Kind;
use crate::topic;

/// How long a broker rests before its idle work is watched.
const SETTLE: Duration = Duration::from_secs(3);
/// How long idle work is watched; processor time counts in steps of 10 ms.
const IDLE_WATCH: Duration = Duration::from_secs(10);
/// What loads a broker before its memory is read again.
const LOAD: Duration = Duration::from_secs(3);
/// Bytes that the load writes in large batches, at most.
const LOAD_BYTES_MAX: usize = 1 << 30;
/// Partitions of the cell with many.
const MANY: i32 = 1_000;

/// Measures `cell` once on a fresh process.
pub(crate) fn measure(cell: Cell, kind: Kind, programs: &Programs) -> Result<Figures> {
    match cell {
        Cell::Memory1 => memory(kind, programs, 1),
        Cell::Memory1000 => memory(kind, programs, MANY),
        Cell::Start => start(kind, programs),
        Cell::FetchSessions => crate::sessions::measure(kind, programs),
        _ => bail!("{cell:?} uses running subjects"),
    }
}

/// Resident memory and idle processor time, then resident memory after a load.
fn memory(kind: Kind, programs: &Programs, partitions: i32) -> Result<Figures> {
    let subject = programs.start(kind, Class::Fsync, None)?;
    let pid = subject.pid().context("a local subject has a process")?;
    topic::await_broker(subject.address)?;
    let name = subject.create_topic(Class::Fsync, partitions, &[])?;
    topic::await_leader(subject.address, &name, 1)?;
    thread::sleep(SETTLE);
    let before = machine::cpu_seconds(pid)?;
    thread::sleep(IDLE_WATCH);
    let idle_seconds = machine::cpu_seconds(pid)? - before;
    let mut figures = vec![
        (Metric::IdleMemory, machine::resident_mib(pid)?),
        (Metric::IdleCpu, idle_seconds / IDLE_WATCH.as_secs_f64() * 100.0),
    ];
    // Every partition takes a record, then one takes a stream of large batches and many small requests.
    let target = topic::await_leader(subject.address, &name, partitions)?;
    throughput::run(
        &target,
        1024,
        throughput::Limit {
            length: LOAD,
            bytes: LOAD_BYTES_MAX,
        },
    )?;
    connections::run(&target, 50, 100, LOAD)?;
    figures.push((Metric::LoadedMemory, machine::resident_mib(pid)?));
    Ok(figures)
}

/// From the start of the process until a record in a new topic is acknowledged. Kafka's formatting is not counted.
fn start(kind: Kind, programs: &Programs) -> Result<Figures> {
    let subject = programs.start(kind, Class::Fsync, None)?;
    topic::await_broker(subject.address)?;
    subject.fresh_topic(Class::Fsync, 1)?;
    let milliseconds = subject.started_at.elapsed().as_millis();
    Ok(vec![(
        Metric::Start,
        number(usize::try_from(milliseconds).unwrap_or(usize::MAX)),
    )])
}
