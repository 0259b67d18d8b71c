//! Fetching, ListOffsets and leader epochs.

use std::collections::BTreeSet;

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use hallows_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use hallows_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use hallows_types::TopicId;

use crate::support::{
    FETCH, LONG_POLL_MS, TIME, append, batch, bytes, call, connect, fetch, fetch_request, from, metadata, only,
    produce_request, read, shared, start, topic, topic_id, values,
};

#[test]
fn an_offset_outside_the_log_is_out_of_range_and_its_end_is_not() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a", b"b", b"c"]));
    delete_records(&mut connection, &topic, 1);
    for outside in [0, 4, i64::MAX, -1] {
        assert_eq!(
            fetch(&mut connection, &topic, outside).error_code,
            ErrorCode::OFFSET_OUT_OF_RANGE,
            "{outside}"
        );
    }
    let end = fetch(&mut connection, &topic, 3);
    assert_eq!((end.error_code, bytes(&end).len()), (ErrorCode::NONE, 0));
    assert_eq!(
        (end.log_start_offset, end.high_watermark, end.last_stable_offset),
        (1, 3, 3)
    );
}

fn delete_records(connection: &mut Connection, topic: &str, offset: i64) {
    let partition = DeleteRecordsPartition {
        partition_index: 0,
        offset,
    };
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic,
            partitions: vec![partition],
        }],
        timeout_ms: 30_000,
    };
    let answer = call(connection, &request, 1);
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
}

#[test]
fn a_fetch_from_inside_a_batch_returns_the_whole_batch() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"before"]));
    append(&mut connection, &topic, &batch(Codec::Lz4, &[b"a", b"b", b"c"]));
    let found = fetch(&mut connection, &topic, 2);
    assert_eq!(values(bytes(&found)), [b"a", b"b", b"c"]);
}

#[test]
fn a_partition_without_data_answers_records_of_length_0_never_null() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let id = topic_id(&mut connection, &topic);
    for version in 4..=17 {
        let mut request = fetch_request(&topic, vec![from(0, 0), from(1, 0)]);
        request.topics[0].topic_id = id;
        let answer = call(&mut connection, &request, version);
        for partition in &answer.responses[0].partitions {
            // Partition 1 does not exist: an error carries no null either.
            assert_eq!(
                partition.records.as_deref(),
                Some(&[][..]),
                "version {version}: {partition:?}"
            );
        }
    }
}

#[test]
fn the_first_batch_is_returned_even_above_both_byte_limits() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let large = vec![b'x'; 50_000];
    append(&mut connection, &topic, &batch(Codec::None, &[&large]));
    append(&mut connection, &topic, &batch(Codec::None, &[b"second"]));
    let partition = FetchPartition {
        partition_max_bytes: 1,
        ..from(0, 0)
    };
    let request = FetchRequest {
        max_bytes: 1,
        ..fetch_request(&topic, vec![partition])
    };
    let found = only(call(&mut connection, &request, FETCH));
    assert_eq!(values(bytes(&found)), [large]);
}

#[test]
fn the_total_respects_max_bytes_behind_the_first_batch() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 3);
    let value = vec![b'x'; 10_000];
    let sent = batch(Codec::None, &[&value]);
    for partition in 0..3 {
        for _ in 0..4 {
            call(&mut connection, &produce_request(&topic, partition, -1, &sent), 9);
        }
    }
    let request = FetchRequest {
        max_bytes: 45_000,
        ..fetch_request(&topic, (0..3).map(|partition| from(partition, 0)).collect())
    };
    let answer = call(&mut connection, &request, FETCH);
    let total: usize = answer.responses[0]
        .partitions
        .iter()
        .map(|partition| bytes(partition).len())
        .sum();
    assert!((40_000..=45_000).contains(&total), "{total}");
}

#[test]
fn the_order_of_partitions_rotates_so_that_max_bytes_starves_none() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 3);
    let value = vec![b'x'; 10_000];
    for partition in 0..3 {
        let sent = batch(Codec::None, &[&value]);
        let answer = call(&mut connection, &produce_request(&topic, partition, -1, &sent), 9);
        let told = &answer.responses[0].partition_responses[0];
        assert_eq!(told.error_code, ErrorCode::NONE, "{:?}", told.error_message);
    }
    let mut served = BTreeSet::new();
    let mut request = FetchRequest {
        max_bytes: 1,
        session_epoch: 0,
        ..fetch_request(&topic, (0..3).map(|partition| from(partition, 0)).collect())
    };
    for epoch in 0..6 {
        request.session_epoch = epoch;
        let answer = call(&mut connection, &request, FETCH);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        request.session_id = answer.session_id;
        request.topics = Vec::new();
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        served.extend(
            partitions
                .filter(|found| !bytes(found).is_empty())
                .map(|found| found.partition_index),
        );
    }
    assert_eq!(
        served,
        BTreeSet::from([0, 1, 2]),
        "a session without acknowledgement asks for the same offsets"
    );
}

