//! Produce, versions 3 to 13 (advertised from 0).
//!
//! Versions 0 to 2 close the connection: they carry record batches before v2. They are advertised all the same, as in
//! Kafka 4 (KAFKA-18659), since older librdkafka takes a higher minimum for a broker that knows no compression.
//! Topic ids replace names from version 13 on (KIP-516). acks=0 has no answer; an error on it closes the connection.
//! The timeout bounds how long a batch waits for room, and one of 0 or below does not wait; an append is never timed out.
//! Deliberately missing: transactional batches, which are refused with INVALID_TXN_STATE.

mod validate;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hallows_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use hallows_protocol::produce::ProduceRequestView;
use hallows_protocol::{ErrorCode, Reader};
use hallows_types::{PartitionId, TopicId, WallTime};

use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::gather::Answers;
use crate::metadata::Topic;
use crate::op::{Op, OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;
use validate::{Candidate, Checks, Refusal, Verdict};
pub(crate) use validate::{REPLICAS, Validating};

/// The oldest version whose records are batches v2.
const VERSION_MIN: i16 = 3;

/// One partition of the request.
pub(crate) struct Part {
    name: Arc<str>,
    id: TopicId,
    index: i32,
    /// What went wrong before the append; `None` for a part that was asked of its owner.
    refused: Option<Refusal>,
}

struct Batch {
    topic: Arc<Topic>,
    part: usize,
    range: Range<usize>,
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, mut frame: BytesMut, body_at: usize) -> Outcome {
    if context.version < VERSION_MIN {
        return Outcome::Close(format!(
            "Produce version {} carries record batches before v2",
            context.version
        ));
    }
    let request = match ProduceRequestView::parse(&mut Reader::new(&frame[body_at..]), context.version) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("malformed Produce request: {error}")),
    };
    let acks = request.acks;
    let has_transactional_id = request.transactional_id.is_some();
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let (parts, batches) = collect(shard, &context, &request, body_at);
    if parts.len() > shard.limits.request_partitions_max {
        return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
    }
    let mut large = false;
    let mut candidates = Vec::with_capacity(batches.len());
    let mut cut = 0;
    for Batch { topic, part, range } in batches {
        drop(frame.split_to(range.start - cut));
        let records = frame.split_to(range.len());
        cut = range.end;
        let checks = Checks::new(shard, &topic, context.version, acks, has_transactional_id);
        large |= validate::is_for_pool(&records);
        let partition = PartitionId {
            topic: topic.id,
            index: parts[part].index,
        };
        candidates.push(Candidate {
            part,
            partition,
            checks,
            records,
        });
    }
    let request = Validated { acks, timeout, parts };
    if large {
        return shard.validate_on_pool(context, request, candidates);
    }
    let verdicts = candidates
        .into_iter()
        .map(|candidate| candidate.check(&mut shard.scratch))
        .collect();
    append(shard, context, request, verdicts)
}

/// What is known of a request when its batches have been checked.
pub(crate) struct Validated {
    acks: i16,
    timeout: Duration,
    parts: Vec<Part>,
}

/// Hands the batches that passed to their owners; the request is answered when these have.
pub(crate) fn append(
    shard: &mut Shard,
    context: RequestContext,
    request: Validated,
    verdicts: Vec<Verdict>,
) -> Outcome {
    let Validated {
        acks,
        timeout,
        mut parts,
    } = request;
    // The owner decides whether a batch is appended in time; once it is, its commit is waited for, however long that
    // takes: a client that heard of a timeout would send it again.
    let deadline = shard.now.monotonic.after(timeout);
    let mut ops = Vec::with_capacity(verdicts.len());
    for Verdict {
        part,
        partition,
        result,
    } in verdicts
    {
        match result {
            Ok(batch) => ops.push(Op::Partition(partition, PartitionOp::Append { batch, deadline })),
            Err(refusal) => parts[part].refused = Some(refusal),
        }
    }
    shard.gather(context, ops, move |_, context, answers| {
        finish(&context, acks, parts, answers)
    })
}

