//! Producing: idempotence, limits, codecs, timestamps, what is refused.

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::InitProducerIdRequest;
use hallows_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use hallows_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use hallows_record::{BatchBuilder, BatchHeader, Codec as RecordCodec, NewRecord, TimestampType};
use hallows_types::WallTime;

use crate::commits::{commit, committed};
use crate::members;
use crate::support::{
    PRODUCE, TIME, append, batch, bytes, call, connect, fetch, filled, produce, produce_at, produce_request, sequenced,
    shared, start, topic, topic_with, values,
};
use crate::topics::{SET, alter};

/// Where a batch has its checksum, its count of records and its last offset delta.
const CRC_AT: usize = 17;
const COUNT_AT: usize = 57;
const LAST_DELTA_AT: usize = 23;

/// A producer id that nobody else has.
pub(crate) fn producer(connection: &mut Connection) -> (i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let answer = call(connection, &request, 4);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    (answer.producer_id, answer.producer_epoch)
}

/// Writes the checksum anew, so that what a test changed is found by the check it is about.
pub(crate) fn seal(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&batch[CRC_AT + 4..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// CRC-32C bit by bit: slow, and independent of the code under test.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| shift(crc))
    })
}

#[test]
fn a_repeat_of_one_of_the_last_five_batches_returns_the_original_offset() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    for sequence in 0..7 {
        assert_eq!(
            append(&mut connection, &topic, &sequenced(id, epoch, sequence, &[b"v"])),
            i64::from(sequence)
        );
    }
    for sequence in 2..7 {
        let answer = produce(&mut connection, &topic, &sequenced(id, epoch, sequence, &[b"v"]));
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (ErrorCode::NONE, i64::from(sequence))
        );
    }
    let older = produce(&mut connection, &topic, &sequenced(id, epoch, 1, &[b"v"]));
    assert!(
        [
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER,
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        ]
        .contains(&older.error_code),
        "{:?}",
        older.error_code
    );
    assert_eq!(
        fetch(&mut connection, &topic, 0).high_watermark,
        7,
        "nothing was appended twice"
    );
}

#[test]
fn a_gap_in_the_sequence_is_out_of_order() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    append(&mut connection, &topic, &sequenced(id, epoch, 0, &[b"a", b"b"]));
    let answer = produce(&mut connection, &topic, &sequenced(id, epoch, 3, &[b"d"]));
    assert_eq!(answer.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(append(&mut connection, &topic, &sequenced(id, epoch, 2, &[b"c"])), 2);
}

#[test]
fn the_sequence_wraps_from_its_largest_number_to_0() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    append(&mut connection, &topic, &sequenced(id, epoch, i32::MAX - 1, &[b"a"]));
    let across = sequenced(id, epoch, i32::MAX, &[b"b", b"c"]);
    assert_eq!(append(&mut connection, &topic, &across), 1, "the last number, then 0");
    assert_eq!(append(&mut connection, &topic, &sequenced(id, epoch, 1, &[b"d"])), 3);
    assert_eq!(
        append(&mut connection, &topic, &across),
        1,
        "and the batch across is known again"
    );
}

#[test]
fn an_idempotent_producer_without_known_state_may_start_at_any_sequence() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    assert_eq!(append(&mut connection, &topic, &sequenced(id, epoch, 4711, &[b"a"])), 0);
}

#[test]
fn an_old_producer_epoch_is_fenced() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    append(&mut connection, &topic, &sequenced(id, epoch + 1, 0, &[b"new"]));
    let answer = produce(&mut connection, &topic, &sequenced(id, epoch, 0, &[b"old"]));
    assert_eq!(answer.error_code, ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn producer_state_survives_kill_9_and_segment_roll_and_delete_records() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let topic = topic_with(&mut connection, 1, &[("segment.bytes", "1048576")]);
    let (id, epoch) = producer(&mut connection);
    let value = vec![b'v'; 300_000];
    for sequence in 0..8 {
        append(&mut connection, &topic, &sequenced(id, epoch, sequence, &[&value]));
    }
    assert_eq!(delete_records(&mut connection, &topic, -1), (ErrorCode::NONE, 8));
    broker.kill();
    broker.restart().expect("it starts again");

    let mut connection = connect(&broker);
    let gap = produce(&mut connection, &topic, &sequenced(id, epoch, 9, &[b"gap"]));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    let repeat = produce(&mut connection, &topic, &sequenced(id, epoch, 7, &[&value]));
    assert_eq!((repeat.error_code, repeat.base_offset), (ErrorCode::NONE, 7));
    assert_eq!(append(&mut connection, &topic, &sequenced(id, epoch, 8, &[b"next"])), 8);
}