#[test]
fn a_waiting_fetch_is_answered_by_the_record_it_waits_for() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let sent = batch(Codec::None, &[b"awaited"]);
    let request = FetchRequest {
        max_wait_ms: LONG_POLL_MS,
        min_bytes: i32::try_from(sent.len()).expect("it is small") + 1,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let mut waiting = connect(&broker);
    let ticket = waiting.send(&request, FETCH).expect("it is sent");
    // One batch is a byte too few; the second is enough.
    append(&mut connection, &topic, &sent);
    append(&mut connection, &topic, &sent);
    let found = only(waiting.receive(ticket).expect("it is answered"));
    assert_eq!(values(bytes(&found)), [b"awaited", b"awaited"]);
}

#[test]
fn a_fetch_with_too_little_data_is_answered_after_max_wait() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"little"]));
    let request = FetchRequest {
        max_wait_ms: 50,
        min_bytes: 1 << 20,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let start = std::time::Instant::now();
    let found = only(call(&mut connection, &request, FETCH));
    assert!(start.elapsed().as_millis() >= 50);
    assert_eq!(values(bytes(&found)), [b"little"]);
}

#[test]
fn a_partition_with_an_error_answers_a_waiting_fetch_at_once() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a"]));
    let fenced = FetchPartition {
        current_leader_epoch: i32::MAX,
        ..from(0, 1)
    };
    for (bad, expected) in [
        (from(0, 99), ErrorCode::OFFSET_OUT_OF_RANGE),
        (from(7, 0), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (fenced, ErrorCode::UNKNOWN_LEADER_EPOCH),
    ] {
        let request = FetchRequest {
            max_wait_ms: LONG_POLL_MS,
            ..fetch_request(&topic, vec![bad])
        };
        assert_eq!(only(call(&mut connection, &request, FETCH)).error_code, expected);
    }
}

#[test]
fn read_committed_without_transactions_reads_up_to_the_high_watermark_and_names_no_aborted_ones() {
    const READ_COMMITTED: i8 = 1;
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a", b"b"]));
    let request = FetchRequest {
        isolation_level: READ_COMMITTED,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let partition = only(call(&mut connection, &request, FETCH));
    assert_eq!(
        (
            partition.error_code,
            partition.last_stable_offset,
            partition.high_watermark
        ),
        (ErrorCode::NONE, 2, 2)
    );
    assert!(partition.aborted_transactions.unwrap_or_default().is_empty());
    assert_eq!(values(partition.records.as_deref().expect("never null")), [b"a", b"b"]);
}

#[test]
fn topic_ids_replace_names_from_fetch_13() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"by id"]));
    let by_id = |topic_id| FetchRequest {
        topics: vec![FetchTopic {
            topic_id,
            partitions: vec![from(0, 0)],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let id = topic_id(&mut connection, &topic);
    for version in 13..=17 {
        let found = only(call(&mut connection, &by_id(id), version));
        assert_eq!(values(bytes(&found)), [b"by id"], "version {version}");
    }
    let unknown = only(call(&mut connection, &by_id(TopicId([7; 16])), 13));
    assert_eq!(unknown.error_code, ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn an_older_leader_epoch_is_fenced_a_newer_one_unknown_and_minus_1_not_checked() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a"]));
    let before = leader_epoch(&mut connection, &topic);
    // An unclean stop raises the epoch.
    broker.kill();
    broker.restart().expect("it starts again");
    let mut connection = connect(&broker);
    let now = leader_epoch(&mut connection, &topic);
    assert!(now > before, "{before} then {now}");
    for (epoch, expected) in [
        (before, ErrorCode::FENCED_LEADER_EPOCH),
        (now, ErrorCode::NONE),
        (now + 1, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (-1, ErrorCode::NONE),
    ] {
        let partition = FetchPartition {
            current_leader_epoch: epoch,
            ..from(0, 0)
        };
        let answer = only(call(&mut connection, &fetch_request(&topic, vec![partition]), FETCH));
        assert_eq!(answer.error_code, expected, "epoch {epoch}");
    }
}

fn leader_epoch(connection: &mut Connection, topic: &str) -> i32 {
    metadata(connection, topic, false).topics[0].partitions[0].leader_epoch
}

#[test]
fn offset_for_leader_epoch_answers_the_largest_epoch_not_above_the_asked_one_and_never_0() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let first = leader_epoch(&mut connection, &topic);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a", b"b"]));
    broker.kill();
    broker.restart().expect("it starts again");
    let mut connection = connect(&broker);
    let second = leader_epoch(&mut connection, &topic);
    append(&mut connection, &topic, &batch(Codec::None, &[b"c"]));

    let mut ask = |epoch| {
        let answer = end_of_epoch(&mut connection, &topic, epoch);
        (answer.error_code, answer.leader_epoch, answer.end_offset)
    };
    assert_eq!(ask(first), (ErrorCode::NONE, first, 2));
    assert_eq!(ask(second), (ErrorCode::NONE, second, 3));
    assert_eq!(ask(second + 1), (ErrorCode::NONE, -1, -1), "it is not known yet");
}

fn end_of_epoch(connection: &mut Connection, topic: &str, leader_epoch: i32) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition {
        partition: 0,
        current_leader_epoch: -1,
        leader_epoch,
    };
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic,
            partitions: vec![partition],
        }],
    };
    call(connection, &request, 4).topics.remove(0).partitions.remove(0)
}

