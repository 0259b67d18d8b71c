//! A shard that hosts storage and nothing else: what the broker does with it, without the wire protocol.
//!
//! It answers at the moment a promise is made, so that the ledger knows of it before anything else happens.

use std::collections::BTreeMap;

use bytes::BytesMut;
use hallows_runtime::{Effects, Event, Inbox, Slice, Turn};
use hallows_storage::{
    AppendError, Appended, Durability, LogConfig, Lookup, Origin, PartitionKey, ReadError, ReadOutcome, Storage,
    StorageEvent, TimeTarget,
};
use hallows_types::{LeaderEpoch, Monotonic, Now, Offset, PartitionId, ShardId, WallTime};

/// The number of the driver among the shards.
pub(super) const DRIVER: ShardId = ShardId(u16::MAX);

/// What the driver asks.
#[derive(Debug)]
pub(super) enum Ask {
    /// Append a batch.
    Produce(BytesMut),
    /// Read.
    Fetch {
        /// From this offset.
        from: Offset,
        /// At most so many bytes.
        max_bytes: u32,
        /// But at least one batch.
        at_least_one: bool,
    },
    /// Look a record up by time.
    Time(WallTime),
    /// Move the log start.
    Delete(Offset),
    /// Where an epoch ends.
    Epoch(LeaderEpoch),
    /// Create the partition.
    Create(LogConfig, LeaderEpoch),
    /// Remove the partition.
    Remove,
    /// Change its settings.
    Configure(LogConfig),
}

/// What a shard answers. Watermarks are those of the moment.
#[derive(Debug)]
pub(super) enum Answer {
    /// A batch was assigned offsets; `None` for a duplicate's.
    Assigned(Appended),
    /// A batch was refused.
    Refused(AppendError),
    /// A batch is acknowledged: its offsets, under the weakest durability since its append.
    Acknowledged(Appended, Durability),
    /// What was read.
    Read {
        /// Runs of batches.
        slices: Vec<Slice>,
        /// The high watermark.
        high_watermark: Offset,
    },
    /// A read was refused.
    NotRead(ReadError),
    /// A record found by time, and the high watermarks when asked and now.
    Found(Option<(Offset, WallTime)>, Offset, Offset),
    /// The log starts here at least.
    Deleted(Offset),
    /// The log start did not move.
    NotDeleted,
    /// Where the epoch ends, the present epoch, and the log end.
    Epoch((LeaderEpoch, Offset), LeaderEpoch, Offset),
    /// Done.
    Done,
    /// The partition failed, or is not here, or the shard ends.
    Gone,
}

/// Messages between driver and shards.
#[derive(Debug)]
pub(super) enum Message {
    /// Number of the request, partition, request.
    Ask(u64, PartitionId, Ask),
    /// Number of the request, answer.
    Answer(u64, Answer),
    /// The shard has stopped; whether cleanly.
    Stopped(bool),
}

#[derive(Default)]
struct Rows {
    /// Appends waiting for the high watermark, with the weakest durability since.
    appends: Vec<(u64, Appended, Durability)>,
    fetches: Vec<(u64, Ask)>,
    deletes: Vec<(u64, Offset)>,
    /// Lookups by time and the high watermark when they were asked.
    times: BTreeMap<u64, Offset>,
}

/// One shard.
pub(super) struct Host {
    /// The storage under test.
    pub(super) storage: Storage,
    rows: BTreeMap<PartitionKey, Rows>,
    stopping: bool,
}

impl Host {
    /// Hosts a recovered storage.
    #[must_use]
    pub(super) const fn new(storage: Storage) -> Self {
        Self {
            storage,
            rows: BTreeMap::new(),
            stopping: false,
        }
    }

