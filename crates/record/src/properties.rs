//! What holds for all batches and for all bytes.

use crate::assign::put_checksum;
use crate::header::{BATCH_HEADER_BYTES, at};
use crate::*;
use alloc::{string::String, vec::Vec};
use hallows_types::{Offset, WallTime};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const OUTPUT_BYTES_MAX: usize = 1 << 16;

#[derive(Clone, Debug)]
struct Model {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn model(timestamp_end: i64) -> impl Strategy<Value = Model> {
    let bytes = || option::of(vec(any::<u8>(), 0..200));
    let headers = vec((".{0,8}", option::of(vec(any::<u8>(), 0..20))), 0..3);
    (0..timestamp_end, bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| Model {
        timestamp,
        key,
        value,
        headers,
    })
}

/// Records whose times are far apart or, as often, so close that they share them and searches meet them exactly.
fn models_and_target() -> impl Strategy<Value = (Vec<Model>, i64)> {
    let within = |end: i64| (vec(model(end), 1..30), 0..end + end / 10);
    prop_oneof![within(10), within(1_000_000)]
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(if cfg!(feature = "std") {
        &Codec::ALL[..]
    } else {
        &[Codec::None, Codec::Lz4][..]
    })
}

fn build(models: &[Model], codec: Codec, raw_snappy: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec).with_base_offset(Offset(40));
    if raw_snappy {
        builder = builder.raw_snappy();
    }
    for model in models {
        let headers: Vec<_> = model
            .headers
            .iter()
            .map(|(key, value)| NewHeader {
                key,
                value: value.as_deref(),
            })
            .collect();
        let (timestamp, key, value) = (WallTime(model.timestamp), model.key.as_deref(), model.value.as_deref());
        builder
            .append(&NewRecord {
                timestamp,
                key,
                value,
                headers: &headers,
            })
            .expect("small records fit");
    }
    builder.build().expect("not empty")
}

fn read(batch: &[u8], scratch: &mut Scratch) -> Vec<Model> {
    let header = BatchHeader::parse(batch).expect("built here");
    let to_model = |record: Record<'_>| Model {
        timestamp: record.timestamp(&header).expect("built here").0,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record
            .headers
            .map(|header| header.expect("built here"))
            .map(|header| {
                (
                    String::from_utf8(header.key.to_vec()).expect("text"),
                    header.value.map(<[u8]>::to_vec),
                )
            })
            .collect(),
    };
    records(batch, scratch)
        .expect("built here")
        .map(|record| to_model(record.expect("built here")))
        .collect()
}

/// Everything that reads bytes, none of which may panic or pass the bound.
fn read_every_way(bytes: &[u8], scratch: &mut Scratch) {
    let _ = peek_size(bytes);
    let _ = BatchHeader::parse(bytes);
    let _ = Batches::split(bytes).count();
    let _ = check_structure(bytes, &StructureLimits::produced(1 << 20));
    let _ = check_structure(bytes, &StructureLimits::stored());
    let target = WallTime(500_000);
    let bounds = TimestampBounds::around(target, 1000, 1000);
    let strict = RecordLimits {
        key_required: true,
        timestamps: Some(bounds),
        ..RecordLimits::produced()
    };
    let _ = check_records(bytes, &strict, scratch);
    let _ = check_records(bytes, &RecordLimits::stored(), scratch);
    let _ = rejected_records(bytes, &strict, scratch, 10);
    let _ = first_offset_at_or_after_timestamp(bytes, target, scratch);
    let _ = max_timestamp_offset(bytes, scratch);
    if let Ok(records) = records(bytes, scratch) {
        for record in records.flatten() {
            let _ = record.headers.count();
            let _ = ControlRecord::parse(record.key, record.value);
        }
    }
    assert!(scratch.capacity_bytes() <= OUTPUT_BYTES_MAX, "{scratch:?}");
}

