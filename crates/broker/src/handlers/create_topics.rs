//! CreateTopics, versions 2 to 7.
//!
//! Partial results per topic; -1 partitions or replicas mean the broker's default (KIP-464); settings are checked before
//! anything is created; version 5 returns the created topic's settings, version 7 its id.
//! Deliberately missing: more than one replica, and assignments to other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hallows_config::{BrokerConfig, TopicOverrides, describe_topic};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use hallows_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use hallows_types::TopicId;

use super::admin::{ItemResult, check_topic_name};
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::AdminAnswer;
use crate::metadata::{Command, Image};
use crate::response::answer;
use crate::shard::Shard;

/// A topic somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// As asked; -1 for the broker's default.
    pub(crate) partitions: i32,
    /// Settings as asked.
    pub(crate) config: BTreeMap<String, String>,
    /// Why it may not be asked for at all.
    pub(crate) refused: Option<ItemResult>,
    /// What is wrong with its settings or replicas; told only of a name that could be created.
    pub(crate) invalid: Option<ItemResult>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(CreateTopicsRequest<'_>, context, body);
    let mut seen = BTreeSet::new();
    // A name that stands twice is refused once.
    let wanted: Vec<NewTopic> = request
        .topics
        .iter()
        .filter(|topic| seen.insert(topic.name))
        .map(|topic| new_topic(shard, &context, &request, topic))
        .collect();
    let count = wanted.len();
    let names: Vec<NewTopic> = wanted.clone();
    let validate_only = request.validate_only;
    let propose = propose(Arc::clone(&shard.config), wanted, validate_only);
    let deadline = shard.change_deadline(request.timeout_ms);
    shard.change(context, count, deadline, propose, move |shard, context, results| {
        finish(shard, &context, &names, results)
    })
}

fn new_topic(
    shard: &Shard,
    context: &RequestContext,
    request: &CreateTopicsRequest<'_>,
    topic: &CreatableTopic<'_>,
) -> NewTopic {
    let duplicates = request.topics.iter().filter(|other| other.name == topic.name).count();
    let mut partitions = topic.num_partitions;
    let mut config = BTreeMap::new();
    let refused = if duplicates > 1 {
        Some(ItemResult::error(ErrorCode::INVALID_REQUEST, "Duplicate topic name."))
    } else {
        let denied = context.authorize(Operation::Create, Resource::Topic(topic.name)).err();
        denied.map(|code| ItemResult { code, message: None })
    };
    let invalid = collect_config(topic, &mut config)
        .and_then(|()| check_replicas(shard, topic, &mut partitions))
        .err();
    NewTopic {
        name: topic.name.to_owned(),
        partitions,
        config,
        refused,
        invalid,
    }
}

