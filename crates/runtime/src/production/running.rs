//! Starting the threads of all shards, and ending them.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use hallows_types::ShardId;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use super::accept::{self, Acceptors};
use super::clock::Clock;
use super::limits::Limits;
use super::mailbox::Mailbox;
use super::messages;
use super::pool::Pool;
use super::pump::{Failure, Parts, Pump};
use super::ring::{self, Ring};
use super::settings::Settings;
use super::task;
use super::timer::Timer;
use crate::{Disk, ListenerId, Turn};

/// Why the pump could not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum PumpError {
    /// There must be at least one shard and at most 65,535.
    #[error("cannot run {0} shards: start between 1 and 65535 of them (`--shards`)")]
    ShardCount(usize),
    /// The operating system refused something a shard cannot live without.
    #[error("shard {shard} cannot run: {source}. Check the limits on threads, memory and open files of this process.")]
    Shard {
        /// The shard.
        shard: u16,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Threads or listeners could not be set up.
    #[error("cannot start: {0}. Check the limits on threads and open files of this process.")]
    Start(#[source] io::Error),
    /// A shard panicked: a fault of this program.
    #[error("shard {0} panicked; its partitions are recovered when the process is started again")]
    Panicked(u16),
    /// A thread of the pool panicked: a fault of this program.
    #[error("a thread of the pool panicked; what it was to write is recovered when the process is started again")]
    PoolPanicked,
}

/// Asks all shards to end; may be cloned and used from any thread.
#[derive(Clone)]
pub struct PumpHandle {
    mailboxes: Arc<[Arc<Mailbox>]>,
}

impl PumpHandle {
    /// Delivers `Event::Shutdown` to every shard, once. No connection is accepted any more.
    pub fn shutdown(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.shut_down());
    }

    pub(super) fn mailbox(&self, shard: ShardId) -> Option<&Mailbox> {
        self.mailboxes.get(usize::from(shard.0)).map(AsRef::as_ref)
    }
}

/// Shards at work.
pub struct Running<S> {
    local_addresses: Vec<SocketAddr>,
    ring: Result<(), String>,
    handle: PumpHandle,
    shards: Vec<JoinHandle<Result<S, PumpError>>>,
    /// Ends after the shards, which may wait for its work.
    pool: Pool,
}

impl<S> Running<S> {
    /// Where the listeners listen, in their order.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.local_addresses
    }

    /// Whether durable writes go through a ring, or why they go to the pool; for the log.
    ///
    /// # Errors
    /// The reason, in words.
    pub const fn disk_ring(&self) -> Result<(), &String> {
        match &self.ring {
            Ok(()) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Ends the shards from elsewhere.
    #[must_use]
    pub fn handle(&self) -> PumpHandle {
        self.handle.clone()
    }

    /// Waits until every shard has ended by itself and gives them back, in order.
    ///
    /// # Errors
    /// The first failure. When one shard fails, the others are asked to end.
    pub fn join(self) -> Result<Vec<S>, PumpError> {
        let mut ended = Vec::new();
        let mut failed = None;
        for (index, thread) in self.shards.into_iter().enumerate() {
            match thread.join() {
                Ok(Ok(shard)) => ended.push(shard),
                Ok(Err(error)) => {
                    failed.get_or_insert(error);
                }
                Err(_panic) => {
                    failed.get_or_insert(PumpError::Panicked(shard_id(index).0));
                }
            }
        }
        if self.pool.end() {
            failed.get_or_insert(PumpError::PoolPanicked);
        }
        failed.map_or(Ok(ended), Err)
    }
}

/// Runs shards, one thread each, until each has set `Effects::stop`.
///
/// Listener `i` is [`ListenerId`]`(i)`, shard `i` is [`ShardId`]`(i)`; connections go to the shards in turn.
///
/// # Errors
/// [`PumpError::ShardCount`] and [`PumpError::Start`]. What goes wrong later is told by [`Running::join`].
pub fn run<S>(
    settings: Settings,
    listeners: Vec<TcpListener>,
    shards: Vec<S>,
    disk: Arc<dyn Disk>,
) -> Result<Running<S>, PumpError>
where
    S: Turn + Send + 'static,
{
    if shards.is_empty() || shards.len() > usize::from(u16::MAX) {
        return Err(PumpError::ShardCount(shards.len()));
    }
    let local_addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>();
    let local_addresses = local_addresses.map_err(PumpError::Start)?;
    let ring = if settings.disk_ring {
        ring::probe()
    } else {
        Err("it is switched off".to_owned())
    };
    let mailboxes: Arc<[Arc<Mailbox>]> = shards.iter().map(|_| Arc::default()).collect();
    let handle = PumpHandle {
        mailboxes: Arc::clone(&mailboxes),
    };
    let stop = handle.clone();
    let pool = Pool::start(settings.pool_threads, disk, move || stop.shutdown()).map_err(PumpError::Start)?;
    let cores = cores(&settings);
    let clock = Clock::start();
    let connected = messages::connect(&mailboxes, settings.message_ring_capacity);
    let settings = Arc::new(settings);
    let mut threads = Vec::new();
    let mut listeners = Some(listeners);
    for (index, (shard, messages)) in shards.into_iter().zip(connected).enumerate() {
        let mailbox = Arc::clone(&mailboxes[index]);
        let parts = Parts {
            shard,
            id: shard_id(index),
            settings: Arc::clone(&settings),
            clock,
            pool: pool.client(Arc::clone(&mailbox)),
            mailbox,
            handle: handle.clone(),
            messages,
        };
        let start = Start {
            parts,
            // More shards than cores share none of them by force.
            core: if cores.len() > index {
                cores.get(index).copied()
            } else {
                None
            },
            with_ring: ring.is_ok(),
            // Shard 0 accepts for all.
            listeners: listeners.take().unwrap_or_default(),
        };
        let thread = thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || start.run());
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                handle.shutdown();
                return Err(PumpError::Start(error));
            }
        }
    }
    Ok(Running {
        local_addresses,
        ring,
        handle,
        shards: threads,
        pool,
    })
}

