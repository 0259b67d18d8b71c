//! The production pump over real sockets, files and threads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use hallows_runtime::production::{PumpError, RealDisk, Running, Settings, run};
use hallows_runtime::{
    AlignedBuffer, CloseReason, ConnectionId, Disk, DiskCompletion, DiskOp, DiskOutcome, DiskToken, Effects, Event,
    File, FileHandle, Inbox, OpenMode, Output, Slice, Turn,
};
use hallows_types::{Monotonic, Now, ShardId};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame is a length (4 bytes, big-endian, of what follows), a verb (1 byte) and its argument.
mod verb {
    pub(crate) const ECHO: u8 = 0;
    /// Send a range of the fixture file: offset and length (8 and 4 bytes).
    pub(crate) const FILE: u8 = 1;
    /// Write the argument durably and answer with its length.
    pub(crate) const DURABLE: u8 = 2;
    /// Write the argument through the page cache and answer with its length.
    pub(crate) const CACHED: u8 = 3;
    /// Answer this many bytes (4 bytes) of memory.
    pub(crate) const LARGE: u8 = 4;
    /// Answer after that many microseconds (4 bytes).
    pub(crate) const LATER: u8 = 5;
    /// Send that many messages (4 bytes) to the next shard and answer when each has come back in order.
    pub(crate) const RELAY: u8 = 6;
    /// Echo, then close.
    pub(crate) const LAST: u8 = 7;
    /// Sum the argument's bytes on the pool.
    pub(crate) const COMPUTE: u8 = 8;
    /// Read back what CACHED wrote: the whole file.
    pub(crate) const READ: u8 = 9;
    /// Keep the shard busy for that many milliseconds (4 bytes), then answer.
    pub(crate) const BUSY: u8 = 10;
    /// Echo behind the number of the shard (2 bytes), then hand the connection to the next shard.
    pub(crate) const MOVE: u8 = 11;
    /// Answer when another connection sends CROWD.
    pub(crate) const PARK: u8 = 12;
    /// Answer 100,000 bytes of a file that waits for its gate to the connection that sent PARK, then echo.
    pub(crate) const CROWD: u8 = 13;
    /// A computation that panics.
    pub(crate) const POOL_PANIC: u8 = 14;
}

enum Message {
    Ping { number: u32 },
    Pong { number: u32 },
}