fn check_replicas(shard: &Shard, topic: &CreatableTopic<'_>, partitions: &mut i32) -> Result<(), ItemResult> {
    if topic.assignments.is_empty() {
        return match topic.replication_factor {
            factor if factor < 1 && factor != -1 => Err(ItemResult::error(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )),
            _ if topic.num_partitions < 1 && topic.num_partitions != -1 => Err(ItemResult::error(
                ErrorCode::INVALID_PARTITIONS,
                "Number of partitions was set to an invalid non-positive value.",
            )),
            -1 | 1 => Ok(()),
            factor => Err(ItemResult::error(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                format!("Unable to replicate the partition {factor} time(s): only 1 broker is registered."),
            )),
        };
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = "A manual partition assignment was specified, but number of partitions or replicas was too.";
        return Err(ItemResult::error(ErrorCode::INVALID_REQUEST, message));
    }
    let mut indexes = BTreeSet::new();
    for assignment in &topic.assignments {
        if assignment.broker_ids != [shard.identity.node_id] {
            let message = "Each partition must be assigned to this broker, once: it is the only one.";
            return Err(ItemResult::error(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
        indexes.insert(assignment.partition_index);
    }
    let count = i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX);
    if indexes.len() != topic.assignments.len() || !(0..count).all(|index| indexes.contains(&index)) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(ItemResult::error(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    *partitions = count;
    Ok(())
}

fn collect_config(topic: &CreatableTopic<'_>, config: &mut BTreeMap<String, String>) -> Result<(), ItemResult> {
    for entry in &topic.configs {
        let Some(value) = entry.value else {
            let message = format!("Null value not supported for topic configs: {}", entry.name);
            return Err(ItemResult::error(ErrorCode::INVALID_CONFIG, message));
        };
        TopicOverrides::validate(entry.name, value)
            .map_err(|error| ItemResult::error(ErrorCode::INVALID_CONFIG, error.to_string()))?;
        config.insert(entry.name.to_owned(), value.trim().to_owned());
    }
    Ok(())
}

/// Decides which of the wanted topics can be created.
pub(crate) fn propose(
    config: Arc<BrokerConfig>,
    wanted: Vec<NewTopic>,
    validate_only: bool,
) -> crate::controller::Propose {
    Box::new(move |image, random| {
        let mut commands = Vec::new();
        let mut results = Vec::new();
        let mut partitions = image.partition_count();
        for topic in wanted {
            let checked = match topic.refused {
                Some(refused) => Err(refused),
                None => check(image, &config, &topic, &mut partitions),
            };
            results.push(match checked {
                Ok(count) => {
                    let (name, config) = (topic.name, topic.config);
                    commands.push(Command::CreateTopic {
                        name,
                        id: TopicId(random.uuid()),
                        partitions: count,
                        config,
                    });
                    ItemResult::OK
                }
                Err(refused) => refused,
            });
        }
        if validate_only {
            commands.clear();
        }
        (commands, AdminAnswer::Items(results))
    })
}

fn check(image: &Image, config: &BrokerConfig, topic: &NewTopic, total: &mut u64) -> Result<i32, ItemResult> {
    if image.topic(&topic.name).is_some() {
        let message = format!("Topic '{}' already exists.", topic.name);
        return Err(ItemResult::error(ErrorCode::TOPIC_ALREADY_EXISTS, message));
    }
    check_topic_name(&topic.name)?;
    if let Some(other) = image.colliding_name(&topic.name) {
        let message = format!("Topic '{}' collides with existing topic: {other}", topic.name);
        return Err(ItemResult::error(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
    }
    if let Some(invalid) = &topic.invalid {
        return Err(invalid.clone());
    }
    let count = match topic.partitions {
        -1 => i32::try_from(config.partitions_default).unwrap_or(i32::MAX),
        count => count,
    };
    let after = *total + u64::from(count.unsigned_abs());
    if after > u64::from(config.partitions_max) {
        let message = format!("the node would have {after} partitions, more than partitions.max");
        return Err(ItemResult::error(ErrorCode::INVALID_PARTITIONS, message));
    }
    *total = after;
    Ok(count)
}

fn finish(shard: &Shard, context: &RequestContext, wanted: &[NewTopic], results: Vec<ItemResult>) -> Outcome {
    let topics = wanted
        .iter()
        .zip(results)
        .map(|(topic, result)| {
            if result.is_ok() {
                created(shard, topic)
            } else {
                refused(topic, result)
            }
        })
        .collect();
    answer(
        context,
        &CreateTopicsResponse {
            throttle_time_ms: 0,
            topics,
        },
    )
}

fn refused(topic: &NewTopic, result: ItemResult) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: result.code,
        error_message: result.message,
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

fn created(shard: &Shard, topic: &NewTopic) -> CreatableTopicResult {
    // With validate_only the topic does not exist; its answer tells what it would be.
    let existing = shard.image.topic(&topic.name);
    let default = i32::try_from(shard.config.partitions_default).unwrap_or(i32::MAX);
    let wanted = if topic.partitions == -1 {
        default
    } else {
        topic.partitions
    };
    let mut overrides = TopicOverrides::default();
    for (name, value) in &topic.config {
        overrides.restore(name, value);
    }
    let configs = describe_topic(&shard.config, &overrides)
        .into_iter()
        .map(|setting| CreatableTopicConfigs {
            name: setting.name.to_string(),
            value: setting.value.clone(),
            read_only: setting.read_only,
            config_source: setting.source.wire_id(),
            is_sensitive: setting.sensitive,
        })
        .collect();
    CreatableTopicResult {
        name: topic.name.clone(),
        topic_id: existing.map_or(TopicId::ZERO, |topic| topic.id),
        num_partitions: existing.map_or(wanted, |topic| {
            i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
        }),
        replication_factor: 1,
        error_message: None,
        configs: Some(configs),
        ..CreatableTopicResult::default()
    }
}
