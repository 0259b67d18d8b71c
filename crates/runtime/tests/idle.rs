//! An idle shard sleeps. In a process of its own, because it measures the CPU time of the process.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hallows_runtime::production::{RealDisk, Settings, run};
use hallows_runtime::{ConnectionId, Effects, Event, Inbox, Slice, Turn};
use hallows_types::{Monotonic, Now};

/// How long the shards have nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// Sends back what it receives; a `?` only after [`IDLE`].
#[derive(Default)]
struct Echo {
    later: Option<(Monotonic, ConnectionId)>,
}

impl Turn for Echo {
    type Message = ();

    fn turn(&mut self, now: Now, inbox: &mut Inbox<()>, effects: &mut Effects<()>) {
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Received { connection, bytes } if &bytes[..] == b"?" => {
                    self.later = Some((now.monotonic.after(IDLE), connection));
                }
                Event::Received { connection, bytes } => effects.send(connection, Slice::Memory(bytes.freeze())),
                Event::Shutdown => effects.stop = true,
                _ => {}
            }
        }
        if let Some((_, connection)) = self.later.take_if(|(due, _)| *due <= now.monotonic) {
            effects.send(connection, Slice::Memory(Bytes::from_static(b"!")));
        }
    }

    fn next_deadline(&self) -> Monotonic {
        self.later.map_or(Monotonic::NEVER, |(due, _)| due)
    }
}

/// Clock ticks of CPU time (10 ms each) this process has used.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name in brackets");
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields
        .map(|field| field.parse::<u64>().expect("a number of ticks"))
        .sum()
}

#[test]
fn idle_shards_sleep_whether_they_spin_first_or_not() {
    for poll_spin in [Duration::ZERO, Duration::from_micros(500)] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = Arc::new(RealDisk::open(directory.path()).expect("a fresh directory opens"));
        let settings = Settings {
            poll_spin,
            ..Settings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let running = run(settings, vec![listener], vec![Echo::default(), Echo::default()], disk).expect("starting");
        let mut clients: Vec<TcpStream> = (0..50)
            .map(|_| TcpStream::connect(running.local_addresses()[0]).expect("connecting"))
            .collect();
        for client in &mut clients {
            client.write_all(b"x").expect("sending");
            client.read_exact(&mut [0]).expect("an echo");
        }
        let before = cpu_ticks();
        clients[0].write_all(b"?").expect("sending");
        clients[0].read_exact(&mut [0]).expect("the answer that comes later");
        let used = cpu_ticks() - before;
        assert!(used <= 5, "{used} of 100 ticks used while idle, spinning {poll_spin:?}");
        running.handle().shutdown();
        running.join().expect("a clean end");
    }
}
