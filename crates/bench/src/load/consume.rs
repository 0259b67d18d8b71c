//! One consumer reads a partition from its start to its end, one fetch at a time, with the bounds of Kafka's consumer.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::LARGE_BATCH_BYTES;
use crate::connection::{Receiver, Sender, open};
use crate::frame::{FetchBounds, FetchFrame, ProduceFrame, batch, fetched, records_per_batch};
use crate::topic::{ACKS_LEADER, Target, now_ms};

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

/// What one connection has written to the floor, which gives back no more than the bytes of that.
pub(crate) struct RawLog {
    sender: Sender,
    receiver: Receiver,
    topic: String,
    bytes: usize,
}

impl RawLog {
    /// Writes about `bytes` in batches of 64 KiB.
    pub(crate) fn written(target: &Target, bytes: usize) -> Result<Self> {
        let (mut sender, mut receiver) = open(target.leader)?;
        let batch = batch(records_per_batch(1024, LARGE_BATCH_BYTES), 1024, now_ms());
        let mut frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch);
        let mut written = 0;
        while written < bytes {
            let request = frame.numbered(0);
            written += request.len();
            sender.send(request)?;
            frame.check(receiver.receive()?, 0)?;
        }
        Ok(Self {
            sender,
            receiver,
            topic: target.topic.clone(),
            bytes: written,
        })
    }

    /// Reads all of it.
    pub(crate) fn read(mut self) -> Result<Outcome> {
        let mut frame = FetchFrame::new(&self.topic, FetchBounds::CONSUMER);
        let (mut bytes, mut fetches) = (0, 0);
        let start = Instant::now();
        while bytes < self.bytes {
            self.sender.send(frame.at(0, 0))?;
            let answer = self.receiver.receive()?;
            ensure!(answer.len() > 4, "the floor has less than was written to it");
            bytes += answer.len() - 4;
            fetches += 1;
        }
        Ok(Outcome {
            bytes,
            fetches,
            seconds: start.elapsed().as_secs_f64(),
        })
    }
}
