//! Writes go before reads of cold data.
//!
//! A disk serves what it is given in about the order it was given it. A consumer that catches up asks for as much as it
//! can take, and every write that an acknowledgement waits for would stand behind that. So cold data is read in steps,
//! small ones while something is written, and before each the reader waits until no write is under way; for a bounded
//! time, so that a disk that always writes still reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long after a write another one is expected.
const LATELY: Duration = Duration::from_millis(100);
/// No write has begun yet.
const NEVER: u64 = u64::MAX;

/// The writes under way, of all shards together. Shards only count here; none ever waits for another.
pub(super) struct Precedence {
    epoch: Instant,
    /// Writes begun and not ended.
    writes: AtomicUsize,
    /// When the last one began, in nanoseconds since `epoch`.
    begun: AtomicU64,
    /// Readers that give way; at most the threads of the pool.
    waiting: AtomicUsize,
    /// Held by a reader from its last look at `writes` until it waits, and by whoever tells it.
    turnstile: Mutex<()>,
    none_left: Condvar,
}

impl Default for Precedence {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            writes: AtomicUsize::new(0),
            begun: AtomicU64::new(NEVER),
            waiting: AtomicUsize::new(0),
            turnstile: Mutex::new(()),
            none_left: Condvar::new(),
        }
    }
}

impl Precedence {
    /// Notes a write that is about to be handed to the disk.
    pub(super) fn begin(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.note();
    }

    /// Notes a write into the page cache, which the kernel hands to the disk when it likes.
    pub(super) fn note(&self) {
        self.begun.store(self.elapsed(), Ordering::Relaxed);
    }

    /// Notes that it has ended, well or not.
    pub(super) fn end(&self) {
        let last = self.writes.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.waiting.load(Ordering::SeqCst) > 0 {
            drop(self.turnstile.lock().unwrap_or_else(PoisonError::into_inner));
            self.none_left.notify_all();
        }
    }

    /// Waits until no write is under way, but not longer than `at_most`.
    /// Returns whether the next one is to be expected soon, since there were some lately.
    pub(super) fn give_way(&self, at_most: Duration) -> bool {
        if self.writes.load(Ordering::SeqCst) == 0 {
            let begun = self.begun.load(Ordering::Relaxed);
            let lately = u64::try_from(LATELY.as_nanos()).unwrap_or(u64::MAX);
            return begun != NEVER && self.elapsed().saturating_sub(begun) < lately;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let turnstile = self.turnstile.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = |_: &mut ()| self.writes.load(Ordering::SeqCst) > 0;
        drop(self.none_left.wait_timeout_while(turnstile, at_most, writing));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        true
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(NEVER - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Far above what any step here takes.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_reader_goes_on_when_the_last_write_has_ended() {
        let precedence = &Precedence::default();
        precedence.begin();
        precedence.begin();
        thread::scope(|scope| {
            let (told, went_on) = mpsc::channel();
            scope.spawn(move || {
                precedence.give_way(LONG);
                told.send(()).expect("somebody listens");
            });
            while precedence.waiting.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            precedence.end();
            assert!(went_on.try_recv().is_err(), "one write is still under way");
            precedence.end();
            went_on.recv_timeout(LONG / 2).expect("it goes on at once");
        });
        assert_eq!(precedence.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_reader_waits_for_a_bounded_time_only() {
        let precedence = Precedence::default();
        precedence.begin();
        assert!(precedence.give_way(Duration::from_millis(1)), "a write is under way");
        assert_eq!(precedence.writes.load(Ordering::SeqCst), 1);
        precedence.end();
        precedence.give_way(LONG);
    }

    #[test]
    fn no_write_is_expected_where_there_was_none() {
        let precedence = Precedence::default();
        assert!(!precedence.give_way(LONG));
        precedence.note();
        assert!(precedence.give_way(LONG), "there was one just now");
    }
}