/// A file of zeros whose first byte is not read before its gate opens, and not at all when that takes too long.
struct GatedFile(Mutex<Receiver<()>>);

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        let gate = self.0.lock().map_err(|_| io::ErrorKind::Other)?;
        gate.recv_timeout(PATIENCE).map_err(|_| io::ErrorKind::TimedOut)?;
        buffer.fill(0);
        Ok(buffer.len())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn write_all_at(&self, _data: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_durable(&self, _data: &AlignedBuffer, _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_zeros(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_back(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn size(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_size(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn reserve(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What a shard tells the test of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Frame(u8),
    Full,
    Closed(CloseReason),
    Shutdown,
}

/// A shard that does what frames say.
struct Obedient {
    id: u16,
    shards: u16,
    fixture: FileHandle,
    gated: FileHandle,
    parked: Option<ConnectionId>,
    journal: FileHandle,
    cached: FileHandle,
    cached_end: u64,
    alignment: usize,
    next_token: u64,
    waiting: BTreeMap<u64, ConnectionId>,
    later: Vec<(Monotonic, ConnectionId, Monotonic)>,
    relay: Option<(ConnectionId, u32, u32)>,
    seen: Sender<Seen>,
    full: BTreeSet<ConnectionId>,
    drained: usize,
    turns: u64,
    received_while_kept: usize,
}

impl Obedient {
    fn frames(&mut self, now: Now, connection: ConnectionId, mut bytes: BytesMut, effects: &mut Effects<Message>) {
        loop {
            if bytes.len() < 4 {
                if !bytes.is_empty() {
                    let missing = 4 - bytes.len();
                    effects.keep(connection, bytes, missing);
                }
                return;
            }
            let len = usize::try_from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).expect("64 bits");
            if bytes.len() < 4 + len {
                let missing = 4 + len - bytes.len();
                self.received_while_kept += 1;
                return effects.keep(connection, bytes, missing);
            }
            bytes.advance(4);
            let mut frame = bytes.split_to(len);
            let verb = frame.get_u8();
            if verb == verb::MOVE {
                let mut echo = BytesMut::from(&self.id.to_be_bytes()[..]);
                echo.extend_from_slice(&frame);
                answer(effects, connection, echo.freeze());
                return effects.outputs.push(Output::HandOver {
                    connection,
                    to: ShardId((self.id + 1) % self.shards),
                    received: bytes,
                });
            }
            self.obey(now, connection, verb, frame.freeze(), effects);
        }
    }

    fn see(&self, seen: Seen) {
        // A test that is not interested, or over, does not listen.
        let _ = self.seen.send(seen);
    }

    fn token(&mut self, connection: ConnectionId) -> u64 {
        self.next_token += 1;
        self.waiting.insert(self.next_token, connection);
        self.next_token
    }

    fn obey(
        &mut self,
        now: Now,
        connection: ConnectionId,
        verb: u8,
        mut argument: Bytes,
        effects: &mut Effects<Message>,
    ) {
        self.see(Seen::Frame(verb));
        match verb {
            verb::ECHO => answer(effects, connection, argument),
            verb::LAST => {
                answer(effects, connection, argument);
                effects.outputs.push(Output::CloseAfterSend(connection));
            }
            verb::FILE => {
                let (offset, len) = (argument.get_u64(), argument.get_u32());
                effects.send(connection, Slice::Memory(Bytes::copy_from_slice(&len.to_be_bytes())));
                effects.send(
                    connection,
                    Slice::File {
                        file: self.fixture.clone(),
                        offset,
                        len,
                    },
                );
            }
            verb::DURABLE => self.durable(connection, &argument, effects),
            verb::CACHED => {
                let token = DiskToken(self.token(connection));
                let offset = self.cached_end;
                self.cached_end += argument.len() as u64;
                let middle = argument.len() / 2;
                let data = vec![argument.slice(..middle), argument.slice(middle..)];
                effects.disk(
                    token,
                    DiskOp::Write {
                        file: self.cached.clone(),
                        offset,
                        data,
                    },
                );
            }
            verb::READ => {
                let token = DiskToken(self.token(connection));
                let len = usize::try_from(self.cached_end).expect("64 bits") + 1000;
                effects.disk(
                    token,
                    DiskOp::Read {
                        file: self.cached.clone(),
                        offset: 0,
                        len,
                    },
                );
            }
            verb::LARGE => {
                let mut left = argument.get_u32();
                effects.send(connection, Slice::Memory(Bytes::copy_from_slice(&left.to_be_bytes())));
                while left > 0 {
                    let step = left.min(100_000);
                    effects.send(connection, Slice::Memory(Bytes::from(vec![7; step as usize])));
                    left -= step;
                }
            }
            verb::LATER => {
                let wait = Duration::from_micros(argument.get_u32().into());
                self.later.push((now.monotonic.after(wait), connection, now.monotonic));
            }
            verb::BUSY => {
                std::thread::sleep(Duration::from_millis(argument.get_u32().into()));
                answer(effects, connection, Bytes::from_static(b"done"));
            }
            verb::RELAY => {
                let count = argument.get_u32();
                self.relay = Some((connection, 0, count));
                let to = ShardId((self.id + 1) % self.shards);
                (0..count).for_each(|number| effects.message(to, Message::Ping { number }));
            }
            verb::COMPUTE | verb::POOL_PANIC => self.compute(connection, verb, argument, effects),
            verb::PARK => self.parked = Some(connection),
            verb::CROWD => self.crowd(connection, argument, effects),
            other => panic!("a verb this test does not send: {other}"),
        }
    }

    fn compute(&mut self, connection: ConnectionId, verb: u8, argument: Bytes, effects: &mut Effects<Message>) {
        let token = self.token(connection);
        effects.compute(
            token,
            Box::new(move || {
                assert!(verb == verb::COMPUTE, "it was told to panic");
                Box::new(argument.iter().map(|byte| u64::from(*byte)).sum::<u64>())
            }),
        );
    }

    fn durable(&mut self, connection: ConnectionId, argument: &[u8], effects: &mut Effects<Message>) {
        let mut data = AlignedBuffer::with_capacity(argument.len());
        data.extend_from_slice(argument);
        data.pad_to(self.alignment);
        let file = self.journal.clone();
        let token = DiskToken(self.token(connection));
        effects.disk(token, DiskOp::WriteDurable { file, offset: 0, data });
    }

    fn crowd(&mut self, connection: ConnectionId, argument: Bytes, effects: &mut Effects<Message>) {
        let parked = self.parked.take().expect("a connection has parked");
        let (file, len) = (self.gated.clone(), 100_000_u32);
        effects.send(parked, Slice::Memory(Bytes::copy_from_slice(&len.to_be_bytes())));
        effects.send(parked, Slice::File { file, offset: 0, len });
        answer(effects, connection, argument);
    }

    fn disk(&mut self, completion: DiskCompletion, effects: &mut Effects<Message>) {
        let connection = self.waiting.remove(&completion.token.0).expect("a token it gave");
        let data = match completion.result.expect("this disk does not fail") {
            DiskOutcome::Buffer(buffer) => Bytes::copy_from_slice(&(buffer.len() as u64).to_be_bytes()),
            DiskOutcome::Done => Bytes::from_static(b"done"),
            DiskOutcome::Data(data) => data.freeze(),
            other => panic!("an outcome nobody asked for: {other:?}"),
        };
        answer(effects, connection, data);
    }

    fn message(&mut self, from: ShardId, message: Message, effects: &mut Effects<Message>) {
        match message {
            Message::Ping { number } => effects.message(from, Message::Pong { number }),
            Message::Pong { number } => {
                let (connection, expected, count) = self.relay.as_mut().expect("it is relaying");
                assert_eq!(number, *expected, "messages keep their order");
                *expected += 1;
                if expected == count {
                    answer(effects, *connection, Bytes::from_static(b"all"));
                }
            }
        }
    }
}

fn answer(effects: &mut Effects<Message>, connection: ConnectionId, data: Bytes) {
    let len = u32::try_from(data.len()).expect("tests are small");
    effects.send(connection, Slice::Memory(Bytes::copy_from_slice(&len.to_be_bytes())));
    effects.send(connection, Slice::Memory(data));
}

impl Turn for Obedient {
    type Message = Message;

    fn turn(&mut self, now: Now, inbox: &mut Inbox<Message>, effects: &mut Effects<Message>) {
        self.turns += 1;
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Received { connection, bytes } => self.frames(now, connection, bytes, effects),
                Event::Disk(completion) => self.disk(completion, effects),
                Event::Message { from, message } => self.message(from, message, effects),
                Event::Computed { token, output } => {
                    let connection = self.waiting.remove(&token).expect("a token it gave");
                    let sum = output.downcast::<u64>().expect("what the job returns");
                    answer(effects, connection, Bytes::copy_from_slice(&sum.to_be_bytes()));
                }
                Event::Closed { reason, .. } => self.see(Seen::Closed(reason)),
                Event::Shutdown => {
                    self.see(Seen::Shutdown);
                    effects.stop = true;
                }
                Event::OutputFull { connection } => {
                    assert!(self.full.insert(connection), "told once");
                    self.see(Seen::Full);
                }
                Event::OutputDrained { connection } => {
                    assert!(self.full.remove(&connection), "drained after it was full");
                    self.drained += 1;
                }
                Event::Accepted { .. } => {}
            }
        }
        for (_, connection, asked) in self.later.extract_if(.., |(at, ..)| *at <= now.monotonic) {
            let waited = u64::try_from(now.monotonic.since(asked).as_micros()).expect("far below 64 bits");
            answer(effects, connection, Bytes::copy_from_slice(&waited.to_be_bytes()));
        }
    }

    fn next_deadline(&self) -> Monotonic {
        self.later.iter().map(|(at, ..)| *at).min().unwrap_or(Monotonic::NEVER)
    }
}

/// The fixture's byte at a position.
fn fixture_byte(position: u64) -> u8 {
    u8::try_from((position / 7 + position * 13) % 251).expect("below 256")
}

const FIXTURE_BYTES: usize = 12 << 20;

struct World {
    running: Option<Running<Obedient>>,
    seen: Receiver<Seen>,
    /// Opens the gate of the shards' file.
    gate: Sender<()>,
    disk: Arc<RealDisk>,
    _directory: tempfile::TempDir,
}

impl World {
    fn start(settings: Settings, shards: u16) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = Arc::new(RealDisk::open(directory.path()).expect("a fresh directory opens"));
        let fixture = disk.open("fixture", OpenMode::Create).expect("creating");
        let data: Vec<u8> = (0..FIXTURE_BYTES as u64).map(fixture_byte).collect();
        fixture.write_all_at(&data, 0).expect("writing the fixture");
        fixture.sync().expect("syncing the fixture");
        let (sender, seen) = channel();
        let (gate, opened) = channel();
        let gated = FileHandle::new(GatedFile(Mutex::new(opened)));
        let shards = (0..shards)
            .map(|id| obedient((id, shards), &disk, (&fixture, &gated), &sender))
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let settings = Settings {
            pin_threads: false,
            ..settings
        };
        let running = run(settings, vec![listener], shards, Arc::<RealDisk>::clone(&disk)).expect("starting");
        Self {
            running: Some(running),
            seen,
            gate,
            disk,
            _directory: directory,
        }
    }

    /// Waits until the shard tells this, ignoring what else it tells.
    fn wait_for(&self, wanted: Seen) {
        while self.seen.recv_timeout(PATIENCE).expect("the shard tells it in time") != wanted {}
    }

    /// What the shard has told of closed connections since the last look.
    fn closed(&self) -> Vec<CloseReason> {
        let closed = |seen| match seen {
            Seen::Closed(reason) => Some(reason),
            _ => None,
        };
        self.seen.try_iter().filter_map(closed).collect()
    }

    fn connect(&self) -> Client {
        let address = self.running.as_ref().expect("it runs").local_addresses()[0];
        let stream = TcpStream::connect(address).expect("connecting");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Client { stream }
    }

    fn stop(mut self) -> Vec<Obedient> {
        let running = self.running.take().expect("it runs");
        running.handle().shutdown();
        running.join().expect("a clean end")
    }
}

fn obedient(
    (id, shards): (u16, u16),
    disk: &RealDisk,
    (fixture, gated): (&FileHandle, &FileHandle),
    seen: &Sender<Seen>,
) -> Obedient {
    let zeroed = DiskOp::CreateZeroed {
        path: format!("journal-{id}"),
        len: 1 << 20,
    }
    .perform(disk);
    let Ok(DiskOutcome::Opened(journal)) = zeroed else {
        panic!("creating a journal gave {zeroed:?}")
    };
    Obedient {
        id,
        shards,
        fixture: fixture.clone(),
        gated: gated.clone(),
        parked: None,
        journal,
        cached: disk.open(&format!("cached-{id}"), OpenMode::Create).expect("creating"),
        cached_end: 0,
        alignment: disk.alignment(),
        next_token: 0,
        waiting: BTreeMap::new(),
        later: Vec::new(),
        relay: None,
        seen: seen.clone(),
        full: BTreeSet::new(),
        drained: 0,
        turns: 0,
        received_while_kept: 0,
    }
}

struct Client {
    stream: TcpStream,
}

fn frame(verb: u8, argument: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(argument.len() + 1).expect("small").to_be_bytes().to_vec();
    frame.push(verb);
    frame.extend_from_slice(argument);
    frame
}

impl Client {
    fn send(&mut self, verb: u8, argument: &[u8]) {
        self.stream.write_all(&frame(verb, argument)).expect("sending");
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).expect("an answer's length");
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut answer).expect("an answer");
        answer
    }

    fn ask(&mut self, verb: u8, argument: &[u8]) -> Vec<u8> {
        self.send(verb, argument);
        self.answer()
    }
}

