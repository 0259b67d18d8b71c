//! Single records at a fixed rate, whatever the broker does: latencies count from the time a record should have been
//! sent, so that a stall shows in every record it delays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{WARM_UP, number};
use crate::connection::{Receiver, Sender, open};
use crate::frame::{FetchBounds, FetchFrame, ProduceFrame, batch, fetched};
use crate::latency::Latencies;
use crate::topic::{ACKS_LEADER, Target, now_ms};

/// The last stretch before a send is spun, since a sleep ends late by about this much.
const SPIN: Duration = Duration::from_micros(20);
/// How far ahead the first record is planned, so that all threads are ready.
const LEAD: Duration = Duration::from_millis(20);
/// A broker that falls behind the rate gets this much longer; then the run ends with what was sent.
const OVERTIME: Duration = Duration::from_secs(1);

/// The plan of a run.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) records_per_second: u32,
    pub(crate) value_bytes: usize,
    pub(crate) length: Duration,
    /// Whether a consumer follows.
    pub(crate) consume: bool,
}

/// What the clients saw.
pub(crate) struct Outcome {
    /// From the intended send time to the acknowledgement.
    pub(crate) acks: Latencies,
    /// From the intended send time to the arrival at the consumer.
    pub(crate) arrivals: Option<Latencies>,
    /// From the intended to the true send time: what the generator itself adds.
    pub(crate) lateness: Latencies,
    /// Records acknowledged, the warm-up included.
    pub(crate) records: usize,
    /// Records acknowledged per second.
    pub(crate) rate: f64,
}

/// The intended send time of each record.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    interval: Duration,
    count: usize,
    /// After this time nothing is sent any more.
    end: Instant,
    /// Records before this one do not count.
    counted_from: usize,
}

impl Schedule {
    fn new(plan: Plan) -> Self {
        let interval = Duration::from_secs(1) / plan.records_per_second;
        let records = |length: Duration| {
            usize::try_from(length.as_nanos() / interval.as_nanos()).expect("a run has fewer than 2^64 records")
        };
        let start = Instant::now() + LEAD;
        Self {
            start,
            interval,
            count: records(WARM_UP + plan.length),
            end: start + WARM_UP + plan.length + OVERTIME,
            counted_from: records(WARM_UP),
        }
    }

    fn intended(&self, record: usize) -> Instant {
        self.start + self.interval * u32::try_from(record).expect("a run has fewer than 2^32 records")
    }

    fn record(&self, latencies: &mut Latencies, record: usize) {
        if record >= self.counted_from {
            latencies.record(Instant::now().saturating_duration_since(self.intended(record)));
        }
    }
}

/// Runs the plan.
pub(crate) fn run(target: &Target, plan: Plan) -> Result<Outcome> {
    let (sender, receiver) = open(target.leader)?;
    let frame = ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch(1, plan.value_bytes, now_ms()));
    let schedule = Schedule::new(plan);
    // How many records there will be. The sender lowers it when the broker falls behind.
    let total = &AtomicUsize::new(schedule.count);
    thread::scope(|scope| {
        let consumer = plan
            .consume
            .then(|| scope.spawn(move || consume(target, schedule, total)));
        let receiving = {
            let frame = frame.clone();
            scope.spawn(move || receive(receiver, &frame, schedule, total))
        };
        let lateness = send(sender, frame, schedule, total)?;
        let acks = receiving.join().ok().context("the receiving thread failed")??;
        let seconds = schedule.start.elapsed().as_secs_f64();
        let arrivals = consumer
            .map(|consumer| consumer.join().ok().context("the consuming thread failed")?)
            .transpose()?;
        let records = total.load(Ordering::SeqCst);
        Ok(Outcome {
            acks,
            arrivals,
            lateness,
            records,
            rate: number(records) / seconds,
        })
    })
}

fn send(mut sender: Sender, mut frame: ProduceFrame, schedule: Schedule, total: &AtomicUsize) -> Result<Latencies> {
    let mut lateness = Latencies::new();
    for record in 0..schedule.count {
        let intended = schedule.intended(record);
        let ahead = intended.saturating_duration_since(Instant::now());
        if ahead > SPIN {
            thread::sleep(ahead - SPIN);
        }
        while Instant::now() < intended {
            std::hint::spin_loop();
        }
        let late = Instant::now() > schedule.end;
        if late {
            // One more is sent: the receiver may already be waiting for its answer.
            total.store(record + 1, Ordering::SeqCst);
        }
        schedule.record(&mut lateness, record);
        sender.send(frame.numbered(correlation(record)))?;
        if late {
            break;
        }
    }
    Ok(lateness)
}

fn receive(mut receiver: Receiver, frame: &ProduceFrame, schedule: Schedule, total: &AtomicUsize) -> Result<Latencies> {
    let mut acks = Latencies::new();
    let mut record = 0;
    while record < total.load(Ordering::SeqCst) {
        frame.check(receiver.receive()?, correlation(record))?;
        schedule.record(&mut acks, record);
        record += 1;
    }
    Ok(acks)
}

/// Reads the topic as it grows. The offset says which record arrived, since nobody else writes there.
fn consume(target: &Target, schedule: Schedule, total: &AtomicUsize) -> Result<Latencies> {
    let (mut sender, mut receiver) = open(target.leader)?;
    let mut frame = FetchFrame::new(&target.topic, FetchBounds::CONSUMER);
    let mut arrivals = Latencies::new();
    let mut seen = 0;
    while seen < total.load(Ordering::SeqCst) {
        let offset = target.next_offset + i64::from(correlation(seen));
        sender.send(frame.at(offset, 0))?;
        if let Some(end) = fetched(receiver.receive()?)?.end_offset {
            let arrived = usize::try_from(end - target.next_offset).context("an offset below the first one")?;
            for record in seen..arrived {
                schedule.record(&mut arrivals, record);
            }
            seen = arrived.max(seen);
        }
    }
    Ok(arrivals)
}

fn correlation(record: usize) -> i32 {
    i32::try_from(record).expect("a run has fewer than 2^31 records")
}
