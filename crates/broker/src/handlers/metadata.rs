//! Metadata, versions 0 to 13.
//!
//! A null topic list means all topics, an empty one none (from version 1; in version 0 an empty one means all).
//! Auto-creation needs the request's flag (always set before version 4) and `auto.create.topics.enable`.
//! Topics by id from version 12 (KIP-516). Deliberately missing: racks and authorised operations of access control.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use hallows_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use hallows_types::{Monotonic, TopicId};

use super::admin::{CLUSTER_OPERATIONS, ItemResult, OPERATIONS_UNKNOWN, TOPIC_OPERATIONS, check_topic_name};
use super::create_topics::{NewTopic, propose};
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::metadata::{OFFSETS_TOPIC, Topic};
use crate::response::answer;
use crate::shard::Shard;

/// The first version at which topics are asked for by id; the field is older.
const BY_ID_FROM: i16 = 12;

/// What the request asks.
#[derive(Clone)]
struct Asked {
    wanted: Wanted,
    with_cluster_operations: bool,
    with_topic_operations: bool,
}

/// What the request asks about.
#[derive(Clone)]
enum Wanted {
    All,
    Some(Vec<Named>),
}

/// One topic of the request.
#[derive(Clone)]
struct Named {
    name: Option<Arc<str>>,
    id: TopicId,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(MetadataRequest<'_>, context, body);
    if context.version < BY_ID_FROM && asks_by_id(&request) {
        return refused(&context, &request);
    }
    let wanted = match &request.topics {
        None => Wanted::All,
        Some(topics) if topics.is_empty() && context.version == 0 => Wanted::All,
        Some(topics) => Wanted::Some(named(topics)),
    };
    let asked = Asked {
        wanted,
        with_cluster_operations: request.include_cluster_authorized_operations,
        with_topic_operations: request.include_topic_authorized_operations,
    };
    let may_create = shard.config.auto_create_topics && (context.version < 4 || request.allow_auto_topic_creation);
    let missing = if may_create {
        missing(shard, &context, &asked.wanted)
    } else {
        Vec::new()
    };
    if missing.is_empty() {
        return respond(shard, &context, &asked, &BTreeMap::new());
    }
    let names: Vec<String> = missing.iter().map(|topic| topic.name.clone()).collect();
    let propose = propose(Arc::clone(&shard.config), missing, false);
    shard.change(
        context,
        names.len(),
        Monotonic::NEVER,
        propose,
        move |shard, context, results| {
            let failed = names
                .into_iter()
                .zip(results)
                // Somebody else's first request was faster; the topic is there.
                .filter(|(_, result)| !result.is_ok() && result.code != ErrorCode::TOPIC_ALREADY_EXISTS)
                .collect();
            respond(shard, &context, &asked, &failed)
        },
    )
}

/// Where any topic has an id, only ids are looked at, as in Kafka: the names beside them mean nothing.
fn named(topics: &[MetadataRequestTopic<'_>]) -> Vec<Named> {
    let by_id = topics.iter().any(|topic| topic.topic_id != TopicId::ZERO);
    let asked = topics.iter().filter(|topic| !by_id || topic.topic_id != TopicId::ZERO);
    asked
        .map(|topic| Named {
            name: topic.name.filter(|_| !by_id).map(Arc::from),
            id: topic.topic_id,
        })
        .collect()
}

/// The topics that the request asks for and that can be created.
fn missing(shard: &Shard, context: &RequestContext, wanted: &Wanted) -> Vec<NewTopic> {
    let Wanted::Some(topics) = wanted else {
        return Vec::new();
    };
    let mut names: Vec<&str> = topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| shard.image.topic(name).is_none() && check_topic_name(name).is_ok())
        .filter(|name| context.authorize(Operation::Create, Resource::Topic(name)).is_ok())
        .map(|name| shard.auto_topic(name))
        .collect()
}

impl Shard {
    /// A topic as auto-creation makes it; the broker's own topic has its own number of partitions.
    pub(crate) fn auto_topic(&self, name: &str) -> NewTopic {
        let partitions = if name == OFFSETS_TOPIC {
            i32::try_from(self.config.offsets_topic_partitions).unwrap_or(i32::MAX)
        } else {
            -1
        };
        let config = if name == OFFSETS_TOPIC {
            crate::settings::offsets_topic_overrides(&self.config)
        } else {
            BTreeMap::new()
        };
        NewTopic {
            name: name.to_owned(),
            partitions,
            config,
            refused: None,
            invalid: None,
        }
    }
}

/// Whether a topic is named by an id, or by nothing at all.
fn asks_by_id(request: &MetadataRequest<'_>) -> bool {
    let mut topics = request.topics.iter().flatten();
    topics.any(|topic| topic.name.is_none() || topic.topic_id != TopicId::ZERO)
}

/// The answer to ids at a version that has the field and not yet the meaning.
fn refused(context: &RequestContext, request: &MetadataRequest<'_>) -> Outcome {
    let topic = |topic: &MetadataRequestTopic<'_>| {
        let name = topic.name.unwrap_or_default();
        error(Some(name), topic.topic_id, ErrorCode::INVALID_REQUEST)
    };
    let response = MetadataResponse {
        controller_id: -1,
        topics: request.topics.iter().flatten().map(topic).collect(),
        cluster_authorized_operations: OPERATIONS_UNKNOWN,
        ..MetadataResponse::default()
    };
    answer(context, &response)
}

