//! Framing and negotiation.

use std::collections::BTreeMap;

use hallows_client::{Codec, ErrorCode};
use hallows_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, ApiVersionsRequest,
    ApiVersionsResponse, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, SyncGroupRequest,
};
use hallows_protocol::{ApiKey, Reader, Request, frame};

use crate::support::{
    FETCH, LONG_POLL_MS, PRODUCE, Raw, batch, bytes, call, connect, fetch, fetch_request, from, only, produce_at,
    produce_request, shared, topic, values,
};

/// The oldest version of Produce that is served, whatever is advertised.
const PRODUCE_OLDEST: i16 = 3;
/// Where a batch has its magic.
const MAGIC_AT: usize = 16;

const REQUEST: ApiVersionsRequest<'static> = ApiVersionsRequest {
    client_software_name: "test",
    client_software_version: "1.0",
};

#[test]
fn api_versions_at_an_unknown_version_is_answered_in_version_0_and_the_connection_is_kept() {
    let broker = shared();
    let mut raw = Raw::connect(&broker);
    raw.send_frame(18, 99, 7, b"\x00 bytes of a version to come");
    let answer = raw.receive();
    let (header, body) =
        frame::decode_response::<ApiVersionsResponse>(&mut Reader::new(&answer), 0).expect("version 0");
    assert_eq!(header.correlation_id, 7);
    assert_eq!(body.error_code, ErrorCode::UNSUPPORTED_VERSION);
    let own = body
        .api_keys
        .iter()
        .find(|api| api.api_key == 18)
        .expect("its own range is told");
    assert!(own.min_version == 0 && own.max_version >= 3, "{own:?}");

    raw.send(&REQUEST, 3, 8);
    assert_eq!(raw.receive()[..4], 8_i32.to_be_bytes(), "the connection is kept");
}

#[test]
fn api_versions_answers_have_response_header_0_also_with_flexible_bodies() {
    let broker = shared();
    let mut raw = Raw::connect(&broker);
    for version in 0..=4 {
        raw.send(&REQUEST, version, 5);
        let answer = raw.receive();
        // A header of version 1 would have a count of tags here, and shift the error code by a byte.
        assert_eq!(answer[..6], [0, 0, 0, 5, 0, 0], "version {version}");
        let decoded = ApiVersionsResponse::decode(&mut Reader::new(&answer[4..]), version).expect("it can be read");
        assert!(decoded.api_keys.len() > 20, "version {version}");
    }
}

#[test]
fn an_invalid_client_software_name_or_version_is_an_invalid_request() {
    let broker = shared();
    let mut connection = connect(&broker);
    for (name, version) in [
        ("", "1.0"),
        ("-test", "1.0"),
        ("te st", "1.0"),
        ("test", ""),
        ("test", "1.0/"),
    ] {
        let request = ApiVersionsRequest {
            client_software_name: name,
            client_software_version: version,
        };
        let answer = call(&mut connection, &request, 3);
        assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST, "{name:?} {version:?}");
    }
}

/// Asks with the smallest request of one API at every advertised version; returns how many there were.
fn ask_every_version<R: Request + Default>(raw: &mut Raw, offered: &mut BTreeMap<ApiKey, (i16, i16)>) -> usize {
    let (oldest, newest) = offered.remove(&R::KEY).expect("it is advertised");
    let oldest = if R::KEY == ApiKey::Produce {
        PRODUCE_OLDEST
    } else {
        oldest
    };
    for version in oldest..=newest {
        raw.send(&R::default(), version, i32::from(version));
        let answer = raw.receive();
        let decoded = frame::decode_response::<R::Response>(&mut Reader::new(&answer), version);
        let correlation_id = decoded.map(|(header, _)| header.correlation_id);
        assert_eq!(correlation_id, Ok(i32::from(version)), "{} version {version}", R::NAME);
    }
    usize::try_from(newest - oldest + 1).expect("a range")
}