#[test]
fn a_connection_that_moves_between_shards_loses_nothing_and_keeps_its_order() {
    let world = World::start(Settings::default(), 2);
    let mut client = world.connect();
    let all: Vec<u8> = (0..500_u32)
        .flat_map(|number| frame(verb::MOVE, &number.to_be_bytes()))
        .collect();
    let mut shards = BTreeSet::new();
    // In pieces that end within frames, so that incomplete ones travel too.
    for piece in all.chunks(1000) {
        client.stream.write_all(piece).expect("sending");
    }
    for number in 0..500_u32 {
        let answer = client.answer();
        shards.insert(answer[..2].to_vec());
        assert_eq!(answer[2..], number.to_be_bytes());
    }
    assert_eq!(shards.len(), 2, "it moved");
    drop(client);
    world.wait_for(Seen::Closed(CloseReason::Peer));
    world.stop();
}

#[test]
fn a_connection_moves_once_an_answer_that_is_still_being_sent_has_left() {
    let world = World::start(Settings::default(), 2);
    let mut client = world.connect();
    // Far more than a socket takes at once.
    let large = frame(verb::LARGE, &20_000_000_u32.to_be_bytes());
    let all = [large, frame(verb::MOVE, b"first"), frame(verb::MOVE, b"second")].concat();
    client.stream.write_all(&all).expect("sending");
    assert_eq!(client.answer().len(), 20_000_000);
    let (first, second) = (client.answer(), client.answer());
    assert_eq!((&first[2..], &second[2..]), (&b"first"[..], &b"second"[..]));
    assert_ne!(first[..2], second[..2], "the shards that answered");
    world.stop();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    let all: Vec<u8> = (0..5000_u32)
        .flat_map(|number| frame(verb::ECHO, &number.to_be_bytes()))
        .collect();
    client.stream.write_all(&all).expect("sending");
    for number in 0..5000_u32 {
        assert_eq!(client.answer(), number.to_be_bytes());
    }
    world.stop();
}

