//! Heartbeat, versions 0 to 4. Static members from 3 (KIP-345).

use hallows_group_coordinator::{Answer, Heartbeat, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::heartbeat_request::HeartbeatRequest;
use hallows_protocol::messages::heartbeat_response::HeartbeatResponse;

use super::decode_or_close;
use super::groups::result_code;
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(HeartbeatRequest<'_>, context, body);
    let heartbeat = Heartbeat {
        group: request.group_id.to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(ToOwned::to_owned),
    };
    let group = heartbeat.group.clone();
    shard.ask_coordinator(
        context,
        Operation::Read,
        &group,
        Request::Heartbeat(heartbeat),
        |context, told| {
            let error_code = match told {
                Ok(Answer::Heartbeat(result)) => result_code(&result),
                Ok(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
                Err(code) => code,
            };
            answer(
                context,
                &HeartbeatResponse {
                    throttle_time_ms: 0,
                    error_code,
                },
            )
        },
    )
}
