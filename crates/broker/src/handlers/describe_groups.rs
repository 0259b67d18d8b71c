//! DescribeGroups, versions 0 to 6. An unknown group is `Dead` up to version 5 and GROUP_ID_NOT_FOUND from 6 (KIP-1043).

use hallows_group_coordinator::{Answer, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use hallows_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::admin::{GROUP_OPERATIONS, OPERATIONS_UNKNOWN};
use super::decode_or_close;
use super::groups::{group_code, told};
use crate::context::{Operation, Outcome, RequestContext};
use crate::op::OpAnswer;
use crate::response::answer;
use crate::shard::Shard;

const NOT_FOUND_FROM: i16 = 6;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeGroupsRequest<'_>, context, body);
    let with_operations = request.include_authorized_operations;
    let mut wanted = Vec::new();
    let mut ops = Vec::new();
    for group in &request.groups {
        let describe = Request::Describe {
            group: (*group).to_owned(),
        };
        let refused = match shard.group_op(&context, Operation::Describe, group, describe) {
            Ok(op) => {
                ops.push(op);
                None
            }
            Err(code) => Some(code),
        };
        wanted.push(((*group).to_owned(), refused));
    }
    shard.gather(context, ops, move |_, context, answers| {
        let mut answers = answers.into_iter();
        let groups = wanted
            .into_iter()
            .map(|(group, refused)| match refused {
                Some(code) => failed(group, code),
                None => described(&context, group, with_operations, answers.next().flatten()),
            })
            .collect();
        answer(
            &context,
            &DescribeGroupsResponse {
                throttle_time_ms: 0,
                groups,
            },
        )
    })
}

fn described(
    context: &RequestContext,
    group_id: String,
    with_operations: bool,
    answer: Option<OpAnswer>,
) -> DescribedGroup {
    let found = match told(answer) {
        Ok(Answer::Described(Ok(found))) => found,
        Ok(Answer::Described(Err(error))) => return failed(group_id, group_code(error)),
        Ok(_) => return failed(group_id, ErrorCode::UNKNOWN_SERVER_ERROR),
        Err(code) => return failed(group_id, code),
    };
    let Some(found) = found else {
        return unknown(context, group_id, with_operations);
    };
    let members = found
        .members
        .into_iter()
        .map(|member| DescribedGroupMember {
            member_id: member.member_id,
            group_instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            member_metadata: member.metadata,
            member_assignment: member.assignment,
        })
        .collect();
    DescribedGroup {
        group_id,
        group_state: found.state.name().to_owned(),
        protocol_type: found.protocol_type,
        protocol_data: found.protocol,
        members,
        authorized_operations: operations(with_operations),
        ..DescribedGroup::default()
    }
}

fn unknown(context: &RequestContext, group_id: String, with_operations: bool) -> DescribedGroup {
    let base = DescribedGroup {
        group_state: "Dead".to_owned(),
        authorized_operations: operations(with_operations),
        ..DescribedGroup::default()
    };
    if context.version < NOT_FOUND_FROM {
        return DescribedGroup { group_id, ..base };
    }
    let error_message = Some(format!("Group {group_id} not found."));
    DescribedGroup {
        error_code: ErrorCode::GROUP_ID_NOT_FOUND,
        error_message,
        group_id,
        ..base
    }
}

const fn operations(wanted: bool) -> i32 {
    if wanted { GROUP_OPERATIONS } else { OPERATIONS_UNKNOWN }
}

fn failed(group_id: String, error_code: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        error_code,
        group_id,
        authorized_operations: OPERATIONS_UNKNOWN,
        ..DescribedGroup::default()
    }
}
