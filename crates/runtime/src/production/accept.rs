//! Accepting connections: one task per listener on shard 0, which hands them to the shards in turn.
//!
//! In turn and not by the kernel's port reuse, whose hashing is uneven.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::unix::AsyncFd;

use super::limits::{Limits, Permit};
use super::mailbox::{Delivery, Mailbox, Origin};
use super::pump::Pump;
use super::readiness;
use super::task::FailOnPanic;
use crate::{ListenerId, Turn};

/// Connections accepted in a row before other tasks run.
const ACCEPTS_PER_POLL: usize = 64;

/// What all listeners of a process share.
pub(super) struct Acceptors {
    pub(super) limits: Arc<Limits>,
    /// By shard.
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    /// The shard that gets the next connection.
    pub(super) next: Cell<usize>,
}

struct Listener {
    id: ListenerId,
    socket: AsyncFd<TcpListener>,
    shared: Rc<Acceptors>,
}

/// Accepts on one listener until the process is asked to end.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub(super) fn start<S: Turn + 'static>(
    listener: TcpListener,
    id: ListenerId,
    shared: Rc<Acceptors>,
    pump: Rc<RefCell<Pump<S>>>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Listener {
        id,
        socket: readiness::watch(listener)?,
        shared,
    };
    tokio::task::spawn_local(async move {
        poll_fn(|cx| {
            let _guard = FailOnPanic(&pump);
            listener.poll(&pump, cx)
        })
        .await;
    });
    Ok(())
}

impl Listener {
    fn poll<S: Turn + 'static>(&self, pump: &RefCell<Pump<S>>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ACCEPTS_PER_POLL {
            if self.shared.mailboxes[0].is_shut_down() {
                return Poll::Ready(());
            }
            // The permit comes first: beyond the limit, connections wait in the kernel's queue.
            let Some(permit) = self.shared.limits.acquire(cx.waker()) else {
                return Poll::Pending;
            };
            match self.poll_accept(cx) {
                Poll::Ready(Ok((stream, peer))) => self.hand_over(stream, peer, permit),
                Poll::Ready(Err(error)) if concerns_one_connection(&error) => {}
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "no connection can be accepted for now");
                    pump.borrow_mut().accept_later(cx.waker());
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut guard = std::task::ready!(self.socket.poll_read_ready(cx))?;
            match guard.try_io(|socket| socket.get_ref().accept()) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn hand_over(&self, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let Some(permit) = permit.bind(peer.ip()) else {
            tracing::debug!(%peer, "closed at once: the address has as many connections as it may");
            return;
        };
        if let Err(error) = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)) {
            tracing::debug!(%peer, %error, "a connection was gone before it was served");
            return;
        }
        let shards = &self.shared.mailboxes;
        let shard = self.shared.next.get() % shards.len();
        self.shared.next.set(shard + 1);
        shards[shard].deliver(Delivery::Connection {
            stream,
            origin: Origin {
                peer,
                listener: self.id,
            },
            permit,
            received: BytesMut::new(),
        });
    }
}

/// Errors of accept(2) that say something of the connection, not of the listener.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::TimedOut
    )
}
