//! Plain counters of one shard.

use std::time::Duration;

/// What a shard has done since its start.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct ShardStatistics {
    /// Events taken from the inbox.
    pub(crate) events: u64,
    /// The sum of their waits in the inbox.
    pub(crate) queue_delay_total: Duration,
    /// The longest of them.
    pub(crate) queue_delay_max: Duration,
    /// Whether the shard ended with everything on disk.
    pub(crate) clean_stop: bool,
}

impl ShardStatistics {
    pub(crate) fn record_queue_delay(&mut self, delay: Duration) {
        self.events += 1;
        self.queue_delay_total += delay;
        self.queue_delay_max = self.queue_delay_max.max(delay);
    }
}
