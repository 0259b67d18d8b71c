//! What the driver asks.

use bytes::{Bytes, BytesMut};
use hallows_record::Producer as Stamp;
use hallows_types::{LeaderEpoch, Offset, PartitionId, ShardId, TopicId, WallTime};

use super::host::{Ask, DRIVER, Message};
use super::producer::{Producer, batch};
use super::{ALARM_TICK, Run, Tracked, choices};
use crate::checks::idempotence::Sent;
use crate::ledger::Ledger;
use crate::plan::Part;
use crate::random::Choose;

/// Requests on their way at once.
const PENDING_MAX: usize = 128;
/// Partitions at once.
const PARTITIONS_MAX: usize = 10;
/// Idempotent producers of one partition.
const PRODUCERS_MAX: usize = 3;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) partition: PartitionId,
    pub(super) asked_at: u64,
    pub(super) kind: Kind,
}

/// What was asked, as far as its answer is judged by it.
#[derive(Debug)]
pub(super) enum Kind {
    Produce {
        batch: Bytes,
        sent: Option<Sent>,
    },
    Fetch {
        from: i64,
        max_bytes: u32,
        at_least_one: bool,
    },
    Time(i64),
    Delete,
    Epoch(LeaderEpoch),
    Other,
}

/// A request as the log shows it: without its bytes.
fn short(ask: &Ask) -> String {
    match ask {
        Ask::Produce(batch) => format!("Produce({} bytes)", batch.len()),
        other => format!("{other:?}"),
    }
}

impl Run {
    /// Asks a burst of things and sets the alarm for the next.
    pub(super) fn tick(&mut self) {
        let burst = 1 + self.random.below(8);
        for _ in 0..burst {
            if self.pending.len() < PENDING_MAX {
                self.ask_something();
            }
        }
        self.change_the_disk();
        let wait = self.random.wait_ns(200_000, 6);
        self.world.alarm(wait, self.alarm(ALARM_TICK));
    }

    /// Now and then the disk is full for a while.
    fn change_the_disk(&mut self) {
        if !self.plan.has(Part::FullDisk) {
            return;
        }
        if self.random.one_in(400) {
            let room = self.random.below(1 << 20);
            let used = self.world.disk().used_bytes();
            self.world.disk().set_capacity(used + room);
        } else if self.random.one_in(30) {
            self.world.disk().set_capacity(choices::CAPACITY_BYTES);
        }
    }

    /// A machine that stops or starts finds room on its disk, or little, or none.
    pub(super) fn settle_the_disk(&mut self) {
        let disk = self.world.disk();
        if self.plan.has(Part::FullDisk) && self.random.one_in(5) {
            let room = if self.random.one_in(2) {
                0
            } else {
                self.random.below(1 << 20)
            };
            disk.set_capacity(disk.used_bytes() + room);
        } else {
            disk.set_capacity(choices::CAPACITY_BYTES);
        }
    }

    fn ask_something(&mut self) {
        if self.partitions.is_empty() || (self.partitions.len() < PARTITIONS_MAX && self.random.one_in(60)) {
            return self.create();
        }
        let place = self.random.index(self.partitions.len());
        let id = *self.partitions.keys().nth(place).expect("an index below the count");
        match self.random.below(100) {
            0..30 => self.produce(id),
            30..60 => self.produce_idempotently(id),
            60..84 => self.fetch(id),
            84..90 => self.look_up(id),
            90..94 => self.ask_epoch(id),
            94..97 => self.delete_records(id),
            97..99 => self.configure(id),
            _ => self.remove(id),
        }
    }

    fn ask(&mut self, partition: PartitionId, kind: Kind, ask: Ask) {
        let asked_at = self.world.now().monotonic.0;
        let number = self.next_request;
        self.next_request += 1;
        self.outcome.operations += 1;
        self.pending.insert(
            number,
            Pending {
                partition,
                asked_at,
                kind,
            },
        );
        let shard = self.shard_of(partition);
        tracing::debug!(number, %partition, shard = shard.0, ask = %short(&ask), "asks");
        self.world.send(DRIVER, shard, Message::Ask(number, partition, ask));
    }

    pub(super) fn shard_of(&self, partition: PartitionId) -> ShardId {
        let count = i32::try_from(self.world.shard_count()).expect("few shards");
        ShardId(u16::try_from(partition.index.rem_euclid(count)).expect("below the count of shards"))
    }

