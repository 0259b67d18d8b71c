//! What does the pump add to the raw cost of a request?
//!
//! One blocking client sends 1 KiB frames, one in flight; the server appends each to a file and answers 100 bytes.
//! The same client and the same work run against the pump and against a plain blocking server with a thread per
//! connection, in turns, so that the machine's mood hits both. Once through the page cache, once durable.
//!
//! `cargo run --release --example echo_append [requests] [pump|floor] [written|durable] [spin µs]`; with a subject
//! and a class it runs only those, for profilers.
#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hallows_runtime::production::{RealDisk, Running, Settings, run};
use hallows_runtime::{
    AlignedBuffer, ConnectionId, Disk, DiskOp, DiskOutcome, DiskToken, Effects, Event, FileHandle, Inbox, OpenMode,
    Slice, Turn,
};
use hallows_types::{Monotonic, Now};

const FRAME_BYTES: usize = 1024;
const ANSWER_BYTES: usize = 100;
const BLOCK_BYTES: usize = 4096;
/// Durable writes go round in a file of zeros, as a journal's do.
const JOURNAL_BYTES: u64 = 16 << 20;
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 50;
const WARM_UP: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Written,
    Durable,
}

/// Appends each frame and answers when the append is done.
struct Appender {
    class: Class,
    file: FileHandle,
    offset: u64,
    spare: Option<AlignedBuffer>,
}

impl Appender {
    fn append(&mut self, connection: ConnectionId, frame: Bytes, effects: &mut Effects<()>) {
        let (file, offset) = (self.file.clone(), self.offset);
        let op = match self.class {
            Class::Written => {
                self.offset += frame.len() as u64;
                DiskOp::Write {
                    file,
                    offset,
                    data: vec![frame],
                }
            }
            Class::Durable => {
                self.offset = (self.offset + BLOCK_BYTES as u64) % JOURNAL_BYTES;
                let mut data = self
                    .spare
                    .take()
                    .unwrap_or_else(|| AlignedBuffer::with_capacity(BLOCK_BYTES));
                data.clear();
                data.extend_from_slice(&frame);
                data.pad_to(BLOCK_BYTES);
                DiskOp::WriteDurable { file, offset, data }
            }
        };
        // One request is in flight per connection, so the connection names it.
        effects.disk(DiskToken(connection.0), op);
    }
}

impl Turn for Appender {
    type Message = ();

    fn turn(&mut self, _now: Now, inbox: &mut Inbox<()>, effects: &mut Effects<()>) {
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Received { connection, mut bytes } if bytes.len() >= FRAME_BYTES => {
                    let frame = bytes.split_to(FRAME_BYTES).freeze();
                    self.append(connection, frame, effects);
                }
                Event::Received { connection, bytes } => {
                    let missing = FRAME_BYTES - bytes.len();
                    effects.keep(connection, bytes, missing);
                }
                Event::Disk(completion) => {
                    if let DiskOutcome::Buffer(buffer) = completion.result.expect("the disk does not fail") {
                        self.spare = Some(buffer);
                    }
                    let connection = ConnectionId(completion.token.0);
                    effects.send(connection, Slice::Memory(Bytes::from_static(&[1; ANSWER_BYTES])));
                }
                Event::Shutdown => effects.stop = true,
                _ => {}
            }
        }
    }

    fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }
}

fn pump(class: Class, spin: Duration) -> (Running<Appender>, tempfile::TempDir) {
    let directory = tempfile::tempdir_in(".").expect("a directory");
    let disk = Arc::new(RealDisk::open(directory.path()).expect("a data directory"));
    let file = match class {
        Class::Written => disk.open("segment", OpenMode::Create).expect("a file"),
        Class::Durable => {
            let zeroed = DiskOp::CreateZeroed {
                path: "journal".to_owned(),
                len: JOURNAL_BYTES,
            }
            .perform(&*disk);
            let Ok(DiskOutcome::Opened(file)) = zeroed else {
                panic!("zeroing gave {zeroed:?}")
            };
            file
        }
    };
    let shard = Appender {
        class,
        file,
        offset: 0,
        spare: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let settings = Settings {
        pin_threads: false,
        poll_spin: spin,
        ..Settings::default()
    };
    let running = run(settings, vec![listener], vec![shard], disk).expect("starting");
    (running, directory)
}

/// The floor: read a frame, write it, answer.
fn floor(class: Class) -> (SocketAddr, tempfile::TempDir) {
    let directory = tempfile::tempdir_in(".").expect("a directory");
    let file = File::create(directory.path().join("segment")).expect("a file");
    let journal = floor_journal(&directory, class);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let file = file.try_clone().expect("a descriptor");
            let journal = journal.try_clone().expect("a descriptor");
            thread::spawn(move || floor_serve(stream, &file, &journal, class));
        }
    });
    (address, directory)
}

