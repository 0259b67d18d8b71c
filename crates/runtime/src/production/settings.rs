//! What the operator decides about the pump.

use std::time::Duration;

/// The bounds and choices of a pump; one value for all shards.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `connection.output.bytes.max`: above this many queued bytes a connection is not read.
    pub connection_output_bytes_max: usize,
    /// `connection.stall.timeout.ms`: an answer without progress for this long closes its connection.
    pub connection_stall_timeout: Duration,
    /// `connections.max.idle.ms`: a connection without traffic for this long is closed.
    pub connection_idle_max: Duration,
    /// `max.connections`: beyond it, new connections wait in the kernel's queue.
    pub connections_max: usize,
    /// `max.connections.per.ip`: beyond it, new connections of that address are closed at once.
    pub connections_per_ip_max: usize,
    /// `poll.spin.us`: how long an idle shard polls after its last work before it sleeps. Zero for not at all.
    pub poll_spin: Duration,
    /// Whether each shard's thread is bound to a core of its own.
    pub pin_threads: bool,
    /// Threads for what must not run on a shard; shared by all shards, at least 2.
    pub pool_threads: usize,
    /// Whether durable writes go through a ring (io_uring) where the kernel allows it.
    pub disk_ring: bool,
    /// How many messages fit between two shards before the sender stops reading its connections.
    pub message_ring_capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connection_output_bytes_max: 4 << 20,
            connection_stall_timeout: Duration::from_secs(60),
            connection_idle_max: Duration::from_secs(600),
            connections_max: usize::MAX,
            connections_per_ip_max: usize::MAX,
            poll_spin: Duration::ZERO,
            pin_threads: true,
            pool_threads: 3,
            disk_ring: true,
            message_ring_capacity: 1024,
        }
    }
}
