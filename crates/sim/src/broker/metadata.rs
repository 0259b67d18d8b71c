//! What Metadata must say: topics whose creation was answered are there, deleted ones are not, ids never change.
//!
//! Source: DESIGN 5, metadata is a log of commands, answered once they are durable and every shard has them; KIP-516.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use hallows_types::TopicId;

use super::book::{Book, Existence, Topic};
use crate::violation::{Verdict, Violation, ensure};

const NAME: &str = "metadata says what is there";

/// What was known when Metadata was asked.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// Topics that were there, and their certain partitions.
    there: BTreeMap<u32, i32>,
    gone: Vec<u32>,
}

impl Before {
    /// What is known now.
    pub(super) fn now(book: &Book) -> Self {
        let having = |existence| {
            book.topics
                .iter()
                .filter(move |(_, topic)| topic.existence == existence)
        };
        Self {
            there: having(Existence::Exists)
                .map(|(number, topic)| (*number, topic.count.certain))
                .collect(),
            gone: having(Existence::Gone).map(|(number, _)| *number).collect(),
        }
    }

    /// Judges an answer, and notes topics whose creation had not been answered: they are committed, and yet a shard that
    /// has not installed them may not tell of them. Only an answered change is one that every shard has.
    ///
    /// # Errors
    /// A topic that is missing, or back, or another.
    pub(super) fn check(&self, book: &mut Book, answer: &MetadataResponse) -> Verdict {
        let told = topics(book, answer);
        for (number, partitions) in &self.there {
            let Some(topic) = book.topics.get(number).filter(|topic| topic.is_promised()) else {
                continue;
            };
            let Some(found) = told.get(number) else {
                return Err(Violation::new(NAME, format!("{} is missing", topic.name)));
            };
            check_one(topic, found)?;
            let count = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
            ensure!(
                NAME,
                count >= *partitions,
                "{} has {count} partitions, {partitions} were made",
                topic.name
            );
        }
        for number in &self.gone {
            let topic = &book.topics[number];
            let back = told.contains_key(number) || answer.topics.iter().any(|found| is_of(topic, found));
            ensure!(NAME, !back, "{} is there although it was deleted", topic.name);
        }
        for (number, found) in told {
            let Some(topic) = book.topics.get_mut(&number) else {
                continue;
            };
            if topic.existence == Existence::Creating {
                topic.seen = Some(found.topic_id);
            } else if topic.existence == Existence::Exists && topic.id == TopicId::ZERO {
                topic.id = found.topic_id;
            }
        }
        Ok(())
    }
}

/// Whether an answer tells of this topic, by its id.
fn is_of(topic: &Topic, found: &MetadataResponseTopic) -> bool {
    topic.id != TopicId::ZERO && found.topic_id == topic.id && found.error_code == ErrorCode::NONE
}

/// The topics of an answer that are there; internal ones left out.
fn there(answer: &MetadataResponse) -> impl Iterator<Item = (&str, &MetadataResponseTopic)> {
    let there = answer.topics.iter();
    there
        .filter(|topic| topic.error_code == ErrorCode::NONE && !topic.is_internal)
        .filter_map(|topic| Some((topic.name.as_deref()?, topic)))
}

/// The topics of an answer that are there, by the numbers of those that got their names last.
pub(super) fn topics<'a>(book: &Book, answer: &'a MetadataResponse) -> BTreeMap<u32, &'a MetadataResponseTopic> {
    there(answer)
        .filter_map(|(name, topic)| Some((book.topic_named(name)?, topic)))
        .collect()
}

/// A topic of an answer whose name nobody ever gave.
pub(super) fn unknown<'a>(book: &Book, answer: &'a MetadataResponse) -> Option<&'a str> {
    let mut names = there(answer).map(|(name, _)| name);
    names.find(|name| book.topic_named(name).is_none())
}

/// Whether an answer tells the same id and epoch as all others in this life of the machine.
///
/// # Errors
/// When it does not.
pub(super) fn check_one(topic: &Topic, found: &MetadataResponseTopic) -> Verdict {
    let (name, id) = (&topic.name, topic.id);
    ensure!(
        NAME,
        id == TopicId::ZERO || found.topic_id == TopicId::ZERO || found.topic_id == id,
        "{name} had id {id} and has id {}",
        found.topic_id
    );
    let other = found
        .partitions
        .iter()
        .map(|partition| partition.leader_epoch)
        .find(|epoch| topic.epoch.is_some_and(|known| known != *epoch));
    ensure!(
        NAME,
        other.is_none(),
        "{name} has leader epoch {:?} and {other:?}",
        topic.epoch
    );
    Ok(())
}