    fn create(&mut self) {
        self.next_topic += 1;
        let mut topic = TopicId::default();
        topic.0[..8].copy_from_slice(&self.next_topic.to_be_bytes());
        let index = i32::try_from(self.random.below(8)).expect("small");
        let id = PartitionId { topic, index };
        let tracked = Tracked {
            config: choices::log(&mut self.random),
            epoch: LeaderEpoch(0),
            ledger: Ledger::default(),
            producers: Vec::new(),
            failed: false,
        };
        let ask = Ask::Create(tracked.config.clone(), tracked.epoch);
        self.partitions.insert(id, tracked);
        self.ask(id, Kind::Other, ask);
    }

    fn remove(&mut self, id: PartitionId) {
        if self.partitions.len() < 3 {
            return;
        }
        if let Some(tracked) = self.partitions.remove(&id) {
            self.outcome.acknowledged += tracked.ledger.acknowledged;
        }
        self.ask(id, Kind::Other, Ask::Remove);
    }

    fn configure(&mut self, id: PartitionId) {
        let config = choices::log(&mut self.random);
        self.tracked(id).config = config.clone();
        self.ask(id, Kind::Other, Ask::Configure(config));
    }

    fn produce(&mut self, id: PartitionId) {
        let time = self.world.now().wall;
        let (batch, _) = batch(&mut self.random, time, Stamp::NONE);
        self.ask(
            id,
            Kind::Produce {
                batch: batch.clone(),
                sent: None,
            },
            Ask::Produce(BytesMut::from(&batch[..])),
        );
    }

    fn produce_idempotently(&mut self, id: PartitionId) {
        let time = self.world.now().wall;
        let request = self.next_request;
        let producer_id = self.next_producer;
        let tracked = self.partitions.get_mut(&id).expect("chosen from the map");
        if tracked.producers.len() < PRODUCERS_MAX && self.random.one_in(10) || tracked.producers.is_empty() {
            tracked.producers.push(Producer::new(producer_id));
            self.next_producer += 1;
        }
        let place = self.random.index(tracked.producers.len());
        let producer = &mut tracked.producers[place];
        let chosen = if self.random.one_in(12) {
            producer.repeat(&mut self.random)
        } else if producer.must_wait() {
            None
        } else {
            producer.next(&mut self.random, time, request)
        };
        let Some((batch, sent)) = chosen else { return };
        let bytes = BytesMut::from(&batch[..]);
        self.ask(
            id,
            Kind::Produce {
                batch,
                sent: Some(sent),
            },
            Ask::Produce(bytes),
        );
    }

    fn fetch(&mut self, id: PartitionId) {
        let (start, end) = self.span(id);
        let from = start + self.below(end - start + 1);
        let max_bytes = u32::try_from(self.random.wait_ns(500, 9)).expect("small");
        let at_least_one = self.random.one_in(2);
        let ask = Ask::Fetch {
            from: Offset(from),
            max_bytes,
            at_least_one,
        };
        self.ask(
            id,
            Kind::Fetch {
                from,
                max_bytes,
                at_least_one,
            },
            ask,
        );
    }

    fn look_up(&mut self, id: PartitionId) {
        let age = i64::try_from(self.random.wait_ns(100, 10)).expect("small");
        let target = self.world.now().wall.0 - age;
        self.ask(id, Kind::Time(target), Ask::Time(WallTime(target)));
    }

    fn ask_epoch(&mut self, id: PartitionId) {
        let current = self.tracked(id).epoch;
        let asked = LeaderEpoch(i32::try_from(self.below(i64::from(current.0) + 2)).expect("small"));
        self.ask(id, Kind::Epoch(asked), Ask::Epoch(asked));
    }

    fn delete_records(&mut self, id: PartitionId) {
        let (start, end) = self.span(id);
        let before = start + self.below((end - start) / 3 + 1);
        self.ask(id, Kind::Delete, Ask::Delete(Offset(before)));
    }

    fn span(&self, id: PartitionId) -> (i64, i64) {
        let ledger = &self.partitions[&id].ledger;
        (ledger.log_start, ledger.end())
    }

    fn below(&mut self, bound: i64) -> i64 {
        let bound = u64::try_from(bound).unwrap_or(0);
        i64::try_from(self.random.below(bound)).expect("below an i64")
    }

    pub(super) fn tracked(&mut self, id: PartitionId) -> &mut Tracked {
        self.partitions.get_mut(&id).expect("chosen from the map")
    }
}
