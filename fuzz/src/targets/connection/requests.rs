//! The requests that inputs are made of: those of the well-behaved client, of producers, of a group's member.

use hallows_protocol::frame::encode_body;
use hallows_protocol::messages::create_topics_request::CreatableTopic;
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use hallows_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use hallows_protocol::messages::leave_group_request::MemberIdentity;
use hallows_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use hallows_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use hallows_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use hallows_protocol::messages::{
    AnyResponse, CreateTopicsRequest, FetchRequest, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    OffsetCommitRequest, ProduceRequest, SyncGroupRequest,
};
use hallows_protocol::{ApiKey, ErrorCode};
use hallows_record::{BatchBuilder, Codec, NewRecord, Scratch, records};
use hallows_runtime::ConnectionId;
use hallows_types::{TopicId, WallTime};

use super::broker::Broker;
use crate::Source;
use crate::targets::frames;

/// The topic that inputs write to and read from.
pub(super) const TOPIC: &str = "t";
/// The topic of the well-behaved client; inputs do not name it by accident.
const GOOD_TOPIC: &str = "good.topic-of-the-well-behaved";
/// Stands for the id of [`TOPIC`] in the body of a request.
pub(super) const TOPIC_ID_MARK: [u8; 16] = *b"<id of topic t!>";
const GOOD_VALUE: &[u8] = b"a record that must be there";

/// Puts the topic's id where its mark stands.
pub(super) fn name_topic(body: &mut [u8], id: [u8; 16]) {
    let mark = body.windows(16).position(|window| window == TOPIC_ID_MARK);
    if let Some(at) = mark {
        body[at..at + 16].copy_from_slice(&id);
    }
}

/// Sends a request that is answered at once, and gives the answer.
fn ask(broker: &mut Broker, connection: ConnectionId, key: ApiKey, version: i16, body: &[u8]) -> AnyResponse {
    let frame = frames::request_frame(key, version, 1, body);
    let length = u32::try_from(frame.len()).expect("small").to_be_bytes();
    broker.client(connection).last_answer = None;
    broker.send(connection, &[&length[..], &frame].concat());
    // A start after a crash raises epochs first, and a quota-less broker answers the rest at once.
    broker.pass(1);
    let answer = broker.client(connection).last_answer.take();
    answer.unwrap_or_else(|| panic!("the well-behaved client's {} is not answered", key.name()))
}

/// Creates both topics; gives the id of [`TOPIC`].
pub(super) fn create_topics(broker: &mut Broker, connection: ConnectionId) -> [u8; 16] {
    let topic = |name, num_partitions| CreatableTopic {
        name,
        num_partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic(TOPIC, 3), topic(GOOD_TOPIC, 1)],
        timeout_ms: 1000,
        ..CreateTopicsRequest::default()
    };
    let body = encode_body(&request, 7).expect("version 7 has these fields");
    let AnyResponse::CreateTopics(response) = ask(broker, connection, ApiKey::CreateTopics, 7, &body) else {
        panic!("another answer than that of CreateTopics");
    };
    assert!(response.topics.iter().all(|topic| topic.error_code == ErrorCode::NONE));
    let created = response.topics.iter().find(|topic| topic.name == TOPIC);
    created.expect("it was asked for").topic_id.0
}

/// Writes a record and reads it back, as a client does that knows nothing of the others.
pub(super) fn write_and_read(broker: &mut Broker, connection: ConnectionId) {
    let batch = batch(&[GOOD_VALUE], Codec::None);
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: GOOD_TOPIC,
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(&batch),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let body = encode_body(&request, 9).expect("version 9 has these fields");
    let AnyResponse::Produce(response) = ask(broker, connection, ApiKey::Produce, 9, &body) else {
        panic!("another answer than that of Produce");
    };
    let partition = &response.responses[0].partition_responses[0];
    if partition.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
        // An input may have deleted the topic by name, as is its right.
        return;
    }
    assert_eq!(partition.error_code, ErrorCode::NONE, "{response:?}");
    read(broker, connection, partition.base_offset);
}

