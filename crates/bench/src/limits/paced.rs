//! Small produce requests at a fixed rate, dealt out over many connections and partitions, by two threads.
//!
//! A connection has its next request only once all others had theirs, and answers are read in the same order; so a late
//! answer may make later ones look late as well, never earlier. Latencies count from the intended time of sending.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::frame::{ProduceFrame, batch};
use crate::latency::Latencies;
use crate::topic::{ACKS_LEADER, now_ms};

/// The value of each record.
const VALUE_BYTES: usize = 100;
/// How long an answer may take before the run is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Answers to requests of one partition are far smaller.
const ANSWER_BYTES_MAX: usize = 1024;

/// What is sent.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) topic: &'a str,
    /// Requests go to partitions 0 to here, in turn.
    pub(super) partitions: usize,
    pub(super) requests_per_second: u32,
    pub(super) length: Duration,
}

/// Opens `count` connections.
pub(super) fn open(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let one = |index| -> Result<TcpStream> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot open connection {} of {count}", index + 1))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

/// Runs the plan; returns the latencies of all its requests.
pub(super) fn run(streams: &[TcpStream], plan: Plan<'_>) -> Result<Latencies> {
    let interval = Duration::from_secs(1) / plan.requests_per_second;
    let count = u32::try_from(plan.length.as_nanos() / interval.as_nanos()).context("a run of fewer requests")?;
    let start = Instant::now();
    thread::scope(|scope| {
        let receiving = scope.spawn(move || -> Result<Latencies> {
            let mut latencies = Latencies::new();
            let frame = frame(plan, 0);
            for request in 0..count {
                let (index, _) = dealt(request, streams.len(), plan.partitions)?;
                receive(&streams[index], &frame, request)?;
                latencies.record(Instant::now().saturating_duration_since(start + interval * request));
            }
            Ok(latencies)
        });
        for request in 0..count {
            let (index, partition) = dealt(request, streams.len(), plan.partitions)?;
            let mut frame = frame(plan, partition);
            thread::sleep((start + interval * request).saturating_duration_since(Instant::now()));
            let sent = (&streams[index]).write_all(frame.numbered(id(request)));
            sent.context("cannot send a request")?;
        }
        receiving.join().ok().context("the receiving thread failed")?
    })
}

/// The connection and the partition of a request.
fn dealt(request: u32, streams: usize, partitions: usize) -> Result<(usize, i32)> {
    let request = usize::try_from(request)?;
    Ok((request % streams, i32::try_from(request % partitions)?))
}

fn frame(plan: Plan<'_>, partition: i32) -> ProduceFrame {
    ProduceFrame::new(plan.topic, partition, ACKS_LEADER, &batch(1, VALUE_BYTES, now_ms()))
}

fn id(request: u32) -> i32 {
    i32::from_ne_bytes(request.to_ne_bytes())
}

fn receive(mut stream: &TcpStream, frame: &ProduceFrame, request: u32) -> Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("no answer")?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes to a Produce");
    let mut answer = [0; ANSWER_BYTES_MAX];
    stream.read_exact(&mut answer[..length]).context("half an answer")?;
    frame.check(&answer[..length], id(request))?;
    Ok(())
}
