//! DeleteGroups, versions 0 to 2 (KIP-229).

use hallows_group_coordinator::{Answer, Request};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use hallows_protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use super::decode_or_close;
use super::groups::{result_code, told};
use crate::context::{Operation, Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DeleteGroupsRequest<'_>, context, body);
    let mut wanted: Vec<(String, Option<ErrorCode>)> = Vec::new();
    let mut ops = Vec::new();
    for name in &request.groups_names {
        if wanted.iter().any(|(known, _)| known == name) {
            continue;
        }
        let group = (*name).to_owned();
        let refused = match shard.group_op(&context, Operation::Delete, name, Request::Delete { group }) {
            Ok(op) => {
                ops.push(op);
                None
            }
            Err(code) => Some(code),
        };
        wanted.push(((*name).to_owned(), refused));
    }
    shard.gather(context, ops, |_, context, answers| {
        let mut answers = answers.into_iter();
        let results = wanted
            .into_iter()
            .map(|(group_id, refused)| {
                let error_code = refused.unwrap_or_else(|| match told(answers.next().flatten()) {
                    Ok(Answer::Deleted(result)) => result_code(&result),
                    Ok(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
                    Err(code) => code,
                });
                DeletableGroupResult { group_id, error_code }
            })
            .collect();
        answer(
            &context,
            &DeleteGroupsResponse {
                throttle_time_ms: 0,
                results,
            },
        )
    })
}