fn floor_journal(directory: &tempfile::TempDir, class: Class) -> File {
    let path = directory.path().join("journal");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .expect("a file");
    if class == Class::Durable {
        file.write_all(&BytesMut::zeroed(usize::try_from(JOURNAL_BYTES).expect("64 bits")))
            .expect("zeros");
        file.sync_all().expect("syncing");
    }
    file
}

fn floor_serve(mut stream: TcpStream, file: &File, journal: &File, class: Class) {
    stream.set_nodelay(true).expect("no delay");
    let mut frame = [0; FRAME_BYTES];
    let mut offset = 0;
    while stream.read_exact(&mut frame).is_ok() {
        match class {
            Class::Written => {
                file.write_all_at(&frame, offset).expect("writing");
                offset += FRAME_BYTES as u64;
            }
            Class::Durable => {
                journal.write_all_at(&frame, offset).expect("writing");
                journal.sync_data().expect("syncing");
                offset = (offset + FRAME_BYTES as u64) % JOURNAL_BYTES;
            }
        }
        if stream.write_all(&[1; ANSWER_BYTES]).is_err() {
            return;
        }
    }
}

/// Latencies of `requests` requests, one in flight.
fn measure(address: SocketAddr, requests: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("connecting");
    stream.set_nodelay(true).expect("no delay");
    let frame = [7; FRAME_BYTES];
    let mut answer = [0; ANSWER_BYTES];
    let mut latencies = Vec::with_capacity(requests);
    for round in 0..requests + WARM_UP {
        let start = Instant::now();
        stream.write_all(&frame).expect("sending");
        stream.read_exact(&mut answer).expect("receiving");
        if round >= WARM_UP {
            latencies.push(start.elapsed());
        }
    }
    latencies
}

/// Requests per second of many connections with one request in flight each.
fn measure_many(address: SocketAddr, requests: usize) -> f64 {
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(address).expect("connecting"))
        .collect();
    let mut answer = [0; ANSWER_BYTES];
    let start = Instant::now();
    for _ in 0..requests / CONNECTIONS {
        for stream in &mut streams {
            stream.write_all(&[7; FRAME_BYTES]).expect("sending");
        }
        for stream in &mut streams {
            stream.read_exact(&mut answer).expect("receiving");
        }
    }
    (requests / CONNECTIONS * CONNECTIONS) as f64 / start.elapsed().as_secs_f64()
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn report(name: &str, mut latencies: Vec<Duration>) -> f64 {
    latencies.sort_unstable();
    let at = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000].as_secs_f64() * 1e6;
    println!(
        "{name:16} p50 {:7.1} µs   p99 {:7.1} µs   p99.9 {:7.1} µs",
        at(500),
        at(990),
        at(999)
    );
    at(500)
}

fn compare(class: Class, requests: usize, spin: Duration) {
    let (floor_address, _floor) = floor(class);
    let (running, _directory) = pump(class, spin);
    let address = running.local_addresses()[0];
    let (mut floor, mut pump) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.extend(measure(floor_address, requests / ROUNDS));
        pump.extend(measure(address, requests / ROUNDS));
    }
    let floor = report(&format!("{class:?} floor"), floor);
    let pump = report(&format!("{class:?} pump"), pump);
    println!("{class:?}: pump / floor at p50 = {:.2}\n", pump / floor);
    if class == Class::Written {
        let many = |address| {
            let before = cpu();
            let rate = measure_many(address, requests);
            (rate / 1000.0, (cpu() - before).as_secs_f64() * 1e6 / requests as f64)
        };
        for _ in 0..2 {
            let ((floor, floor_cpu), (pump, pump_cpu)) = (many(floor_address), many(address));
            println!(
                "{CONNECTIONS} connections: floor {floor:.0} k/s, {floor_cpu:.1} µs of CPU each with the client; pump {pump:.0} k/s, {pump_cpu:.1} µs"
            );
        }
    }
    running.handle().shutdown();
    running.join().expect("a clean end");
}

fn only(subject: &str, class: Class, requests: usize, spin: Duration) {
    let before = cpu();
    let latencies = if subject == "floor" {
        let (address, _directory) = floor(class);
        measure(address, requests)
    } else {
        let (running, _directory) = pump(class, spin);
        let latencies = measure(running.local_addresses()[0], requests);
        running.handle().shutdown();
        running.join().expect("a clean end");
        latencies
    };
    report(subject, latencies);
    println!("client and server: {:?} of CPU", cpu() - before);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments
        .next()
        .map_or(50_000, |count| count.parse().expect("a number of requests"));
    let subject = arguments.next();
    let class = match arguments.next().as_deref() {
        Some("durable") => Class::Durable,
        _ => Class::Written,
    };
    let spin = arguments.next().map_or(0, |spin| spin.parse().expect("microseconds"));
    let spin = Duration::from_micros(spin);
    match subject.as_deref() {
        Some("pump" | "floor") => only(subject.as_deref().unwrap_or_default(), class, requests, spin),
        _ => {
            compare(Class::Written, requests, spin);
            compare(Class::Durable, requests / 10, spin);
        }
    }
}
