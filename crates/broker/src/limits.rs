//! The bounds of a shard, from the settings, in the types that the code compares them with.

use hallows_config::BrokerConfig;

/// Bounds that are fixed while the shard runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `socket.request.max.bytes`.
    pub(crate) request_bytes_max: usize,
    /// `connection.output.bytes.max`.
    pub(crate) connection_output_bytes_max: usize,
    /// `connection.requests.max`.
    pub(crate) connection_requests_max: usize,
    /// `max.incremental.fetch.session.cache.slots`, of all shards together.
    pub(crate) fetch_sessions_max: usize,
    /// `fetch.session.partitions.max`, of all shards together.
    pub(crate) fetch_session_partitions_max: usize,
    /// `request.partitions.max`.
    pub(crate) request_partitions_max: usize,
    /// `decompressed.batch.bytes.max`.
    pub(crate) decompressed_batch_bytes_max: usize,
    /// `delayed.requests.max`; of requests that do not wait for long there may be as many again.
    pub(crate) delayed_requests_max: usize,
    /// `waiting.append.bytes.max`.
    pub(crate) waiting_append_bytes_max: u64,
}

impl Limits {
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let bound = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            request_bytes_max: bound(config.request_bytes_max),
            connection_output_bytes_max: bound(config.connection_output_bytes_max),
            connection_requests_max: bound(config.connection_requests_max),
            fetch_sessions_max: bound(config.fetch_sessions_max),
            fetch_session_partitions_max: bound(config.fetch_session_partitions_max),
            request_partitions_max: bound(config.request_partitions_max),
            decompressed_batch_bytes_max: bound(config.decompressed_batch_bytes_max),
            delayed_requests_max: bound(config.delayed_requests_max),
            waiting_append_bytes_max: config.waiting_append_bytes_max,
        }
    }
}
