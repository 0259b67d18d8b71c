//! Sequences of requests on connections, through the real shards on a disk in memory.
//!
//! The input is a number of shards and a list of steps: requests of any API and version, records to produce with right
//! checksums, steps of a group's member, garbage, time, lost connections, restarts. Nothing panics; every request ends
//! in one well-formed answer, in order, or in a closed connection; and whatever one client does, another one's records
//! are written and read.

mod broker;
mod client;
mod requests;
mod seeds;

use hallows_protocol::ApiKey;
use hallows_runtime::ConnectionId;

use self::broker::Broker;
use self::requests::Member;
use crate::Source;
use crate::allocation::bounded;

pub use self::seeds::seeds;

/// Journals, images, and the answers held back, on a disk in memory: what a small broker takes, and its bounds.
const HELD_BYTES_MAX: usize = 64 << 20;
/// The most steps that are taken.
const STEPS_MAX: usize = 64;
/// The most connections of an input.
const CONNECTIONS_MAX: usize = 4;
/// The longest wait that a request can ask for is 2^31 ms; each jump goes beyond it, and a few follow one another.
const JUMP_MS: u64 = 1 << 32;
const JUMPS: usize = 4;

/// What an input's steps do; the low bits of their first byte.
pub(super) mod step {
    pub(in crate::targets::connection) const REQUEST: u8 = 0;
    pub(in crate::targets::connection) const PRODUCE: u8 = 1;
    pub(in crate::targets::connection) const MEMBER: u8 = 2;
    pub(in crate::targets::connection) const GARBAGE: u8 = 3;
    pub(in crate::targets::connection) const TIME: u8 = 4;
    pub(in crate::targets::connection) const END: u8 = 5;
    pub(in crate::targets::connection) const COUNT: u8 = 6;
}

/// Tries an input.
pub fn run(data: &[u8]) {
    bounded(HELD_BYTES_MAX, || {
        let mut source = Source::new(data);
        let shards = 1 + u16::from(source.u8() % 2);
        let mut world = World::new(shards);
        for _ in 0..STEPS_MAX {
            if source.is_empty() {
                break;
            }
            world.step(&mut source);
        }
        world.end();
    });
}

/// The broker, the connections of the input, and what they know.
struct World {
    broker: Broker,
    shards: u16,
    connections: [Option<ConnectionId>; CONNECTIONS_MAX],
    correlation_id: i32,
    member: Member,
    topic_id: [u8; 16],
    good: ConnectionId,
}

impl World {
    fn new(shards: u16) -> Self {
        let mut broker = Broker::start(shards);
        let good = broker.connect(0);
        let topic_id = requests::create_topics(&mut broker, good);
        Self {
            broker,
            shards,
            connections: [None; CONNECTIONS_MAX],
            correlation_id: 1000,
            member: Member::default(),
            topic_id,
            good,
        }
    }

    fn step(&mut self, source: &mut Source<'_>) {
        let kind = source.u8();
        let slot = usize::from(kind >> 4) % CONNECTIONS_MAX;
        match (kind & 0x0f) % step::COUNT {
            step::REQUEST => self.request(slot, source),
            step::PRODUCE => self.produce(slot, source),
            step::MEMBER => self.member_step(slot, source),
            step::GARBAGE => {
                let count = source.length();
                let bytes = source.bytes(count);
                let connection = self.connection(slot);
                self.broker.send(connection, bytes);
            }
            step::TIME => {
                let milliseconds = u64::from(source.u16());
                self.broker.pass(milliseconds * if kind & 0x80 == 0 { 1 } else { 1000 });
            }
            _ => self.end_something(slot, source.u8()),
        }
    }

    /// The connection of a slot; a new one if it has none that is open.
    fn connection(&mut self, slot: usize) -> ConnectionId {
        let known = self.connections[slot].filter(|id| self.broker.client(*id).is_open());
        let connection = known.unwrap_or_else(|| self.broker.connect(slot));
        self.connections[slot] = Some(connection);
        connection
    }

    fn request(&mut self, slot: usize, source: &mut Source<'_>) {
        let key = i16::from(source.u8());
        let version = i16::from(source.u8());
        let count = source.length();
        let mut body = source.bytes(count).to_vec();
        requests::name_topic(&mut body, self.topic_id);
        let Some(key) = ApiKey::from_number(key) else { return };
        self.send(slot, key, version, &body);
    }

    fn send(&mut self, slot: usize, key: ApiKey, version: i16, body: &[u8]) {
        self.correlation_id += 1;
        let frame = super::frames::request_frame(key, version, self.correlation_id, body);
        let connection = self.connection(slot);
        let length = u32::try_from(frame.len()).expect("small").to_be_bytes();
        self.broker.send(connection, &[&length[..], &frame].concat());
    }

    fn produce(&mut self, slot: usize, source: &mut Source<'_>) {
        let version = 3 + i16::from(source.u8() % 11);
        let choices = source.u8();
        let count = source.length();
        let mut records = source.bytes(count).to_vec();
        super::damage::mend_batch(&mut records);
        let body = requests::produce(version, choices, self.topic_id, &records);
        self.send(slot, ApiKey::Produce, version, &body);
    }

    fn member_step(&mut self, slot: usize, source: &mut Source<'_>) {
        let (key, version, body) = self.member.request(source);
        self.send(slot, key, version, &body);
        let connection = self.connection(slot);
        self.member.learn(self.broker.client(connection).last_answer.as_ref());
    }

    fn end_something(&mut self, slot: usize, choice: u8) {
        match choice % 3 {
            0 => {
                let connection = self.connection(slot);
                self.broker.close(connection);
            }
            1 => self.broker.restart(true, self.shards),
            _ => {
                self.shards = 1 + u16::from(choice / 3 % 2);
                self.broker.restart(false, self.shards);
            }
        }
    }

    /// The well-behaved client still has its records; and after the longest wait nobody is owed an answer.
    fn end(&mut self) {
        if !self.broker.client(self.good).is_open() {
            self.good = self.broker.connect(0);
        }
        requests::write_and_read(&mut self.broker, self.good);
        for _ in 0..JUMPS {
            self.broker.pass(JUMP_MS);
        }
        assert!(
            self.broker.clients().all(|client| client.is_served()),
            "a request was never answered"
        );
    }
}
