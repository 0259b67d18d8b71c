//! Leader epochs tell a client of every truncation: what a client read is either still in the log, or lies at or above
//! the end that the log tells for the epoch in which it was read.
//!
//! Source: KIP-101 and KIP-320 (OffsetForLeaderEpoch); KIP-595 (the diverging epoch of a fetch).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, ensure};

const NAME: &str = "leader epochs tell of every truncation";

/// The most batches that a client remembers.
const REMEMBERED: usize = 64;

/// What a client read last, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Memory(VecDeque<Bytes>);

impl Memory {
    /// The client read a batch.
    pub fn read(&mut self, batch: Bytes) {
        self.0.push_back(batch);
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The client begins anew elsewhere.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The client learned where the log ends for the epoch of what it read last: everything below that end must be in
    /// the log as it was read. Forgets what lies above.
    ///
    /// # Errors
    /// A batch that was replaced or lost without a word.
    pub fn told(&mut self, ledger: &Ledger, end: i64) -> Verdict {
        while self.0.back().is_some_and(|batch| header(batch).end_offset().0 > end) {
            self.0.pop_back();
        }
        for batch in &self.0 {
            let base = header(batch).base_offset.0;
            if base < ledger.log_start {
                continue;
            }
            let now = ledger.log.get(&base);
            let what = if now.is_some() { "other bytes are" } else { "nothing is" };
            ensure!(
                NAME,
                now.is_some_and(|entry| entry.bytes == *batch),
                "a batch was read at {base}, {what} there now, and the epoch is said to end at {end}"
            );
        }
        Ok(())
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
        memory.clone().told(&ledger, 4).expect("all is there");
        ledger.truncate(2);
        ledger.learn(new).expect("another epoch");
        memory.clone().told(&ledger, 4).expect_err("nobody told");
        memory.told(&ledger, 2).expect("told");
        memory.told(&ledger, 4).expect("what was lost is forgotten");
    }
}
