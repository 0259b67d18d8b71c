//! One consumer reads a partition from its start to its end, one fetch at a time, with the bounds of Kafka's consumer.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::connection::open;
use crate::frame::{FetchBounds, FetchFrame, fetched};
use crate::topic::Target;

/// What the consumer saw.
pub(crate) struct Outcome {
    pub(crate) bytes: usize,
    pub(crate) fetches: usize,
    pub(crate) seconds: f64,
}

/// Reads offsets 0 to `end_offset`.
pub(crate) fn run(target: &Target, end_offset: i64) -> Result<Outcome> {
    let (mut sender, mut receiver) = open(target.leader)?;
    let mut frame = FetchFrame::new(&target.topic, FetchBounds::CONSUMER);
    let mut outcome = Outcome {
        bytes: 0,
        fetches: 0,
        seconds: 0.0,
    };
    let mut offset = 0;
    let start = Instant::now();
    while offset < end_offset {
        sender.send(frame.at(offset, 0))?;
        let answer = fetched(receiver.receive()?)?;
        ensure!(
            answer.end_offset.is_none_or(|end| end > offset),
            "a fetch from offset {offset} went backwards"
        );
        offset = answer.end_offset.unwrap_or(offset);
        outcome.bytes += answer.record_bytes;
        outcome.fetches += 1;
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}