    fn ask(&mut self, now: Now, number: u64, id: PartitionId, ask: Ask, effects: &mut Effects<Message>) {
        if self.stopping {
            return reply(effects, number, Answer::Gone);
        }
        if let Ask::Create(config, epoch) = ask {
            self.storage.create_partition(id, config, epoch);
            return reply(effects, number, Answer::Done);
        }
        let Some(key) = self.storage.find(id) else {
            return reply(effects, number, Answer::Gone);
        };
        match ask {
            Ask::Produce(batch) => self.produce(now, number, key, batch, effects),
            Ask::Fetch { .. } => self.fetch(number, key, ask, effects),
            Ask::Time(target) => self.look_up(number, key, target, effects),
            Ask::Delete(before) => self.delete(now, number, key, before, effects),
            Ask::Epoch(epoch) => {
                let partition = self.storage.partition(key);
                let (current, end) = (partition.leader_epoch(), partition.log_end());
                let answer = self.storage.end_offset_for_epoch(key, epoch);
                reply(effects, number, Answer::Epoch(answer, current, end));
            }
            Ask::Remove => {
                self.storage.remove_partition(key);
                self.drop_rows(key, effects);
                reply(effects, number, Answer::Done);
            }
            Ask::Configure(config) => {
                let durability = config.durability;
                self.storage.configure(key, config);
                for (_, _, weakest) in self.rows.entry(key).or_default().appends.iter_mut() {
                    *weakest = weaker(*weakest, durability);
                }
                reply(effects, number, Answer::Done);
            }
            Ask::Create(..) => {}
        }
    }

    fn produce(&mut self, now: Now, number: u64, key: PartitionKey, batch: BytesMut, effects: &mut Effects<Message>) {
        match self.storage.append(now, key, batch, Origin::Client) {
            Ok(appended) => {
                reply(effects, number, Answer::Assigned(appended));
                let durability = self.storage.partition(key).config().durability;
                self.rows
                    .entry(key)
                    .or_default()
                    .appends
                    .push((number, appended, durability));
                self.acknowledge(key, effects);
            }
            Err(error) => reply(effects, number, Answer::Refused(error)),
        }
    }

    fn acknowledge(&mut self, key: PartitionKey, effects: &mut Effects<Message>) {
        let Some(rows) = self.rows.get_mut(&key) else { return };
        let high_watermark = self.storage.partition(key).high_watermark();
        rows.appends.retain(|(number, appended, weakest)| {
            let done = appended.end_offset <= high_watermark;
            if done {
                reply(effects, *number, Answer::Acknowledged(*appended, *weakest));
            }
            !done
        });
    }

    fn fetch(&mut self, number: u64, key: PartitionKey, ask: Ask, effects: &mut Effects<Message>) {
        let Ask::Fetch {
            from,
            max_bytes,
            at_least_one,
        } = ask
        else {
            return;
        };
        let high_watermark = self.storage.partition(key).high_watermark();
        match self.storage.read(key, from, max_bytes, at_least_one, high_watermark) {
            Ok(ReadOutcome::Ready { slices, .. }) => {
                let slices = slices.into_iter().collect();
                reply(effects, number, Answer::Read { slices, high_watermark });
            }
            Ok(ReadOutcome::Pending) => self.rows.entry(key).or_default().fetches.push((number, ask)),
            Err(error) => reply(effects, number, Answer::NotRead(error)),
        }
    }

    fn look_up(&mut self, number: u64, key: PartitionKey, target: WallTime, effects: &mut Effects<Message>) {
        let before = self.storage.partition(key).high_watermark();
        match self.storage.offset_for_time(key, number, TimeTarget::At(target)) {
            Lookup::Ready(found) => {
                let found = found.map(|found| (found.offset, found.timestamp));
                reply(effects, number, Answer::Found(found, before, before));
            }
            Lookup::Pending => {
                self.rows.entry(key).or_default().times.insert(number, before);
            }
        }
    }

    fn delete(&mut self, now: Now, number: u64, key: PartitionKey, before: Offset, effects: &mut Effects<Message>) {
        match self.storage.delete_records(now, key, before) {
            Ok(true) => reply(effects, number, Answer::Deleted(before)),
            Ok(false) => self.rows.entry(key).or_default().deletes.push((number, before)),
            Err(_) => reply(effects, number, Answer::NotDeleted),
        }
    }

