//! Writes go before reads of cold data.
//!
//! A disk serves what it is given in about the order it was given it. A consumer that catches up asks for as much as it
//! can take, and every write that an acknowledgement waits for would stand behind that. So cold data is read in steps,
//! small ones while something is written, and before each the reader waits until no write is under way; for a bounded
//! time, so that a disk that always writes still reads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long after a write another one is expected.
const LATELY: Duration = Duration::from_millis(100);

/// The writes under way, of all shards together.
#[derive(Default)]
pub(super) struct Precedence {
    state: Mutex<State>,
    none_left: Condvar,
}

#[derive(Default)]
struct State {
    /// Writes begun and not ended.
    writes: usize,
    /// When the last one began.
    begun: Option<Instant>,
    /// Readers that give way; at most the threads of the pool.
    waiting: usize,
}

impl Precedence {
    /// Notes a write that is about to be handed to the disk.
    pub(super) fn begin(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        state.writes += 1;
        state.begun = Some(now);
    }

    /// Notes a write into the page cache, which the kernel hands to the disk when it likes.
    pub(super) fn note(&self) {
        let now = Instant::now();
        self.lock().begun = Some(now);
    }

    /// Notes that it has ended, well or not.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.writes -= 1;
        let wake = state.writes == 0 && state.waiting > 0;
        drop(state);
        if wake {
            self.none_left.notify_all();
        }
    }

    /// Waits until no write is under way, but not longer than `at_most`.
    /// Returns whether the next one is to be expected soon, since there were some lately.
    pub(super) fn give_way(&self, at_most: Duration) -> bool {
        let mut state = self.lock();
        let expected = state.begun.is_some_and(|begun| begun.elapsed() < LATELY);
        if state.writes == 0 {
            return expected;
        }
        state.waiting += 1;
        let waited = self
            .none_left
            .wait_timeout_while(state, at_most, |state| state.writes > 0);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counts are changed by single steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
            while precedence.lock().waiting == 0 {
                thread::yield_now();
            }
            precedence.end();
            assert!(went_on.try_recv().is_err(), "one write is still under way");
            precedence.end();
            went_on.recv_timeout(LONG / 2).expect("it goes on at once");
        });
        assert_eq!(precedence.lock().waiting, 0);
    }

    #[test]
    fn a_reader_waits_for_a_bounded_time_only() {
        let precedence = Precedence::default();
        precedence.begin();
        assert!(precedence.give_way(Duration::from_millis(1)), "a write is under way");
        assert_eq!(precedence.lock().writes, 1);
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