/// Asks for the offset at one time.
fn offset_at(connection: &mut Connection, topic: &str, timestamp: i64, version: i16) -> ListOffsetsPartitionResponse {
    list_offsets(connection, topic, &[timestamp], version).remove(0)
}

fn list_offsets(
    connection: &mut Connection,
    topic: &str,
    timestamps: &[i64],
    version: i16,
) -> Vec<ListOffsetsPartitionResponse> {
    let partitions = timestamps.iter().map(|&timestamp| ListOffsetsPartition {
        timestamp,
        current_leader_epoch: -1,
        ..ListOffsetsPartition::default()
    });
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic,
            partitions: partitions.collect(),
        }],
        timeout_ms: 30_000,
        ..ListOffsetsRequest::default()
    };
    let mut answer = call(connection, &request, version);
    answer.topics.remove(0).partitions
}

#[test]
fn list_offsets_by_time_is_exact_inside_compressed_batches() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let values: Vec<&[u8]> = vec![b"v"; 100];
    append(&mut connection, &topic, &batch(Codec::Gzip, &values));
    for delta in [0, 1, 57, 99] {
        let found = offset_at(&mut connection, &topic, TIME + delta, 7);
        assert_eq!(
            (found.error_code, found.offset, found.timestamp),
            (ErrorCode::NONE, delta, TIME + delta)
        );
    }
    assert_eq!(
        offset_at(&mut connection, &topic, TIME - 1000, 7).offset,
        0,
        "the first at or above"
    );
    let none = offset_at(&mut connection, &topic, TIME + 100, 7);
    assert_eq!(
        (none.error_code, none.offset, none.timestamp),
        (ErrorCode::NONE, -1, -1)
    );
}

#[test]
fn list_offsets_knows_earliest_latest_max_timestamp_and_the_tiers() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a", b"b", b"c"]));
    delete_records(&mut connection, &topic, 1);
    let mut ask = |time, version| offset_at(&mut connection, &topic, time, version).offset;
    assert_eq!(ask(-1, 1), 3, "latest");
    assert_eq!(ask(-2, 1), 1, "earliest");
    assert_eq!(ask(-3, 7), 2, "the largest timestamp");
    assert_eq!(ask(-4, 8), 1, "earliest local");
    assert_eq!(ask(-5, 9), -1, "nothing is tiered");
}

#[test]
fn a_special_time_below_its_version_is_an_unsupported_version() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for (time, version) in [(-3, 6), (-4, 7), (-5, 8)] {
        let answer = offset_at(&mut connection, &topic, time, version);
        assert_eq!(
            answer.error_code,
            ErrorCode::UNSUPPORTED_VERSION,
            "{time} at version {version}"
        );
    }
}

#[test]
fn list_offsets_of_a_partition_twice_is_an_invalid_request() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for answer in list_offsets(&mut connection, &topic, &[-1, -2], 7) {
        assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST);
    }
}

#[test]
fn offsets_do_not_shift_after_delete_records_or_restart_and_log_start_only_grows() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for round in 0..10_u8 {
        append(
            &mut connection,
            &topic,
            &batch(Codec::None, &[&[round], &[round, round]]),
        );
    }
    let before = read(bytes(&fetch(&mut connection, &topic, 0)));
    delete_records(&mut connection, &topic, 7);
    for clean in [true, false] {
        if clean {
            broker.stop().expect("it stops");
        } else {
            broker.kill();
        }
        broker.restart().expect("it starts again");
        let mut connection = connect(&broker);
        let found = fetch(&mut connection, &topic, 7);
        assert_eq!((found.log_start_offset, found.high_watermark), (7, 20), "clean {clean}");
        let after: Vec<_> = read(bytes(&found)).into_iter().filter(|record| record.0 >= 7).collect();
        assert_eq!(after, before[7..], "clean {clean}");
        delete_records(&mut connection, &topic, 3);
        assert_eq!(fetch(&mut connection, &topic, 7).log_start_offset, 7, "it never falls");
    }
}