/// The partitions of a request, and where in the frame the batches of those that can be tried are.
fn collect(
    shard: &Shard,
    context: &RequestContext,
    request: &ProduceRequestView<'_>,
    body_at: usize,
) -> (Vec<Part>, Vec<Batch>) {
    let mut parts = Vec::new();
    let mut batches = Vec::new();
    for data in request.topics() {
        let topic = named_topic(shard, context.version, data.name, data.topic_id);
        let name = topic
            .as_ref()
            .map_or_else(|_| data.name.into(), |topic| Arc::clone(&topic.name));
        for partition in data.partitions() {
            let checked = topic.as_ref().map_err(|code| *code).and_then(|topic| {
                check_target(context, request, topic, partition.index)?;
                Ok(topic)
            });
            let refused = match (checked, partition.records) {
                // Kafka looks at the shape of a batch before these.
                (
                    Err(code @ (ErrorCode::INVALID_REQUIRED_ACKS | ErrorCode::INVALID_TOPIC_EXCEPTION)),
                    Some(records),
                ) => Some(validate::check_shape(records).err().unwrap_or(Refusal::code(code))),
                (Err(code), _) => Some(Refusal::code(code)),
                (Ok(_), None) => Some(Refusal::code(ErrorCode::INVALID_RECORD)),
                (Ok(topic), Some(_)) => {
                    let Range { start, end } = partition.records_range;
                    let range = body_at + start..body_at + end;
                    batches.push(Batch {
                        topic: Arc::clone(topic),
                        part: parts.len(),
                        range,
                    });
                    None
                }
            };
            parts.push(Part {
                name: Arc::clone(&name),
                id: data.topic_id,
                index: partition.index,
                refused,
            });
        }
    }
    (parts, batches)
}

fn named_topic(shard: &Shard, version: i16, name: &str, id: TopicId) -> Result<Arc<Topic>, ErrorCode> {
    if version >= 13 {
        shard.image.topic_by_id(id).cloned().ok_or(ErrorCode::UNKNOWN_TOPIC_ID)
    } else {
        shard
            .image
            .topic(name)
            .cloned()
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}

fn check_target(
    context: &RequestContext,
    request: &ProduceRequestView<'_>,
    topic: &Topic,
    index: i32,
) -> Result<(), ErrorCode> {
    context.authorize(Operation::Write, Resource::Topic(&topic.name))?;
    if topic.shard(index).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    if !matches!(request.acks, -1..=1) {
        return Err(ErrorCode::INVALID_REQUIRED_ACKS);
    }
    if topic.is_internal() {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    Ok(())
}

fn finish(context: &RequestContext, acks: i16, parts: Vec<Part>, answers: Answers) -> Outcome {
    let mut answers = answers.into_iter();
    let mut responses: Vec<TopicProduceResponse> = Vec::new();
    for part in parts {
        let response = match part.refused {
            Some(refusal) => refused(part.index, refusal),
            None => appended(part.index, answers.next().flatten()),
        };
        if acks == 0 && response.error_code != ErrorCode::NONE {
            return Outcome::Close(format!(
                "a record sent with acks=0 was refused: {}",
                response.error_code
            ));
        }
        match responses.last_mut() {
            Some(topic) if *topic.name == *part.name && topic.topic_id == part.id => {
                topic.partition_responses.push(response);
            }
            _ => responses.push(TopicProduceResponse {
                name: part.name.to_string(),
                topic_id: part.id,
                partition_responses: vec![response],
            }),
        }
    }
    if acks == 0 {
        return Outcome::Silent;
    }
    answer(
        context,
        &ProduceResponse {
            responses,
            ..ProduceResponse::default()
        },
    )
}

fn refused(index: i32, refusal: Refusal) -> PartitionProduceResponse {
    let record_errors = refusal.record_index.map(|batch_index| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: refusal.message.clone(),
    });
    PartitionProduceResponse {
        index,
        error_code: refusal.code,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: record_errors.into_iter().collect(),
        error_message: refusal.message,
        ..PartitionProduceResponse::default()
    }
}

fn appended(index: i32, told: Option<OpAnswer>) -> PartitionProduceResponse {
    match told {
        Some(OpAnswer::Appended(Ok(done))) => PartitionProduceResponse {
            index,
            base_offset: done.appended.base_offset.0,
            log_append_time_ms: done.appended.log_append_time.unwrap_or(WallTime::NONE).0,
            log_start_offset: done.log_start.0,
            ..PartitionProduceResponse::default()
        },
        Some(OpAnswer::Appended(Err(failure))) => refused(index, Refusal::of_append(&failure)),
        _ => refused(index, Refusal::code(ErrorCode::UNKNOWN_SERVER_ERROR)),
    }
}