#[test]
fn frames_of_every_size_survive_every_split() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    for size in [0, 1, 1000, 70_000, 131_000, 200_000, 3_000_000] {
        let argument: Vec<u8> = (0..size)
            .map(|index| u8::try_from(index % 251).expect("below 256"))
            .collect();
        let bytes = [frame(verb::ECHO, &argument), frame(verb::ECHO, b"next")].concat();
        for piece in bytes.chunks((size / 5).clamp(2, 65_000)) {
            client.stream.write_all(piece).expect("sending");
            if size < 200_000 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(client.answer() == argument, "{size} bytes come back unchanged");
        assert_eq!(client.answer(), b"next");
    }
    let shard = world.stop().pop().expect("one shard");
    assert!(
        shard.received_while_kept > 5,
        "frames were kept {} times",
        shard.received_while_kept
    );
}

#[test]
fn file_ranges_arrive_unchanged() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    let mut ask = |offset: u64, len: u32| {
        let argument = [&offset.to_be_bytes()[..], &len.to_be_bytes()].concat();
        let answer = client.ask(verb::FILE, &argument);
        assert_eq!(answer.len(), len as usize);
        let wrong = answer
            .iter()
            .zip(offset..)
            .position(|(byte, position)| *byte != fixture_byte(position));
        assert_eq!(wrong, None, "at {offset}, {len} bytes");
    };
    for (offset, len) in [
        (0, 1),
        (5, 4096),
        (4095, 2),
        (77, 32 << 10),
        (78, (32 << 10) + 1),
        (1000, 5 << 20),
        (0, 12 << 20),
    ] {
        ask(offset, len);
    }
    evict(&world.disk);
    for (offset, len) in [(3 << 20, 100), (4_000_001, 3 << 20), (9, 30_000), (0, 12 << 20)] {
        ask(offset, len);
    }
    world.stop();
}