#[test]
fn every_advertised_version_is_answered_and_can_be_read() {
    let broker = shared();
    let mut offered = connect(&broker).offered().clone();
    let mut raw = Raw::connect(&broker);
    let mut asked = 0;
    macro_rules! ask {
        ($($request:ident)*) => { $(asked += ask_every_version::<$request<'_>>(&mut raw, &mut offered);)* };
    }
    ask! {
        FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest FindCoordinatorRequest
        JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest ListGroupsRequest
        ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest
        OffsetForLeaderEpochRequest DescribeConfigsRequest AlterConfigsRequest DescribeLogDirsRequest
        CreatePartitionsRequest DeleteGroupsRequest IncrementalAlterConfigsRequest OffsetDeleteRequest
        DescribeProducersRequest DescribeTopicPartitionsRequest AlterReplicaLogDirsRequest ElectLeadersRequest
        AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest DescribeQuorumRequest
    }
    asked += ask_every_version::<ListConfigResourcesRequest>(&mut raw, &mut offered);
    asked += ask_every_version::<DescribeClusterRequest>(&mut raw, &mut offered);
    // An empty Produce request has acks=0 and gets no answer, so it has tests of its own.
    offered.remove(&ApiKey::Produce);
    assert!(offered.is_empty(), "advertised, but not asked here: {offered:?}");
    assert!(asked > 100, "{asked}");
}

#[test]
fn an_unsupported_version_closes_the_connection() {
    let broker = shared();
    for (key, (oldest, newest)) in connect(&broker).offered() {
        if *key == ApiKey::ApiVersions {
            continue;
        }
        for version in [oldest - 1, newest + 1, i16::MAX] {
            let mut raw = Raw::connect(&broker);
            raw.send_frame(key.number(), version, 1, &[0; 64]);
            raw.expect_closed();
        }
    }
}

#[test]
fn an_unknown_api_closes_the_connection() {
    let broker = shared();
    for key in [-1, 999, i16::MAX] {
        let mut raw = Raw::connect(&broker);
        raw.send_frame(key, 0, 1, &[]);
        raw.expect_closed();
    }
}

#[test]
fn produce_is_advertised_from_version_0_and_refused_below_3() {
    let broker = shared();
    assert_eq!(connect(&broker).offered()[&ApiKey::Produce].0, 0);
    for version in 0..PRODUCE_OLDEST {
        let mut raw = Raw::connect(&broker);
        let body = [&1_i16.to_be_bytes()[..], &[0; 8]].concat();
        raw.send_frame(ApiKey::Produce.number(), version, 1, &body);
        raw.expect_closed();
    }
}

#[test]
fn unstable_versions_are_not_advertised() {
    let broker = shared();
    for (key, (oldest, newest)) in connect(&broker).offered() {
        let range = key.versions();
        assert!(*newest <= range.max_stable, "{} {newest}", key.name());
        assert!(*oldest >= 0 && oldest <= newest, "{} {oldest}..={newest}", key.name());
    }
}

#[test]
fn a_feature_is_finalized_exactly_when_its_apis_are_advertised() {
    let broker = shared();
    let mut connection = connect(&broker);
    let answer = call(&mut connection, &REQUEST, 3);
    let level = |name: &str| {
        let found = answer.finalized_features.iter().find(|feature| feature.name == name);
        found.map_or(0, |feature| feature.max_version_level)
    };
    let offered = |key| connection.offered().contains_key(&key);
    assert_eq!(level("group.version") > 0, offered(ApiKey::ConsumerGroupHeartbeat));
    assert_eq!(level("share.version") > 0, offered(ApiKey::ShareFetch));
    assert_eq!(level("transaction.version") > 0, offered(ApiKey::EndTxn));
}

#[test]
fn acks_0_gets_no_answer_and_its_record_is_kept() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut raw = Raw::connect(&broker);
    let batch = batch(Codec::None, &[b"quiet"]);
    raw.send(&produce_request(&topic, 0, 0, &batch), PRODUCE, 1);
    raw.send(&REQUEST, 3, 2);
    assert_eq!(
        raw.receive()[..4],
        2_i32.to_be_bytes(),
        "the first answer is the second request's"
    );
    let request = FetchRequest {
        max_wait_ms: LONG_POLL_MS,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let found = only(call(&mut connection, &request, FETCH));
    assert_eq!(values(bytes(&found)), [b"quiet"]);
}

#[test]
fn an_error_with_acks_0_closes_the_connection() {
    let broker = shared();
    let mut raw = Raw::connect(&broker);
    let batch = batch(Codec::None, &[b"lost"]);
    raw.send(&produce_request("no-such-topic", 0, 0, &batch), PRODUCE, 1);
    raw.expect_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 4);
    let batch = batch(Codec::None, &[b"x"]);
    let mut raw = Raw::connect(&broker);
    for round in 0..32 {
        // Partitions belong to different shards, and ApiVersions could be answered before any of them.
        for partition in 0..4 {
            raw.send(
                &produce_request(&topic, partition, -1, &batch),
                PRODUCE,
                round * 5 + partition,
            );
        }
        raw.send(&REQUEST, 3, round * 5 + 4);
    }
    for expected in 0..32 * 5_i32 {
        assert_eq!(raw.receive()[..4], expected.to_be_bytes());
    }
}

#[test]
fn batches_before_version_2_are_refused_with_a_clear_error() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for magic in [0, 1] {
        let mut old = batch(Codec::None, &[b"old"]);
        old[MAGIC_AT] = magic;
        for version in [3, 7, 8, 12] {
            let answer = produce_at(&mut connection, &topic, &old, version);
            assert_eq!(
                answer.error_code,
                ErrorCode::INVALID_RECORD,
                "magic {magic} version {version}"
            );
        }
    }
    assert_eq!(fetch(&mut connection, &topic, 0).high_watermark, 0);
}

#[test]
fn old_and_new_versions_of_produce_and_fetch_see_the_same_log() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for (offset, version) in (0..).zip(PRODUCE_OLDEST..=12) {
        let value = version.to_string();
        let answer = produce_at(
            &mut connection,
            &topic,
            &batch(Codec::None, &[value.as_bytes()]),
            version,
        );
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (ErrorCode::NONE, offset),
            "version {version}"
        );
    }
    let expected: Vec<_> = (PRODUCE_OLDEST..=12)
        .map(|version| version.to_string().into_bytes())
        .collect();
    for version in 4..=12 {
        let found = only(call(&mut connection, &fetch_request(&topic, vec![from(0, 0)]), version));
        assert_eq!(values(bytes(&found)), expected, "version {version}");
    }
}
