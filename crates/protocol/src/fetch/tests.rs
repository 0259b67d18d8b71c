//! The view and the writer against the generated structures.

use alloc::string::String;
use alloc::vec;

use super::*;
use crate::frame::{encode_body, encode_response};
use crate::generated::fetch_response::FetchableTopicResponse;

fn request(version: i16) -> FetchRequest<'static> {
    let partition = |partition| FetchPartition {
        partition,
        current_leader_epoch: if version >= 9 { 3 } else { -1 },
        fetch_offset: 17,
        last_fetched_epoch: if version >= 12 { 2 } else { -1 },
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let name = |name| if version < 13 { name } else { "" };
    let id = |byte| {
        if version < 13 {
            TopicId::ZERO
        } else {
            TopicId([byte; 16])
        }
    };
    let forgotten = ForgottenTopic {
        topic: name("gone"),
        topic_id: id(3),
        partitions: vec![5, -1, 7],
    };
    let defaults = FetchRequest::default();
    FetchRequest {
        cluster_id: (version >= 12).then_some("cluster"),
        replica_id: if version <= 14 { 9 } else { -1 },
        replica_state: if version >= 15 {
            ReplicaState {
                replica_id: 9,
                replica_epoch: 8,
            }
        } else {
            ReplicaState::default()
        },
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: if version >= 3 { 1 << 24 } else { defaults.max_bytes },
        isolation_level: i8::from(version >= 4),
        session_id: if version >= 7 { 11 } else { 0 },
        session_epoch: if version >= 7 { 12 } else { -1 },
        topics: vec![
            FetchTopic {
                topic: name("a"),
                topic_id: id(1),
                partitions: vec![partition(0), partition(1)],
            },
            FetchTopic {
                topic: name("b"),
                topic_id: id(2),
                partitions: vec![],
            },
        ],
        forgotten_topics_data: if version >= 7 { vec![forgotten] } else { vec![] },
        rack_id: if version >= 11 { "rack" } else { "" },
    }
}

/// The view as the structure it stands for.
fn owned<'a>(view: &FetchRequestView<'a>, version: i16) -> FetchRequest<'a> {
    let (replica_id, replica_state) = if version <= 14 {
        (view.replica_id, ReplicaState::default())
    } else {
        let state = ReplicaState {
            replica_id: view.replica_id,
            replica_epoch: view.replica_epoch,
        };
        (-1, state)
    };
    let topics = view.topics().map(|topic| FetchTopic {
        topic: topic.topic,
        topic_id: topic.topic_id,
        partitions: topic.partitions().collect(),
    });
    let forgotten = view.forgotten().map(|topic| ForgottenTopic {
        topic: topic.topic,
        topic_id: topic.topic_id,
        partitions: topic.partitions().collect(),
    });
    FetchRequest {
        cluster_id: view.cluster_id,
        replica_id,
        replica_state,
        max_wait_ms: view.max_wait_ms,
        min_bytes: view.min_bytes,
        max_bytes: view.max_bytes,
        isolation_level: view.isolation_level,
        session_id: view.session_id,
        session_epoch: view.session_epoch,
        topics: topics.collect(),
        forgotten_topics_data: forgotten.collect(),
        rack_id: view.rack_id,
    }
}

#[test]
fn the_view_shows_what_decoding_gives() {
    for version in FetchRequest::MIN_VERSION..=FetchRequest::MAX_VERSION {
        let request = request(version);
        let bytes = encode_body(&request, version).expect("a request of this version");
        let mut reader = Reader::new(&bytes);
        let view = FetchRequestView::parse(&mut reader, version).expect("our own bytes");
        assert_eq!(owned(&view, version), request, "version {version}");
        assert_eq!(reader.remaining(), 0, "version {version}");
    }
}