fn read(broker: &mut Broker, connection: ConnectionId, offset: i64) {
    let request = FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: GOOD_TOPIC,
            partitions: vec![FetchPartition {
                partition: 0,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let body = encode_body(&request, 12).expect("version 12 has these fields");
    let AnyResponse::Fetch(response) = ask(broker, connection, ApiKey::Fetch, 12, &body) else {
        panic!("another answer than that of Fetch");
    };
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NONE, "{response:?}");
    let bytes = partition.records.as_ref().expect("records were written");
    let mut scratch = Scratch::new(0);
    let mut found = records(bytes, &mut scratch).expect("what was written");
    let record = found.next().expect("one record").expect("what was written");
    assert_eq!(record.value, Some(GOOD_VALUE));
}

/// A batch of these values.
pub(super) fn batch(values: &[&[u8]], codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for value in values {
        let record = NewRecord {
            timestamp: WallTime(1_767_225_600_000),
            key: Some(b"k"),
            value: Some(value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("small");
    }
    builder.build().expect("small")
}

/// A produce request of one batch; `choices` has the partition and the acks.
pub(super) fn produce(version: i16, choices: u8, topic_id: [u8; 16], records: &[u8]) -> Vec<u8> {
    let by_id = version >= 13;
    let request = ProduceRequest {
        acks: [-1, 1, 0][usize::from(choices >> 4) % 3],
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: if by_id { "" } else { TOPIC },
            topic_id: if by_id { TopicId(topic_id) } else { TopicId::ZERO },
            partition_data: vec![PartitionProduceData {
                index: i32::from(choices & 3),
                records: Some(records),
            }],
        }],
        ..ProduceRequest::default()
    };
    encode_body(&request, version).expect("its version has these fields")
}

/// A member of one group, as far as answers have told it who it is.
#[derive(Default)]
pub(super) struct Member {
    id: String,
    generation: i32,
}

impl Member {
    /// Remembers what a join said.
    pub(super) fn learn(&mut self, answer: Option<&AnyResponse>) {
        if let Some(AnyResponse::JoinGroup(joined)) = answer {
            self.id.clone_from(&joined.member_id);
            self.generation = joined.generation_id;
        }
    }

    /// The next request of the member, as the input chooses.
    pub(super) fn request(&self, source: &mut Source<'_>) -> (ApiKey, i16, Vec<u8>) {
        let choice = source.u8();
        let version = i16::from(source.u8());
        let instance = (choice & 0x80 != 0).then_some("instance");
        let generation_id = self.generation + i32::from(choice & 0x40 != 0);
        match choice % 5 {
            0 => (
                ApiKey::JoinGroup,
                version % 10,
                self.join(version % 10, instance, source),
            ),
            1 => (
                ApiKey::SyncGroup,
                version % 6,
                self.sync(version % 6, generation_id, source),
            ),
            2 => {
                let request = HeartbeatRequest {
                    group_id: "g",
                    generation_id,
                    member_id: &self.id,
                    group_instance_id: None,
                };
                (
                    ApiKey::Heartbeat,
                    version % 5,
                    encode_body(&request, version % 5).expect("plain"),
                )
            }
            3 => (ApiKey::LeaveGroup, version % 6, self.leave(version % 6, instance)),
            _ => {
                let version = 2 + version % 8;
                (
                    ApiKey::OffsetCommit,
                    version,
                    self.commit(version, generation_id, source),
                )
            }
        }
    }

    fn join(&self, version: i16, instance: Option<&str>, source: &mut Source<'_>) -> Vec<u8> {
        let metadata = source.u8();
        let metadata = source.bytes(usize::from(metadata));
        let request = JoinGroupRequest {
            group_id: "g",
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: if version >= 1 { 10_000 } else { -1 },
            member_id: &self.id,
            group_instance_id: instance.filter(|_| version >= 5),
            protocol_type: "consumer",
            protocols: vec![JoinGroupRequestProtocol {
                name: "range",
                metadata,
            }],
            reason: None,
        };
        encode_body(&request, version).expect("its version has these fields")
    }

    fn sync(&self, version: i16, generation_id: i32, source: &mut Source<'_>) -> Vec<u8> {
        let count = source.u8();
        let request = SyncGroupRequest {
            group_id: "g",
            generation_id,
            member_id: &self.id,
            group_instance_id: None,
            protocol_type: (version >= 5).then_some("consumer"),
            protocol_name: (version >= 5).then_some("range"),
            assignments: vec![SyncGroupRequestAssignment {
                member_id: &self.id,
                assignment: source.bytes(usize::from(count)),
            }],
        };
        encode_body(&request, version).expect("its version has these fields")
    }

    fn leave(&self, version: i16, instance: Option<&str>) -> Vec<u8> {
        let members = MemberIdentity {
            member_id: &self.id,
            group_instance_id: instance,
            reason: None,
        };
        let request = LeaveGroupRequest {
            group_id: "g",
            member_id: if version < 3 { &self.id } else { "" },
            members: if version < 3 { Vec::new() } else { vec![members] },
        };
        encode_body(&request, version).expect("its version has these fields")
    }

    fn commit(&self, version: i16, generation: i32, source: &mut Source<'_>) -> Vec<u8> {
        let partition = OffsetCommitRequestPartition {
            partition_index: i32::from(source.u8() % 4),
            committed_offset: i64::from(source.u16()),
            ..OffsetCommitRequestPartition::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g",
            generation_id_or_member_epoch: generation,
            member_id: &self.id,
            topics: vec![OffsetCommitRequestTopic {
                name: TOPIC,
                partitions: vec![partition],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        encode_body(&request, version).expect("its version has these fields")
    }
}
