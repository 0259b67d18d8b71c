//! A broker of real shards on a disk in memory, played by hand: turns, disk operations, messages, connections, time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use hallows_broker::{Advertised, BootOptions, Message, Shard, boot_with};
use hallows_config::{BrokerConfig, Sources};
use hallows_runtime::{
    CloseReason, ConnectionId, Disk, DiskCompletion, Effects, Event, Inbox, ListenerId, Output, Random, Slice, Turn,
};
use hallows_sim::SimDisk;
use hallows_storage::{Recovery, StorageSettings};
use hallows_types::{Monotonic, Now, ShardId, WallTime};

use super::client::Client;

const DISK_BYTES: u64 = 256 << 20;
const WALL_START_MS: i64 = 1_767_225_600_000;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// Turns at one moment after which a broker must be at rest.
const TURNS_MAX: usize = 20_000;

/// Small bounds, so that inputs of a few hundred bytes reach them.
fn config() -> &'static BrokerConfig {
    static CONFIG: OnceLock<BrokerConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let flags = [
            ("socket.request.max.bytes", "65536"),
            ("partitions.max", "64"),
            ("delayed.requests.max", "64"),
            ("decompressed.batch.bytes.max", "1048576"),
            ("message.max.bytes", "8192"),
            ("offsets.topic.num.partitions", "2"),
            ("groups.max", "8"),
            ("group.max.size", "4"),
            ("max.incremental.fetch.session.cache.slots", "4"),
            ("connection.requests.max", "16"),
        ];
        BrokerConfig::load(&Sources::from_flags(flags)).expect("within the bounds of each setting")
    })
}

fn storage_settings() -> StorageSettings {
    StorageSettings {
        journal_bytes_max: 1 << 20,
        journal_file_bytes: 64 << 10,
        journal_first_file_bytes: 32 << 10,
        tail_bytes_max: 1 << 20,
        disk_reserve_bytes: 0,
        ..StorageSettings::default()
    }
}

struct Seat {
    shard: Shard,
    inbox: Inbox<Message>,
    stopped: bool,
}

/// The broker and its clients' connections.
pub(super) struct Broker {
    disk: SimDisk,
    seats: Vec<Seat>,
    now_ns: u64,
    clients: BTreeMap<ConnectionId, Client>,
    next_connection: u64,
    starts: u64,
}

impl Broker {
    /// A broker of `shards` shards on an empty disk.
    pub(super) fn start(shards: u16) -> Self {
        let mut broker = Self {
            disk: SimDisk::new(1, DISK_BYTES),
            seats: Vec::new(),
            now_ns: 1_000 * NANOSECONDS_PER_MILLISECOND,
            clients: BTreeMap::new(),
            next_connection: 0,
            starts: 0,
        };
        broker.boot(shards);
        broker
    }

