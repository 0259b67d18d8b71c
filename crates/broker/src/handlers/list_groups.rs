//! ListGroups, versions 0 to 5. Filter by state from 4 (KIP-518), by type from 5 (KIP-848).

use hallows_protocol::messages::list_groups_request::ListGroupsRequest;
use hallows_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use hallows_types::ShardId;

use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::coordinator::{GroupAnswer, ListGroupsOp};
use crate::op::{Op, OpAnswer};
use crate::response::answer;
use crate::shard::Shard;

/// The only type of group there is, as clients call it.
const CLASSIC: &str = "classic";

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ListGroupsRequest<'_>, context, body);
    let states: Vec<String> = request.states_filter.iter().map(|state| state.to_lowercase()).collect();
    let has_type = |kind: &&str| kind.eq_ignore_ascii_case(CLASSIC);
    let none_wanted = !request.types_filter.is_empty() && !request.types_filter.iter().any(has_type);
    let shards = if none_wanted { 0 } else { shard.shard_count };
    let ops = (0..shards)
        .map(|index| Op::ListGroups(ListGroupsOp { shard: ShardId(index) }))
        .collect();
    shard.gather(context, ops, move |_, context, answers| {
        let mut groups = Vec::new();
        for told in answers.into_iter().flatten() {
            let OpAnswer::Group(told) = told else { continue };
            let GroupAnswer::Listed(listed) = *told else { continue };
            groups.extend(listed.into_iter().filter(|group| {
                let state = group.state.name().to_lowercase();
                (states.is_empty() || states.contains(&state))
                    && context
                        .authorize(Operation::Describe, Resource::Group(&group.group))
                        .is_ok()
            }));
        }
        let groups = groups
            .into_iter()
            .map(|group| ListedGroup {
                group_id: group.group,
                protocol_type: group.protocol_type,
                group_state: group.state.name().to_owned(),
                group_type: CLASSIC.to_owned(),
            })
            .collect();
        answer(
            &context,
            &ListGroupsResponse {
                groups,
                ..ListGroupsResponse::default()
            },
        )
    })
}
