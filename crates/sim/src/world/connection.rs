//! One client connection as the pump of its shard sees it.

use std::collections::VecDeque;

use bytes::BytesMut;
use hallows_runtime::Slice;
use hallows_types::ShardId;

/// The state of one connection.
pub(super) struct Connection {
    pub(super) shard: ShardId,
    pub(super) accepted: bool,
    /// An incomplete frame that the shard gave back.
    pub(super) kept: Option<BytesMut>,
    /// Bytes that have arrived and that the shard was not told of.
    pub(super) arrived: BytesMut,
    /// The shard was told of bytes and has not had its turn.
    pub(super) told: bool,
    pub(super) paused: bool,
    pub(super) output: VecDeque<Slice>,
    pub(super) output_bytes: usize,
    pub(super) above_output_max: bool,
    /// A transmission is in the world's queue.
    pub(super) transmitting: bool,
    pub(super) close_after_send: bool,
    /// When the last bytes of each direction arrive: they keep their order.
    pub(super) last_to_server: u64,
    pub(super) last_to_client: u64,
    /// Nothing arrives at the server, or leaves it, before.
    pub(super) stalled_in_until: u64,
    pub(super) stalled_out_until: u64,
}

impl Connection {
    pub(super) fn new(shard: ShardId) -> Self {
        Self {
            shard,
            accepted: false,
            kept: None,
            arrived: BytesMut::new(),
            told: false,
            paused: false,
            output: VecDeque::new(),
            output_bytes: 0,
            above_output_max: false,
            transmitting: false,
            close_after_send: false,
            last_to_server: 0,
            last_to_client: 0,
            stalled_in_until: 0,
            stalled_out_until: 0,
        }
    }

    /// Whether the shard may be told of bytes now.
    pub(super) fn is_readable(&self) -> bool {
        let wanted = !self.paused && !self.above_output_max && !self.close_after_send;
        self.accepted && !self.told && wanted && !self.arrived.is_empty()
    }
}