fn delete_records(connection: &mut Connection, topic: &str, offset: i64) -> (ErrorCode, i64) {
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
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[test]
fn producer_state_expires_after_producer_id_expiration_ms() {
    let broker = start(&[
        ("producer.id.expiration.ms", "1"),
        ("log.retention.check.interval.ms", "1"),
    ]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    append(&mut connection, &topic, &sequenced(id, epoch, 0, &[b"a"]));
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: &topic,
            partition_indexes: vec![0],
        }],
    };
    // Each answer is a round trip, so this waits without a guess at how long.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while !call(&mut connection, &request, 0).topics[0].partitions[0]
        .active_producers
        .is_empty()
    {
        assert!(std::time::Instant::now() < deadline, "the producer is never forgotten");
    }
    assert_eq!(append(&mut connection, &topic, &sequenced(id, epoch, 100, &[b"b"])), 1);
}

#[test]
fn max_message_bytes_counts_the_compressed_batch() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic_with(&mut connection, 1, &[("max.message.bytes", "2000")]);
    let value = vec![0; 100_000];
    let plain = produce(&mut connection, &topic, &batch(Codec::None, &[&value]));
    assert_eq!(plain.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    let small = batch(Codec::Zstd, &[&value]);
    assert!(small.len() < 2000);
    assert_eq!(append(&mut connection, &topic, &small), 0);
}

#[test]
fn zstd_below_produce_version_7_is_refused() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let zstd = batch(Codec::Zstd, &[b"v"]);
    let refused = produce_at(&mut connection, &topic, &zstd, 6);
    assert_eq!(refused.error_code, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    assert_eq!(
        produce_at(&mut connection, &topic, &zstd, 7).error_code,
        ErrorCode::NONE
    );
}

#[test]
fn every_codec_and_both_snappy_framings_are_taken_and_given_back_unchanged() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let text: Vec<Vec<u8>> = (0..500)
        .map(|n| format!("value {n} {}", "x".repeat(50)).into_bytes())
        .collect();
    let text: Vec<&[u8]> = text.iter().map(Vec::as_slice).collect();
    let mut batches: Vec<_> = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
        .map(|codec| batch(codec, &text))
        .into();
    batches.push(filled(BatchBuilder::new(RecordCodec::Snappy).raw_snappy(), &text));
    for sent in &batches {
        let offset = append(&mut connection, &topic, sent);
        let found = fetch(&mut connection, &topic, offset);
        // Offset and leader epoch are the broker's; everything behind them is the client's.
        assert_eq!(bytes(&found)[16..], sent[16..]);
        assert_eq!(values(bytes(&found)), text);
    }
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut damaged = batch(Codec::None, &[b"value"]);
    *damaged.last_mut().expect("it has bytes") ^= 1;
    assert_eq!(
        produce(&mut connection, &topic, &damaged).error_code,
        ErrorCode::CORRUPT_MESSAGE
    );
}

#[test]
fn a_wrong_count_or_offset_delta_is_refused() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for (at, what) in [(COUNT_AT, "count"), (LAST_DELTA_AT, "last offset delta")] {
        let mut wrong = batch(Codec::None, &[b"a", b"b"]);
        wrong[at + 3] += 1;
        let answer = produce(&mut connection, &topic, &seal(wrong));
        assert_eq!(answer.error_code, ErrorCode::INVALID_RECORD, "{what}");
    }
    assert_eq!(fetch(&mut connection, &topic, 0).high_watermark, 0);
}

#[test]
fn a_checksum_made_by_the_test_is_accepted() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let sealed = seal(batch(Codec::None, &[b"a"]));
    assert_eq!(
        append(&mut connection, &topic, &sealed),
        0,
        "so the other tests fail for the reason they name"
    );
}

#[test]
fn log_append_time_rewrites_the_batch_and_its_checksum_and_is_told_in_the_answer() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic_with(&mut connection, 1, &[("message.timestamp.type", "LogAppendTime")]);
    for codec in [Codec::None, Codec::Gzip] {
        let answer = produce(&mut connection, &topic, &batch(codec, &[b"a", b"b"]));
        assert_eq!(answer.error_code, ErrorCode::NONE);
        assert!(answer.log_append_time_ms > TIME, "{}", answer.log_append_time_ms);
        let found = fetch(&mut connection, &topic, answer.base_offset);
        let stored = bytes(&found);
        let header = BatchHeader::parse(stored).expect("a batch");
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp, WallTime(answer.log_append_time_ms));
        assert_eq!(header.crc, crc32c(&stored[CRC_AT + 4..]));
        assert_eq!(values(stored), [b"a", b"b"]);
    }
}

