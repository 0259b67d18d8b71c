//! FindCoordinator, versions 0 to 6; batched from version 4 on (KIP-699).
//!
//! Creates `__consumer_offsets` when it is first needed. Deliberately missing: coordinators of transactions and of
//! share groups, which are refused with INVALID_REQUEST, a code that no client retries.

use std::sync::Arc;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use hallows_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use hallows_types::Monotonic;

use super::create_topics::propose;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::metadata::OFFSETS_TOPIC;
use crate::response::answer;
use crate::shard::Shard;

/// The kind of coordinator that keeps groups.
const GROUP: i8 = 0;
const BATCHED_FROM: i16 = 4;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(FindCoordinatorRequest<'_>, context, body);
    let keys: Vec<String> = if context.version >= BATCHED_FROM {
        request.coordinator_keys.iter().map(|key| (*key).to_owned()).collect()
    } else {
        vec![request.key.to_owned()]
    };
    if keys.len() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max keys".to_owned());
    }
    let kind = request.key_type;
    if kind != GROUP || shard.image.topic(OFFSETS_TOPIC).is_some() {
        return respond(shard, &context, kind, &keys, None);
    }
    let topic = shard.auto_topic(OFFSETS_TOPIC);
    let propose = propose(Arc::clone(&shard.config), vec![topic], false);
    shard.change(context, 1, Monotonic::NEVER, propose, move |shard, context, results| {
        let why = results.into_iter().find_map(|result| result.message);
        respond(shard, &context, kind, &keys, why.as_deref())
    })
}

/// `why` says why there are no groups yet, where that is so.
fn respond(shard: &Shard, context: &RequestContext, kind: i8, keys: &[String], why: Option<&str>) -> Outcome {
    let found = keys.iter().map(|key| coordinator(shard, context, kind, key));
    let mut coordinators: Vec<Coordinator> = found
        .map(|found| match found.error_code {
            ErrorCode::COORDINATOR_NOT_AVAILABLE => Coordinator {
                error_message: why.map(ToOwned::to_owned),
                ..found
            },
            _ => found,
        })
        .collect();
    if context.version >= BATCHED_FROM {
        return answer(
            context,
            &FindCoordinatorResponse {
                coordinators,
                ..FindCoordinatorResponse::default()
            },
        );
    }
    let found = coordinators.pop().unwrap_or_default();
    let response = FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message.or_else(|| Some("NONE".to_owned())),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    };
    answer(context, &response)
}

fn coordinator(shard: &Shard, context: &RequestContext, kind: i8, key: &str) -> Coordinator {
    let checked = match kind {
        GROUP => context
            .authorize(Operation::Describe, Resource::Group(key))
            .and_then(|()| shard.coordinator_partition(key).map(|_| ())),
        _ => Err(ErrorCode::INVALID_REQUEST),
    };
    if let Err(error_code) = checked {
        let error_message = match error_code {
            ErrorCode::INVALID_REQUEST => Some("Only coordinators of groups are served.".to_owned()),
            _ => None,
        };
        let key = key.to_owned();
        return Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message,
            ..Coordinator::default()
        };
    }
    let advertised = &shard.identity.advertised[usize::from(context.listener.0)];
    Coordinator {
        key: key.to_owned(),
        node_id: shard.identity.node_id,
        host: advertised.host.to_string(),
        port: i32::from(advertised.port),
        error_code: ErrorCode::NONE,
        error_message: (context.version >= BATCHED_FROM).then(String::new),
    }
}
