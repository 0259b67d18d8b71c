//! A ring with the interface and the orderings of `rtrb`, made of what loom can see.
//!
//! As there, the producer publishes with a release store of `tail` and the consumer gives room back with one of `head`;
//! each side reads the other's with acquire. A slot's own lock is never contended and orders nothing beyond that.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicUsize, Ordering};

pub(in super::super) struct RingBuffer;

struct Shared<M> {
    slots: Box<[Mutex<Option<M>>]>,
    /// Messages taken since the start.
    head: AtomicUsize,
    /// Messages put in since the start.
    tail: AtomicUsize,
}

pub(in super::super) struct Producer<M>(Arc<Shared<M>>);
pub(in super::super) struct Consumer<M>(Arc<Shared<M>>);

/// The message did not fit.
#[derive(Debug)]
pub(in super::super) enum PushError<M> {
    Full(M),
}

/// Nothing was there.
#[derive(Debug)]
pub(in super::super) struct PopError;

impl RingBuffer {
    #[expect(clippy::new_ret_no_self, reason = "the interface of rtrb")]
    pub(in super::super) fn new<M>(capacity: usize) -> (Producer<M>, Consumer<M>) {
        let shared = Arc::new(Shared {
            slots: (0..capacity).map(|_| Mutex::new(None)).collect(),
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
        });
        (Producer(Arc::clone(&shared)), Consumer(shared))
    }
}

impl<M> Shared<M> {
    fn slot(&self, number: usize) -> loom::sync::MutexGuard<'_, Option<M>> {
        let slot = self.slots[number % self.slots.len()].try_lock();
        slot.expect("never used from both ends at once")
    }
}

impl<M> Producer<M> {
    pub(in super::super) fn push(&mut self, message: M) -> Result<(), PushError<M>> {
        let tail = self.0.tail.load(Ordering::Relaxed);
        if tail - self.0.head.load(Ordering::Acquire) == self.0.slots.len() {
            return Err(PushError::Full(message));
        }
        *self.0.slot(tail) = Some(message);
        self.0.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    pub(in super::super) fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.0) < 2
    }
}

impl<M> Consumer<M> {
    pub(in super::super) fn slots(&self) -> usize {
        self.0.tail.load(Ordering::Acquire) - self.0.head.load(Ordering::Relaxed)
    }

    pub(in super::super) fn pop(&mut self) -> Result<M, PopError> {
        let head = self.0.head.load(Ordering::Relaxed);
        if head == self.0.tail.load(Ordering::Acquire) {
            return Err(PopError);
        }
        let message = self.0.slot(head).take().expect("put in before the tail moved");
        self.0.head.store(head + 1, Ordering::Release);
        Ok(message)
    }
}
