//! One good batch, damaged in one way at a time; every complaint names what was damaged.

use super::*;
use crate::assign::put_checksum;
use crate::compression::Codec;
use crate::header::BATCH_HEADER_BYTES;
use crate::{BatchBuilder, NewHeader, NewRecord, Producer};
use alloc::vec;

const LIMITS: StructureLimits = StructureLimits::produced(1 << 20);
const OUTPUT_BYTES_MAX: usize = 1 << 20;

fn batch_of(records: &[NewRecord<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None).with_producer(Producer {
        id: 1,
        epoch: 0,
        base_sequence: 0,
    });
    for record in records {
        builder.append(record).expect("small records fit");
    }
    builder.build().expect("not empty")
}

fn record(timestamp: i64) -> NewRecord<'static> {
    NewRecord {
        timestamp: WallTime(timestamp),
        key: Some(b"key"),
        value: Some(b"value"),
        headers: &[],
    }
}

fn good() -> Vec<u8> {
    batch_of(&[record(1000), record(3000), record(2000)])
}

/// A batch whose header is right and whose records are `payload`.
fn batch_of_payload(payload: &[u8], record_count: i32) -> Vec<u8> {
    let mut batch = good();
    batch.truncate(BATCH_HEADER_BYTES);
    batch.extend_from_slice(payload);
    let batch_length = i32::try_from(batch.len() - 12).expect("small");
    overwrite(&mut batch, at::BATCH_LENGTH, &batch_length.to_be_bytes());
    overwrite(&mut batch, at::RECORD_COUNT, &record_count.to_be_bytes());
    overwrite(&mut batch, at::LAST_OFFSET_DELTA, &(record_count - 1).to_be_bytes());
    overwrite(&mut batch, at::MAX_TIMESTAMP, &1000_i64.to_be_bytes());
    put_checksum(&mut batch);
    batch
}

