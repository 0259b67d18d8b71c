//! Many connections, each with one single-record request at a time and a blocking thread of its own.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{WARM_UP, number};
use crate::connection::open;
use crate::frame::{ProduceFrame, batch};
use crate::latency::Latencies;
use crate::topic::{ACKS_LEADER, Target, now_ms};

/// What the clients saw.
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    /// Requests answered after the warm-up, per second.
    pub(crate) requests_per_second: f64,
    /// Requests answered, the warm-up included.
    pub(crate) requests: usize,
}

/// What one connection saw.
struct Share {
    latencies: Latencies,
    requests: usize,
    counted: usize,
}

/// Keeps `connections` busy for `length` after the warm-up.
pub(crate) fn run(target: &Target, connections: usize, value_bytes: usize, length: Duration) -> Result<Outcome> {
    let barrier = Barrier::new(connections);
    let batch = batch(1, value_bytes, now_ms());
    let frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch);
    let shares = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| one(target, frame.clone(), &barrier, length)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().ok().context("a connection's thread failed")?)
            .collect::<Result<Vec<Share>>>()
    })?;
    let mut latencies = Latencies::new();
    shares.iter().for_each(|share| latencies.merge(&share.latencies));
    Ok(Outcome {
        latencies,
        requests_per_second: number(shares.iter().map(|share| share.counted).sum()) / length.as_secs_f64(),
        requests: shares.iter().map(|share| share.requests).sum(),
    })
}

fn one(target: &Target, mut frame: ProduceFrame, barrier: &Barrier, length: Duration) -> Result<Share> {
    let opened = open(target.leader);
    // A thread that cannot connect must still reach the barrier, or the others would wait for ever.
    barrier.wait();
    let (mut sender, mut receiver) = opened?;
    let mut share = Share {
        latencies: Latencies::new(),
        requests: 0,
        counted: 0,
    };
    let counted_from = Instant::now() + WARM_UP;
    let end = counted_from + length;
    let mut id = 0_i32;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(share);
        }
        sender.send(frame.numbered(id))?;
        frame.check(receiver.receive()?, id)?;
        share.requests += 1;
        if sent >= counted_from {
            share.latencies.record(sent.elapsed());
            share.counted += 1;
        }
        id = id.wrapping_add(1);
    }
}
