//! The view and the writer against the generated structures.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::api::ErrorCode;
use crate::frame::{encode_body, encode_response};
use crate::generated::produce_response::{LeaderIdAndEpoch, TopicProduceResponse};

fn request(version: i16) -> ProduceRequest<'static> {
    let partition = |index, records| PartitionProduceData { index, records };
    let topic = |name, id, partition_data| TopicProduceData {
        name: if version < 13 { name } else { "" },
        topic_id: if version < 13 { TopicId::ZERO } else { TopicId([id; 16]) },
        partition_data,
    };
    ProduceRequest {
        transactional_id: (version >= 3).then_some("transaction"),
        acks: -1,
        timeout_ms: 1500,
        topic_data: vec![
            topic("first", 1, vec![partition(0, Some(&b"abc"[..])), partition(7, None)]),
            topic("none", 2, vec![]),
            topic("second", 3, vec![partition(1, Some(&b""[..]))]),
        ],
    }
}

/// The view as the structure it stands for.
fn owned<'a>(view: &ProduceRequestView<'a>) -> ProduceRequest<'a> {
    let topics = view.topics().map(|topic| TopicProduceData {
        name: topic.name,
        topic_id: topic.topic_id,
        partition_data: topic
            .partitions()
            .map(|partition| PartitionProduceData {
                index: partition.index,
                records: partition.records,
            })
            .collect(),
    });
    ProduceRequest {
        transactional_id: view.transactional_id,
        acks: view.acks,
        timeout_ms: view.timeout_ms,
        topic_data: topics.collect(),
    }
}

#[test]
fn the_view_shows_what_decoding_gives() {
    for version in ProduceRequest::MIN_VERSION..=ProduceRequest::MAX_VERSION {
        let request = request(version);
        let bytes = encode_body(&request, version).expect("a request of this version");
        let mut reader = Reader::new(&bytes);
        let view = ProduceRequestView::parse(&mut reader, version).expect("our own bytes");
        assert_eq!(owned(&view), request, "version {version}");
        assert_eq!(reader.remaining(), 0, "version {version}");
        for partition in view.topics().flat_map(|topic| topic.partitions()) {
            assert_eq!(&bytes[partition.records_range], partition.records.unwrap_or_default());
        }
    }
}

#[test]
fn every_cut_and_every_changed_byte_gives_what_decoding_gives() {
    for version in [0, 3, 8, 9, 12, 13] {
        let bytes = encode_body(&request(version), version).expect("a request of this version");
        let same = |bytes: &[u8]| {
            let decoded = ProduceRequest::decode(&mut Reader::new(bytes), version);
            let view = ProduceRequestView::parse(&mut Reader::new(bytes), version);
            assert_eq!(view.map(|view| owned(&view)).ok(), decoded.ok());
        };
        for length in 0..bytes.len() {
            same(&bytes[..length]);
        }
        for place in 0..bytes.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] = value;
                same(&changed);
            }
        }
    }
}

fn response(version: i16) -> ProduceResponse {
    let partition = |index| PartitionProduceResponse {
        index,
        error_code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        base_offset: 42,
        error_message: (version >= 8).then(|| String::from("moved")),
        current_leader: LeaderIdAndEpoch {
            leader_id: if version >= 10 { 3 } else { -1 },
            leader_epoch: if version >= 10 { 4 } else { -1 },
        },
        ..Default::default()
    };
    let topic = |partitions: Vec<_>| TopicProduceResponse {
        name: if version < 13 { "topic".into() } else { String::new() },
        topic_id: if version < 13 { TopicId::ZERO } else { TopicId([9; 16]) },
        partition_responses: partitions,
    };
    let endpoint = NodeEndpoint {
        node_id: 3,
        host: "h".into(),
        port: 9,
        rack: None,
    };
    ProduceResponse {
        responses: vec![topic(vec![partition(0), partition(1)]), topic(vec![])],
        throttle_time_ms: if version >= 1 { 5 } else { 0 },
        node_endpoints: if version >= 10 { vec![endpoint] } else { vec![] },
    }
}

#[test]
fn the_writer_gives_the_bytes_of_encoding() {
    for version in ProduceResponse::MIN_VERSION..=ProduceResponse::MAX_VERSION {
        let response = response(version);
        let mut expected = Writer::new();
        encode_response(&mut expected, version, 77, &response).expect("it fits the version");
        let topics = response.responses.len();
        let mut writer = ProduceResponseWriter::new(Writer::new(), version, 77, topics).expect("a known version");
        for topic in &response.responses {
            writer
                .topic(&topic.name, topic.topic_id, topic.partition_responses.len())
                .expect("short");
            for partition in &topic.partition_responses {
                writer.partition(partition).expect("it fits the version");
            }
        }
        let frame = writer
            .finish(response.throttle_time_ms, &response.node_endpoints)
            .expect("short");
        assert_eq!(frame, expected.as_slice(), "version {version}");
    }
}

#[test]
#[should_panic(expected = "fewer topics than announced")]
fn a_missing_topic_is_our_own_bug() {
    let writer = ProduceResponseWriter::new(Writer::new(), 3, 0, 1).expect("a known version");
    drop(writer.finish(0, &[]));
}