/// Drops the fixture from the page cache where the system can.
fn evict(disk: &RealDisk) {
    let path = disk.root().join("fixture");
    let file = std::fs::File::open(path).expect("opening the fixture");
    #[cfg(target_os = "linux")]
    rustix_advise(&file);
    drop(file);
}

#[cfg(target_os = "linux")]
fn rustix_advise(file: &std::fs::File) {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).expect("dropping cached pages");
}

#[test]
fn pipelined_file_ranges_and_memory_keep_their_order() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    evict(&world.disk);
    let ranges: Vec<(u64, u32)> = (0..200)
        .map(|index| (index * 50_021, if index % 3 == 0 { 100_000 } else { 700 }))
        .collect();
    for (offset, len) in &ranges {
        client.send(verb::FILE, &[&offset.to_be_bytes()[..], &len.to_be_bytes()].concat());
        client.send(verb::ECHO, b"between");
    }
    for (offset, len) in &ranges {
        let answer = client.answer();
        assert_eq!(answer.len(), *len as usize);
        assert!(
            answer
                .iter()
                .zip(*offset..)
                .all(|(byte, position)| *byte == fixture_byte(position))
        );
        assert_eq!(client.answer(), b"between");
    }
    world.stop();
}

#[test]
fn writes_complete_inline_on_the_ring_and_on_the_pool() {
    for disk_ring in [true, false] {
        let world = World::start(
            Settings {
                disk_ring,
                ..Settings::default()
            },
            1,
        );
        if !disk_ring {
            world
                .running
                .as_ref()
                .expect("it runs")
                .disk_ring()
                .expect_err("switched off");
        }
        let mut client = world.connect();
        for size in [1, 4096, 5000, 300_000] {
            let answer = client.ask(verb::DURABLE, &vec![9; size]);
            assert_eq!(answer, (size.next_multiple_of(4096) as u64).to_be_bytes());
            let journal = world
                .disk
                .open("journal-0", OpenMode::Read)
                .expect("opening the journal");
            let mut data = vec![0; size];
            journal.read_at(&mut data, 0).expect("reading the journal");
            assert!(data.iter().all(|byte| *byte == 9), "{size} bytes are in the journal");
        }
        let mut expected = Vec::new();
        for size in [1, 1000, 100_000, 400_000] {
            let argument = vec![u8::try_from(size % 251).expect("below 256"); size];
            assert_eq!(client.ask(verb::CACHED, &argument), b"done");
            expected.extend_from_slice(&argument);
        }
        assert!(client.ask(verb::READ, b"") == expected, "what was written is read");
        assert_eq!(client.ask(verb::COMPUTE, &[3; 100]), 300_u64.to_be_bytes());
        world.stop();
    }
}