fn overwrite(batch: &mut [u8], start: usize, bytes: &[u8]) {
    batch[start..start + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn structure_errors_name_the_field() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: BatchError| {
        let mut batch = good();
        change(&mut batch);
        put_checksum(&mut batch);
        assert_eq!(check_structure(&batch, &LIMITS), Err(expected));
    };
    let size = good().len();
    check(
        &|batch| batch.truncate(size - 1),
        BatchError::Truncated {
            needed: size,
            actual: size - 1,
        },
    );
    check(
        &|batch| batch.push(0),
        BatchError::TrailingBytes {
            size_bytes: size,
            trailing_bytes: 1,
        },
    );
    check(&|batch| batch[at::MAGIC] = 1, BatchError::UnsupportedMagic { magic: 1 });
    check(&|batch| batch[at::MAGIC] = 3, BatchError::UnsupportedMagic { magic: 3 });
    check(
        &|batch| overwrite(batch, at::BATCH_LENGTH, &48_i32.to_be_bytes()),
        BatchError::LengthInvalid {
            batch_length: 48,
            minimum: 49,
        },
    );
    check(
        &|batch| overwrite(batch, at::BATCH_LENGTH, &(-1_i32).to_be_bytes()),
        BatchError::LengthInvalid {
            batch_length: -1,
            minimum: 49,
        },
    );
    check(
        &|batch| batch[at::ATTRIBUTES + 1] = 5,
        BatchError::UnknownCodec { codec: 5 },
    );
    check(
        &|batch| overwrite(batch, at::RECORD_COUNT, &0_i32.to_be_bytes()),
        BatchError::RecordCountInvalid { record_count: 0 },
    );
    check(
        &|batch| overwrite(batch, at::RECORD_COUNT, &i32::MIN.to_be_bytes()),
        BatchError::RecordCountInvalid { record_count: i32::MIN },
    );
    check(
        &|batch| overwrite(batch, at::LAST_OFFSET_DELTA, &3_i32.to_be_bytes()),
        BatchError::OffsetRangeInvalid {
            last_offset_delta: 3,
            record_count: 3,
        },
    );
    check(
        &|batch| overwrite(batch, at::LAST_OFFSET_DELTA, &(-1_i32).to_be_bytes()),
        BatchError::OffsetRangeInvalid {
            last_offset_delta: -1,
            record_count: 3,
        },
    );
    check(
        &|batch| overwrite(batch, at::BASE_OFFSET, &(i64::MAX - 2).to_be_bytes()),
        BatchError::OffsetOverflow {
            base_offset: hallows_types::Offset(i64::MAX - 2),
            last_offset_delta: 2,
        },
    );
    check(
        &|batch| overwrite(batch, at::BASE_SEQUENCE, &(-1_i32).to_be_bytes()),
        BatchError::SequenceInvalid {
            producer_id: 1,
            base_sequence: -1,
        },
    );
}

#[test]
fn a_batch_above_the_limit_is_too_large_before_it_is_anything_else() {
    let batch = good();
    let limits = StructureLimits::produced(batch.len());
    assert!(check_structure(&batch, &limits).is_ok());
    let limits = StructureLimits::produced(batch.len() - 1);
    let expected = BatchError::TooLarge {
        size_bytes: batch.len(),
        batch_bytes_max: batch.len() - 1,
    };
    assert_eq!(check_structure(&batch[..20], &limits), Err(expected));
}

#[test]
fn every_flipped_bit_under_the_checksum_is_found() {
    let batch = good();
    for bit in at::CRC * 8..batch.len() * 8 {
        let mut damaged = batch.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(
            matches!(
                check_structure(&damaged, &LIMITS),
                Err(BatchError::ChecksumMismatch { .. })
            ),
            "bit {bit} went unnoticed"
        );
    }
}

#[test]
fn every_truncation_is_found_by_every_entry() {
    let batch = good();
    for size in 0..batch.len() {
        let cut = &batch[..size];
        assert!(check_structure(cut, &LIMITS).is_err(), "{size}");
        assert!(single_batch(cut).is_err(), "{size}");
        assert_eq!(peek_size(cut).is_none(), size < 12, "{size}");
        assert_eq!(BatchHeader::parse(cut).is_ok(), size >= BATCH_HEADER_BYTES, "{size}");
    }
}

#[test]
fn a_message_set_of_version_0_or_1_is_refused_by_name() {
    for magic in [0, 1] {
        // Offset, size, checksum, magic, attributes, timestamp (version 1), null key, empty value.
        let mut message = vec![0; 8];
        message.extend_from_slice(&22_i32.to_be_bytes());
        message.extend_from_slice(&[
            0, 0, 0, 0, magic, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0,
        ]);
        let expected = BatchError::UnsupportedMagic {
            magic: i8::from_be_bytes([magic]),
        };
        assert_eq!(single_batch(&message), Err(expected));
        assert_eq!(check_structure(&message, &LIMITS), Err(expected));
        assert_eq!(BatchHeader::parse(&message), Err(expected));
    }
}

#[test]
fn a_produce_request_holds_exactly_one_batch() {
    let batch = good();
    assert_eq!(single_batch(&[]), Err(BatchError::NoBatch));
    assert_eq!(single_batch(&batch), Ok(&batch[..]));
    let two = [batch.clone(), batch.clone()].concat();
    let expected = BatchError::MoreThanOneBatch {
        first_bytes: batch.len(),
        total_bytes: two.len(),
    };
    assert_eq!(single_batch(&two), Err(expected));
    let split: Vec<_> = Batches::split(&two).collect();
    assert_eq!(split, [Ok(&batch[..]), Ok(&batch[..])]);
}

#[test]
fn splitting_ends_at_the_first_damaged_length() {
    let mut bytes = [good(), good()].concat();
    let size = good().len();
    bytes.truncate(size + 20);
    let split: Vec<_> = Batches::split(&bytes).collect();
    assert_eq!(
        split,
        [
            Ok(&bytes[..size]),
            Err(BatchError::Truncated {
                needed: size,
                actual: 20
            })
        ]
    );
}

#[test]
fn record_errors_name_the_record_and_the_field() {
    let check = |payload: &[u8], record_count, record_index, kind| {
        let batch = batch_of_payload(payload, record_count);
        check_structure(&batch, &LIMITS).expect("the header is right");
        let found = check_records(&batch, &RecordLimits::produced(), &mut Scratch::new(0));
        assert_eq!(found, Err(RecordError { record_index, kind }), "{payload:x?}");
    };
    // Length 6, attributes, timestamp delta 0, offset delta 0, null key, null value, no headers.
    let whole = [12, 0, 0, 0, 1, 1, 0];
    let second = [12, 0, 0, 2, 1, 1, 0];
    use RecordErrorKind as Kind;
    check(&[], 1, Some(0), Kind::Truncated { field: "record length" });
    check(&whole, 2, Some(1), Kind::Truncated { field: "record length" });
    check(
        &whole[..6],
        1,
        Some(0),
        Kind::LengthInvalid {
            field: "record length",
            value: 6,
            remaining_bytes: 5,
        },
    );
    check(
        &[1],
        1,
        Some(0),
        Kind::LengthInvalid {
            field: "record length",
            value: -1,
            remaining_bytes: 0,
        },
    );
    check(&[0], 1, Some(0), Kind::Truncated { field: "attributes" });
    check(&[0x80; 11], 1, Some(0), Kind::VarintInvalid { field: "record length" });
    check(
        &[4, 0, 0x80],
        1,
        Some(0),
        Kind::Truncated {
            field: "timestamp delta",
        },
    );
    check(&[6, 0, 0, 0x80], 1, Some(0), Kind::Truncated { field: "offset delta" });
    let outside = |field| Kind::LengthInvalid {
        field,
        value: 9,
        remaining_bytes: 2,
    };
    check(&[12, 0, 0, 0, 18, 1, 0], 1, Some(0), outside("key length"));
    check(&[14, 0, 0, 0, 1, 18, 0, 0], 1, Some(0), outside("value length"));
    check(
        &[12, 0, 0, 0, 3, 1, 0],
        1,
        Some(0),
        Kind::LengthInvalid {
            field: "key length",
            value: -2,
            remaining_bytes: 2,
        },
    );
    check(
        &[12, 0, 0, 0, 1, 1, 2],
        1,
        Some(0),
        Kind::LengthInvalid {
            field: "header count",
            value: 1,
            remaining_bytes: 0,
        },
    );
    check(
        &[12, 0, 0, 0, 1, 1, 1],
        1,
        Some(0),
        Kind::LengthInvalid {
            field: "header count",
            value: -1,
            remaining_bytes: 0,
        },
    );
    check(
        &[16, 0, 0, 0, 1, 1, 2, 1, 1],
        1,
        Some(0),
        Kind::HeaderKeyInvalid {
            header_index: 0,
            key_length: -1,
        },
    );
    check(
        &[18, 0, 0, 0, 1, 1, 2, 0, 1, 0],
        1,
        Some(0),
        Kind::RecordTrailingBytes { trailing_bytes: 1 },
    );
    check(
        &[14, 0, 0, 0, 1, 1, 0, 0],
        1,
        Some(0),
        Kind::RecordTrailingBytes { trailing_bytes: 1 },
    );
    check(
        &[&whole[..], &whole].concat(),
        1,
        None,
        Kind::BatchTrailingBytes {
            trailing_bytes: 7,
            record_count: 1,
        },
    );
    let not_next = Kind::OffsetDeltaInvalid {
        expected: 1,
        actual: 0,
        last_offset_delta: 1,
    };
    check(&[&whole[..], &whole].concat(), 2, Some(1), not_next);
    let not_first = Kind::OffsetDeltaInvalid {
        expected: 0,
        actual: 1,
        last_offset_delta: 0,
    };
    check(&second, 1, Some(0), not_first);
    let mut overflow = vec![30, 0];
    crate::varint::write_i64(i64::MAX, &mut overflow);
    overflow.extend_from_slice(&[0, 1, 1, 0]);
    let base_timestamp = WallTime(1000);
    check(
        &overflow,
        1,
        Some(0),
        Kind::TimestampOverflow {
            base_timestamp,
            timestamp_delta: i64::MAX,
        },
    );
}

#[test]
fn rules_of_the_topic_name_the_first_record_and_list_all() {
    let mut keyless = record(1000);
    keyless.key = None;
    let batch = batch_of(&[record(1000), keyless, record(5), record(9000), keyless]);
    let bounds = TimestampBounds::around(WallTime(2000), 1500, 1500);
    let limits = RecordLimits {
        key_required: true,
        timestamps: Some(bounds),
        ..RecordLimits::produced()
    };
    let scratch = &mut Scratch::new(0);
    let first = RecordError::at(1, RecordErrorKind::NullKey);
    assert_eq!(check_records(&batch, &limits, scratch), Err(first));
    let (earliest, latest) = (WallTime(500), WallTime(3500));
    let all = [
        first,
        RecordError::at(
            2,
            RecordErrorKind::TimestampTooOld {
                timestamp: WallTime(5),
                earliest,
            },
        ),
        RecordError::at(
            3,
            RecordErrorKind::TimestampTooNew {
                timestamp: WallTime(9000),
                latest,
            },
        ),
        RecordError::at(4, RecordErrorKind::NullKey),
    ];
    assert_eq!(rejected_records(&batch, &limits, scratch, 10), all);
    assert_eq!(rejected_records(&batch, &limits, scratch, 2), all[..2]);
}

#[test]
fn timestamp_bounds_include_their_ends_and_spare_records_without_time() {
    let bounds = TimestampBounds {
        earliest: WallTime(1000),
        latest: WallTime(3000),
    };
    let limits = RecordLimits {
        timestamps: Some(bounds),
        ..RecordLimits::produced()
    };
    let check = |timestamp, accepted| {
        let batch = batch_of(&[record(timestamp)]);
        assert_eq!(
            check_records(&batch, &limits, &mut Scratch::new(0)).is_ok(),
            accepted,
            "{timestamp}"
        );
    };
    check(999, false);
    check(1000, true);
    check(3000, true);
    check(3001, false);
    check(-1, true);
    let unbounded = TimestampBounds::around(WallTime(5), i64::MAX, i64::MAX);
    assert!(unbounded.earliest < WallTime(0) && unbounded.latest == WallTime(i64::MAX));
}

#[test]
fn a_wrong_maximum_timestamp_is_refused_or_reported_and_can_be_corrected() {
    let mut batch = good();
    crate::set_max_timestamp(&mut batch, WallTime(2999));
    check_structure(&batch, &LIMITS).expect("the checksum was recomputed");
    let scratch = &mut Scratch::new(0);
    let (stored, computed) = (WallTime(2999), WallTime(3000));
    let expected = RecordError::whole(RecordErrorKind::MaxTimestampMismatch { stored, computed });
    assert_eq!(check_records(&batch, &RecordLimits::produced(), scratch), Err(expected));
    let limits = RecordLimits {
        max_timestamp: MaxTimestampCheck::Report,
        ..RecordLimits::produced()
    };
    let summary = check_records(&batch, &limits, scratch).expect("only reported");
    assert_eq!(
        (summary.max_timestamp, summary.max_timestamp_matches_header),
        (computed, false)
    );
    crate::set_max_timestamp(&mut batch, summary.max_timestamp);
    assert_eq!(batch, good());
}

#[test]
fn a_client_may_not_claim_log_append_time() {
    let mut batch = good();
    crate::set_log_append_time(&mut batch, WallTime(7));
    let scratch = &mut Scratch::new(0);
    let expected = RecordError::at(0, RecordErrorKind::TimestampTypeInvalid);
    assert_eq!(check_records(&batch, &RecordLimits::produced(), scratch), Err(expected));
    assert_eq!(
        rejected_records(&batch, &RecordLimits::produced(), scratch, 10).len(),
        3
    );
    let summary = check_records(&batch, &RecordLimits::stored(), scratch).expect("the broker may");
    assert_eq!(
        (summary.max_timestamp, summary.max_timestamp_offset_delta),
        (WallTime(7), 0)
    );
}

#[test]
fn gaps_are_legal_in_stored_batches_only() {
    let mut builder = BatchBuilder::new(Codec::None).with_last_offset_delta(9);
    builder.append_at(3, &record(1)).expect("rises");
    builder.append_at(7, &record(2)).expect("rises");
    assert!(builder.append_at(7, &record(3)).is_err());
    let batch = builder.build().expect("not empty");
    let expected = BatchError::OffsetRangeInvalid {
        last_offset_delta: 9,
        record_count: 2,
    };
    assert_eq!(check_structure(&batch, &LIMITS), Err(expected));
    let header = check_structure(&batch, &StructureLimits::stored()).expect("compacted");
    assert_eq!(header.end_offset(), hallows_types::Offset(10));
    let scratch = &mut Scratch::new(0);
    check_records(&batch, &RecordLimits::stored(), scratch).expect("deltas rise");
    let expected = RecordErrorKind::OffsetDeltaInvalid {
        expected: 0,
        actual: 3,
        last_offset_delta: 9,
    };
    assert_eq!(
        check_records(&batch, &RecordLimits::produced(), scratch),
        Err(RecordError::at(0, expected))
    );
    let mut short = batch;
    overwrite(&mut short, at::LAST_OFFSET_DELTA, &6_i32.to_be_bytes());
    put_checksum(&mut short);
    let expected = RecordErrorKind::OffsetDeltaInvalid {
        expected: 4,
        actual: 7,
        last_offset_delta: 6,
    };
    assert_eq!(
        check_records(&short, &RecordLimits::stored(), scratch),
        Err(RecordError::at(1, expected))
    );
}

#[test]
fn compressed_records_stay_under_the_bound() {
    let value = vec![0; 100_000];
    let mut builder = BatchBuilder::new(Codec::Lz4);
    let headers = [NewHeader { key: "h", value: None }];
    let large = NewRecord {
        value: Some(&value),
        headers: &headers,
        ..record(1)
    };
    builder.append(&large).expect("fits");
    let batch = builder.build().expect("not empty");
    let mut scratch = Scratch::new(OUTPUT_BYTES_MAX);
    let summary = check_records(&batch, &RecordLimits::produced(), &mut scratch).expect("fits");
    assert_eq!(summary.records_bytes, builder.records_bytes());
    let output_bytes_max = builder.records_bytes() - 1;
    let expected = crate::CompressionError::TooLarge { output_bytes_max };
    let mut scratch = Scratch::new(output_bytes_max);
    assert_eq!(
        check_records(&batch, &RecordLimits::produced(), &mut scratch),
        Err(expected.into())
    );
}
