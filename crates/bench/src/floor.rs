//! The raw floor: what a broker's work costs when there is no broker.
//!
//! A blocking server with one thread per connection reads a frame, writes it to a file of its own, syncs it when
//! asked to, and answers 100 bytes. The answer repeats the correlation id and is zero elsewhere, which a client
//! reads as "no error at offset 0".
//! A fetch gets the next MiB of what its own connection has written, from the page cache without a copy.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::class::Class;

/// Bytes of an answer, its length prefix included.
const ANSWER_BYTES: usize = 100;
/// What one read takes at most, and the largest frame.
const BUFFER_BYTES: usize = 256 << 10;
/// Where the API key of a request lies, behind its length.
const API_KEY_AT: usize = 4;
/// Where the correlation id of a request lies, behind length, API key and version.
const CORRELATION_AT: usize = 8;
/// The API key of Fetch.
const FETCH: [u8; 2] = 1_i16.to_be_bytes();
/// What a fetch gets at most, as much as Kafka's consumer asks for.
const FETCH_BYTES: usize = 1 << 20;

/// Serves until the process ends.
///
/// # Errors
/// When `address` cannot be listened on.
pub fn serve(address: SocketAddr, directory: &Path, class: Class) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let directory: Arc<Path> = Arc::from(directory);
    let files = AtomicU64::new(0);
    loop {
        let (stream, _) = listener.accept().context("cannot accept a connection")?;
        let path = directory.join(format!("floor-{}", files.fetch_add(1, Ordering::Relaxed)));
        thread::spawn(move || {
            // A client that leaves ends its thread; there is nothing to report.
            let _ = connection(stream, &path, class);
            let _ = std::fs::remove_file(&path);
        });
    }
}

fn connection(mut stream: TcpStream, path: &PathBuf, class: Class) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let (mut written, mut fetched) = (0, 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let mut answer = [0; ANSWER_BYTES];
    answer[..4].copy_from_slice(&96_u32.to_be_bytes());
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        ensure!(count > 0, "the client left");
        filled += count;
        let mut start = 0;
        while let Some(size) = frame_size(&buffer[start..filled])? {
            let frame = &buffer[start..start + size];
            start += size;
            if frame[API_KEY_AT..API_KEY_AT + 2] == FETCH {
                let count = FETCH_BYTES.min(written - fetched);
                let prefix = u32::try_from(4 + count)?.to_be_bytes();
                let head = [&prefix[..], &frame[CORRELATION_AT..CORRELATION_AT + 4]].concat();
                // The head leaves with what follows it.
                rustix::net::send(&stream, &head, rustix::net::SendFlags::MORE)?;
                send_file(&stream, &file, fetched, count)?;
                fetched += count;
                continue;
            }
            file.write_all(frame)?;
            written += frame.len();
            if class == Class::Fsync {
                file.sync_data()?;
            }
            answer[4..8].copy_from_slice(&frame[CORRELATION_AT..CORRELATION_AT + 4]);
            stream.write_all(&answer)?;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

/// Sends `count` bytes of `file` from `offset` on.
fn send_file(stream: &TcpStream, file: &File, offset: usize, count: usize) -> Result<()> {
    let mut position = u64::try_from(offset)?;
    let end = position + u64::try_from(count)?;
    while position < end {
        let left = usize::try_from(end - position)?;
        let sent = rustix::fs::sendfile(stream, file, Some(&mut position), left)?;
        ensure!(sent > 0, "the file ends before what was written");
    }
    Ok(())
}

/// The size of the whole frame at the start of `bytes`, or `None` when more has to be read.
fn frame_size(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let size = 4 + usize::try_from(u32::from_be_bytes(*prefix))?;
    ensure!(
        (CORRELATION_AT + 4..=BUFFER_BYTES).contains(&size),
        "a frame of {size} bytes"
    );
    Ok((size <= bytes.len()).then_some(size))
}

const _: () = assert!(ANSWER_BYTES == 96 + 4, "the length prefix counts what follows it");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{connections, consume, one_in_flight, open_loop, throughput};
    use crate::topic::Target;

    /// A floor in a thread, and where it listens.
    fn floor(name: &str, class: Class) -> Target {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let leader = free.local_addr().expect("its address");
        drop(free);
        let directory = std::env::temp_dir().join(format!("floor-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        thread::spawn(move || serve(leader, &directory, class));
        while TcpStream::connect(leader).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        Target {
            leader,
            topic: "floor".to_owned(),
            next_offset: 0,
        }
    }

    #[test]
    fn every_producing_workload_runs_against_the_floor() {
        let target = floor("written", Class::Written);
        let length = Duration::from_millis(200);
        let single = one_in_flight::run(&target, 1024, length).expect("acknowledged");
        assert!(single.records > 10);
        let many = connections::run(&target, 5, 100, length).expect("acknowledged");
        assert!(many.requests > 10 && many.requests_per_second > 0.0);
        let limit = throughput::Limit {
            length,
            bytes: 10 << 20,
        };
        let large = throughput::run(&target, 100, limit).expect("acknowledged");
        assert!(large.bytes >= 5 * 60_000 && large.bytes <= (10 << 20) + (64 << 10));
        let log = consume::RawLog::written(&target, 3_000_000).expect("acknowledged");
        let read = log.read().expect("answered");
        assert!(read.bytes >= 3_000_000 && read.fetches == read.bytes.div_ceil(FETCH_BYTES));
    }

    #[test]
    fn the_open_loop_sends_what_it_planned_or_stops_soon_after_its_time() {
        let target = floor("open", Class::Fsync);
        let plan = |records_per_second| open_loop::Plan {
            records_per_second,
            value_bytes: 60_000,
            length: Duration::from_millis(500),
            consume: false,
        };
        let slow = open_loop::run(&target, plan(20)).expect("acknowledged");
        assert_eq!(slow.records, 20);
        let planned = 1_000_000;
        let fast = open_loop::run(&target, plan(planned)).expect("acknowledged");
        assert!(
            fast.records < 1_000_000 && fast.rate < f64::from(planned),
            "{} records at {}/s",
            fast.records,
            fast.rate
        );
    }
}
