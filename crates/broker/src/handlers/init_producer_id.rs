//! InitProducerId, versions 0 to 5: ids for idempotent producers (KIP-98, KIP-360).
//!
//! Deliberately missing: transactions. A transactional id is refused with INVALID_REQUEST, a code that no client
//! retries; version 6 belongs to two-phase commit (KIP-939).

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::init_producer_id_request::InitProducerIdRequest;
use hallows_protocol::messages::init_producer_id_response::InitProducerIdResponse;
use hallows_types::Monotonic;

use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::{AdminAnswer, AdminOp};
use crate::errors::append_code;
use crate::metadata::Command;
use crate::op::{Op, OpAnswer};
use crate::producer_ids::BLOCK_IDS;
use crate::response::answer;
use crate::shard::Shard;

/// "No id yet" and "no epoch yet".
const NONE: (i64, i16) = (-1, -1);

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(InitProducerIdRequest<'_>, context, body);
    if request.transactional_id.is_some() {
        return refuse(&context, ErrorCode::INVALID_REQUEST);
    }
    if let Err(code) = context.authorize(Operation::Write, Resource::Cluster) {
        return refuse(&context, code);
    }
    // KIP-360 lets a producer keep its id with a higher epoch; for one without transactions Kafka gives a new id.
    if (request.producer_id == NONE.0) != (request.producer_epoch == NONE.1) {
        return refuse(&context, ErrorCode::INVALID_REQUEST);
    }
    give(shard, context)
}

fn give(shard: &mut Shard, context: RequestContext) -> Outcome {
    match shard.producer_ids.take() {
        Some(id) => answer(&context, &response(ErrorCode::NONE, id, 0)),
        None => refill(shard, context),
    }
}

fn refill(shard: &mut Shard, context: RequestContext) -> Outcome {
    let propose = Box::new(|image: &crate::metadata::Image, _: &mut hallows_runtime::Random| {
        let first = image.next_producer_id;
        let end = first + BLOCK_IDS;
        (
            vec![Command::AllocateProducerIds { next: end }],
            AdminAnswer::ProducerIds { first, end },
        )
    });
    let op = Op::Admin(Box::new(AdminOp {
        propose,
        deadline: Monotonic::NEVER,
    }));
    shard.gather(context, vec![op], |shard, context, answers| {
        match answers.into_iter().next().flatten() {
            Some(OpAnswer::Admin(told)) => match *told {
                AdminAnswer::ProducerIds { first, end } => {
                    shard.producer_ids.refill(first, end);
                    give(shard, context)
                }
                AdminAnswer::NotCommitted(failure) => refuse(&context, append_code(&failure)),
                AdminAnswer::Items(_) | AdminAnswer::TimedOut => refuse(&context, ErrorCode::UNKNOWN_SERVER_ERROR),
            },
            _ => refuse(&context, ErrorCode::UNKNOWN_SERVER_ERROR),
        }
    })
}

fn refuse(context: &RequestContext, code: ErrorCode) -> Outcome {
    answer(context, &response(code, NONE.0, NONE.1))
}

fn response(error_code: ErrorCode, producer_id: i64, producer_epoch: i16) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code,
        producer_id,
        producer_epoch,
        ..InitProducerIdResponse::default()
    }
}
