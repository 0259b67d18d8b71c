//! What can happen to a shard.

use core::any::Any;
use std::net::SocketAddr;

use bytes::BytesMut;
use hallows_types::ShardId;

use crate::disk::DiskCompletion;

/// Names a connection inside its shard. Never reused while the process lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// The position of a listener in the `listeners` setting, 0-based.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u16);

/// Why the pump closed a connection that the shard had not asked to close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer closed its side or vanished.
    Peer,
    /// Nothing was received and nothing was to be sent for `connections.max.idle.ms`.
    Idle,
    /// An answer made no progress for `connection.stall.timeout.ms`.
    Stalled,
    /// The operating system reported an error.
    Error,
}

/// Everything that can happen to a shard.
pub enum Event<M> {
    /// A connection was handed to this shard, by the listener or by [`crate::Output::HandOver`].
    Accepted {
        /// The new connection.
        connection: ConnectionId,
        /// The peer's address.
        peer: SocketAddr,
        /// The listener it came in by.
        listener: ListenerId,
    },
    /// Bytes arrived. They start with what the shard last gave back with [`crate::Effects::keep`].
    Received {
        /// The connection.
        connection: ConnectionId,
        /// Kept bytes and new ones, in order.
        bytes: BytesMut,
    },
    /// The output queue of a connection rose above `connection.output.bytes.max`; the pump reads no more of it.
    /// Comes before anything else of this connection; `OutputDrained` follows.
    OutputFull {
        /// The connection.
        connection: ConnectionId,
    },
    /// The output queue of a connection fell below half of `connection.output.bytes.max` after it had been above the whole.
    OutputDrained {
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection is gone; nothing more comes of it and nothing can be sent.
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// A disk operation ended.
    Disk(DiskCompletion),
    /// A message of another shard.
    Message {
        /// The sender.
        from: ShardId,
        /// What it says.
        message: M,
    },
    /// A job given to [`crate::Effects::compute`] ended.
    Computed {
        /// The token given with the job.
        token: u64,
        /// What the job returned.
        output: Box<dyn Any + Send>,
    },
    /// The process was asked to end: answer what is answerable, write what is unwritten, then set [`crate::Effects::stop`].
    Shutdown,
}
