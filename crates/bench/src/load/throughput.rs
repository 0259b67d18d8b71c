//! Large batches, a few requests in flight on one connection.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{LARGE_BATCH_BYTES, number};
use crate::connection::open;
use crate::frame::{ProduceFrame, batch, records_per_batch};
use crate::latency::Latencies;
use crate::topic::{ACKS_LEADER, Target, now_ms};

/// Requests sent ahead of the first missing answer, as Kafka's producer does.
const IN_FLIGHT: usize = 5;

/// When to stop: whichever comes first.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) length: Duration,
    pub(crate) bytes: usize,
}

/// What the client saw.
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    pub(crate) records: usize,
    /// Bytes of record batches.
    pub(crate) bytes: usize,
    pub(crate) seconds: f64,
}

impl Outcome {
    pub(crate) fn records_per_second(&self) -> f64 {
        number(self.records) / self.seconds
    }
}

/// Sends batches of 64 KiB with records of `value_bytes`.
pub(crate) fn run(target: &Target, value_bytes: usize, limit: Limit) -> Result<Outcome> {
    let (mut sender, mut receiver) = open(target.leader)?;
    let records = records_per_batch(value_bytes, LARGE_BATCH_BYTES);
    let batch = batch(records, value_bytes, now_ms());
    let mut frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch);
    let mut outcome = Outcome {
        latencies: Latencies::new(),
        records: 0,
        bytes: 0,
        seconds: 0.0,
    };
    let start = Instant::now();
    let mut sent_at = [start; IN_FLIGHT];
    let (mut sent, mut answered) = (0, 0);
    loop {
        let more = start.elapsed() < limit.length && sent * batch.len() < limit.bytes;
        if more && sent - answered < IN_FLIGHT {
            sent_at[sent % IN_FLIGHT] = Instant::now();
            sender.send(frame.numbered(correlation(sent)))?;
            sent += 1;
            continue;
        }
        if sent == answered {
            break;
        }
        frame.check(receiver.receive()?, correlation(answered))?;
        outcome.latencies.record(sent_at[answered % IN_FLIGHT].elapsed());
        answered += 1;
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome.records = answered * frame.records;
    outcome.bytes = answered * frame.batch_bytes;
    Ok(outcome)
}

fn correlation(request: usize) -> i32 {
    i32::try_from(request).expect("a run has fewer than 2^31 requests")
}