    fn on_event(&mut self, event: StorageEvent, effects: &mut Effects<Message>) {
        match event {
            StorageEvent::HighWatermark { key } => self.acknowledge(key, effects),
            StorageEvent::LogStart { key } => {
                let Some(rows) = self.rows.get_mut(&key) else { return };
                let log_start = self.storage.partition(key).log_start();
                rows.deletes.retain(|(number, before)| {
                    let done = *before <= log_start;
                    if done {
                        reply(effects, *number, Answer::Deleted(*before));
                    }
                    !done
                });
            }
            StorageEvent::ReadReady { key } => {
                let waiting = self.rows.get_mut(&key).map(|rows| std::mem::take(&mut rows.fetches));
                for (number, ask) in waiting.into_iter().flatten() {
                    self.fetch(number, key, ask, effects);
                }
            }
            StorageEvent::TimeLookup { request, result } => self.found(request, result.ok(), effects),
            StorageEvent::Failed { key, .. } => self.drop_rows(key, effects),
            StorageEvent::Writable => {}
            StorageEvent::Stopped { clean } => {
                effects.message(DRIVER, Message::Stopped(clean));
                effects.stop = true;
            }
        }
    }

    fn found(
        &mut self,
        request: u64,
        found: Option<Option<hallows_storage::TimeMatch>>,
        effects: &mut Effects<Message>,
    ) {
        for (key, rows) in &mut self.rows {
            let Some(before) = rows.times.remove(&request) else {
                continue;
            };
            let answer = match found {
                Some(found) => {
                    let found = found.map(|found| (found.offset, found.timestamp));
                    Answer::Found(found, before, self.storage.partition(*key).high_watermark())
                }
                None => Answer::Gone,
            };
            return reply(effects, request, answer);
        }
    }

    fn drop_rows(&mut self, key: PartitionKey, effects: &mut Effects<Message>) {
        let Some(rows) = self.rows.remove(&key) else { return };
        let numbers = rows.appends.iter().map(|(number, ..)| *number);
        let numbers = numbers.chain(rows.fetches.iter().map(|(number, _)| *number));
        let numbers = numbers
            .chain(rows.deletes.iter().map(|(number, _)| *number))
            .chain(rows.times.into_keys());
        numbers.for_each(|number| reply(effects, number, Answer::Gone));
    }
}

impl Turn for Host {
    type Message = Message;

    fn turn(&mut self, now: Now, inbox: &mut Inbox<Message>, effects: &mut Effects<Message>) {
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Message {
                    message: Message::Ask(number, id, ask),
                    ..
                } => self.ask(now, number, id, ask, effects),
                Event::Disk(completion) => self.storage.on_disk(now, completion),
                Event::Shutdown => {
                    self.stopping = true;
                    self.storage.shut_down(now);
                }
                _ => {}
            }
            while let Some(event) = self.storage.poll_event() {
                self.on_event(event, effects);
            }
        }
        if self.storage.next_deadline() <= now.monotonic {
            self.storage.tick(now);
        }
        self.storage.flush(now, &mut effects.disk);
        while let Some(event) = self.storage.poll_event() {
            self.on_event(event, effects);
        }
        self.storage.check_invariants();
    }

    fn next_deadline(&self) -> Monotonic {
        self.storage.next_deadline()
    }
}

fn reply(effects: &mut Effects<Message>, number: u64, answer: Answer) {
    effects.message(DRIVER, Message::Answer(number, answer));
}

const fn weaker(one: Durability, other: Durability) -> Durability {
    match (one, other) {
        (Durability::Memory, _) | (_, Durability::Memory) => Durability::Memory,
        (Durability::Written, _) | (_, Durability::Written) => Durability::Written,
        (Durability::Fsync, Durability::Fsync) => Durability::Fsync,
    }
}
