//! What other threads hand to a shard, and how they wake it.
//!
//! A thread that runs is never woken: it looks at `pending` before every turn and once more before it sleeps.
//! A wake-up of a sleeping core costs more than the work it announces, so several deliveries share one.

use std::any::Any;
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::sync::{OnceLock, PoisonError};
use std::task::Waker;

use bytes::BytesMut;

use super::limits::Permit;
use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, fence};
use crate::{ConnectionId, DiskCompletion, ListenerId};

/// One thing handed over by another thread. Messages between shards have rings of their own.
pub(super) enum Delivery {
    /// An accepted connection, or one that another shard hands over.
    Connection {
        stream: TcpStream,
        origin: Origin,
        permit: Permit,
        /// What was received of it and not worked off.
        received: BytesMut,
    },
    /// The pool has performed a disk operation.
    Disk(DiskCompletion),
    /// The pool has run a computation.
    Computed { token: u64, output: Box<dyn Any + Send> },
    /// The pool has read a file range into the page cache.
    ReadAhead { connection: ConnectionId },
}

/// Where a connection came from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) peer: SocketAddr,
    pub(super) listener: ListenerId,
}

/// The shared side of one shard.
///
/// Bounded by its producers: connections by `max.connections`, the rest by what the shard has outstanding on the pool.
#[derive(Default)]
pub(super) struct Mailbox {
    deliveries: Mutex<Vec<Delivery>>,
    /// Something waits here or in a message ring. Set after the delivery, cleared before collecting.
    pending: AtomicBool,
    /// The shard's thread sleeps or is about to; whoever turns it back to false owes the wake-up. Only ever swapped:
    /// loom takes plain stores beside swaps for weaker than they are (its issue 389).
    sleeping: AtomicBool,
    shutdown: AtomicBool,
    /// Durable writes are on their way in the shard's ring.
    ring_busy: AtomicBool,
    /// The shard's core has little time left: other shards keep their connections.
    crowded: AtomicBool,
    waker: OnceLock<Waker>,
}

impl Mailbox {
    /// Says how the shard's loop is woken; once, from the loop itself.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.get_or_init(|| waker.clone());
    }

    /// Hands something over and wakes the shard if it sleeps.
    pub(super) fn deliver(&self, delivery: Delivery) {
        self.lock().push(delivery);
        self.notify();
    }

    /// Asks the shard to end.
    pub(super) fn shut_down(&self) {
        self.shutdown.store(true, Ordering::Release);
        self.notify();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    /// Makes the shard look, waking it only if it sleeps.
    pub(super) fn notify(&self) {
        if self.pending.swap(true, Ordering::AcqRel) {
            // Whoever set it first wakes the shard; the shard clears it before it looks.
            return;
        }
        // Pairs with the fence in `before_sleep`: of the two flags, at least one side sees the other's.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.sleeping.swap(false, Ordering::AcqRel)
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// Whether there may be something to collect; clears the mark.
    pub(super) fn take_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed) && self.pending.swap(false, Ordering::AcqRel)
    }

    /// Takes all deliveries, leaving `empty`'s memory for the next ones.
    pub(super) fn collect(&self, empty: &mut Vec<Delivery>) {
        mem::swap(&mut *self.lock(), empty);
    }

    /// Called on the shard's thread right before it would sleep.
    pub(super) fn before_sleep(&self) {
        self.sleeping.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Called on the shard's thread when it runs again.
    pub(super) fn after_sleep(&self) {
        self.sleeping.swap(false, Ordering::Relaxed);
        // A completion interrupts the sleep before the ring's descriptor tells of it: look at once.
        if self.ring_busy.load(Ordering::Relaxed)
            && let Some(waker) = self.waker.get()
        {
            waker.wake_by_ref();
        }
    }

    /// Notes whether a completion of the ring is to be expected.
    pub(super) fn expect_ring(&self, busy: bool) {
        self.ring_busy.store(busy, Ordering::Relaxed);
    }

    /// Notes whether the shard's core has little time left.
    pub(super) fn set_crowded(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Whether connections may be handed to this shard.
    pub(super) fn takes_connections(&self) -> bool {
        !self.crowded.load(Ordering::Relaxed) && !self.is_shut_down()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Delivery>> {
        // A panic between push and unlock leaves the vector whole.
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
