//! What a shard wants done.

use core::any::Any;

use bytes::{Bytes, BytesMut};
use hallows_types::ShardId;

use crate::{ConnectionId, DiskOp, DiskToken, FileHandle};

/// A run of bytes to send: from memory, or straight from a file.
#[derive(Clone, Debug)]
pub enum Slice {
    /// Bytes in memory.
    Memory(Bytes),
    /// `len` bytes of a file from `offset` on. The handle keeps the bytes readable even after the file's removal.
    File {
        /// The file.
        file: FileHandle,
        /// Where the range starts, in bytes.
        offset: u64,
        /// Its length in bytes.
        len: u32,
    },
}

impl Slice {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { len, .. } => *len as usize,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One step on a connection, in the order in which the shard asked for it.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes after all earlier ones.
    Send(ConnectionId, Slice),
    /// Send what is queued, then close. The shard hears no more of the connection.
    CloseAfterSend(ConnectionId),
    /// Close now; queued output is dropped. The shard hears no more of the connection.
    Close(ConnectionId),
    /// Read no more until [`Output::ResumeReading`].
    PauseReading(ConnectionId),
    /// Read again.
    ResumeReading(ConnectionId),
    /// Give the connection to another shard, which hears of it by `Event::Accepted`, and of `received` after that.
    /// A pump that cannot do so now, or knows the other shard to be busy, has the same happen here.
    /// Either way this shard forgets the connection first; it has no unanswered request.
    HandOver {
        /// The connection.
        connection: ConnectionId,
        /// Its next shard.
        to: ShardId,
        /// Bytes received and not worked off.
        received: BytesMut,
    },
    /// An incomplete frame: the next bytes of this connection are appended to it.
    /// `missing` is how many more bytes the frame is known to need (a hint; memory grows with bytes received only).
    Keep {
        /// The connection.
        connection: ConnectionId,
        /// The incomplete frame so far.
        bytes: BytesMut,
        /// Bytes known to be missing.
        missing: usize,
    },
}

/// A pure computation on owned input.
pub type Job = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

/// Everything a turn wants done. The pump performs it in order within each kind and hands the emptied value back.
pub struct Effects<M> {
    /// Steps on connections.
    pub outputs: Vec<Output>,
    /// Disk operations. Operations on one file are performed in this order only where the issuer waits for completions.
    pub disk: Vec<(DiskToken, DiskOp)>,
    /// Messages to other shards. The pump keeps their order per receiver.
    pub messages: Vec<(ShardId, M)>,
    /// Computations: token and job.
    pub compute: Vec<(u64, Job)>,
    /// The shard has ended: its state is on disk and the pump may leave.
    pub stop: bool,
}

impl<M> Default for Effects<M> {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            disk: Vec::new(),
            messages: Vec::new(),
            compute: Vec::new(),
            stop: false,
        }
    }
}

impl<M> Effects<M> {
    /// Sends bytes on a connection.
    pub fn send(&mut self, connection: ConnectionId, slice: Slice) {
        if !slice.is_empty() {
            self.outputs.push(Output::Send(connection, slice));
        }
    }

    /// Gives an incomplete frame back, to be continued by the next `Received`.
    pub fn keep(&mut self, connection: ConnectionId, bytes: BytesMut, missing: usize) {
        self.outputs.push(Output::Keep {
            connection,
            bytes,
            missing,
        });
    }

    /// Asks for a disk operation; its end comes as `Event::Disk` with the same token.
    pub fn disk(&mut self, token: DiskToken, op: DiskOp) {
        self.disk.push((token, op));
    }

    /// Sends a message to another shard.
    pub fn message(&mut self, to: ShardId, message: M) {
        self.messages.push((to, message));
    }

    /// Runs a pure computation off the shard; its result comes as `Event::Computed` with the same token.
    pub fn compute(&mut self, token: u64, job: Job) {
        self.compute.push((token, job));
    }

    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
            && self.disk.is_empty()
            && self.messages.is_empty()
            && self.compute.is_empty()
            && !self.stop
    }
}
