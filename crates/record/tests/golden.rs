//! Batches written by Kafka's Java client and by kafka-python are read, and what they wrote uncompressed is rebuilt
//! byte for byte. The files' generators stand beside them in `testdata/`.
#![cfg(feature = "std")]

use hallows_record::{
    BatchBuilder, BatchHeader, Codec, ControlRecord, MaxTimestampCheck, NewHeader, NewRecord, Producer, RecordLimits,
    Scratch, StructureLimits, TimestampType, check_records, check_structure, decompress_into,
    first_offset_at_or_after_timestamp, max_timestamp_offset, records, set_log_append_time, single_batch,
};
use hallows_types::{LeaderEpoch, Offset, WallTime};

const BATCH_BYTES_MAX: usize = 1 << 20;
const BASE_TIMESTAMP: i64 = 1_700_000_000_000;
const LARGE_RECORDS: i32 = 4000;

macro_rules! golden {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../testdata/", $name, ".bin")).as_slice())
    };
}

type Golden = (&'static str, &'static [u8]);

const SMALL: [(Codec, Golden); 11] = [
    (Codec::None, golden!("java-small-none")),
    (Codec::Gzip, golden!("java-small-gzip")),
    (Codec::Snappy, golden!("java-small-snappy")),
    (Codec::Lz4, golden!("java-small-lz4")),
    (Codec::Zstd, golden!("java-small-zstd")),
    (Codec::None, golden!("python-small-none")),
    (Codec::Gzip, golden!("python-small-gzip")),
    (Codec::Snappy, golden!("python-small-snappy")),
    (Codec::Snappy, golden!("python-small-snappy-raw")),
    (Codec::Lz4, golden!("python-small-lz4")),
    (Codec::Zstd, golden!("python-small-zstd")),
];

const LARGE: [(Codec, Golden); 9] = [
    (Codec::Gzip, golden!("java-large-gzip")),
    (Codec::Snappy, golden!("java-large-snappy")),
    (Codec::Lz4, golden!("java-large-lz4")),
    (Codec::Zstd, golden!("java-large-zstd")),
    (Codec::Gzip, golden!("python-large-gzip")),
    (Codec::Snappy, golden!("python-large-snappy")),
    (Codec::Snappy, golden!("python-large-snappy-raw")),
    (Codec::Lz4, golden!("python-large-lz4")),
    (Codec::Zstd, golden!("python-large-zstd")),
];

