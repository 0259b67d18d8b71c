//! Requests that wait for answers of several owners: rows that are finished by a function of the answers.
//!
//! A row has no deadline: an owner that must not begin a part any more says so, and what it has begun is waited for.

use hallows_types::ShardId;

use crate::context::{Outcome, RequestContext};
use crate::controller::{CONTROLLER, METADATA_PARTITION};
use crate::follow::Owners;
use crate::message::{Body, Message};
use crate::op::{Op, OpAnswer, ReplyRow, ReplyTo};
use crate::rows::RowKey;
use crate::shard::Shard;

/// The answers of a request's parts in their order; `None` only while they are missing.
pub(crate) type Answers = Vec<Option<OpAnswer>>;

/// Turns the answers into the request's answer, or asks for more.
pub(crate) type Finish = Box<dyn FnOnce(&mut Shard, RequestContext, Answers) -> Outcome + Send>;

/// One request that waits.
pub(crate) struct Gather {
    context: RequestContext,
    answers: Answers,
    missing: usize,
    finish: Finish,
    /// Set while the parts are being started, so that early answers do not finish the row under the starter's feet.
    starting: bool,
    /// A part waits for room, so its connection is not read.
    waits_for_room: bool,
}

impl Shard {
    /// Starts `ops`, each on its owner, and finishes the request with their answers:
    /// at once when all are known, otherwise when the last one comes.
    pub(crate) fn gather(
        &mut self,
        context: RequestContext,
        ops: Vec<Op>,
        finish: impl FnOnce(&mut Self, RequestContext, Answers) -> Outcome + Send + 'static,
    ) -> Outcome {
        let count = ops.len();
        let row = self.gathers.insert(Gather {
            context,
            answers: std::iter::repeat_with(|| None).take(count).collect(),
            missing: count,
            finish: Box::new(finish),
            starting: true,
            waits_for_room: false,
        });
        let mut owners = Owners::default();
        for (part, op) in (0..).zip(ops) {
            let owner = self.owner(&op);
            owners.add(&op, owner);
            self.dispatch_to(
                owner,
                Some(ReplyTo {
                    shard: self.id,
                    row: ReplyRow::Gather(row),
                    part,
                }),
                op,
            );
        }
        let gather = self
            .gathers
            .get_mut(row)
            .expect("a row that is starting is never removed");
        // Nobody waits for the end of a request without an answer, so it must not be overtaken by a move.
        let (connection, is_answered) = (gather.context.connection, gather.context.slot.is_some());
        gather.starting = false;
        let missing = gather.missing;
        self.note_course(connection, if is_answered { owners } else { Owners::Several });
        if missing == 0 {
            return self.gather_finish(row);
        }
        Outcome::Later
    }

    /// Runs an op here, or sends it to its owner at the end of the turn.
    pub(crate) fn dispatch(&mut self, reply: Option<ReplyTo>, op: Op) {
        let owner = self.owner(&op);
        self.dispatch_to(owner, reply, op);
    }

    fn dispatch_to(&mut self, owner: ShardId, reply: Option<ReplyTo>, op: Op) {
        if owner == self.id {
            self.perform(reply, op);
        } else {
            self.asks[usize::from(owner.0)].push((reply, op));
        }
    }

    /// The shard that owns an op's subject; this one when the subject does not exist, which then says so.
    fn owner(&self, op: &Op) -> ShardId {
        match op {
            // No topic of the image: the log that the image is made of.
            Op::Partition(METADATA_PARTITION, _) => CONTROLLER,
            Op::Partition(id, _) => self
                .image
                .topic_by_id(id.topic)
                .and_then(|topic| topic.shard(id.index))
                .unwrap_or(self.id),
            Op::Fetch(fetch) => fetch
                .session_shard(self.shard_count)
                .unwrap_or_else(|| self.home_of(fetch)),
            Op::Admin(_) => CONTROLLER,
            Op::ListGroups(list) => list.shard,
        }
    }

    /// Delivers an answer to the row that waits for it, wherever it is.
    pub(crate) fn tell(&mut self, reply: Option<ReplyTo>, answer: OpAnswer) {
        let Some(reply) = reply else { return };
        if reply.shard != self.id {
            self.tells[usize::from(reply.shard.0)].push((reply, answer));
            return;
        }
        let row = match (reply.row, answer) {
            (ReplyRow::Gather(row), OpAnswer::Waits) => return self.gather_waits_for_room(row),
            (ReplyRow::Gather(row), answer) => return self.gather_told(row, reply.part, answer),
            (ReplyRow::Poll(row), OpAnswer::Read(answer)) => return self.poll_told(row, reply.part, answer),
            (ReplyRow::Poll(row), _) => row,
        };
        unreachable!("a fetch asks for reads only, and row {row:?} got something else");
    }

    /// Reads its connection no further: what the client sends behind it would wait in memory as well.
    fn gather_waits_for_room(&mut self, row: RowKey) {
        if let Some(gather) = self.gathers.get_mut(row)
            && !std::mem::replace(&mut gather.waits_for_room, true)
        {
            let connection = gather.context.connection;
            self.stop_reading(connection);
        }
    }

    fn gather_told(&mut self, row: RowKey, part: u32, answer: OpAnswer) {
        let Some(gather) = self.gathers.get_mut(row) else {
            return;
        };
        let place = &mut gather.answers[part as usize];
        if place.is_some() {
            return;
        }
        *place = Some(answer);
        gather.missing -= 1;
        if gather.missing == 0 && !gather.starting {
            self.gather_complete(row);
        }
    }

    fn gather_complete(&mut self, row: RowKey) {
        let to = self
            .gathers
            .get_mut(row)
            .map(|gather| (gather.context.connection, gather.context.slot));
        let outcome = self.gather_finish(row);
        if let Some((connection, slot)) = to {
            self.conclude(connection, slot, outcome);
        }
    }

    fn gather_finish(&mut self, row: RowKey) -> Outcome {
        let Some(gather) = self.gathers.remove(row) else {
            return Outcome::Later;
        };
        if gather.waits_for_room {
            self.go_on_reading(gather.context.connection);
        }
        (gather.finish)(self, gather.context, gather.answers)
    }

    /// Sends what was collected for other shards during this turn.
    pub(crate) fn flush_messages(&mut self) {
        for (index, shard) in (0..self.shard_count).map(|index| (usize::from(index), ShardId(index))) {
            if !self.asks[index].is_empty() {
                let asks = std::mem::take(&mut self.asks[index]);
                self.effects.message(shard, Message(Body::Ask(asks)));
            }
            if !self.tells[index].is_empty() {
                let tells = std::mem::take(&mut self.tells[index]);
                self.effects.message(shard, Message(Body::Tell(tells)));
            }
        }
    }
}
