//! Fields mean the same here and in `kafka-protocol`: populated messages written by one side show the
//! same values under the same names on the other, in every version both know.
//!
//! `round_trip.rs` compares bytes, which would not notice two fields of one type with swapped names.

use bytes::{Bytes, BytesMut};
use hallows_protocol::frame::{decode_body, encode_body};
use hallows_protocol::messages::*;
use hallows_protocol::{Decode, ErrorCode, Message};
use hallows_types::TopicId;
use kafka_protocol::messages as theirs;
use kafka_protocol::messages::{BrokerId, GroupId, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

/// Sends `ours` to the other side and its answer back, at one version; both have to be the same.
fn both_ways<O, T>(version: i16, ours: &O, check: impl Fn(&T))
where
    O: Message + PartialEq + std::fmt::Debug + for<'a> Decode<'a>,
    T: Encodable + Decodable,
{
    let bytes = encode_body(ours, version).expect("the value fits the version");
    let mut input = Bytes::from(bytes.clone());
    let decoded = T::decode(&mut input, version).expect("the other side reads our bytes");
    check(&decoded);
    let mut output = BytesMut::new();
    decoded
        .encode(&mut output, version)
        .expect("the other side writes what it read");
    assert_eq!(output, bytes, "{} version {version}", O::NAME);
    assert_eq!(&decode_body::<O>(&output, version).expect("we read its bytes"), ours);
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[test]
fn metadata() {
    use hallows_protocol::messages::metadata_response::*;
    for version in 0..=13 {
        let from = |first: i16| version >= first;
        let partition = MetadataResponsePartition {
            error_code: ErrorCode::LEADER_NOT_AVAILABLE,
            partition_index: 3,
            leader_id: 4,
            leader_epoch: if from(7) { 5 } else { -1 },
            replica_nodes: vec![4, 6],
            isr_nodes: vec![4],
            offline_replicas: if from(5) { vec![6] } else { vec![] },
        };
        let ours = MetadataResponse {
            throttle_time_ms: if from(3) { 7 } else { 0 },
            brokers: vec![MetadataResponseBroker {
                node_id: 4,
                host: "host".into(),
                port: 9092,
                rack: from(1).then(|| "rack".into()),
            }],
            cluster_id: from(2).then(|| "cluster".into()),
            controller_id: if from(1) { 4 } else { -1 },
            topics: vec![MetadataResponseTopic {
                error_code: ErrorCode::NONE,
                name: Some("topic".into()),
                topic_id: if from(10) { TopicId([1; 16]) } else { TopicId::ZERO },
                is_internal: from(1),
                partitions: vec![partition],
                ..Default::default()
            }],
            ..Default::default()
        };
        both_ways(version, &ours, |other: &theirs::MetadataResponse| {
            let (broker, topic) = (&other.brokers[0], &other.topics[0]);
            assert_eq!((broker.node_id, broker.port), (BrokerId(4), 9092));
            assert_eq!(broker.host, text("host"));
            assert_eq!(topic.name, Some(TopicName(text("topic"))));
            assert_eq!(topic.is_internal, from(1));
            let partition = &topic.partitions[0];
            assert_eq!(
                (partition.error_code, partition.partition_index, partition.leader_id),
                (5, 3, BrokerId(4))
            );
            assert_eq!((partition.replica_nodes.len(), partition.isr_nodes.len()), (2, 1));
            if from(3) {
                assert_eq!((other.throttle_time_ms, other.controller_id), (7, BrokerId(4)));
            }
            if from(10) {
                assert_eq!(topic.topic_id.as_bytes(), &[1; 16]);
            }
        });
    }
}

#[test]
fn fetch() {
    use hallows_protocol::messages::fetch_response::*;
    for version in 4..=17 {
        let from = |first: i16| version >= first;
        let partition = PartitionData {
            partition_index: 1,
            error_code: ErrorCode::NONE,
            high_watermark: 30,
            last_stable_offset: 20,
            log_start_offset: if from(5) { 10 } else { -1 },
            aborted_transactions: Some(vec![AbortedTransaction {
                producer_id: 8,
                first_offset: 9,
            }]),
            preferred_read_replica: if from(11) { 2 } else { -1 },
            records: Some(Bytes::from_static(b"records")),
            ..Default::default()
        };
        let ours = FetchResponse {
            throttle_time_ms: 4,
            session_id: if from(7) { 5 } else { 0 },
            responses: vec![FetchableTopicResponse {
                topic: if from(13) { String::new() } else { "topic".into() },
                topic_id: if from(13) { TopicId([2; 16]) } else { TopicId::ZERO },
                partitions: vec![partition],
            }],
            ..Default::default()
        };
        both_ways(version, &ours, |other: &theirs::FetchResponse| {
            let partition = &other.responses[0].partitions[0];
            assert_eq!((partition.partition_index, partition.high_watermark), (1, 30));
            assert_eq!(partition.last_stable_offset, 20);
            assert_eq!(partition.records.as_deref(), Some(&b"records"[..]));
            let aborted = &partition.aborted_transactions.as_ref().expect("one was sent")[0];
            assert_eq!((aborted.producer_id.0, aborted.first_offset), (8, 9));
            if from(11) {
                assert_eq!(
                    (partition.log_start_offset, partition.preferred_read_replica.0),
                    (10, 2)
                );
            }
        });
    }
}

#[test]
fn offset_fetch() {
    use hallows_protocol::messages::offset_fetch_response::*;
    for version in 1..=7 {
        let partition = OffsetFetchResponsePartition {
            partition_index: 1,
            committed_offset: 2,
            committed_leader_epoch: if version >= 5 { 3 } else { -1 },
            metadata: Some("note".into()),
            error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT,
        };
        let ours = OffsetFetchResponse {
            topics: vec![OffsetFetchResponseTopic {
                name: "topic".into(),
                partitions: vec![partition],
            }],
            error_code: if version >= 2 {
                ErrorCode::NOT_COORDINATOR
            } else {
                ErrorCode::NONE
            },
            ..Default::default()
        };
        both_ways(version, &ours, |other: &theirs::OffsetFetchResponse| {
            let partition = &other.topics[0].partitions[0];
            assert_eq!((partition.partition_index, partition.committed_offset), (1, 2));
            assert_eq!(
                (partition.metadata.clone(), partition.error_code),
                (Some(text("note")), 88)
            );
        });
    }
}

/// Requests borrow from the bytes they were read from, so the way back is written out.
#[test]
fn join_group() {
    use hallows_protocol::messages::join_group_request::JoinGroupRequestProtocol;
    for version in 0..=9 {
        let ours = JoinGroupRequest {
            group_id: "group",
            session_timeout_ms: 1000,
            rebalance_timeout_ms: if version >= 1 { 2000 } else { -1 },
            member_id: "member",
            group_instance_id: (version >= 5).then_some("instance"),
            protocol_type: "consumer",
            protocols: vec![JoinGroupRequestProtocol {
                name: "range",
                metadata: b"subscription",
            }],
            reason: (version >= 8).then_some("because"),
        };
        let bytes = encode_body(&ours, version).expect("the value fits the version");
        let mut input = Bytes::from(bytes.clone());
        let other = theirs::JoinGroupRequest::decode(&mut input, version).expect("our bytes");
        assert_eq!(
            (other.group_id.clone(), other.session_timeout_ms),
            (GroupId(text("group")), 1000)
        );
        assert_eq!(
            (other.member_id.clone(), other.protocol_type.clone()),
            (text("member"), text("consumer"))
        );
        assert_eq!(other.group_instance_id, (version >= 5).then(|| text("instance")));
        assert_eq!(
            (&other.protocols[0].name, &other.protocols[0].metadata[..]),
            (&text("range"), &b"subscription"[..])
        );
        let mut output = BytesMut::new();
        other.encode(&mut output, version).expect("it writes what it read");
        assert_eq!(decode_body::<JoinGroupRequest<'_>>(&output, version), Ok(ours));
    }
}

#[test]
fn produce() {
    use hallows_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    for version in 3..=12 {
        let ours = ProduceRequest {
            transactional_id: Some("transaction"),
            acks: -1,
            timeout_ms: 30,
            topic_data: vec![TopicProduceData {
                name: "topic",
                topic_id: TopicId::ZERO,
                partition_data: vec![PartitionProduceData {
                    index: 6,
                    records: Some(b"batch"),
                }],
            }],
        };
        let bytes = encode_body(&ours, version).expect("the value fits the version");
        let mut input = Bytes::from(bytes.clone());
        let other = theirs::ProduceRequest::decode(&mut input, version).expect("our bytes");
        assert_eq!((other.acks, other.timeout_ms), (-1, 30));
        assert_eq!(other.topic_data[0].name, TopicName(text("topic")));
        assert_eq!(other.topic_data[0].partition_data[0].index, 6);
        let mut output = BytesMut::new();
        other.encode(&mut output, version).expect("it writes what it read");
        assert_eq!(decode_body::<ProduceRequest<'_>>(&output, version), Ok(ours));
    }
}

/// A value that a version has no place for is an error, unless the definition lets it go.
#[test]
fn values_are_not_lost_in_silence() {
    let request = FetchRequest {
        rack_id: "rack",
        ..Default::default()
    };
    assert!(encode_body(&request, 4).is_ok(), "rack_id may be dropped");
    let static_member = JoinGroupRequest {
        group_instance_id: Some("i"),
        ..Default::default()
    };
    assert!(encode_body(&static_member, 4).is_err(), "group_instance_id may not");
    let null = CreateTopicsResponse {
        topics: vec![Default::default()],
        ..Default::default()
    };
    assert!(encode_body(&null, 7).is_ok());
    let unnamed = MetadataResponse {
        topics: vec![metadata_response::MetadataResponseTopic {
            name: None,
            ..Default::default()
        }],
        ..Default::default()
    };
    assert!(
        encode_body(&unnamed, 11).is_err(),
        "a topic's name is nullable from version 12"
    );
    assert!(encode_body(&unnamed, 12).is_ok());
    assert!(encode_body(&FetchRequest::default(), 99).is_err());
}
