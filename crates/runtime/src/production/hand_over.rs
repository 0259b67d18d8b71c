//! Connections on their way to a shard: from the listener, or from another shard whose requests were for this one.
//!
//! A connection moves between two requests, with the bytes that were received of it and nothing else.
//! Where it cannot move, its shard gets it back as if it were new, so that a shard that asks never waits for an answer.

use std::io;
use std::mem;
use std::net::TcpStream;

use bytes::BytesMut;
use hallows_types::Monotonic;

use super::connection::Connection;
use super::limits::Permit;
use super::mailbox::{Delivery, Origin};
use super::pump::Pump;
use super::task;
use crate::{ConnectionId, Event, Turn};

impl<S: Turn + 'static> Pump<S> {
    /// Serves a connection that was delivered.
    pub(super) fn take_over(
        &mut self,
        stream: TcpStream,
        origin: Origin,
        permit: Permit,
        received: BytesMut,
        now: Monotonic,
    ) {
        let peer = origin.peer;
        let stream = match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%peer, %error, "a connection could not be registered"),
        };
        let Some(connection) = self.connections.insert(stream, origin, permit, now) else {
            return tracing::warn!(%peer, "a connection was refused: the shard's table is full");
        };
        if let Some(pump) = self.itself.upgrade() {
            tokio::task::spawn_local(task::serve(pump, connection));
        }
        self.next_check = self.next_check.min(now.after(self.check_interval()));
        self.introduce(connection, origin, received, now);
    }

    /// Tells the shard of a connection that is new to it.
    fn introduce(&mut self, connection: ConnectionId, origin: Origin, received: BytesMut, now: Monotonic) {
        let Origin { peer, listener } = origin;
        let accepted = Event::Accepted {
            connection,
            peer,
            listener,
        };
        self.inbox.push(accepted, now);
        if !received.is_empty() {
            self.queue_received(connection, received, now);
        }
    }

    /// Hands over the connections that turns want elsewhere and whose output has left, since that does not travel.
    /// Those that their next shard does not take stay.
    pub(super) fn hand_over_leaving(&mut self, now: Monotonic) {
        let mut leaving = mem::take(&mut self.leaving);
        for id in leaving.drain(..) {
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            let Some((to, received)) = connection.leaving.take() else {
                continue;
            };
            if !self.handle.mailbox(to).is_some_and(|next| next.takes_connections()) {
                connection.paused = false;
                // While it was leaving, its task waited without asking the socket.
                connection.wake();
                let origin = connection.origin;
                self.introduce(id, origin, received, now);
                continue;
            }
            let delivery = self.connections.remove(id).map(|gone| delivery(gone, received));
            match (delivery, self.handle.mailbox(to)) {
                (Some(Ok(delivery)), Some(next)) => next.deliver(delivery),
                (Some(Err(error)), _) => tracing::warn!(%error, "a connection was lost on its way to another shard"),
                _ => {}
            }
        }
        self.leaving = leaving;
    }
}

fn delivery(connection: Connection, received: BytesMut) -> io::Result<Delivery> {
    let kept = connection.kept.map(|kept| kept.bytes).unwrap_or_default();
    assert!(
        kept.is_empty() || received.is_empty(),
        "a shard either holds the bytes it has not worked off or has given them back"
    );
    Ok(Delivery::Connection {
        stream: connection.stream.into_std()?,
        origin: connection.origin,
        permit: connection.permit,
        received: if received.is_empty() { kept } else { received },
    })
}