const fn operations(wanted: bool, all: i32) -> i32 {
    if wanted { all } else { OPERATIONS_UNKNOWN }
}

fn respond(shard: &Shard, context: &RequestContext, asked: &Asked, failed: &BTreeMap<String, ItemResult>) -> Outcome {
    let mut seen = BTreeSet::new();
    let mut topics: Vec<MetadataResponseTopic> = match &asked.wanted {
        Wanted::All => shard
            .image
            .topics
            .values()
            .filter(|topic| {
                context
                    .authorize(Operation::Describe, Resource::Topic(&topic.name))
                    .is_ok()
            })
            .map(|topic| found(shard, topic))
            .collect(),
        Wanted::Some(topics) => topics
            .iter()
            .map(|named| one(shard, context, named, failed))
            // A topic that is asked for twice is told once.
            .filter(|topic| seen.insert((topic.name.clone(), topic.topic_id)))
            .collect(),
    };
    for topic in topics.iter_mut().filter(|topic| topic.error_code == ErrorCode::NONE) {
        topic.topic_authorized_operations = operations(asked.with_topic_operations, TOPIC_OPERATIONS);
    }
    let advertised = &shard.identity.advertised[usize::from(context.listener.0)];
    let response = MetadataResponse {
        throttle_time_ms: 0,
        brokers: vec![MetadataResponseBroker {
            node_id: shard.identity.node_id,
            host: advertised.host.to_string(),
            port: i32::from(advertised.port),
            rack: shard.config.rack.as_ref().map(ToString::to_string),
        }],
        cluster_id: Some(shard.identity.cluster_id.to_string()),
        controller_id: shard.identity.node_id,
        topics,
        cluster_authorized_operations: operations(asked.with_cluster_operations, CLUSTER_OPERATIONS),
        error_code: ErrorCode::NONE,
    };
    answer(context, &response)
}

fn one(
    shard: &Shard,
    context: &RequestContext,
    named: &Named,
    failed: &BTreeMap<String, ItemResult>,
) -> MetadataResponseTopic {
    let Some(name) = &named.name else {
        return match shard.image.topic_by_id(named.id) {
            Some(topic) => found(shard, topic),
            None => error(None, named.id, ErrorCode::UNKNOWN_TOPIC_ID),
        };
    };
    if let Err(code) = context.authorize(Operation::Describe, Resource::Topic(name)) {
        return error(Some(name), TopicId::ZERO, code);
    }
    if let Some(topic) = shard.image.topic(name) {
        return found(shard, topic);
    }
    let code = match (failed.get(&**name), check_topic_name(name)) {
        (Some(result), _) => result.code,
        (None, Err(invalid)) => invalid.code,
        (None, Ok(())) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    };
    error(Some(name), TopicId::ZERO, code)
}

fn error(name: Option<&str>, topic_id: TopicId, error_code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code,
        name: name.map(ToOwned::to_owned),
        topic_id,
        topic_authorized_operations: OPERATIONS_UNKNOWN,
        ..MetadataResponseTopic::default()
    }
}

fn found(shard: &Shard, topic: &Topic) -> MetadataResponseTopic {
    let node = shard.identity.node_id;
    let partitions = topic
        .partition_ids()
        .map(|(id, _)| MetadataResponsePartition {
            error_code: ErrorCode::NONE,
            partition_index: id.index,
            leader_id: node,
            leader_epoch: topic.leader_epoch.0,
            replica_nodes: vec![node],
            isr_nodes: vec![node],
            offline_replicas: Vec::new(),
        })
        .collect();
    MetadataResponseTopic {
        error_code: ErrorCode::NONE,
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions,
        topic_authorized_operations: OPERATIONS_UNKNOWN,
    }
}