#[test]
fn a_short_answer_leaves_before_a_long_one() {
    let world = World::start(Settings::default(), 1);
    let (mut long, mut short) = (world.connect(), world.connect());
    long.send(verb::PARK, &[]);
    world.wait_for(Seen::Frame(verb::PARK));
    // In one turn, the long one first; sending it takes until the gate opens.
    assert_eq!(short.ask(verb::CROWD, b"short"), b"short");
    world.gate.send(()).expect("the file waits");
    assert_eq!(long.answer().len(), 100_000);
    world.stop();
}

#[test]
fn a_slow_reader_gets_everything_and_costs_no_one_else() {
    let settings = Settings {
        connection_output_bytes_max: 100_000,
        ..Settings::default()
    };
    let world = World::start(settings, 1);
    let (mut slow, mut quick) = (world.connect(), world.connect());
    for _ in 0..10 {
        slow.send(verb::LARGE, &5_000_000_u32.to_be_bytes());
    }
    for number in 0..100_u32 {
        assert_eq!(quick.ask(verb::ECHO, &number.to_be_bytes()), number.to_be_bytes());
    }
    for _ in 0..10 {
        let answer = slow.answer();
        assert_eq!(answer.len(), 5_000_000);
        assert!(answer.iter().all(|byte| *byte == 7));
    }
    let shard = world.stop().pop().expect("one shard");
    assert!(shard.full.is_empty());
    assert!(shard.drained > 0, "the shard was told of a full queue and of its end");
}

#[test]
fn a_stalled_reader_is_closed() {
    let settings = Settings {
        connection_stall_timeout: Duration::from_millis(200),
        ..Settings::default()
    };
    let world = World::start(settings, 1);
    let mut client = world.connect();
    client.send(verb::LARGE, &100_000_000_u32.to_be_bytes());
    world.wait_for(Seen::Closed(CloseReason::Stalled));
    world.stop();
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let settings = Settings {
        connection_idle_max: Duration::from_millis(400),
        ..Settings::default()
    };
    let world = World::start(settings, 1);
    let (_idle, mut busy) = (world.connect(), world.connect());
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        assert_eq!(busy.ask(verb::ECHO, b"x"), b"x");
        std::thread::sleep(Duration::from_millis(20));
        let closed = world.closed();
        if !closed.is_empty() {
            assert_eq!(closed, [CloseReason::Idle]);
            assert_eq!(busy.ask(verb::ECHO, b"y"), b"y");
            world.stop();
            return;
        }
    }
    panic!("the idle connection stays open");
}

