//! Leader epochs tell a client of every truncation: what a client read is either still in the log, or lies at or above
//! the end that the log tells for the epoch in which it was read.
//!
//! What lies below the log start is deleted, and that is told otherwise: a read there is out of range. An epoch of which
//! nothing is left is said to end at the log start, which may have moved without the observer's knowledge; then the log
//! start that a later answer tells decides.
//!
//! Source: KIP-101 and KIP-320 (OffsetForLeaderEpoch); KIP-595 (the diverging epoch of a fetch); Apache Kafka,
//! `LeaderEpochFileCache.endOffsetFor` and `truncateFromStartAsyncFlush`.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, Violation};

const NAME: &str = "leader epochs tell of every truncation";

/// The most batches that a client remembers.
const REMEMBERED: usize = 64;

/// What a client read last, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    batches: VecDeque<Bytes>,
    doubt: Option<Doubt>,
}

/// Something that was read is not there any more, although the epoch was said to reach further.
#[derive(Clone, Debug)]
struct Doubt {
    /// The largest base offset of what is gone.
    base: i64,
    violation: Violation,
}

impl Memory {
    /// The client read a batch.
    pub fn read(&mut self, batch: Bytes) {
        self.batches.push_back(batch);
        if self.batches.len() > REMEMBERED {
            self.batches.pop_front();
        }
    }

    /// The client begins anew elsewhere.
    pub fn clear(&mut self) {
        self.batches.clear();
    }

    /// The client learned where the log ends for the epoch of what it read last: everything below that end must be in
    /// the log as it was read, or be deleted. Forgets what lies above. What is gone must lie below the log start that
    /// [`Memory::log_starts_at`] is told next.
    pub fn told(&mut self, ledger: &Ledger, end: i64) {
        while self
            .batches
            .back()
            .is_some_and(|batch| header(batch).end_offset().0 > end)
        {
            self.batches.pop_back();
        }
        for batch in &self.batches {
            let base = header(batch).base_offset.0;
            let now = ledger.log.get(&base);
            if base < ledger.log_start || now.is_some_and(|entry| entry.bytes == *batch) {
                continue;
            }
            let what = if now.is_some() { "other bytes are" } else { "nothing is" };
            let detail = format!("a batch was read at {base}, {what} there now, and the epoch is said to end at {end}");
            let doubt = self.doubt.get_or_insert_with(|| Doubt {
                base,
                violation: Violation::new(NAME, detail),
            });
            doubt.base = doubt.base.max(base);
        }
    }

    /// An answer of the same time or later told the log start.
    ///
    /// # Errors
    /// A batch at or above it was replaced or lost without a word.
    pub fn log_starts_at(&mut self, log_start: i64) -> Verdict {
        match self.doubt.take() {
            Some(doubt) if doubt.base >= log_start => Err(doubt.violation),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;

    #[test]
    fn what_is_gone_must_be_told() {
        let mut memory = Memory::default();
        let mut ledger = Ledger::default();
        let [kept, lost, new] = [batch(0, 2, 0, b"kept"), batch(2, 2, 0, b"lost"), batch(2, 2, 1, b"new")];
        for read in [&kept, &lost] {
            ledger.learn(read.clone()).expect("new");
            memory.read(read.clone());
        }
        let told = |memory: &mut Memory, ledger: &Ledger, end, log_start| {
            memory.told(ledger, end);
            memory.log_starts_at(log_start)
        };
        told(&mut memory, &ledger, 4, 0).expect("all is there");
        ledger.truncate(2);
        ledger.learn(new).expect("another epoch");
        told(&mut memory.clone(), &ledger, 4, 0).expect_err("nobody told");
        told(&mut memory.clone(), &ledger, 4, 2).expect_err("it lies at the log start");
        told(&mut memory, &ledger, 2, 0).expect("told");
        told(&mut memory, &ledger, 4, 0).expect("what was lost is forgotten");
    }

    /// Seed 393 of the simulation: records were lost with the power and written anew, then deleted. No batch of the old
    /// epoch is left, so it ends where the log begins, and the observer does not know yet where that is.
    #[test]
    fn what_is_deleted_needs_no_word() {
        let mut memory = Memory::default();
        let mut ledger = Ledger::default();
        let lost = batch(0, 2, 0, b"lost");
        ledger.learn(lost.clone()).expect("new");
        memory.read(lost);
        ledger.truncate(0);
        ledger.learn(batch(0, 2, 1, b"new")).expect("another epoch");
        memory.told(&ledger, 2);
        memory.clone().log_starts_at(0).expect_err("it was not deleted");
        memory.log_starts_at(2).expect("deleted");
        memory.log_starts_at(0).expect("it was decided");
    }
}
