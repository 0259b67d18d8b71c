//! Fetch, versions 4 to 18.
//!
//! Versions 0 to 3 are not served: they promise message sets before v2. Sessions from version 7 (KIP-227),
//! leader epochs from 9 (KIP-320), diverging epochs from 12 (KIP-595), topic ids from 13 (KIP-516).
//! Deliberately missing: replicas (any replica id but -1 is served as a consumer's), preferred read replicas.

use std::sync::Arc;
use std::time::Duration;

use hallows_protocol::Reader;
use hallows_protocol::fetch::FetchRequestView;
use hallows_types::{LeaderEpoch, Offset, TopicId};

use crate::context::{Outcome, RequestContext};
use crate::fetch::{FINAL_EPOCH, FetchOp, FetchPartition, TopicRef, encode};
use crate::op::{Op, OpAnswer};
use crate::shard::Shard;

const TOPIC_IDS_FROM: i16 = 13;
const SESSIONS_FROM: i16 = 7;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = match FetchRequestView::parse(&mut Reader::new(body), context.version) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("malformed Fetch request: {error}")),
    };
    let op = fetch_op(shard, context.version, &request);
    if op.partitions.len() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
    }
    let read_committed = op.read_committed;
    shard.gather(
        context,
        vec![Op::Fetch(Box::new(op))],
        move |_, context, answers| match answers.into_iter().next().flatten() {
            Some(OpAnswer::Fetch(fetched)) => encode::answer(&context, read_committed, *fetched),
            _ => Outcome::Close("a fetch ended without an answer".to_owned()),
        },
    )
}

fn fetch_op(shard: &Shard, version: i16, request: &FetchRequestView<'_>) -> FetchOp {
    let by_id = version >= TOPIC_IDS_FROM;
    let bytes = |value: i32| u32::try_from(value).unwrap_or(0);
    let mut partitions = Vec::new();
    for topic in request.topics() {
        let named = topic_ref(shard, by_id, topic.topic, topic.topic_id);
        partitions.extend(topic.partitions().map(|partition| FetchPartition {
            topic: named.clone(),
            partition: partition.partition,
            current_epoch: known_epoch(partition.current_leader_epoch),
            fetch_offset: Offset(partition.fetch_offset),
            last_fetched_epoch: known_epoch(partition.last_fetched_epoch),
            max_bytes: bytes(partition.partition_max_bytes),
        }));
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten() {
        let named = topic_ref(shard, by_id, topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions().map(|partition| (named.clone(), partition)));
    }
    let (session_id, session_epoch) = if version >= SESSIONS_FROM {
        (request.session_id, request.session_epoch)
    } else {
        (0, FINAL_EPOCH)
    };
    FetchOp {
        session_id,
        session_epoch,
        by_id,
        wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: bytes(request.min_bytes),
        max_bytes: bytes(request.max_bytes).min(shard.config.fetch_bytes_max),
        read_committed: request.isolation_level == 1,
        partitions,
        forgotten,
    }
}

/// Any negative epoch says that the client knows none.
const fn known_epoch(epoch: i32) -> LeaderEpoch {
    if epoch < 0 {
        LeaderEpoch::UNKNOWN
    } else {
        LeaderEpoch(epoch)
    }
}

fn topic_ref(shard: &Shard, by_id: bool, name: &str, id: TopicId) -> TopicRef {
    let known = if by_id {
        shard.image.topic_by_id(id)
    } else {
        shard.image.topic(name)
    };
    match known {
        Some(topic) => TopicRef {
            name: Arc::clone(&topic.name),
            id: topic.id,
        },
        None => TopicRef { name: name.into(), id },
    }
}