#[test]
fn with_create_time_the_answer_carries_no_timestamp() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let answer = produce(&mut connection, &topic, &batch(Codec::None, &[b"a"]));
    assert_eq!((answer.error_code, answer.log_append_time_ms), (ErrorCode::NONE, -1));
}

#[test]
fn a_timestamp_outside_the_topics_bounds_is_invalid_and_its_record_is_named() {
    let broker = shared();
    let mut connection = connect(&broker);
    let settings = [
        ("message.timestamp.before.max.ms", "3600000"),
        ("message.timestamp.after.max.ms", "3600000"),
    ];
    let topic = topic_with(&mut connection, 1, &settings);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let now = i64::try_from(now.as_millis()).expect("long before the end of time");
    for wrong in [now - 7_200_000, now + 7_200_000] {
        let mut builder = BatchBuilder::new(RecordCodec::None);
        for time in [now, wrong, now] {
            let record = NewRecord {
                timestamp: WallTime(time),
                value: Some(b"v"),
                ..NewRecord::default()
            };
            builder.append(&record).expect("it is small");
        }
        let answer = produce(&mut connection, &topic, &builder.build().expect("it has records"));
        assert_eq!(answer.error_code, ErrorCode::INVALID_TIMESTAMP);
        let named: Vec<_> = answer.record_errors.iter().map(|error| error.batch_index).collect();
        assert_eq!(named, [1]);
    }
}

#[test]
fn control_batches_from_a_client_are_invalid() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (id, epoch) = producer(&mut connection);
    let producer = hallows_record::Producer {
        id,
        epoch,
        base_sequence: 0,
    };
    let control = filled(
        BatchBuilder::new(RecordCodec::None).with_producer(producer).control(),
        &[b"marker"],
    );
    assert_eq!(
        produce(&mut connection, &topic, &control).error_code,
        ErrorCode::INVALID_RECORD
    );
}

#[test]
fn a_new_topic_has_no_hidden_records() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let found = fetch(&mut connection, &topic, 0);
    assert_eq!(
        (found.log_start_offset, found.high_watermark, found.last_stable_offset),
        (0, 0, 0)
    );
    assert_eq!(append(&mut connection, &topic, &batch(Codec::None, &[b"first"])), 0);
}

#[test]
fn more_replicas_than_there_are_refuse_acks_all_and_nothing_else() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic_with(&mut connection, 1, &[("min.insync.replicas", "2")]);
    let batch = batch(Codec::None, &[b"v"]);
    let mut send = |acks: i16| {
        let mut answer = call(&mut connection, &produce_request(&topic, 0, acks, &batch), PRODUCE);
        answer.responses.remove(0).partition_responses.remove(0)
    };
    let min_insync = |replicas| {
        let changes = [("min.insync.replicas", SET, Some(replicas))];
        assert_eq!(alter(&mut connect(&broker), &topic, &changes), ErrorCode::NONE);
    };
    let refused = send(-1);
    assert_eq!(
        (refused.error_code, refused.base_offset),
        (ErrorCode::NOT_ENOUGH_REPLICAS, -1)
    );
    let why = refused.error_message.expect("a sentence");
    assert!(why.contains("min.insync.replicas is 2"), "{why}");
    let one = send(1);
    assert_eq!(
        (one.error_code, one.base_offset),
        (ErrorCode::NONE, 0),
        "nothing was appended before"
    );
    min_insync("1");
    let all = send(-1);
    assert_eq!((all.error_code, all.base_offset), (ErrorCode::NONE, 1));
    min_insync("3");
    assert_eq!(send(-1).error_code, ErrorCode::NOT_ENOUGH_REPLICAS);
}

#[test]
fn committed_offsets_do_not_wait_for_replicas_that_topics_ask_for() {
    let broker = start(&[("min.insync.replicas", "2")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let refused = produce(&mut connection, &topic, &batch(Codec::None, &[b"v"]));
    assert_eq!(
        refused.error_code,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        "the topic has no value of its own"
    );
    let mut member = members::connect(&broker);
    let (id, generation) = members::join_alone(&mut member, "g");
    let request = commit("g", &id, generation, &topic, None);
    assert_eq!(committed(&mut member, &request), ErrorCode::NONE);
}