    fn boot(&mut self, shards: u16) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        self.starts += 1;
        let options = BootOptions {
            shards,
            advertised: vec![Advertised {
                host: "localhost".into(),
                port: 9092,
            }],
            now: self.now(),
            seed: self.starts,
        };
        let mut random = Random::from_seed(self.starts);
        let booted = boot_with(disk, config().clone(), options, &mut random, storage_settings());
        let booted = booted.expect("what a broker wrote, a broker reads");
        self.seats = booted
            .shards
            .into_iter()
            .map(|shard| Seat {
                shard,
                inbox: Inbox::default(),
                stopped: false,
            })
            .collect();
        self.settle();
    }

    fn now(&self) -> Now {
        let elapsed_ms = i64::try_from(self.now_ns / NANOSECONDS_PER_MILLISECOND).expect("a run lasts years at most");
        Now {
            monotonic: Monotonic(self.now_ns),
            wall: WallTime(WALL_START_MS + elapsed_ms),
        }
    }

    /// Opens a connection to one of the shards.
    pub(super) fn connect(&mut self, shard: usize) -> ConnectionId {
        self.next_connection += 1;
        let connection = ConnectionId(self.next_connection);
        let seat = shard % self.seats.len();
        self.clients
            .insert(connection, Client::new(seat, config().request_bytes_max as usize));
        self.accept(connection, seat);
        connection
    }

    fn accept(&mut self, connection: ConnectionId, seat: usize) {
        let event = Event::Accepted {
            connection,
            peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000),
            listener: ListenerId(0),
        };
        self.seats[seat].inbox.push(event, Monotonic(self.now_ns));
    }

    /// The state of a connection's client.
    pub(super) fn client(&mut self, connection: ConnectionId) -> &mut Client {
        self.clients.get_mut(&connection).expect("clients are never forgotten")
    }

    /// All clients.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// Sends bytes and lets everything happen that happens at once.
    pub(super) fn send(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.client(connection).sends(bytes);
        self.feed(connection);
        self.settle();
    }

    /// The client goes away.
    pub(super) fn close(&mut self, connection: ConnectionId) {
        let client = self.client(connection);
        if !client.is_open() {
            return;
        }
        client.close();
        let seat = client.seat;
        let reason = CloseReason::Peer;
        self.seats[seat]
            .inbox
            .push(Event::Closed { connection, reason }, Monotonic(self.now_ns));
        self.settle();
    }

    /// Lets time pass in one step.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        self.now_ns += milliseconds * NANOSECONDS_PER_MILLISECOND;
        self.settle();
    }

    /// Ends the process and starts it again with `shards` shards; connections are lost.
    pub(super) fn restart(&mut self, in_order: bool, shards: u16) {
        if in_order {
            self.shut_down();
        }
        self.clients.values_mut().for_each(Client::close);
        self.seats.clear();
        self.disk = self.disk.kill();
        self.boot(shards);
    }

    fn shut_down(&mut self) {
        for seat in &mut self.seats {
            seat.inbox.push(Event::Shutdown, Monotonic(self.now_ns));
        }
        self.settle();
        assert!(self.seats.iter().all(|seat| seat.stopped), "a shard does not stop");
        if self.seats.iter().all(|seat| seat.shard.stopped_clean()) {
            Recovery::mark_clean(&self.disk).expect("no fault strikes");
        }
    }

    /// Turns until nothing more happens at this moment.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let now = Monotonic(self.now_ns);
            let due = |seat: &Seat| !seat.stopped && (!seat.inbox.is_empty() || seat.shard.next_deadline() <= now);
            let Some(index) = self.seats.iter().position(due) else {
                return;
            };
            self.turn(index);
        }
        panic!("the broker never comes to rest");
    }

    fn turn(&mut self, index: usize) {
        let mut effects = Effects::default();
        let now = self.now();
        let arrived = now.monotonic;
        let seat = &mut self.seats[index];
        seat.shard.turn(now, &mut seat.inbox, &mut effects);
        seat.stopped = effects.stop;
        for (token, op) in effects.disk {
            let result = op.perform(&self.disk);
            seat.inbox.push(Event::Disk(DiskCompletion { token, result }), arrived);
        }
        for (token, job) in effects.compute {
            let output = job();
            seat.inbox.push(Event::Computed { token, output }, arrived);
        }
        let from = ShardId(u16::try_from(index).expect("few shards"));
        for (to, message) in effects.messages {
            let event = Event::Message { from, message };
            self.seats[usize::from(to.0)].inbox.push(event, arrived);
        }
        for output in effects.outputs {
            self.output(output);
        }
        let told: Vec<_> = self
            .clients
            .iter_mut()
            .filter(|(_, client)| client.seat == index)
            .map(|(id, client)| {
                client.told = false;
                *id
            })
            .collect();
        told.into_iter().for_each(|id| self.feed(id));
    }

    /// Tells a shard of what has arrived, if it may be told now.
    fn feed(&mut self, connection: ConnectionId) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        if let Some(bytes) = client.arrived() {
            let event = Event::Received { connection, bytes };
            self.seats[client.seat].inbox.push(event, Monotonic(self.now_ns));
        }
    }

    fn output(&mut self, output: Output) {
        let (Output::Send(id, _)
        | Output::CloseAfterSend(id)
        | Output::Close(id)
        | Output::PauseReading(id)
        | Output::ResumeReading(id)
        | Output::HandOver { connection: id, .. }
        | Output::Keep { connection: id, .. }) = &output;
        let id = *id;
        let client = self.clients.get_mut(&id).expect("only connections that were accepted");
        match output {
            Output::Send(_, slice) => client.receives(&bytes_of(&slice)),
            Output::CloseAfterSend(_) | Output::Close(_) => client.close(),
            Output::PauseReading(_) => client.paused = true,
            Output::ResumeReading(_) => client.paused = false,
            Output::Keep { bytes, .. } => client.kept = bytes,
            Output::HandOver { to, received, .. } => {
                let seat = usize::from(to.0);
                client.moves(seat, received);
                self.accept(id, seat);
                self.feed(id);
            }
        }
    }
}

fn bytes_of(slice: &Slice) -> BytesMut {
    match slice {
        Slice::Memory(bytes) => BytesMut::from(&bytes[..]),
        Slice::File { file, offset, len } => {
            let mut bytes = BytesMut::zeroed(*len as usize);
            let count = file.read_at(&mut bytes, *offset).expect("no fault strikes");
            assert_eq!(count, bytes.len(), "a range that is sent is there");
            bytes
        }
    }
}