#[test]
fn time_in_which_the_shard_is_held_up_does_not_count_as_a_clients_silence() {
    let settings = Settings {
        connection_idle_max: Duration::from_millis(400),
        ..Settings::default()
    };
    let world = World::start(settings, 1);
    let (mut holding_up, mut waiting) = (world.connect(), world.connect());
    assert_eq!(waiting.ask(verb::ECHO, b"x"), b"x");
    holding_up.send(verb::BUSY, &1_500_u32.to_be_bytes());
    assert_eq!(waiting.ask(verb::ECHO, b"y"), b"y");
    assert_eq!(holding_up.answer(), b"done");
    world.stop();
}

#[test]
fn a_vanished_peer_is_told() {
    let world = World::start(Settings::default(), 1);
    let client = world.connect();
    client.stream.shutdown(Shutdown::Both).expect("shutting down");
    world.wait_for(Seen::Closed(CloseReason::Peer));
    world.stop();
}

#[test]
fn close_after_send_delivers_the_last_answer() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    // More requests than the shard will read: closing over them must not take the answer away.
    let last = vec![5; 2_000_000];
    client.send(verb::LAST, &last);
    client.send(verb::ECHO, b"unheard");
    assert!(client.answer() == last);
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).expect("an orderly end");
    assert_eq!(rest, b"");
    drop(client);
    let mut other = world.connect();
    assert_eq!(other.ask(verb::ECHO, b"still serving"), b"still serving");
    assert!(world.closed().is_empty(), "a shard is not told of an end it asked for");
    world.stop();
}

#[test]
fn connections_beyond_the_limit_wait() {
    let world = World::start(
        Settings {
            connections_max: 2,
            ..Settings::default()
        },
        1,
    );
    let (mut first, mut second, mut third) = (world.connect(), world.connect(), world.connect());
    assert_eq!(first.ask(verb::ECHO, b"1"), b"1");
    assert_eq!(second.ask(verb::ECHO, b"2"), b"2");
    third.send(verb::ECHO, b"3");
    third
        .stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    third.stream.read_exact(&mut [0; 4]).expect_err("no permit, no answer");
    third.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    drop(first);
    assert_eq!(third.answer(), b"3");
    world.stop();
}

#[test]
fn an_address_beyond_its_share_is_closed_at_once() {
    let world = World::start(
        Settings {
            connections_per_ip_max: 1,
            ..Settings::default()
        },
        1,
    );
    let mut first = world.connect();
    assert_eq!(first.ask(verb::ECHO, b"1"), b"1");
    let mut second = world.connect();
    let end = second.stream.read(&mut [0; 1]);
    assert!(matches!(end, Ok(0) | Err(_)), "the second is closed: {end:?}");
    assert_eq!(first.ask(verb::ECHO, b"again"), b"again");
    world.stop();
}

#[test]
fn shards_exchange_messages_through_full_rings() {
    let world = World::start(
        Settings {
            message_ring_capacity: 8,
            ..Settings::default()
        },
        2,
    );
    // Connections go to the shards in turn, so both relay at the same time.
    let (mut even, mut odd) = (world.connect(), world.connect());
    even.send(verb::RELAY, &20_000_u32.to_be_bytes());
    odd.send(verb::RELAY, &20_000_u32.to_be_bytes());
    assert_eq!(even.answer(), b"all");
    assert_eq!(odd.answer(), b"all");
    assert!(
        world.stop().iter().all(|shard| shard.relay.is_some()),
        "both shards had a connection"
    );
}

