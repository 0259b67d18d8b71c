//! SyncGroup, versions 0 to 5. Static members from 3 (KIP-345), protocol type and name from 5 (KIP-559).

use bytes::Bytes;
use hallows_group_coordinator::{Answer, Request, Sync};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::sync_group_request::SyncGroupRequest;
use hallows_protocol::messages::sync_group_response::SyncGroupResponse;

use super::decode_or_close;
use super::groups::group_code;
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

/// From here on the protocol's type and name must be said.
const PROTOCOL_FROM: i16 = 5;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(SyncGroupRequest<'_>, context, body);
    if context.version >= PROTOCOL_FROM && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return answer(&context, &refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
    }
    let sync = Sync {
        group: request.group_id.to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(ToOwned::to_owned),
        protocol_type: request.protocol_type.map(ToOwned::to_owned),
        protocol: request.protocol_name.map(ToOwned::to_owned),
        assignments: request
            .assignments
            .iter()
            .map(|given| (given.member_id.to_owned(), Bytes::copy_from_slice(given.assignment)))
            .collect(),
    };
    let group = sync.group.clone();
    shard.ask_coordinator(
        context,
        Operation::Read,
        &group,
        Request::Sync(sync),
        |context, told| {
            let response = match told {
                Ok(Answer::Synced(Ok(synced))) => SyncGroupResponse {
                    protocol_type: synced.protocol_type,
                    protocol_name: synced.protocol,
                    assignment: synced.assignment,
                    ..SyncGroupResponse::default()
                },
                Ok(Answer::Synced(Err(error))) => refused(group_code(error)),
                Ok(_) => refused(ErrorCode::UNKNOWN_SERVER_ERROR),
                Err(code) => refused(code),
            };
            answer(context, &response)
        },
    )
}

fn refused(error_code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code,
        ..SyncGroupResponse::default()
    }
}