#[test]
fn every_cut_and_every_changed_byte_gives_what_decoding_gives() {
    for version in [0, 6, 7, 11, 12, 15, 18] {
        let bytes = encode_body(&request(version), version).expect("a request of this version");
        let same = |bytes: &[u8]| {
            let decoded = FetchRequest::decode(&mut Reader::new(bytes), version);
            let view = FetchRequestView::parse(&mut Reader::new(bytes), version);
            assert_eq!(view.map(|view| owned(&view, version)).ok(), decoded.ok());
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

fn response(version: i16) -> FetchResponse {
    let flexible = version >= 12;
    let partition = |partition_index, records: &'static [u8]| PartitionData {
        partition_index,
        error_code: ErrorCode::NONE,
        high_watermark: 5,
        last_stable_offset: if version >= 4 { 4 } else { -1 },
        log_start_offset: if version >= 5 { 3 } else { -1 },
        diverging_epoch: EpochEndOffset {
            epoch: if flexible { 1 } else { -1 },
            end_offset: -1,
        },
        current_leader: LeaderIdAndEpoch {
            leader_id: if flexible { 2 } else { -1 },
            leader_epoch: -1,
        },
        snapshot_id: SnapshotId {
            end_offset: if flexible { 3 } else { -1 },
            epoch: -1,
        },
        aborted_transactions: (version >= 4 && partition_index == 0).then(|| {
            vec![AbortedTransaction {
                producer_id: 7,
                first_offset: 1,
            }]
        }),
        preferred_read_replica: -1,
        records: Some(Bytes::from_static(records)),
    };
    let topic = |partitions| FetchableTopicResponse {
        topic: if version < 13 { "topic".into() } else { String::new() },
        topic_id: if version < 13 { TopicId::ZERO } else { TopicId([9; 16]) },
        partitions,
    };
    let endpoint = NodeEndpoint {
        node_id: 3,
        host: "h".into(),
        port: 9,
        rack: None,
    };
    FetchResponse {
        throttle_time_ms: if version >= 1 { 5 } else { 0 },
        error_code: ErrorCode::NONE,
        session_id: if version >= 7 { 6 } else { 0 },
        responses: vec![
            topic(vec![partition(0, b"first records"), partition(1, b"")]),
            topic(vec![]),
            topic(vec![partition(2, b"last")]),
        ],
        node_endpoints: if version >= 16 { vec![endpoint] } else { vec![] },
    }
}

/// Writes `response` by chunks and puts the records in.
fn written(response: &FetchResponse, version: i16) -> Vec<u8> {
    let head = FetchResponseHead {
        correlation_id: 77,
        throttle_time_ms: response.throttle_time_ms,
        error_code: response.error_code,
        session_id: response.session_id,
        topics: response.responses.len(),
    };
    let mut writer = FetchResponseWriter::new(version, &head).expect("it fits the version");
    let mut slots = Vec::new();
    for topic in &response.responses {
        writer
            .topic(&topic.topic, topic.topic_id, topic.partitions.len())
            .expect("short");
        for partition in &topic.partitions {
            let records = partition.records.clone().unwrap_or_default();
            let head = PartitionData {
                records: None,
                ..partition.clone()
            };
            let slot = writer.partition(&head, records.len()).expect("it fits the version");
            assert_eq!(slot, slots.len());
            slots.push(records);
        }
    }
    let frame = writer.finish(&response.node_endpoints).expect("it fits the version");
    let mut bytes = Vec::new();
    for chunk in &frame.chunks {
        match chunk {
            FetchChunk::Bytes(chunk) => bytes.extend_from_slice(chunk),
            FetchChunk::Records { slot, length } => {
                assert_eq!(slots[*slot].len(), *length);
                bytes.extend_from_slice(&slots[*slot]);
            }
        }
    }
    assert_eq!(bytes.len(), frame.length, "version {version}");
    bytes
}

#[test]
fn the_writer_gives_the_bytes_of_encoding() {
    for version in FetchResponse::MIN_VERSION..=FetchResponse::MAX_VERSION {
        let response = response(version);
        let mut expected = Writer::new();
        encode_response(&mut expected, version, 77, &response).expect("it fits the version");
        assert_eq!(written(&response, version), expected.as_slice(), "version {version}");
    }
}

#[test]
fn what_a_version_cannot_carry_is_refused() {
    let head = FetchResponseHead {
        session_id: 1,
        ..Default::default()
    };
    assert!(FetchResponseWriter::new(6, &head).is_err());
    let head = FetchResponseHead {
        topics: 1,
        ..Default::default()
    };
    let mut writer = FetchResponseWriter::new(10, &head).expect("a known version");
    writer.topic("t", TopicId::ZERO, 1).expect("short");
    let moved = LeaderIdAndEpoch {
        leader_id: 1,
        leader_epoch: 1,
    };
    let partition = PartitionData {
        current_leader: moved,
        ..Default::default()
    };
    assert!(writer.partition(&partition, 0).is_err());
}
