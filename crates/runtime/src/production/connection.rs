//! One connection as the pump sees it, and the table of a shard's connections.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use bytes::BytesMut;
use hallows_types::{Monotonic, ShardId};
use slab::Slab;
use tokio::net::TcpStream;

use super::limits::Permit;
use super::mailbox::Origin;
use super::output::OutputQueue;
use super::receive::Kept;
use crate::ConnectionId;

/// The low bits of a connection's id are its place in the table, the high ones the count of connections before it.
const PLACE_BITS: u32 = 24;
/// Connections of one shard at once.
const CONNECTIONS_MAX: usize = 1 << PLACE_BITS;

/// How far a connection is on its way to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    /// It lives.
    No,
    /// The shard wants it closed once its output is sent.
    AfterSend,
    /// All is sent and our side is closed; what the peer still sends is discarded, because closing over unread bytes
    /// would reset the connection and could take the last answer with it.
    Draining,
}

/// The state of one connection.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) origin: Origin,
    pub(super) output: OutputQueue,
    pub(super) kept: Option<Kept>,
    /// Of the connection's task.
    waker: Option<Waker>,
    /// The shard wants no more events of it.
    pub(super) paused: bool,
    /// Received bytes wait for their turn; what the turn gives back comes before new ones.
    pub(super) unturned: bool,
    /// There was more to receive when it was last looked at.
    pub(super) readable: bool,
    /// More output waits than `connection.output.bytes.max`, or has since it was last below half.
    pub(super) above_output_max: bool,
    /// The socket takes no more for now.
    pub(super) blocked: bool,
    /// More can be sent in the next pass.
    pub(super) more: bool,
    /// The front of the output is being read ahead; holds how many bytes.
    pub(super) reading_ahead: Option<u32>,
    /// The shard it goes to once its output has left, and the bytes that were received and not worked off.
    pub(super) leaving: Option<(ShardId, BytesMut)>,
    /// It is in the pump's list of connections to send on.
    pub(super) listed: bool,
    /// It is in the pump's list of connections not read because of congestion.
    pub(super) held: bool,
    pub(super) closing: Closing,
    /// When output last left, or when the queue was last empty.
    pub(super) progressed: Monotonic,
    /// When bytes last arrived or left.
    pub(super) active: Monotonic,
    /// Given back when the connection is dropped.
    pub(super) permit: Permit,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, stream: TcpStream, origin: Origin, permit: Permit, now: Monotonic) -> Self {
        Self {
            id,
            stream,
            origin,
            output: OutputQueue::default(),
            kept: None,
            waker: None,
            paused: false,
            unturned: false,
            readable: false,
            above_output_max: false,
            blocked: false,
            more: false,
            reading_ahead: None,
            leaving: None,
            listed: false,
            held: false,
            closing: Closing::No,
            progressed: now,
            active: now,
            permit,
        }
    }

    /// Whether the shard wants to hear of received bytes.
    pub(super) const fn wants_bytes(&self) -> bool {
        !self.paused && !self.above_output_max && matches!(self.closing, Closing::No)
    }

    pub(super) fn remember(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }

    /// Has the connection's task look again.
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// The same, but after the next look at the sockets.
    pub(super) fn wake_behind_sockets(&self) {
        if let Some(waker) = &self.waker {
            wake_behind_sockets(waker);
        }
    }
}

/// Wakes a task after the next look at the sockets, and behind those whose bytes are found there. A task that is woken
/// at once goes on for as long as the runtime has something to run, and what has arrived meanwhile waits.
fn wake_behind_sockets(waker: &Waker) {
    // Pending the first time, having handed the waker to the runtime for that time.
    let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(waker));
}

/// The connections of one shard.
#[derive(Default)]
pub(super) struct Connections {
    table: Slab<Connection>,
    accepted: u64,
}

impl Connections {
    /// Adds a connection under a new id; `None` when the table is full.
    pub(super) fn insert(
        &mut self,
        stream: TcpStream,
        origin: Origin,
        permit: Permit,
        now: Monotonic,
    ) -> Option<ConnectionId> {
        if self.table.len() == CONNECTIONS_MAX {
            return None;
        }
        let entry = self.table.vacant_entry();
        let id = ConnectionId((self.accepted << PLACE_BITS) | entry.key() as u64);
        self.accepted += 1;
        entry.insert(Connection::new(id, stream, origin, permit, now));
        Some(id)
    }

    /// The connection, unless it is gone.
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = Self::place(id);
        self.table.get_mut(place).filter(|connection| connection.id == id)
    }

    /// Removes a connection; its task ends when it looks again.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?.wake();
        self.table.try_remove(Self::place(id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.table.iter().map(|(_, connection)| connection)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.table.iter_mut().map(|(_, connection)| connection)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn place(id: ConnectionId) -> usize {
        usize::try_from(id.0 & (CONNECTIONS_MAX as u64 - 1)).expect("24 bits")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::task::Poll;

    use tokio::runtime::{Builder, LocalOptions};

    use super::*;

    #[test]
    fn a_task_woken_behind_the_sockets_lets_arrived_bytes_go_first() {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .build_local(LocalOptions::default())
            .expect("a runtime");
        let (mut ours, theirs) = UnixStream::pair().expect("two sockets");
        theirs.set_nonblocking(true).expect("a socket that does not block");
        let polls = runtime.block_on(async {
            let arrived = Rc::new(Cell::new(false));
            let stream = tokio::net::UnixStream::from_std(theirs).expect("a socket of the runtime");
            let seen = Rc::clone(&arrived);
            tokio::task::spawn_local(async move {
                stream.readable().await.expect("no error");
                seen.set(true);
            });
            let mut polls = 0;
            let sending = tokio::task::spawn_local(poll_fn(move |cx| {
                if arrived.get() {
                    return Poll::Ready(polls);
                }
                if polls == 0 {
                    ours.write_all(b"!").expect("room for a byte");
                }
                polls += 1;
                wake_behind_sockets(cx.waker());
                Poll::Pending
            }));
            sending.await.expect("no panic")
        });
        assert!(polls <= 2, "it was polled {polls} times before the byte was seen");
    }
}
