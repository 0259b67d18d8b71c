//! DeleteTopics, versions 1 to 6: by name, and by id from version 6 on (KIP-516).

use std::collections::{BTreeMap, BTreeSet};

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use hallows_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use hallows_types::TopicId;

use super::admin::ItemResult;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::{AdminAnswer, Propose};
use crate::metadata::{Command, Image};
use crate::response::answer;
use crate::shard::Shard;

/// A topic to delete: by name, or by id where the name is `None`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Target {
    name: Option<String>,
    id: TopicId,
    refused: Option<ErrorCode>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DeleteTopicsRequest<'_>, context, body);
    let named = request.topic_names.iter().map(|name| (Some(*name), TopicId::ZERO));
    let listed = request.topics.iter().map(|topic| (topic.name, topic.topic_id));
    let wanted: Vec<(Option<&str>, TopicId)> = named.chain(listed).collect();
    let mut times = BTreeMap::new();
    for target in &wanted {
        *times.entry(*target).or_insert(0) += 1;
    }
    let mut targets: Vec<Target> = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, id) in wanted {
        // What stands twice is refused once, and what names nothing each time.
        if is_target(name, id) && !seen.insert((name, id)) {
            continue;
        }
        let refused = check(shard, &context, name, id, times[&(name, id)]);
        targets.push(Target {
            name: name.map(ToOwned::to_owned),
            id,
            refused,
        });
    }
    let count = targets.len();
    let propose = propose(targets.clone());
    let before = std::sync::Arc::clone(&shard.image);
    let deadline = shard.change_deadline(request.timeout_ms);
    shard.change(context, count, deadline, propose, move |_, context, results| {
        let responses = targets
            .into_iter()
            .zip(results)
            .map(|(target, result)| deleted(&before, target, result))
            .collect();
        answer(
            &context,
            &DeleteTopicsResponse {
                throttle_time_ms: 0,
                responses,
            },
        )
    })
}

/// Whether exactly one of name and id is there.
fn is_target(name: Option<&str>, id: TopicId) -> bool {
    name.is_some() == (id == TopicId::ZERO)
}

fn check(shard: &Shard, context: &RequestContext, name: Option<&str>, id: TopicId, times: u32) -> Option<ErrorCode> {
    if times > 1 || !is_target(name, id) {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    if !shard.config.delete_topics {
        return Some(ErrorCode::TOPIC_DELETION_DISABLED);
    }
    let known = name.or_else(|| shard.image.topic_by_id(id).map(|topic| &*topic.name));
    known.and_then(|name| context.authorize(Operation::Delete, Resource::Topic(name)).err())
}

fn propose(targets: Vec<Target>) -> Propose {
    Box::new(move |image, _| {
        let mut commands = Vec::new();
        let results = targets
            .into_iter()
            .map(|target| {
                if let Some(code) = target.refused {
                    return ItemResult::refusal(code);
                }
                let found = match &target.name {
                    Some(name) => image.topic(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                    None => image.topic_by_id(target.id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID),
                };
                match found {
                    Ok(topic) => {
                        commands.push(Command::DeleteTopic { id: topic.id });
                        ItemResult::OK
                    }
                    Err(code) => ItemResult::refusal(code),
                }
            })
            .collect();
        (commands, AdminAnswer::Items(results))
    })
}

fn deleted(before: &Image, target: Target, result: ItemResult) -> DeletableTopicResult {
    let topic = match &target.name {
        // A refused target is told by what the request called it, and no more.
        _ if target.refused == Some(ErrorCode::INVALID_REQUEST) => None,
        _ if result.code == ErrorCode::REQUEST_TIMED_OUT => None,
        Some(name) => before.topic(name),
        None => before.topic_by_id(target.id),
    };
    DeletableTopicResult {
        name: target.name.or_else(|| topic.map(|topic| topic.name.to_string())),
        topic_id: topic.map_or(target.id, |topic| topic.id),
        error_code: result.code,
        error_message: result.message,
    }
}
