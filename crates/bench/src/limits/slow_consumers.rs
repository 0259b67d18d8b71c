//! Consumers that ask for 50 MiB and read a byte a second, and a producer beside them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::table::Table;
use super::{LimitsPlan, paced, process};
use crate::class::Class;
use crate::frame::{FetchBounds, FetchFrame};
use crate::load::{open_loop, throughput};
use crate::machine;

/// How many of them.
const CONSUMERS: usize = 200;
/// What they read of.
const LOG_BYTES: usize = 256 << 20;
/// What each asks for.
const BOUNDS: FetchBounds = FetchBounds {
    wait_ms_max: 500,
    bytes_max: 50 << 20,
    partition_bytes_max: 50 << 20,
};
/// How often each reads a byte.
const READ_EVERY: Duration = Duration::from_secs(1);
/// After the default of `connection.stall.timeout.ms` they are gone; this is far above it.
const CLOSED_WAIT_MAX: Duration = Duration::from_secs(90);
/// How often it is looked whether they are closed.
const POLL: Duration = Duration::from_millis(200);
/// The producer beside them.
const RECORDS_PER_SECOND: u32 = 1_000;

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let subject = plan.start(&[])?;
    let pid = process(&subject)?;
    let log = subject.fresh_topic(Class::Fsync, 1)?;
    let limit = throughput::Limit {
        length: Duration::MAX,
        bytes: LOG_BYTES,
    };
    throughput::run(&log, 1024, limit)?;
    let beside = subject.fresh_topic(Class::Fsync, 1)?;
    let load = open_loop::Plan {
        records_per_second: RECORDS_PER_SECOND,
        value_bytes: 1024,
        length: plan.length,
        consume: false,
    };
    let alone = open_loop::run(&beside, load)?;
    let (_, sockets_before) = machine::descriptors(pid)?;
    machine::forget_peak(pid)?;
    let before = machine::peak_mib(pid)?;
    let start = Instant::now();
    let streams = paced::open(log.leader, CONSUMERS)?;
    let mut frame = FetchFrame::new(&log.topic, BOUNDS);
    for stream in &streams {
        (&*stream).write_all(frame.at(0, 0))?;
    }
    let over = AtomicBool::new(false);
    let slow = thread::scope(|scope| -> Result<_> {
        scope.spawn(|| read_slowly(&streams, &over));
        let slow = open_loop::run(&beside, load);
        over.store(true, Ordering::Relaxed);
        slow
    })?;
    let peak = machine::peak_mib(pid)?;
    let closed = await_closed(pid, sockets_before, start, &streams)?;
    let mut table = Table::new(format!(
        "{CONSUMERS} consumers ask for 50 MiB and read 1 B/s; beside them {RECORDS_PER_SECOND} records of 1 KiB a second, open loop, `durability=fsync`, {} s",
        plan.length.as_secs()
    ));
    let acks = |acks: &crate::latency::Latencies| {
        [
            ("ack p50, ms", acks.percentile_us(50.0) / 1000.0),
            ("ack p99, ms", acks.percentile_us(99.0) / 1000.0),
            ("longest ack, ms", acks.max_ms()),
        ]
    };
    let mut figures = acks(&alone.acks).to_vec();
    figures.push(("memory, MiB", before));
    table.column("without them", &figures);
    let mut figures = acks(&slow.acks).to_vec();
    figures.push(("memory, MiB", peak));
    table.column("beside them (memory: the peak)", &figures);
    table.note(format!(
        "All {CONSUMERS} were closed {:.0} s after their requests (`connection.stall.timeout.ms`).",
        closed.as_secs_f64()
    ));
    Ok(table)
}

fn read_slowly(streams: &[TcpStream], over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        for stream in streams {
            // One that is closed has nothing to read.
            let _ = (&*stream).read(&mut [0; 1]);
        }
        thread::sleep(READ_EVERY);
    }
}

/// Goes on reading slowly until the broker has as few sockets as before; returns when that was.
fn await_closed(pid: u32, sockets_before: usize, start: Instant, streams: &[TcpStream]) -> Result<Duration> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| read_slowly(streams, &over));
        let closed = poll_closed(pid, sockets_before, start);
        over.store(true, Ordering::Relaxed);
        closed
    })
}

fn poll_closed(pid: u32, sockets_before: usize, start: Instant) -> Result<Duration> {
    loop {
        let (_, sockets) = machine::descriptors(pid)?;
        if sockets <= sockets_before {
            return Ok(start.elapsed());
        }
        ensure!(
            start.elapsed() < CLOSED_WAIT_MAX,
            "{} slow consumers were still connected after {CLOSED_WAIT_MAX:?}",
            sockets - sockets_before
        );
        thread::sleep(POLL);
    }
}
