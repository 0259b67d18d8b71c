//! The tasks of a shard's runtime: one for the shard's loop, one per connection.
//!
//! They are written as plain polls over the pump, so that a short read needs no further call to learn that the
//! socket is empty, and so that one connection can send what the turn of another produced.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hallows_types::Monotonic;

use super::connection::Closing;
use super::output::{PASS_ALONE_BYTES_MAX, PASS_BYTES_MAX, Sent};
use super::pump::{Failure, Pump};
use super::receive::{Received, poll_receive};
use crate::{CloseReason, ConnectionId, Turn};

/// Receives of one connection before others have their turn.
const RECEIVES_PER_POLL: usize = 4;

/// Where a connection's task stands after one step.
enum Step {
    /// Another step may get further.
    Again,
    /// Others first.
    Yield,
    /// Nothing to do until something wakes it.
    Wait,
    /// The connection is gone.
    Gone,
}

/// Serves one connection until it is gone.
pub(super) async fn serve<S: Turn + 'static>(pump: Rc<RefCell<Pump<S>>>, id: ConnectionId) {
    poll_fn(|cx| {
        let _guard = FailOnPanic(&pump);
        let mut pump = pump.borrow_mut();
        for _ in 0..RECEIVES_PER_POLL {
            match pump.step(id, cx) {
                Step::Again => {}
                Step::Yield => break,
                Step::Wait => return Poll::Pending,
                Step::Gone => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs the shard until it has ended: timers, completions, messages, and everything connections leave over.
///
/// # Errors
/// What the operating system refused, or that a turn panicked.
pub(super) async fn run<S: Turn + 'static>(pump: Rc<RefCell<Pump<S>>>) -> Result<(), Failure> {
    poll_fn(|cx| {
        let _guard = FailOnPanic(&pump);
        pump.borrow_mut().poll_loop(cx)
    })
    .await
}

/// The runtime confines a panic to its task, but a shard whose turn broke off must not go on.
/// Declared before the pump is borrowed, so that the borrow has ended when it is dropped.
pub(super) struct FailOnPanic<'a, S: Turn + 'static>(pub(super) &'a RefCell<Pump<S>>);

impl<S: Turn + 'static> Drop for FailOnPanic<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(mut pump) = self.0.try_borrow_mut()
        {
            pump.fail(Failure::Panicked);
        }
    }
}

impl<S: Turn + 'static> Pump<S> {
    fn poll_loop(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.register(cx.waker());
        if let Some(failure) = self.take_failure() {
            return Poll::Ready(Err(failure));
        }
        self.timer.poll_fired(cx)?;
        if let Some(ring) = &mut self.ring {
            ring.poll_ready(cx)?;
        }
        self.check_connections();
        self.settle();
        if let Some(failure) = self.take_failure() {
            return Poll::Ready(Err(failure));
        }
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        self.spin(cx);
        Poll::Pending
    }

    /// Has the loop polled again right after sockets were looked at, as long as the last work is recent.
    fn spin(&self, cx: &mut Context<'_>) {
        let spin = self.poll_spin();
        if !spin.is_zero() && self.monotonic().since(self.worked) < spin {
            // Pending the first time, having asked for a wake-up after the next look at the sockets.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
    }

    fn step(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Step {
        let Some(connection) = self.connections.get(id) else {
            return Step::Gone;
        };
        connection.remember(cx.waker());
        if connection.blocked {
            match connection.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {
                    connection.blocked = false;
                    connection.more = true;
                }
                Poll::Ready(Err(error)) => return self.broken(id, &error),
                Poll::Pending => {}
            }
        }
        if connection.more {
            connection.more = false;
            self.list(id);
            self.settle();
            return match self.connections.get(id) {
                // Woken behind the sockets for the next pass.
                Some(connection) if connection.more => Step::Wait,
                _ => Step::Yield,
            };
        }
        if connection.closing == Closing::Draining {
            return self.discard(id, cx);
        }
        if connection.unturned {
            return self.await_turn(id, cx);
        }
        if !connection.wants_bytes() || !self.may_read(id) {
            return Step::Wait;
        }
        self.receive(id, cx)
    }

    fn receive(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Step {
        let Some(connection) = self.connections.get(id) else {
            return Step::Gone;
        };
        match poll_receive(&mut connection.stream, &mut connection.kept, &mut self.receive, cx) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(Received::Batch(bytes))) => {
                self.received(id, bytes);
                self.await_turn(id, cx)
            }
            Poll::Ready(Ok(Received::Partial)) => {
                let now = self.monotonic();
                if let Some(connection) = self.connections.get(id) {
                    connection.active = now;
                }
                Step::Again
            }
            Poll::Ready(Ok(Received::End)) => self.ended_by_peer(id),
            Poll::Ready(Err(error)) => self.broken(id, &error),
        }
    }

    /// Reads no further until the turn; has itself woken for what comes next.
    fn await_turn(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Step {
        match self.connections.get(id) {
            None => Step::Gone,
            Some(connection) if !connection.unturned => Step::Again,
            Some(connection) => {
                connection.readable = connection.stream.poll_read_ready(cx).is_ready();
                Step::Wait
            }
        }
    }

    /// Reads and forgets, so that closing does not reset the connection under the last answer.
    fn discard(&mut self, id: ConnectionId, cx: &mut Context<'_>) -> Step {
        let Some(connection) = self.connections.get(id) else {
            return Step::Gone;
        };
        connection.kept = None;
        match poll_receive(&mut connection.stream, &mut connection.kept, &mut self.receive, cx) {
            Poll::Pending => Step::Wait,
            Poll::Ready(Ok(Received::Batch(_) | Received::Partial)) => Step::Yield,
            Poll::Ready(Ok(Received::End) | Err(_)) => self.ended_by_peer(id),
        }
    }

    fn ended_by_peer(&mut self, id: ConnectionId) -> Step {
        self.close(id, CloseReason::Peer, self.monotonic());
        self.settle();
        Step::Gone
    }

    fn broken(&mut self, id: ConnectionId, error: &io::Error) -> Step {
        self.close(id, close_reason(error), self.monotonic());
        self.settle();
        Step::Gone
    }

    /// Sends one pass on a connection and notes how it goes on.
    pub(super) fn send(&mut self, id: ConnectionId, now: Monotonic) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        self.company.note(Some(id), now);
        let pass_bytes_max = if self.company.is_alone(id, now) {
            PASS_ALONE_BYTES_MAX
        } else {
            PASS_BYTES_MAX
        };
        let before = connection.output.bytes();
        let sent = connection.output.send(&connection.stream, pass_bytes_max);
        let left = connection.output.bytes();
        if left < before {
            connection.progressed = now;
            connection.active = now;
        }
        match sent {
            Ok(Sent::All) => self.sent_all(id, now),
            Ok(Sent::More) => {
                connection.more = true;
                connection.wake_behind_sockets();
            }
            Ok(Sent::Blocked) => {
                connection.blocked = true;
                connection.wake();
            }
            Ok(Sent::Cold { file, offset, len }) => {
                connection.reading_ahead = Some(len);
                self.read_ahead(id, file, offset, len);
            }
            Err(error) => {
                if close_reason(&error) == CloseReason::Error {
                    tracing::warn!(connection = id.0, %error, "an answer could not be sent");
                }
                self.close(id, close_reason(&error), now);
            }
        }
        self.tell_if_drained(id, now);
    }

    fn sent_all(&mut self, id: ConnectionId, now: Monotonic) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        connection.progressed = now;
        if connection.leaving.is_some() {
            self.leaving.push(id);
        }
        if connection.closing != Closing::AfterSend {
            return;
        }
        connection.closing = Closing::Draining;
        match rustix::net::shutdown(&connection.stream, rustix::net::Shutdown::Write) {
            Ok(()) => connection.wake(),
            Err(_already_gone) => {
                self.connections.remove(id);
            }
        }
    }
}

fn close_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::TimedOut => CloseReason::Peer,
        _ => CloseReason::Error,
    }
}
