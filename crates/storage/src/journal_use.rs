//! Whether a journal is in use, so that what is written beside it should keep out of its way.

use std::time::Duration;

use hallows_types::Monotonic;

/// Fewer blocks than this in [`WINDOW`] are the odd change of metadata rather than clients who wait for the disk.
const BLOCKS: usize = 8;
/// How far back blocks count.
const WINDOW: Duration = Duration::from_secs(1);

/// When the last few blocks became durable.
#[derive(Debug, Default)]
pub(crate) struct JournalUse {
    /// A ring; `next` is the oldest.
    written: [Option<Monotonic>; BLOCKS],
    next: usize,
}

impl JournalUse {
    pub(crate) fn block_written(&mut self, now: Monotonic) {
        self.written[self.next] = Some(now);
        self.next = (self.next + 1) % BLOCKS;
    }

    pub(crate) fn is_steady(&self, now: Monotonic) -> bool {
        self.written[self.next].is_some_and(|oldest| now < oldest.after(WINDOW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_blocks_or_blocks_of_long_ago_are_no_use() {
        let mut journal = JournalUse::default();
        let at = |ms| Monotonic::default().after(Duration::from_millis(ms));
        for block in 0..7 {
            journal.block_written(at(block * 100));
            assert!(!journal.is_steady(at(block * 100)));
        }
        journal.block_written(at(700));
        assert!(journal.is_steady(at(999)));
        assert!(!journal.is_steady(at(1000)), "the first is a second old");
    }
}
