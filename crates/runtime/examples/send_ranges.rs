//! How fast do file ranges leave, against a bare `sendfile` loop?
//!
//! One blocking client asks for 1 MiB ranges of a resident file and throws them away.
//!
//! `cargo run --release --example send_ranges [MiB]`
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use hallows_runtime::production::{RealDisk, Settings, run};
use hallows_runtime::{Disk, Effects, Event, FileHandle, Inbox, OpenMode, Slice, Turn};
use hallows_types::{Monotonic, Now};

const RANGE_BYTES: u32 = 1 << 20;
const FILE_BYTES: u64 = 256 << 20;
const HEADER: [u8; 64] = [3; 64];
const ROUNDS: usize = 4;

/// Answers every byte received with a header and the next range.
struct Ranges {
    file: FileHandle,
    offset: u64,
}

impl Turn for Ranges {
    type Message = ();

    fn turn(&mut self, _now: Now, inbox: &mut Inbox<()>, effects: &mut Effects<()>) {
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Received { connection, bytes } => {
                    for _ in 0..bytes.len() {
                        let (file, offset) = (self.file.clone(), self.offset);
                        effects.send(connection, Slice::Memory(Bytes::from_static(&HEADER)));
                        effects.send(
                            connection,
                            Slice::File {
                                file,
                                offset,
                                len: RANGE_BYTES,
                            },
                        );
                        self.offset = (self.offset + u64::from(RANGE_BYTES)) % FILE_BYTES;
                    }
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

fn floor(path: &std::path::Path) -> SocketAddr {
    let file = File::open(path).expect("the file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut offset = 0;
            while stream.read_exact(&mut [0]).is_ok() {
                stream.write_all(&HEADER).expect("sending");
                let end = offset + u64::from(RANGE_BYTES);
                while offset < end {
                    let rest = usize::try_from(end - offset).expect("64 bits");
                    rustix::fs::sendfile(&stream, &file, Some(&mut offset), rest).expect("sending");
                }
                offset %= FILE_BYTES;
            }
        }
    });
    address
}

/// GB/s of `count` ranges.
fn measure(address: SocketAddr, count: usize, buffer: &mut [u8]) -> f64 {
    let mut stream = TcpStream::connect(address).expect("connecting");
    let start = Instant::now();
    for _ in 0..count {
        stream.write_all(&[1]).expect("asking");
        let mut left = HEADER.len() + RANGE_BYTES as usize;
        while left > 0 {
            let room = left.min(buffer.len());
            left -= stream.read(&mut buffer[..room]).expect("receiving");
        }
    }
    count as f64 * f64::from(RANGE_BYTES) / start.elapsed().as_secs_f64() / 1e9
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .map_or(2000, |count| count.parse().expect("a number of MiB"));
    let directory = tempfile::tempdir_in(".").expect("a directory");
    let disk = Arc::new(RealDisk::open(directory.path()).expect("a data directory"));
    let file = disk.open("ranges", OpenMode::Create).expect("a file");
    for offset in (0..FILE_BYTES).step_by(1 << 20) {
        file.write_all_at(&[9; 1 << 20], offset).expect("writing");
    }
    let floor = floor(&directory.path().join("ranges"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let shard = Ranges { file, offset: 0 };
    let settings = Settings {
        pin_threads: false,
        ..Settings::default()
    };
    let running = run(settings, vec![listener], vec![shard], disk).expect("starting");
    let pump = running.local_addresses()[0];
    let mut buffer = vec![0; 256 << 10];
    for _ in 0..ROUNDS {
        let floor = measure(floor, count, &mut buffer);
        let pump = measure(pump, count, &mut buffer);
        println!(
            "floor {floor:.2} GB/s   pump {pump:.2} GB/s   ratio {:.2}",
            pump / floor
        );
    }
    running.handle().shutdown();
    running.join().expect("a clean end");
}
