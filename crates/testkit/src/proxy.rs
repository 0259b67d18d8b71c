//! A TCP proxy between clients and a broker that makes bad weather: it delays, cuts connections inside a frame, stalls
//! one direction and refuses.
//!
//! A broker under it advertises the proxy's address, so that every client stays on it. The same seed draws the same
//! delays and cuts, connection by connection; what they hit depends on the machine.

mod frames;
mod pump;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::Random;
use pump::Pump;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Requests.
    ToBroker,
    /// Answers.
    ToClient,
}

/// What the proxy does to its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Bytes pass.
    Fair,
    /// Each piece, in both directions, waits up to this long.
    Delay(Duration),
    /// Each connection is reset after a random number of bytes up to this in one direction, always inside a frame.
    Cut {
        /// The most bytes that a connection carries before it is cut; at least 8.
        after_bytes_max: u64,
    },
    /// Nothing passes in this direction; the connections stay open.
    Stall(Direction),
    /// Open connections are reset, and new ones as soon as they come.
    Refuse,
}

/// How often each kind of weather struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Struck {
    /// Pieces that waited.
    pub delayed: u64,
    /// Connections reset inside a frame.
    pub cut: u64,
    /// Times that bytes of a connection were held back on their way to the broker.
    pub stalled_to_broker: u64,
    /// Times that bytes of a connection were held back on their way to a client.
    pub stalled_to_client: u64,
    /// Connections reset because of [`Weather::Refuse`].
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    delayed: AtomicU64,
    cut: AtomicU64,
    stalled_to_broker: AtomicU64,
    stalled_to_client: AtomicU64,
    refused: AtomicU64,
}

/// What all connections share.
struct Shared {
    weather: watch::Receiver<Weather>,
    upstream: watch::Receiver<Option<SocketAddr>>,
    counters: Counters,
}

/// A running proxy. Dropping it resets its connections.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    upstream: watch::Sender<Option<SocketAddr>>,
    shared: Arc<Shared>,
    /// Runs the connections; dropped last.
    _runtime: Runtime,
}

impl Proxy {
    /// Listens on a free port of the loopback; connections wait until [`Proxy::forward_to`] was called.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start(seed: u64) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let (weather, weather_seen) = watch::channel(Weather::Fair);
        let (upstream, upstream_seen) = watch::channel(None);
        let shared = Arc::new(Shared {
            weather: weather_seen,
            upstream: upstream_seen,
            counters: Counters::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&shared), Random::from_seed(seed)));
        Ok(Self {
            address,
            weather,
            upstream,
            shared,
            _runtime: runtime,
        })
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where new connections go from now on.
    pub fn forward_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(Some(upstream));
    }

    /// Changes the weather of all connections, open ones included.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How often each kind struck so far.
    #[must_use]
    pub fn struck(&self) -> Struck {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Struck {
            delayed: read(&counters.delayed),
            cut: read(&counters.cut),
            stalled_to_broker: read(&counters.stalled_to_broker),
            stalled_to_client: read(&counters.stalled_to_client),
            refused: read(&counters.refused),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut random: Random) {
    // Out of descriptors, the kernel keeps the connection; the next turn tries again.
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let seed = random.next_u64();
                tokio::spawn(serve(client, Arc::clone(&shared), seed));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One connection, until either end closes it or the weather does.
async fn serve(client: TcpStream, shared: Arc<Shared>, seed: u64) {
    if *shared.weather.borrow() == Weather::Refuse {
        shared.counters.refused.fetch_add(1, Ordering::Relaxed);
        reset(&client);
        return;
    }
    let mut upstream = shared.upstream.clone();
    let Ok(upstream) = upstream.wait_for(Option::is_some).await.map(|known| *known) else {
        return;
    };
    let connected = match upstream {
        Some(address) => TcpStream::connect(address).await,
        None => return,
    };
    let Ok(broker) = connected else {
        reset(&client);
        return;
    };
    // Pieces are passed on as they come, as a router would.
    let _ = client.set_nodelay(true);
    let _ = broker.set_nodelay(true);
    let mut random = Random::from_seed(seed);
    let mut requests = Pump::new(Direction::ToBroker, &client, &broker, &shared, random.next_u64());
    let mut answers = Pump::new(Direction::ToClient, &broker, &client, &shared, random.next_u64());
    let end = tokio::select! {
        end = requests.run() => end,
        end = answers.run() => end,
    };
    if end == pump::End::Refused {
        shared.counters.refused.fetch_add(1, Ordering::Relaxed);
    }
    if end != pump::End::Closed {
        reset(&client);
        reset(&broker);
    }
}

/// Lets the socket end with a reset instead of an orderly end: what is on its way is gone.
fn reset(socket: &TcpStream) {
    // Without it the connection still ends, only more politely.
    let _ = socket.set_zero_linger();
}

#[cfg(test)]
mod tests;