/// The cores that threads are bound to; none where they are not bound.
fn cores(settings: &Settings) -> Vec<core_affinity::CoreId> {
    let known = settings.pin_threads.then(core_affinity::get_core_ids);
    known.flatten().unwrap_or_default()
}

fn shard_id(index: usize) -> ShardId {
    ShardId(u16::try_from(index).expect("the number of shards is checked at start"))
}

/// What a shard's thread takes with it.
struct Start<S: Turn> {
    parts: Parts<S>,
    core: Option<core_affinity::CoreId>,
    with_ring: bool,
    listeners: Vec<TcpListener>,
}

/// One shard that fails takes the others down in good order. `None` once it has ended well.
struct ShutDownAll(Option<PumpHandle>);

impl Drop for ShutDownAll {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.shutdown();
        }
    }
}

impl<S: Turn + 'static> Start<S> {
    fn run(self) -> Result<S, PumpError> {
        let mut on_failure = ShutDownAll(Some(self.parts.handle.clone()));
        let shard = self.parts.id.0;
        if let Some(core) = self.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(
                shard,
                core = core.id,
                "the shard's thread could not be bound to its core"
            );
        }
        let ended = self.serve().map_err(|failure| match failure {
            Failure::System(source) => PumpError::Shard { shard, source },
            Failure::Panicked => PumpError::Panicked(shard),
        })?;
        on_failure.0 = None;
        Ok(ended)
    }

    fn serve(self) -> Result<S, Failure> {
        let runtime = runtime(&self.parts.mailbox)?;
        let settings = Arc::clone(&self.parts.settings);
        let pump = runtime.block_on(async move {
            let ring = if self.with_ring {
                ring_or_pool(self.parts.id)
            } else {
                None
            };
            let timer = Timer::new()?;
            let parts = self.parts;
            let mailboxes = parts.handle.mailboxes.to_vec();
            let pump = Rc::new_cyclic(|itself| RefCell::new(Pump::new(parts, ring, timer, itself.clone())));
            let shared = Rc::new(Acceptors {
                limits: Limits::new(settings.connections_max, settings.connections_per_ip_max),
                mailboxes,
                next: Cell::new(0),
            });
            for (index, listener) in self.listeners.into_iter().enumerate() {
                let id = ListenerId(u16::try_from(index).map_err(io::Error::other)?);
                accept::start(listener, id, Rc::clone(&shared), Rc::clone(&pump))?;
            }
            let ended = tokio::task::spawn_local(task::run(Rc::clone(&pump))).await;
            ended.unwrap_or(Err(Failure::Panicked))?;
            Ok::<_, Failure>(pump)
        })?;
        // The tasks of connections and listeners end with the runtime and give their share of the pump back.
        drop(runtime);
        let pump = Rc::into_inner(pump).expect("all tasks have ended with the runtime");
        Ok(pump.into_inner().into_shard())
    }
}

fn runtime(mailbox: &Arc<Mailbox>) -> io::Result<LocalRuntime> {
    // The mailbox keeps a waker of the runtime: strong references back would keep both for ever.
    let (before, after) = (Arc::downgrade(mailbox), Arc::downgrade(mailbox));
    let hook = |mailbox: &Weak<Mailbox>, hook: fn(&Mailbox)| {
        if let Some(mailbox) = mailbox.upgrade() {
            hook(&mailbox);
        }
    };
    Builder::new_current_thread()
        .enable_io()
        .on_thread_park(move || hook(&before, Mailbox::before_sleep))
        .on_thread_unpark(move || hook(&after, Mailbox::after_sleep))
        .build_local(LocalOptions::default())
}

fn ring_or_pool(shard: ShardId) -> Option<Ring> {
    match Ring::new() {
        Ok(ring) => Some(ring),
        Err(error) => {
            tracing::warn!(shard = shard.0, %error, "no disk ring for this shard; durable writes go to the pool");
            None
        }
    }
}
