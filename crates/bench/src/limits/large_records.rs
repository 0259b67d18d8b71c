//! Records of 50 MB: written one at a time, then by several producers at once, then read.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::table::Table;
use super::{LimitsPlan, process};
use crate::class::Class;
use crate::connection::open;
use crate::frame::{ProduceFrame, batch};
use crate::load::{consume, number};
use crate::machine;
use crate::topic::{ACKS_LEADER, Target, now_ms};

const VALUE_BYTES: usize = 50_000_000;
/// Records that each producer sends, one in flight.
const RECORDS: usize = 4;
/// How many send at once.
const PRODUCERS: [usize; 3] = [1, 2, 8];
/// Above a record with its batch and frame.
const SETTINGS: [(&str, &str); 1] = [("message.max.bytes", "60000000")];
/// What a broker answers whose `tail.bytes.max` is reached.
const REQUEST_TIMED_OUT: i16 = 7;
/// Kafka's `retry.backoff.ms`.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// How long a broker rests before its memory is read again.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let [(name, value)] = SETTINGS;
    let mut table = Table::new(format!(
        "Records of 50 MB, {RECORDS} by each producer, one in flight, `durability=fsync`, `{name}={value}`"
    ));
    for producers in PRODUCERS {
        eprintln!("{producers} producers");
        table.column(format!("{producers} at once"), &one(plan, producers)?);
    }
    Ok(table)
}

fn one(plan: &LimitsPlan, producers: usize) -> Result<Vec<(&'static str, f64)>> {
    let subject = plan.start(&SETTINGS)?;
    let pid = process(&subject)?;
    let target = subject.fresh_topic(Class::Fsync, 1)?;
    let batch = batch(1, VALUE_BYTES, now_ms());
    let before = machine::resident_mib(pid)?;
    machine::forget_peak(pid)?;
    let start = Instant::now();
    let refused = thread::scope(|scope| {
        let threads: Vec<_> = (0..producers)
            .map(|_| scope.spawn(|| produce(&target, &batch)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a producing thread failed")?)
            .sum::<Result<usize>>()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = number(producers * RECORDS * batch.len());
    let writing = machine::peak_mib(pid)?;
    machine::forget_peak(pid)?;
    let end = target.next_offset + i64::try_from(producers * RECORDS)?;
    let read = consume::run(&target, end)?;
    let reading = machine::peak_mib(pid)?;
    thread::sleep(SETTLE);
    Ok(vec![
        ("written, MB/s", bytes / seconds / 1e6),
        ("refused as busy and sent again", number(refused)),
        ("read, MB/s", number(read.bytes) / read.seconds / 1e6),
        ("memory before, MiB", before),
        ("memory writing, peak, MiB", writing),
        ("memory reading, peak, MiB", reading),
        ("memory afterwards, MiB", machine::resident_mib(pid)?),
    ])
}

/// Sends the records; returns how many times one was refused as the broker was busy, and sent again.
fn produce(target: &Target, batch: &[u8]) -> Result<usize> {
    let (mut sender, mut receiver) = open(target.leader)?;
    let mut frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, batch);
    let (mut id, mut taken, mut refused) = (0, 0, 0);
    while taken < RECORDS {
        sender.send(frame.numbered(id))?;
        let answer = receiver.receive()?;
        if frame.error(answer, id)? == REQUEST_TIMED_OUT {
            refused += 1;
            thread::sleep(RETRY_BACKOFF);
        } else {
            frame.check(answer, id)?;
            taken += 1;
        }
        id += 1;
    }
    Ok(refused)
}
