//! An idempotent producer as clients write them: five batches in flight, retried in order with their sequences.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use hallows_record::{BatchBuilder, Codec, NewRecord, Producer as Stamp, next_sequence};
use hallows_runtime::Random;
use hallows_types::WallTime;

use super::choices::BATCH_BYTES_MAX;
use crate::checks::idempotence::Sent;
use crate::random::Choose;

/// Batches on their way at once. As with Kafka's clients this counts from the oldest that is not acknowledged, whatever
/// was since: a partition recognises no more than the last five.
const IN_FLIGHT_MAX: usize = 5;
/// The largest value in bytes, for most batches and for few.
const VALUE_BYTES_MAX: [u64; 2] = [200, BATCH_BYTES_MAX as u64 - 2_000];

/// One batch on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Bytes,
    pub(crate) sent: Sent,
    /// Its number among the batches of its producer.
    number: usize,
    /// The request that carries it; `None` while it waits to be sent again.
    pub(crate) request: Option<u64>,
}

/// One producer of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    id: i64,
    epoch: i16,
    next_sequence: i32,
    next_number: usize,
    pub(crate) in_flight: VecDeque<Flight>,
    /// Acknowledged ones, to be sent again for no reason.
    recent: VecDeque<(Bytes, Sent)>,
}

impl Producer {
    pub(crate) const fn new(id: i64) -> Self {
        Self {
            id,
            epoch: 0,
            next_sequence: 0,
            next_number: 0,
            in_flight: VecDeque::new(),
            recent: VecDeque::new(),
        }
    }

    /// The next batch to send: one that waits to be sent again, or a new one; `None` while that must wait.
    pub(crate) fn next(&mut self, random: &mut Random, time: WallTime, request: u64) -> Option<(Bytes, Sent)> {
        if let Some(flight) = self.in_flight.iter_mut().find(|flight| flight.request.is_none()) {
            flight.request = Some(request);
            return Some((flight.batch.clone(), flight.sent));
        }
        let oldest = self.in_flight.front().map_or(self.next_number, |oldest| oldest.number);
        if self.next_number - oldest >= IN_FLIGHT_MAX {
            return None;
        }
        let base_sequence = self.next_sequence;
        let stamp = Stamp {
            id: self.id,
            epoch: self.epoch,
            base_sequence,
        };
        let (batch, count) = batch(random, time, stamp);
        self.next_sequence = next_sequence(base_sequence, count);
        let last_sequence = next_sequence(base_sequence, count - 1);
        let sent = Sent {
            producer_id: self.id,
            epoch: self.epoch,
            base_sequence,
            last_sequence,
        };
        self.in_flight.push_back(Flight {
            batch: batch.clone(),
            sent,
            number: self.next_number,
            request: Some(request),
        });
        self.next_number += 1;
        Some((batch, sent))
    }

    /// An acknowledged batch, to be sent again.
    pub(crate) fn repeat(&self, random: &mut Random) -> Option<(Bytes, Sent)> {
        if self.recent.is_empty() {
            None
        } else {
            Some(self.recent[random.index(self.recent.len())].clone())
        }
    }

    /// A request was acknowledged.
    pub(crate) fn acknowledged(&mut self, request: u64) {
        let Some(place) = self.in_flight.iter().position(|flight| flight.request == Some(request)) else {
            return;
        };
        let flight = self.in_flight.remove(place).expect("just found");
        self.recent.push_back((flight.batch, flight.sent));
        if self.recent.len() > IN_FLIGHT_MAX {
            self.recent.pop_front();
        }
    }

    /// A request was refused, or its fate is not known: everything after it will be sent again too.
    pub(crate) fn retry(&mut self, request: u64) {
        if let Some(flight) = self.in_flight.iter_mut().find(|flight| flight.request == Some(request)) {
            flight.request = None;
        }
    }

    /// Whether batches wait to be sent again, and others are still on their way: order demands patience.
    pub(crate) fn must_wait(&self) -> bool {
        let waiting = self.in_flight.iter().any(|flight| flight.request.is_none());
        waiting
            && self
                .in_flight
                .iter()
                .any(|flight| flight.request.is_some() && !self.is_behind_waiting(flight))
    }

    fn is_behind_waiting(&self, flight: &Flight) -> bool {
        let first_waiting = self.in_flight.iter().position(|other| other.request.is_none());
        let place = self.in_flight.iter().position(|other| other.sent == flight.sent);
        matches!((first_waiting, place), (Some(waiting), Some(place)) if place < waiting)
    }

    /// The machine is gone: nothing that is on its way will be answered.
    pub(crate) fn disconnected(&mut self) {
        self.in_flight.iter_mut().for_each(|flight| flight.request = None);
    }

    /// The log does not know what came before: begin anew in the next epoch.
    pub(crate) fn bump_epoch(&mut self) {
        self.epoch += 1;
        self.next_sequence = 0;
        self.in_flight.clear();
        self.recent.clear();
    }
}

/// A batch of random size, codec and records; and how many records it has.
pub(crate) fn batch(random: &mut Random, time: WallTime, stamp: Stamp) -> (Bytes, i32) {
    let codec = if random.one_in(8) { Codec::Lz4 } else { Codec::None };
    let mut builder = BatchBuilder::new(codec).with_producer(stamp);
    let large = random.one_in(20);
    let count = if large { 1 } else { 1 + random.below(4) };
    let mut value = BytesMut::new();
    for _ in 0..count {
        let size = random.below(VALUE_BYTES_MAX[usize::from(large)]);
        value.clear();
        while (value.len() as u64) < size {
            value.extend_from_slice(&random.next_u64().to_be_bytes());
        }
        let jitter = i64::try_from(random.below(200)).expect("small") - 100;
        let record = NewRecord {
            timestamp: WallTime(time.0 + jitter),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("far below a batch's bounds");
    }
    let count = builder.record_count();
    (builder.build().expect("it has records and a known codec").into(), count)
}
