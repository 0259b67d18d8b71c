//! Connections follow their partitions.
//!
//! A request for another shard costs two wake-ups of sleeping cores, more than all its work. A connection whose
//! requests all go to one other shard (`connection.follow.requests` of them) is therefore handed to that shard, between
//! two requests.
//! The pump leaves it here when the other shard's core is busy: then the two cores together do more than one.

use hallows_runtime::{ConnectionId, Output};
use hallows_types::ShardId;

use crate::connection::Connection;
use crate::controller::METADATA_PARTITION;
use crate::op::Op;
use crate::shard::{Life, Shard};

/// Where a connection's requests have gone lately.
#[derive(Default)]
pub(crate) struct Course {
    shard: Option<ShardId>,
    /// Requests in a row for `shard`.
    requests: u32,
}

impl Course {
    fn note(&mut self, shard: Option<ShardId>) {
        if self.shard == shard {
            self.requests = self.requests.saturating_add(1);
        } else {
            *self = Self { shard, requests: 1 };
        }
    }

    /// The shard to go to, after so many requests for it.
    fn destination(&self, after: u32) -> Option<ShardId> {
        self.shard.filter(|_| after > 0 && self.requests >= after)
    }
}

/// The owners of a request's parts, as far as they say where its connection belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Owners {
    /// None that counts: the controller is needed now and then and by everyone.
    #[default]
    Nobody,
    /// One shard.
    One(ShardId),
    /// Several.
    Several,
}

impl Owners {
    /// Counts the owner of one more part.
    pub(crate) fn add(&mut self, op: &Op, owner: ShardId) {
        if matches!(
            op,
            Op::Admin(_) | Op::ListGroups(_) | Op::Partition(METADATA_PARTITION, _)
        ) {
            return;
        }
        *self = match *self {
            Self::Nobody => Self::One(owner),
            Self::One(before) if before == owner => *self,
            _ => Self::Several,
        };
    }
}

impl Shard {
    /// Notes where a request of a connection went.
    pub(crate) fn note_course(&mut self, id: ConnectionId, owners: Owners) {
        let shard = match owners {
            Owners::Nobody => return,
            Owners::One(shard) => Some(shard).filter(|shard| *shard != self.id),
            Owners::Several => None,
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.course.note(shard);
        }
    }

    /// Where a connection should go, if anywhere; it starts no further request here.
    pub(crate) fn destination(&self, connection: &Connection) -> Option<ShardId> {
        let after = self.config.connection_follow_requests;
        connection
            .course
            .destination(after)
            .filter(|_| self.life == Life::Serving)
    }

    /// Gives up a connection without unanswered requests.
    pub(crate) fn hand_over(&mut self, id: ConnectionId, to: ShardId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.effects.outputs.push(Output::HandOver {
                connection: id,
                to,
                received: connection.held,
            });
        }
    }
}