fn checked((name, batch): Golden) -> BatchHeader {
    assert_eq!(single_batch(batch), Ok(batch), "{name}");
    check_structure(batch, &StructureLimits::produced(BATCH_BYTES_MAX))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn small_builder() -> BatchBuilder {
    let value = |index: u8| format!("value-{index}").repeat(40);
    let headers = [
        NewHeader {
            key: "trace",
            value: Some(b"a1"),
        },
        NewHeader {
            key: "empty",
            value: None,
        },
    ];
    let mut builder = BatchBuilder::new(Codec::None)
        .with_leader_epoch(LeaderEpoch(2))
        .with_producer(Producer {
            id: 4000,
            epoch: 5,
            base_sequence: 17,
        });
    let mut append = |delta: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[NewHeader<'_>]| {
        let record = NewRecord {
            timestamp: WallTime(BASE_TIMESTAMP + delta),
            key,
            value,
            headers,
        };
        builder.append(&record).expect("three small records fit");
    };
    append(0, Some(b"key-0"), Some(value(0).as_bytes()), &headers);
    append(500, None, Some(value(1).as_bytes()), &[]);
    append(-250, Some(b"key-2"), None, &[]);
    builder
}

#[test]
fn small_batches_hold_the_same_records_in_every_codec() {
    let rebuilt = small_builder().build().expect("three records");
    let expected = &rebuilt[hallows_record::BATCH_HEADER_BYTES..];
    let mut scratch = Scratch::new(BATCH_BYTES_MAX);
    for (codec, golden @ (name, batch)) in SMALL {
        let header = checked(golden);
        assert_eq!(header.codec(), Ok(codec), "{name}");
        assert_eq!(
            (header.producer_id, header.producer_epoch, header.base_sequence),
            (4000, 5, 17),
            "{name}"
        );
        assert_eq!(decompress_into(batch, &mut scratch), Ok(expected), "{name}");
    }
}

#[test]
fn an_uncompressed_batch_is_rebuilt_byte_for_byte() {
    let (_, java) = golden!("java-small-none");
    assert_eq!(small_builder().build().as_deref(), Ok(java));
    let (_, python) = golden!("python-small-none");
    assert_eq!(
        small_builder().with_leader_epoch(LeaderEpoch(0)).build().as_deref(),
        Ok(python)
    );
}

#[test]
fn records_and_headers_are_read() {
    let mut scratch = Scratch::new(BATCH_BYTES_MAX);
    for (_, (name, batch)) in SMALL {
        let header = BatchHeader::parse(batch).expect(name);
        let read: Vec<_> = records(batch, &mut scratch)
            .expect(name)
            .map(|record| record.expect(name))
            .collect();
        let [first, second, third] = read.as_slice() else {
            panic!("{name}: three records")
        };
        assert_eq!(
            (first.key, first.value.map(<[u8]>::len)),
            (Some(&b"key-0"[..]), Some(280)),
            "{name}"
        );
        assert_eq!((second.key, third.value), (None, None), "{name}");
        assert_eq!(third.timestamp(&header), Ok(WallTime(BASE_TIMESTAMP - 250)), "{name}");
        assert_eq!(third.offset(&header), Offset(2), "{name}");
        let headers: Vec<_> = first.headers.map(|header| header.expect(name)).collect();
        let headers: Vec<_> = headers.iter().map(|header| (header.key, header.value)).collect();
        assert_eq!(
            headers,
            [(&b"trace"[..], Some(&b"a1"[..])), (&b"empty"[..], None)],
            "{name}"
        );
    }
}

#[test]
fn summaries_agree_with_the_writers() {
    let mut scratch = Scratch::new(BATCH_BYTES_MAX);
    for (_, golden @ (name, batch)) in SMALL {
        checked(golden);
        let target = Some(WallTime(BASE_TIMESTAMP + 1));
        let limits = RecordLimits {
            timestamp_target: target,
            ..RecordLimits::produced()
        };
        let summary = check_records(batch, &limits, &mut scratch).expect(name);
        assert_eq!(summary.max_timestamp, WallTime(BASE_TIMESTAMP + 500), "{name}");
        assert_eq!(summary.max_timestamp_offset_delta, 1, "{name}");
        assert_eq!(
            summary.first_at_or_after,
            Some((1, WallTime(BASE_TIMESTAMP + 500))),
            "{name}"
        );
    }
}

#[test]
fn large_batches_are_read_and_searched_by_time() {
    let mut scratch = Scratch::new(BATCH_BYTES_MAX);
    for (codec, golden @ (name, batch)) in LARGE {
        let header = checked(golden);
        assert_eq!(
            (header.codec(), header.record_count),
            (Ok(codec), LARGE_RECORDS),
            "{name}"
        );
        let limits = RecordLimits {
            max_timestamp: MaxTimestampCheck::Require,
            ..RecordLimits::produced()
        };
        let summary = check_records(batch, &limits, &mut scratch).expect(name);
        assert_eq!(summary.max_timestamp_offset_delta, LARGE_RECORDS - 1, "{name}");
        for (index, record) in records(batch, &mut scratch).expect(name).enumerate() {
            let record = record.expect(name);
            assert_eq!(record.key, Some(format!("key-{index}").as_bytes()), "{name}");
            let value = format!("value-{index} of a batch that takes several blocks in every framing");
            assert_eq!(record.value, Some(value.as_bytes()), "{name}");
        }
        let target = WallTime(BASE_TIMESTAMP + 2345);
        let found = first_offset_at_or_after_timestamp(batch, target, &mut scratch);
        assert_eq!(found, Ok(Some((Offset(2345), target))), "{name}");
        let past = WallTime(BASE_TIMESTAMP + i64::from(LARGE_RECORDS));
        assert_eq!(
            first_offset_at_or_after_timestamp(batch, past, &mut scratch),
            Ok(None),
            "{name}"
        );
        let last = (Offset(3999), WallTime(BASE_TIMESTAMP + 3999));
        assert_eq!(max_timestamp_offset(batch, &mut scratch), Ok(Some(last)), "{name}");
    }
}

#[test]
fn log_append_time_is_set_as_kafka_sets_it() {
    let (_, java) = golden!("java-log-append-time");
    let (_, created) = golden!("java-small-gzip");
    let mut batch = created.to_vec();
    set_log_append_time(&mut batch, WallTime(1_800_000_000_000));
    assert_eq!(batch, java);
    assert_eq!(
        checked(("java-log-append-time", java)).timestamp_type(),
        TimestampType::LogAppendTime
    );
    let mut scratch = Scratch::new(BATCH_BYTES_MAX);
    let found = first_offset_at_or_after_timestamp(java, WallTime(1_750_000_000_000), &mut scratch);
    assert_eq!(found, Ok(Some((Offset(0), WallTime(1_800_000_000_000)))));
}

#[test]
fn markers_are_rebuilt_byte_for_byte() {
    let check = |(name, java): Golden, marker: ControlRecord, base_offset: i64, timestamp: i64| {
        let producer = Producer {
            id: 4000,
            epoch: 5,
            base_sequence: -1,
        };
        let mut builder = BatchBuilder::new(Codec::None)
            .with_base_offset(Offset(base_offset))
            .with_leader_epoch(LeaderEpoch(3))
            .with_producer(producer)
            .transactional()
            .control();
        builder
            .append_marker(marker, WallTime(timestamp))
            .expect("one marker fits");
        assert_eq!(builder.build().as_deref(), Ok(java), "{name}");
        let header = checked((name, java));
        assert!(header.is_control() && header.is_transactional(), "{name}");
        let mut scratch = Scratch::new(0);
        let record = records(java, &mut scratch)
            .expect(name)
            .next()
            .expect("one record")
            .expect(name);
        assert_eq!(ControlRecord::parse(record.key, record.value), Ok(marker), "{name}");
    };
    let coordinator_epoch = 9;
    check(
        golden!("java-commit"),
        ControlRecord::Commit { coordinator_epoch },
        7,
        BASE_TIMESTAMP,
    );
    check(
        golden!("java-abort"),
        ControlRecord::Abort { coordinator_epoch },
        8,
        BASE_TIMESTAMP + 1,
    );
}

#[test]
fn sequences_of_a_transactional_batch_wrap() {
    let header = checked(golden!("java-transactional"));
    assert!(header.is_transactional() && !header.is_control() && header.has_producer());
    assert_eq!((header.base_sequence, header.last_sequence()), (i32::MAX, 0));
    assert_eq!(
        (header.base_offset, header.last_offset(), header.end_offset()),
        (Offset(11), Offset(12), Offset(13))
    );
}