/// A batch with a right length and checksum around `payload`, so that its records are reached.
fn sealed(payload: &[u8], attributes: i16, record_count: i32) -> Vec<u8> {
    let mut batch = build(
        &[Model {
            timestamp: 0,
            key: None,
            value: None,
            headers: Vec::new(),
        }],
        Codec::None,
        false,
    );
    batch.truncate(BATCH_HEADER_BYTES);
    batch.extend_from_slice(payload);
    let batch_length = i32::try_from(batch.len() - 12).expect("small");
    batch[at::BATCH_LENGTH..][..4].copy_from_slice(&batch_length.to_be_bytes());
    batch[at::ATTRIBUTES..][..2].copy_from_slice(&attributes.to_be_bytes());
    batch[at::LAST_OFFSET_DELTA..][..4].copy_from_slice(&(record_count - 1).to_be_bytes());
    batch[at::RECORD_COUNT..][..4].copy_from_slice(&record_count.to_be_bytes());
    batch[at::MAX_TIMESTAMP..][..8].copy_from_slice(&i64::MAX.to_be_bytes());
    put_checksum(&mut batch);
    batch
}

proptest! {
    #[test]
    fn what_is_built_is_valid_and_reads_back(
        models in vec(model(1_000_000), 1..30), codec in codec(), raw_snappy: bool
    ) {
        let batch = build(&models, codec, raw_snappy);
        let mut scratch = Scratch::new(1 << 20);
        let header = check_structure(&batch, &StructureLimits::produced(1 << 20)).expect("valid");
        prop_assert_eq!(header.size_bytes(), batch.len());
        let summary = check_records(&batch, &RecordLimits::produced(), &mut scratch).expect("valid");
        let largest = models.iter().map(|model| model.timestamp).max().expect("not empty");
        prop_assert_eq!(summary.max_timestamp, WallTime(largest));
        let back = read(&batch, &mut scratch);
        prop_assert_eq!(alloc::format!("{back:?}"), alloc::format!("{models:?}"));
    }

    #[test]
    fn searching_by_time_equals_a_search_in_a_vec(
        (models, target) in models_and_target(), codec in codec()
    ) {
        let batch = build(&models, codec, false);
        let mut scratch = Scratch::new(1 << 20);
        let place = |index: usize| (Offset(40 + i64::try_from(index).expect("small")), WallTime(models[index].timestamp));
        let expected = models.iter().position(|model| model.timestamp >= target).map(place);
        prop_assert_eq!(first_offset_at_or_after_timestamp(&batch, WallTime(target), &mut scratch), Ok(expected));
        let limits = RecordLimits { timestamp_target: Some(WallTime(target)), ..RecordLimits::produced() };
        let summary = check_records(&batch, &limits, &mut scratch).expect("valid");
        let found = summary.first_at_or_after.map(|(delta, time)| (Offset(40 + i64::from(delta)), time));
        prop_assert_eq!(found, expected);
        let largest = models.iter().map(|model| model.timestamp).max().expect("not empty");
        let expected = models.iter().position(|model| model.timestamp == largest).map(place);
        prop_assert_eq!(max_timestamp_offset(&batch, &mut scratch), Ok(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() > at::MAGIC {
            bytes[at::MAGIC] = 2;
        }
        read_every_way(&bytes, &mut Scratch::new(OUTPUT_BYTES_MAX));
    }

    #[test]
    fn arbitrary_records_under_a_right_header_never_panic(
        payload in vec(any::<u8>(), 0..300), attributes in 0..64_i16, record_count in 0..i32::MAX
    ) {
        read_every_way(&sealed(&payload, attributes, record_count), &mut Scratch::new(OUTPUT_BYTES_MAX));
    }

    #[test]
    fn arbitrary_compressed_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), codec in codec()) {
        let mut scratch = Scratch::new(OUTPUT_BYTES_MAX);
        if let Ok(output) = scratch.decompress(codec, &bytes) {
            prop_assert!(output.len() <= OUTPUT_BYTES_MAX);
        }
        prop_assert!(scratch.capacity_bytes() <= OUTPUT_BYTES_MAX);
    }

    #[test]
    fn damaged_records_under_a_right_checksum_never_panic(
        models in vec(model(1_000_000), 1..20), codec in codec(), raw_snappy: bool,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut batch = build(&models, codec, raw_snappy);
        let payload_bytes = batch.len() - BATCH_HEADER_BYTES;
        for (index, byte) in damage {
            batch[BATCH_HEADER_BYTES + index.index(payload_bytes)] = byte;
        }
        put_checksum(&mut batch);
        read_every_way(&batch, &mut Scratch::new(OUTPUT_BYTES_MAX));
    }
}
