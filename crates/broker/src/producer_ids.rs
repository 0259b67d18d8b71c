//! Blocks of producer ids: each shard hands out its own block, the metadata log gives it new ones (KIP-730).

/// Ids per block, as in Kafka.
pub(crate) const BLOCK_IDS: i64 = 1000;

/// The ids that this shard may hand out.
#[derive(Default)]
pub(crate) struct ProducerIds {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// The next id, if the block has one.
    pub(crate) fn take(&mut self) -> Option<i64> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// Takes a block in; what was left of an older one is given up.
    pub(crate) fn refill(&mut self, first: i64, end: i64) {
        assert!(first <= end);
        (self.next, self.end) = (first, end);
    }
}
