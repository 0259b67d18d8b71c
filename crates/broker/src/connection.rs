//! One connection: which bytes wait, which requests are unanswered, when the next may start.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use hallows_net::{Answer, AnswerQueue, Slot, missing_bytes, next_frame};
use hallows_runtime::{ConnectionId, ListenerId, Output};

use crate::context::Outcome;
use crate::follow::Course;
use crate::router;
use crate::shard::{Life, Shard};

/// The state of one connection.
pub(crate) struct Connection {
    answers: AnswerQueue,
    /// Bytes received and not yet cut into requests.
    pub(crate) held: BytesMut,
    /// Reading is paused until `held` is worked off.
    paused: bool,
    /// The peer does not take its answers as fast as it asks.
    output_full: bool,
    /// The batches of a request are on the pool; what comes behind it must not overtake them.
    batches_away: bool,
    /// Its requests with batches that wait for room; while there are any it is not read.
    waiting_for_room: usize,
    pub(crate) course: Course,
    pub(crate) listener: ListenerId,
    pub(crate) host: Arc<str>,
}

impl Shard {
    pub(crate) fn accept(&mut self, connection: ConnectionId, peer: SocketAddr, listener: ListenerId) {
        self.connections.insert(
            connection,
            Connection {
                answers: AnswerQueue::new(self.limits.connection_requests_max),
                held: BytesMut::new(),
                paused: false,
                output_full: false,
                batches_away: false,
                waiting_for_room: 0,
                course: Course::default(),
                listener,
                host: format!("/{}", peer.ip()).into(),
            },
        );
    }

    pub(crate) fn receive(&mut self, id: ConnectionId, bytes: BytesMut) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.held.is_empty() {
            connection.held = bytes;
        } else {
            connection.held.extend_from_slice(&bytes);
        }
        self.drive(id);
    }

    pub(crate) fn output_full(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.output_full = true;
        }
    }

    pub(crate) fn output_drained(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.output_full = false;
            self.ready.push_back(id);
        }
    }

    pub(crate) fn closed(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Starts no further request of a connection until [`Shard::release`].
    pub(crate) fn hold(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.batches_away = true;
        }
    }

    /// Ends a [`Shard::hold`]; whoever concludes the request lets the next one start.
    pub(crate) fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.batches_away = false;
        }
    }

    /// Reads no further until as many [`Shard::go_on_reading`].
    pub(crate) fn stop_reading(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.waiting_for_room += 1;
            self.pause(id);
        }
    }

    /// Ends one [`Shard::stop_reading`]; whoever concludes the request lets the next one start.
    pub(crate) fn go_on_reading(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.waiting_for_room -= 1;
        }
    }

    /// Lets requests start that waited for the shard to serve.
    pub(crate) fn drive_all(&mut self) {
        self.ready.extend(self.connections.keys().copied());
    }

    /// Starts every request of a connection that may start now; stops at the first that may not.
    pub(crate) fn drive(&mut self, id: ConnectionId) {
        let frame_bytes_max = self.limits.request_bytes_max;
        let mut sent_bytes = 0;
        while let Some(connection) = self.connections.get(&id) {
            if connection.waiting_for_room > 0 {
                return self.pause(id);
            }
            if let Some(to) = self.destination(connection) {
                return if connection.answers.open_count() == 0 && !connection.batches_away {
                    self.hand_over(id, to)
                } else {
                    self.pause(id)
                };
            }
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let pace = router::pace(&connection.held);
            let whole = missing_bytes(&connection.held, frame_bytes_max) == 0;
            let may_start = self.life == Life::Serving
                && !connection.output_full
                && !connection.batches_away
                && connection.answers.admits(pace);
            if whole && !may_start {
                return self.pause(id);
            }
            if sent_bytes > self.view.limits.connection_output_bytes_max {
                // Whether the peer takes these answers is known by the next turn.
                self.ready.push_back(id);
                return self.pause(id);
            }
            match next_frame(&mut connection.held, frame_bytes_max) {
                Ok(Some(frame)) => {
                    let slot = router::expects_answer(&frame).then(|| connection.answers.open(pace));
                    let outcome = self.route(id, slot, frame);
                    sent_bytes += self.settle_outcome(id, slot, outcome);
                }
                Ok(None) => return self.read_on(id),
                Err(error) => return self.abandon(id, &error.to_string()),
            }
        }
    }

    /// Ends a request that had waited, and lets the next one of its connection start.
    pub(crate) fn conclude(&mut self, id: ConnectionId, slot: Option<Slot>, outcome: Outcome) {
        self.settle_outcome(id, slot, outcome);
        if self.connections.contains_key(&id) {
            self.ready.push_back(id);
        }
    }

    fn settle_outcome(&mut self, id: ConnectionId, slot: Option<Slot>, outcome: Outcome) -> usize {
        match outcome {
            Outcome::Later => 0,
            Outcome::Silent => 0,
            Outcome::Answer(answer) => self.fill(id, slot, answer),
            Outcome::Close(reason) => {
                self.abandon(id, &reason);
                0
            }
        }
    }

    fn fill(&mut self, id: ConnectionId, slot: Option<Slot>, answer: Answer) -> usize {
        let (Some(connection), Some(slot)) = (self.connections.get_mut(&id), slot) else {
            return 0;
        };
        let effects = &mut self.effects;
        let mut sent_bytes = 0;
        connection.answers.fill(slot, answer, |slice| {
            sent_bytes += slice.len();
            effects.send(id, slice);
        });
        sent_bytes
    }

    fn pause(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !connection.paused
        {
            connection.paused = true;
            self.effects.outputs.push(Output::PauseReading(id));
        }
    }

    fn read_on(&mut self, id: ConnectionId) {
        let frame_bytes_max = self.limits.request_bytes_max;
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !connection.held.is_empty() {
            let bytes = std::mem::take(&mut connection.held);
            let missing = missing_bytes(&bytes, frame_bytes_max);
            self.effects.keep(id, bytes, missing);
        }
        if std::mem::take(&mut connection.paused) {
            self.effects.outputs.push(Output::ResumeReading(id));
        }
    }

    /// Closes a connection that cannot go on; earlier answers still leave.
    pub(crate) fn abandon(&mut self, id: ConnectionId, reason: &str) {
        if let Some(connection) = self.connections.remove(&id) {
            tracing::info!(peer = %connection.host, reason, "closing a connection");
            self.effects.outputs.push(Output::CloseAfterSend(id));
        }
    }
}