#[test]
fn deadlines_below_a_millisecond_are_kept() {
    for poll_spin in [Duration::ZERO, Duration::from_micros(200)] {
        let world = World::start(
            Settings {
                poll_spin,
                ..Settings::default()
            },
            1,
        );
        let mut client = world.connect();
        let mut waits: Vec<u64> = (0..50)
            .map(|_| {
                let answer = client.ask(verb::LATER, &300_u32.to_be_bytes());
                u64::from_be_bytes(answer.try_into().expect("8 bytes"))
            })
            .collect();
        waits.sort_unstable();
        assert!(waits[0] >= 300, "never early: {waits:?}");
        // A timer with steps of one millisecond would never do it.
        assert!(waits[0] < 1000, "sometimes in time even here: {waits:?}");
        world.stop();
    }
}

#[test]
fn an_idle_shard_takes_no_turns() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    // Between the request and its deadline there is nothing to do.
    client.ask(verb::LATER, &300_000_u32.to_be_bytes());
    let turns = world.stop()[0].turns;
    assert!(turns <= 7, "{turns} turns for one request");
}

#[test]
fn no_shards_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = Arc::new(RealDisk::open(directory.path()).expect("a fresh directory opens"));
    let outcome = run(Settings::default(), Vec::new(), Vec::<Obedient>::new(), disk);
    assert!(matches!(outcome.map(|_| ()), Err(PumpError::ShardCount(0))));
}

#[test]
fn a_panicking_turn_ends_all_shards() {
    let mut world = World::start(Settings::default(), 2);
    let mut client = world.connect();
    client.send(u8::MAX, b"");
    assert!(
        matches!(client.stream.read(&mut [0; 1]), Ok(0) | Err(_)),
        "its connections end"
    );
    let outcome = world.running.take().expect("it runs").join();
    assert!(matches!(outcome.map(|_| ()), Err(PumpError::Panicked(0))));
}

#[test]
fn a_shard_that_panicked_takes_no_further_turn() {
    let mut world = World::start(Settings::default(), 1);
    let mut clients = [world.connect(), world.connect()];
    clients[0].send(u8::MAX, b"");
    clients[1].send(verb::ECHO, b"after it");
    assert!(
        matches!(clients[1].stream.read(&mut [0; 1]), Ok(0) | Err(_)),
        "nothing is answered any more"
    );
    let outcome = world.running.take().expect("it runs").join();
    assert!(matches!(outcome.map(|_| ()), Err(PumpError::Panicked(0))));
}

#[test]
fn a_panic_on_the_pool_ends_all_shards_in_good_order() {
    let mut world = World::start(Settings::default(), 2);
    let mut client = world.connect();
    client.send(verb::POOL_PANIC, b"");
    world.wait_for(Seen::Shutdown);
    let outcome = world.running.take().expect("it runs").join();
    assert!(matches!(outcome.map(|_| ()), Err(PumpError::PoolPanicked)));
}

#[test]
fn a_connection_that_takes_no_answers_is_not_read() {
    let settings = Settings {
        connection_output_bytes_max: 100_000,
        ..Settings::default()
    };
    let world = World::start(settings, 1);
    let mut client = world.connect();
    client.send(verb::LARGE, &50_000_000_u32.to_be_bytes());
    world.wait_for(Seen::Full);
    client.send(verb::ECHO, b"later");
    let unread = world.seen.recv_timeout(Duration::from_millis(300));
    assert!(unread.is_err(), "{unread:?} while the output is full");
    assert_eq!(client.answer().len(), 50_000_000);
    assert_eq!(client.answer(), b"later");
    world.stop();
}

#[test]
fn more_work_than_the_pool_holds_waits_its_turn() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    let all: Vec<u8> = (0..4000).flat_map(|_| frame(verb::COMPUTE, &[1; 10])).collect();
    client.stream.write_all(&all).expect("sending");
    for _ in 0..4000 {
        assert_eq!(client.answer(), 10_u64.to_be_bytes());
    }
    world.stop();
}

#[test]
fn more_durable_writes_than_the_ring_holds_go_to_the_pool() {
    let world = World::start(Settings::default(), 1);
    let mut client = world.connect();
    let all: Vec<u8> = (0..300).flat_map(|_| frame(verb::DURABLE, &[1; 10])).collect();
    client.stream.write_all(&all).expect("sending");
    for _ in 0..300 {
        assert_eq!(client.answer(), 4096_u64.to_be_bytes());
    }
    world.stop();
}
