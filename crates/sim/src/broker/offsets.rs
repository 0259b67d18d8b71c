//! Asking for committed offsets, and judging the answer.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use hallows_protocol::messages::offset_fetch_response::OffsetFetchResponse;

use super::Stage;
use super::book::Book;
use super::link::{Asked, Link};
use crate::checks::committed_offsets::Place;
use crate::random::Choose;
use crate::violation::Verdict;

/// The first version that asks for several groups.
const GROUPS_FROM: i16 = 8;

/// Asks what a group has committed for some places.
pub(super) fn ask(stage: &mut Stage<'_>, link: &mut Link, group: &str, places: &[Place]) {
    let version = [1, 3, 5, 7, 8, 9][stage.random.index(6)];
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (_, topic, index) in places {
        by_topic.entry(topic).or_default().push(*index);
    }
    let mut request = OffsetFetchRequest {
        topics: Some(Vec::new()),
        ..OffsetFetchRequest::default()
    };
    if version >= GROUPS_FROM {
        let topics = by_topic.iter().map(|(name, indexes)| OffsetFetchRequestTopics {
            name,
            partition_indexes: indexes.clone(),
            ..OffsetFetchRequestTopics::default()
        });
        request.groups.push(OffsetFetchRequestGroup {
            group_id: group,
            topics: Some(topics.collect()),
            ..OffsetFetchRequestGroup::default()
        });
    } else {
        let topics = by_topic.iter().map(|(name, indexes)| OffsetFetchRequestTopic {
            name,
            partition_indexes: indexes.clone(),
        });
        request.group_id = group;
        request.topics = Some(topics.collect());
    }
    link.send(stage, version, 0, &request);
}

/// Judges an answer; errors say nothing about offsets.
///
/// # Errors
/// An offset that cannot be.
pub(super) fn check(book: &Book, group: &str, asked: Asked, answer: &OffsetFetchResponse) -> Verdict {
    if answer.error_code != ErrorCode::NONE {
        return Ok(());
    }
    for topic in &answer.topics {
        for part in &topic.partitions {
            if part.error_code == ErrorCode::NONE {
                let place = (group.to_owned(), topic.name.clone(), part.partition_index);
                book.offsets.check(&place, part.committed_offset, asked.at)?;
            }
        }
    }
    for group in answer.groups.iter().filter(|group| group.error_code == ErrorCode::NONE) {
        for topic in &group.topics {
            for part in &topic.partitions {
                if part.error_code == ErrorCode::NONE {
                    let place = (group.group_id.clone(), topic.name.clone(), part.partition_index);
                    book.offsets.check(&place, part.committed_offset, asked.at)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether an answer says anything at all.
pub(super) fn is_answer(answer: &OffsetFetchResponse) -> bool {
    let errors = answer.groups.iter().map(|group| group.error_code);
    std::iter::once(answer.error_code)
        .chain(errors)
        .all(|error| error == ErrorCode::NONE)
}
