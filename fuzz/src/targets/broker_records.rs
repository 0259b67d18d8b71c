//! The records of the broker's own logs: commands of the metadata log, and groups with their offsets.
//!
//! The input is a byte that says which log, and its records: commands one per line, or keys and values with their
//! lengths. What is read must be written again as it is, and a coordinator that loads it must stand.

use hallows_broker::format::{decode_group_record, encode_group_records, fold_metadata};
use hallows_group_coordinator::{Coordinator, Event, Row, Settings};
use hallows_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TransactionLogValue};
use hallows_protocol::records::{decode_transaction_key, decode_versioned};
use hallows_record::{Scratch, records};
use hallows_types::{Monotonic, Now, WallTime};

use super::frames;
use crate::Source;
use crate::allocation::bounded;

/// Maps of an empty image or coordinator, and errors.
const BYTES_BESIDES: usize = 64 << 10;
/// A record becomes rows, maps and a batch.
const BYTES_PER_BYTE: usize = 512;
/// A command may name a million partitions (`partitions.max`), each two bytes of placement: grown by doubling, and
/// copied when there are more.
const COMMAND_BYTES_MAX: usize = 8 << 20;
const NOW: Now = Now {
    monotonic: Monotonic(1_000_000_000),
    wall: WallTime(1_767_225_600_000),
};

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let kind = source.u8() % 3;
    let limit = BYTES_PER_BYTE * data.len() + BYTES_BESIDES;
    match kind {
        0 => {
            let lines = source.rest();
            let commands = lines.split(|byte| *byte == b'\n').count();
            bounded(limit + commands * COMMAND_BYTES_MAX, || metadata(lines));
        }
        1 => bounded(limit, || groups(&mut source)),
        _ => bounded(limit, || payloads(&mut source)),
    }
}

fn metadata(lines: &[u8]) {
    let values = lines.split(|byte| *byte == b'\n');
    let Ok((written, topics, partitions)) = fold_metadata(values) else {
        return;
    };
    let again = fold_metadata(written.iter().map(Vec::as_slice)).expect("what was written can be read");
    assert_eq!(again, (written, topics, partitions));
}

fn groups(source: &mut Source<'_>) {
    let mut coordinator = Coordinator::new(Settings::default());
    let mut effects = Vec::new();
    while !source.is_empty() {
        let length = usize::from(source.u8());
        let key = source.bytes(length);
        let length = source.length();
        let value = (length != usize::from(u16::MAX)).then(|| source.bytes(length));
        let Ok(Some(row)) = decode_group_record(key, value) else {
            continue;
        };
        round_trip(&row);
        coordinator.step(NOW, Event::Loaded(row), &mut effects);
    }
    coordinator.step(NOW, Event::LoadFinished, &mut effects);
    coordinator.check_invariants();
    coordinator.rows().iter().for_each(round_trip);
    let deadline = coordinator.next_deadline();
    if deadline != Monotonic::NEVER {
        let now = Now {
            monotonic: deadline,
            ..NOW
        };
        coordinator.step(now, Event::Tick, &mut effects);
        coordinator.check_invariants();
    }
}

fn round_trip(row: &Row) {
    let batch = encode_group_records(std::slice::from_ref(row), NOW.wall).expect("names that were read can be written");
    let mut scratch = Scratch::new(0);
    for record in records(&batch, &mut scratch).expect("just written") {
        let record = record.expect("just written");
        let again = decode_group_record(record.key.unwrap_or_default(), record.value);
        assert_eq!(again.as_ref(), Ok(&Some(row.clone())));
    }
}

fn payloads(source: &mut Source<'_>) {
    let bytes = source.rest();
    let _ = decode_versioned::<ConsumerProtocolSubscription<'_>>(bytes);
    let _ = decode_versioned::<ConsumerProtocolAssignment<'_>>(bytes);
    let _ = decode_versioned::<TransactionLogValue<'_>>(bytes);
    let _ = decode_transaction_key(bytes);
}

/// Commands as brokers write them, and group records of the golden vectors.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let id = "0123456789abcdef0123456789abcdef";
    let create = format!(
        r#"{{"command":"create_topic","name":"t","id":"{id}","partitions":3,"config":{{"retention.ms":"5"}}}}"#
    );
    let others = format!(
        "{{\"command\":\"create_partitions\",\"id\":\"{id}\",\"count\":9}}\n\
         {{\"command\":\"set_topic_config\",\"id\":\"{id}\",\"config\":{{}}}}\n\
         {{\"command\":\"set_dynamic_config\",\"resource\":{{\"group\":\"g\"}},\"config\":{{\"a\":\"b\"}}}}\n\
         {{\"command\":\"set_dynamic_config\",\"resource\":\"broker\",\"config\":{{\"a\":\"b\"}}}}\n\
         {{\"command\":\"allocate_producer_ids\",\"next\":1000}}\n\
         {{\"command\":\"raise_leader_epochs\"}}\n\
         {{\"command\":\"delete_topic\",\"id\":\"{id}\"}}"
    );
    let mut seeds = vec![
        [&[0], create.as_bytes()].concat(),
        [&[0], format!("{create}\n{others}").as_bytes()].concat(),
    ];
    let vectors: Vec<_> = frames::vectors().collect();
    for (key_name, record_type, value_name) in [
        ("OffsetCommitKey", 1_i16, "OffsetCommitValue"),
        ("GroupMetadataKey", 2, "GroupMetadataValue"),
    ] {
        let keys: Vec<_> = vectors.iter().filter(|vector| vector.name == key_name).collect();
        let values = vectors.iter().filter(|vector| vector.name == value_name);
        for (value, key) in values.zip(keys.iter().cycle()) {
            let key = [&record_type.to_be_bytes()[..], &key.body].concat();
            let value = [&value.version.to_be_bytes()[..], &value.body].concat();
            let lengths = (u8::try_from(key.len()), u16::try_from(value.len()));
            let (Ok(key_bytes), Ok(value_bytes)) = lengths else {
                continue;
            };
            let mut seed = vec![1, key_bytes];
            seed.extend_from_slice(&key);
            seed.extend_from_slice(&value_bytes.to_le_bytes());
            seed.extend_from_slice(&value);
            seeds.push(seed);
        }
    }
    for name in [
        "ConsumerProtocolSubscription",
        "ConsumerProtocolAssignment",
        "TransactionLogValue",
    ] {
        for vector in vectors.iter().filter(|vector| vector.name == name) {
            seeds.push([&[2], &vector.version.to_be_bytes()[..], &vector.body].concat());
        }
    }
    seeds
}
