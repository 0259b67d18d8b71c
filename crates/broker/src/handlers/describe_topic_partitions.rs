//! DescribeTopicPartitions, version 0 (KIP-966): topics by name in order, in pages with a cursor.

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use hallows_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};

use super::admin::{OPERATIONS_UNKNOWN, TOPIC_OPERATIONS, check_topic_name};
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::metadata::Topic;
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeTopicPartitionsRequest<'_>, context, body);
    let all = request.topics.is_empty();
    let mut names: Vec<&str> = if all {
        shard.image.topics.keys().map(|name| &**name).collect()
    } else {
        request.topics.iter().map(|topic| topic.name).collect()
    };
    names.sort_unstable();
    names.dedup();
    let cursor = request
        .cursor
        .as_ref()
        .map_or(("", 0), |cursor| (cursor.topic_name, cursor.partition_index));
    let unknown_cursor = request.cursor.is_some() && !all && !names.contains(&cursor.0);
    if cursor.1 < 0 || unknown_cursor {
        return refused(context, &names);
    }
    let limit = request
        .response_partition_limit
        .min(i32::try_from(shard.config.describe_partitions_max).unwrap_or(i32::MAX));
    let mut page = Page {
        // A page of nothing would never end.
        left: usize::try_from(limit).unwrap_or(0).max(1),
        topics: Vec::new(),
        next: None,
    };
    for name in names.into_iter().filter(|name| *name >= cursor.0) {
        if page.next.is_some() {
            break;
        }
        let denied = context.authorize(Operation::Describe, Resource::Topic(name)).err();
        match (denied, shard.image.topic(name)) {
            (None, Some(topic)) => page.add(shard, topic, if name == cursor.0 { cursor.1 } else { 0 }),
            (Some(code), _) => page.topics.push(missing(name, code)),
            (None, None) => page.topics.push(missing(
                name,
                check_topic_name(name)
                    .err()
                    .map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |invalid| invalid.code),
            )),
        }
    }
    let response = DescribeTopicPartitionsResponse {
        throttle_time_ms: 0,
        topics: page.topics,
        next_cursor: page.next,
    };
    answer(context, &response)
}

/// The answer to a cursor that stands nowhere.
fn refused(context: &RequestContext, names: &[&str]) -> Outcome {
    let topic = |name: &&str| DescribeTopicPartitionsResponseTopic {
        topic_authorized_operations: OPERATIONS_UNKNOWN,
        ..missing(name, ErrorCode::INVALID_REQUEST)
    };
    let response = DescribeTopicPartitionsResponse {
        topics: names.iter().map(topic).collect(),
        ..DescribeTopicPartitionsResponse::default()
    };
    answer(context, &response)
}

struct Page {
    /// Partitions that still fit.
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page {
    fn add(&mut self, shard: &Shard, topic: &Topic, first: i32) {
        if self.left == 0 {
            self.next = Some(Cursor {
                topic_name: topic.name.to_string(),
                partition_index: first,
            });
            return;
        }
        let mut partitions = Vec::new();
        for (id, _) in topic.partition_ids().filter(|(id, _)| id.index >= first) {
            if self.left == 0 {
                self.next = Some(Cursor {
                    topic_name: topic.name.to_string(),
                    partition_index: id.index,
                });
                break;
            }
            self.left -= 1;
            partitions.push(partition(shard.identity.node_id, topic, id.index));
        }
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::NONE,
            name: Some(topic.name.to_string()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions,
            topic_authorized_operations: TOPIC_OPERATIONS,
        });
    }
}

fn partition(node: i32, topic: &Topic, index: i32) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        error_code: ErrorCode::NONE,
        partition_index: index,
        leader_id: node,
        leader_epoch: topic.leader_epoch.0,
        replica_nodes: vec![node],
        isr_nodes: vec![node],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}

fn missing(name: &str, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name.to_owned()),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
