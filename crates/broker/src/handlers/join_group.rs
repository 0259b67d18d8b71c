//! JoinGroup, versions 0 to 9. Rebalance timeouts from 1, ids first from 4 (KIP-394), static members from 5 (KIP-345),
//! skipped assignments from 9 (KIP-814).

use bytes::Bytes;
use hallows_group_coordinator::{Answer, Join, Joined, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::join_group_request::JoinGroupRequest;
use hallows_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};

use super::decode_or_close;
use super::groups::group_code;
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

const REBALANCE_TIMEOUT_FROM: i16 = 1;
const MEMBER_ID_REQUIRED_FROM: i16 = 4;
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(JoinGroupRequest<'_>, context, body);
    let join = join(shard, &context, &request);
    let group = join.group.clone();
    let member_id = join.member_id.clone();
    shard.ask_coordinator(
        context,
        Operation::Read,
        &group,
        Request::Join(join),
        move |context, told| {
            let joined = match told {
                Ok(Answer::Joined(joined)) => response(context, joined),
                Ok(_) => refused(ErrorCode::UNKNOWN_SERVER_ERROR, member_id),
                Err(code) => refused(code, member_id),
            };
            answer(context, &joined)
        },
    )
}

fn join(shard: &mut Shard, context: &RequestContext, request: &JoinGroupRequest<'_>) -> Join {
    let rebalance_timeout_ms = if context.version >= REBALANCE_TIMEOUT_FROM {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    Join {
        group: request.group_id.to_owned(),
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(ToOwned::to_owned),
        client_id: context.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: context.client_host.to_string(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_owned(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.to_owned(), Bytes::copy_from_slice(protocol.metadata)))
            .collect(),
        member_id_required: context.version >= MEMBER_ID_REQUIRED_FROM,
        skip_assignment: context.version >= SKIP_ASSIGNMENT_FROM,
        unique: uuid_text(shard.random.uuid()),
    }
}

/// A UUID as Java prints it: groups of 8, 4, 4, 4 and 12 hexadecimal digits.
fn uuid_text(uuid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in uuid.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn refused(error_code: ErrorCode, member_id: String) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code,
        generation_id: -1,
        protocol_name: Some(String::new()),
        member_id,
        ..JoinGroupResponse::default()
    }
}

fn response(context: &RequestContext, joined: Joined) -> JoinGroupResponse {
    if let Some(error) = joined.error {
        let mut response = refused(group_code(error), joined.member_id);
        if context.version >= 7 {
            response.protocol_name = None;
        }
        return response;
    }
    let members = joined
        .members
        .into_iter()
        .map(|member| JoinGroupResponseMember {
            member_id: member.member_id,
            group_instance_id: member.instance_id,
            metadata: member.metadata,
        })
        .collect();
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::NONE,
        generation_id: joined.generation,
        protocol_type: joined.protocol_type,
        protocol_name: joined.protocol,
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id,
        members,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn member_ids_end_in_a_uuid_as_java_prints_it() {
        assert_eq!(super::uuid_text([0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
