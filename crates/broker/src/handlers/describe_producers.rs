//! DescribeProducers, version 0 (KIP-664).

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_producers_request::DescribeProducersRequest;
use hallows_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};

use super::admin::{ItemResult, check_topic_name};
use super::by_partition::Plan;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::errors::partition_code;
use crate::op::{OpAnswer, PartitionOp};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeProducersRequest<'_>, context, body);
    let mut plan = Plan::new();
    for topic in &request.topics {
        plan.enter(topic.name);
        for &index in &topic.partition_indexes {
            let id = context
                .authorize(Operation::Read, Resource::Topic(topic.name))
                .and_then(|()| check_topic_name(topic.name).map_err(|invalid| invalid.code))
                .and_then(|()| shard.partition_id(topic.name, index));
            match id {
                Ok(id) => plan.ask(topic.name, id, PartitionOp::Producers),
                Err(code) => {
                    let explained = shard.image.topic(topic.name).is_none();
                    let error_message = ItemResult::refusal(code).message.filter(|_| explained);
                    let answer = PartitionResponse {
                        error_message,
                        ..refused(index, code)
                    };
                    plan.refuse(topic.name, index, answer);
                }
            }
        }
    }
    plan.run(shard, context, described, |context, topics| {
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| TopicResponse { name, partitions })
            .collect();
        answer(
            context,
            &DescribeProducersResponse {
                throttle_time_ms: 0,
                topics,
            },
        )
    })
}

fn described(partition_index: i32, told: Option<OpAnswer>) -> PartitionResponse {
    match told {
        Some(OpAnswer::Producers(Ok(producers))) => PartitionResponse {
            partition_index,
            active_producers: producers
                .into_iter()
                .map(|producer| ProducerState {
                    producer_id: producer.producer_id,
                    producer_epoch: i32::from(producer.producer_epoch),
                    last_sequence: producer.last_sequence,
                    last_timestamp: producer.last_timestamp.0,
                    coordinator_epoch: -1,
                    current_txn_start_offset: producer.transaction_start.map_or(-1, |start| start.0),
                })
                .collect(),
            ..PartitionResponse::default()
        },
        Some(OpAnswer::Producers(Err(failure))) => refused(partition_index, partition_code(&failure)),
        _ => refused(partition_index, ErrorCode::UNKNOWN_SERVER_ERROR),
    }
}

fn refused(partition_index: i32, error_code: ErrorCode) -> PartitionResponse {
    PartitionResponse {
        partition_index,
        error_code,
        ..PartitionResponse::default()
    }
}
