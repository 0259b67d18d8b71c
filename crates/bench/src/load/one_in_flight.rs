//! One connection, one record, wait for the acknowledgement, again.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::WARM_UP;
use crate::connection::open;
use crate::frame::{ProduceFrame, batch};
use crate::latency::Latencies;
use crate::topic::{ACKS_LEADER, Target, now_ms};

/// What the client saw.
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    /// Records acknowledged, the warm-up included.
    pub(crate) records: usize,
}

/// Sends records of `value_bytes` for `length` after the warm-up.
pub(crate) fn run(target: &Target, value_bytes: usize, length: Duration) -> Result<Outcome> {
    let (mut sender, mut receiver) = open(target.leader)?;
    let mut frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch(1, value_bytes, now_ms()));
    let mut outcome = Outcome {
        latencies: Latencies::new(),
        records: 0,
    };
    let counted_from = Instant::now() + WARM_UP;
    let end = counted_from + length;
    let mut id = 0;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(outcome);
        }
        sender.send(frame.numbered(id))?;
        frame.check(receiver.receive()?, id)?;
        if sent >= counted_from {
            outcome.latencies.record(sent.elapsed());
        }
        outcome.records += 1;
        id = id.wrapping_add(1);
    }
}
