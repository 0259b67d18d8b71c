//! LeaveGroup, versions 0 to 5; several members, also static ones, from 3 on (KIP-345).

use hallows_group_coordinator::{Answer, GroupError, Leave, LeavingMember, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::leave_group_request::LeaveGroupRequest;
use hallows_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use super::decode_or_close;
use super::groups::{group_code, result_code};
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

const BATCHED_FROM: i16 = 3;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(LeaveGroupRequest<'_>, context, body);
    let members: Vec<LeavingMember> = if context.version >= BATCHED_FROM {
        let leaving = |member: &hallows_protocol::messages::leave_group_request::MemberIdentity<'_>| LeavingMember {
            member_id: member.member_id.to_owned(),
            instance_id: member.group_instance_id.map(ToOwned::to_owned),
        };
        request.members.iter().map(leaving).collect()
    } else {
        vec![LeavingMember {
            member_id: request.member_id.to_owned(),
            instance_id: None,
        }]
    };
    let leave = Leave {
        group: request.group_id.to_owned(),
        members: members.clone(),
    };
    let group = leave.group.clone();
    shard.ask_coordinator(
        context,
        Operation::Read,
        &group,
        Request::Leave(leave),
        move |context, told| answer(context, &response(context.version, members, told)),
    )
}

fn response(version: i16, members: Vec<LeavingMember>, told: Result<Answer, ErrorCode>) -> LeaveGroupResponse {
    let results = match told {
        Ok(Answer::Left(Ok(results))) => results,
        // In a group that nobody knows, every member is unknown (KIP-345).
        Ok(Answer::Left(Err(GroupError::UnknownMemberId))) if version >= BATCHED_FROM => {
            members.iter().map(|_| Err(GroupError::UnknownMemberId)).collect()
        }
        Ok(Answer::Left(Err(error))) => return refused(group_code(error)),
        Ok(_) => return refused(ErrorCode::UNKNOWN_SERVER_ERROR),
        Err(code) => return refused(code),
    };
    if version < BATCHED_FROM {
        return refused(results.first().map_or(ErrorCode::NONE, result_code));
    }
    let members = members
        .into_iter()
        .zip(results)
        .map(|(member, result)| MemberResponse {
            member_id: member.member_id,
            group_instance_id: member.instance_id,
            error_code: result_code(&result),
        })
        .collect();
    LeaveGroupResponse {
        members,
        ..LeaveGroupResponse::default()
    }
}

fn refused(error_code: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse {
        error_code,
        ..LeaveGroupResponse::default()
    }
}
