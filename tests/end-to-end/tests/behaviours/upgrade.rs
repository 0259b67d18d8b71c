//! What earlier releases wrote: data directories of killed brokers, kept as `testdata/format-<version>/broker.tar.gz`,
//! and read by the broker of today. `testdata/README.md` says how a further one is written.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use hallows_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use hallows_protocol::messages::fetch_request::FetchPartition;
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_record::BatchBuilder;
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};
use hallows_types::TopicId;

use crate::commits::{commit, committed, offset};
use crate::members::{self, join_alone};
use crate::producing::producer;
use crate::support::{
    FETCH, PRODUCE, TIME, append, batch, bytes, call, connect, create, fetch_request, filled, from, metadata, only,
    produce, produce_request, read, sequenced,
};
use crate::topics::{SET, TOPIC, alter, delete, describe};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
const ARCHIVE: &str = "broker.tar.gz";

/// One topic per durability class, one partition of it per codec.
const CLASSES: [&str; 3] = ["fsync", "written", "memory"];
const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
/// Batches of each partition before the broker was stopped, and those after, until it was killed.
const BEFORE: usize = 8;
const ALL: usize = 16;
/// Records of each batch.
const RECORDS: usize = 3;
/// A topic of large batches that fill more than one segment, and their size.
const ROLLED: &str = "rolled";
const ROLLED_BATCHES: usize = 6;
const ROLLED_BYTES: usize = 400_000;
/// More than any partition has.
const FETCHED_BYTES_MAX: i32 = 16 << 20;
/// A topic whose log starts were moved: before the stop and after.
const SHORTENED: &str = "shortened";
const LOG_STARTS: [i64; 2] = [5, 25];
/// The topic of an idempotent producer, whose batches have one record.
const SEQUENCED: &str = "sequenced";
/// ListOffsets' time for the log start.
const EARLIEST: i64 = -2;
const DELETED: &str = "deleted";
/// What was set on the first topic after it was created.
const ALTERED: (&str, &str) = ("max.message.bytes", "900001");
/// A group that commits without members, and one with a member; where they are.
const GROUPS: [(&str, i64); 2] = [("outside", 17), ("joined", 23)];

/// Offset, time and value of each.
type Records = Vec<(i64, i64, Vec<u8>)>;

fn value(topic: &str, partition: usize, batch: usize, record: usize) -> Vec<u8> {
    format!("{topic}/{partition}/{batch}/{record} {}", "text ".repeat(10)).into_bytes()
}

fn large_value(batch: usize) -> Vec<u8> {
    format!("{ROLLED}/{batch} ")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(ROLLED_BYTES)
        .collect()
}

fn batch_of(topic: &str, partition: usize, number: usize, codec: Codec) -> Vec<u8> {
    let values: Vec<_> = (0..RECORDS)
        .map(|record| value(topic, partition, number, record))
        .collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    filled(BatchBuilder::new(codec), &values)
}

/// What such batches hold.
fn records_of(topic: &str, partition: usize) -> Records {
    let numbers = (0..ALL).flat_map(|number| (0..RECORDS).map(move |record| (number, record)));
    (0..)
        .zip(numbers)
        .map(|(offset, (number, record))| {
            let time = TIME + i64::try_from(record).expect("small");
            (offset, time, value(topic, partition, number, record))
        })
        .collect()
}

fn index_of(partition: usize) -> i32 {
    i32::try_from(partition).expect("small")
}

fn program() -> PathBuf {
    find_program().expect("the broker is built")
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("it can be started");
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// `hallows log verify` finds nothing damaged; gives what it says besides.
fn verify(directory: &Path) -> Vec<serde_json::Value> {
    let told = run(Command::new(program())
        .args(["log", "verify", "--output", "json"])
        .arg(directory));
    let report: serde_json::Value = serde_json::from_slice(&told).expect("it is JSON");
    assert_eq!(report["damaged"], 0, "{report:#}");
    report["findings"].as_array().expect("a list").clone()
}

/// How many files below a folder hold a text.
fn files_with(folder: &Path, extension: &str, text: &[u8]) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found += files_with(&path, extension, text);
        } else if path.extension() == Some(OsStr::new(extension)) {
            let bytes = std::fs::read(&path).expect("a readable file");
            found += usize::from(bytes.windows(text.len()).any(|part| part == text));
        }
    }
    found
}

/// The directory is what this test is about: not everything had left the journal, and a segment was full.
fn is_as_meant(directory: &Path) {
    let last = value(CLASSES[0], 0, ALL - 1, RECORDS - 1);
    assert_eq!(files_with(&directory.join("segments"), "log", &last), 0);
    assert_eq!(files_with(&directory.join("journals"), "journal", &last), 1);
    let rolled = format!("{ROLLED}/");
    assert!(files_with(&directory.join("segments"), "log", rolled.as_bytes()) > 1);
    // A killed broker may have left a segment that nothing names yet.
    verify(directory);
}

fn put(connection: &mut Connection, topic: &str, partition: usize, sent: &[u8]) {
    let mut answer = call(
        connection,
        &produce_request(topic, index_of(partition), -1, sent),
        PRODUCE,
    );
    let told = answer.responses.remove(0).partition_responses.remove(0);
    assert_eq!(told.error_code, ErrorCode::NONE, "{topic}/{partition}");
}

/// A round of everything that is written.
fn write_batches(connection: &mut Connection, numbers: std::ops::Range<usize>, id: (i64, i16)) {
    for number in numbers {
        for topic in CLASSES {
            for (partition, codec) in CODECS.into_iter().enumerate() {
                put(connection, topic, partition, &batch_of(topic, partition, number, codec));
            }
        }
        for partition in 0..LOG_STARTS.len() {
            let sent = batch_of(SHORTENED, partition, number, Codec::None);
            put(connection, SHORTENED, partition, &sent);
        }
        let sent = sequenced(id.0, id.1, index_of(number), &[&value(SEQUENCED, 0, number, 0)]);
        put(connection, SEQUENCED, 0, &sent);
    }
}

fn shorten(connection: &mut Connection, partition: usize) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: SHORTENED,
            partitions: vec![DeleteRecordsPartition {
                partition_index: index_of(partition),
                offset: LOG_STARTS[partition],
            }],
        }],
        timeout_ms: 30_000,
    };
    let answer = call(connection, &request, 1).topics.remove(0).partitions.remove(0);
    assert_eq!(
        (answer.error_code, answer.low_watermark),
        (ErrorCode::NONE, LOG_STARTS[partition])
    );
}

fn commit_as(connection: &mut Connection, (group, at): (&str, i64), (member, generation): (&str, i32)) {
    let mut request = commit(group, member, generation, CLASSES[0], Some("where it was"));
    request.topics[0].partitions[0].committed_offset = at;
    assert_eq!(committed(connection, &request), ErrorCode::NONE, "{group}");
}

/// A broker that was stopped once and then killed.
fn write(directory: &Path) {
    let mut options = BrokerOptions::new(program());
    for (name, value) in [
        ("offsets.topic.num.partitions", "4"),
        ("group.initial.rebalance.delay.ms", "0"),
        ("journal.file.bytes", "4194304"),
    ] {
        options = options.with(name, value);
    }
    let mut broker = Broker::start(options, DataDirectory::Named(directory.to_owned())).expect("it starts");
    let mut connection = members::connect(&broker);
    // The records are as old as the directory will be some day.
    let forever = ("retention.ms", "-1");
    let mut new = |name, partitions, setting| {
        let error = create(&mut connection, name, partitions, &[forever, setting]);
        assert_eq!(error, ErrorCode::NONE, "{name}");
    };
    for class in CLASSES {
        new(class, index_of(CODECS.len()), ("durability", class));
    }
    new(SHORTENED, index_of(LOG_STARTS.len()), ("durability", "fsync"));
    new(SEQUENCED, 1, ("durability", "fsync"));
    new(ROLLED, 1, ("segment.bytes", "1048576"));
    new(DELETED, 1, ("durability", "fsync"));
    append(&mut connection, DELETED, &batch(Codec::None, &[b"gone"]));
    let id = producer(&mut connection);
    write_batches(&mut connection, 0..BEFORE, id);
    shorten(&mut connection, 0);
    commit_as(&mut connection, GROUPS[0], ("", -1));
    for number in 0..ROLLED_BATCHES {
        append(&mut connection, ROLLED, &batch(Codec::None, &[&large_value(number)]));
    }
    broker.stop().expect("it stops");

    broker.restart().expect("it starts again");
    let mut connection = members::connect(&broker);
    // New settings have what is in memory written, so they come before what is to stay in the journal.
    let altered = alter(&mut connection, CLASSES[0], &[(ALTERED.0, SET, Some(ALTERED.1))]);
    assert_eq!(altered, ErrorCode::NONE);
    write_batches(&mut connection, BEFORE..ALL, id);
    shorten(&mut connection, 1);
    let (member, generation) = join_alone(&mut connection, GROUPS[1].0);
    commit_as(&mut connection, GROUPS[1], (&member, generation));
    assert_eq!(delete(&mut connection, Some(DELETED), TopicId::ZERO), ErrorCode::NONE);
    broker.kill();
}

/// The format that a data directory says it has.
fn format_of(directory: &Path) -> u32 {
    let head = std::fs::read(directory.join("hallows.format")).expect("every directory has it");
    u32::from_le_bytes(head[8..12].try_into().expect("four bytes"))
}

#[test]
#[ignore = "writes the directory of a new format, once, before its first release: cargo test -p hallows-end-to-end --test behaviours -- --ignored write_the_directory"]
fn write_the_directory_of_a_new_format() {
    let directory = DataDirectory::fresh().expect("a temporary directory");
    let data = directory.path().join("data");
    write(&data);
    is_as_meant(&data);
    let folder = Path::new(FOLDER).join(format!("format-{}", format_of(&data)));
    let archive = folder.join(ARCHIVE);
    assert!(!archive.exists(), "{} is never written anew", archive.display());
    std::fs::create_dir_all(&folder).expect("a writable folder");
    // Journals are mostly empty; their zeros compress to almost nothing.
    run(Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(&data)
        .arg("."));
}

/// An offset by time.
fn offset_for(connection: &mut Connection, topic: &str, partition: usize, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition {
        partition_index: index_of(partition),
        timestamp,
        current_leader_epoch: -1,
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic,
            partitions: vec![partition],
        }],
        timeout_ms: 30_000,
        ..ListOffsetsRequest::default()
    };
    let found = call(connection, &request, 7).topics.remove(0).partitions.remove(0);
    assert_eq!(found.error_code, ErrorCode::NONE, "{topic}");
    found.offset
}

/// All records of a partition, its log start and its end.
fn read_all(connection: &mut Connection, topic: &str, partition: usize) -> (Records, i64, i64) {
    let mut found = Vec::new();
    let log_start = offset_for(connection, topic, partition, EARLIEST);
    let mut ask = |at| {
        // Answers end with a whole batch if there is room for all.
        let all = FetchPartition {
            partition_max_bytes: FETCHED_BYTES_MAX,
            ..from(index_of(partition), at)
        };
        let answer = call(connection, &fetch_request(topic, vec![all]), FETCH);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        only(answer)
    };
    let mut next = log_start;
    loop {
        let answer = ask(next);
        assert_eq!(answer.error_code, ErrorCode::NONE, "{topic}/{partition} from {next}");
        // A batch comes whole, also where the log starts inside it.
        let records = read(bytes(&answer)).into_iter().filter(|(offset, ..)| *offset >= next);
        found.extend(records);
        let end = found.last().map_or(next, |(offset, ..)| offset + 1);
        if end == next {
            assert_eq!(answer.log_start_offset, log_start, "{topic}/{partition}");
            return (found, log_start, answer.high_watermark);
        }
        next = end;
    }
}

fn check_records(connection: &mut Connection) {
    for topic in CLASSES {
        for partition in 0..CODECS.len() {
            let expected = records_of(topic, partition);
            let (found, start, end) = read_all(connection, topic, partition);
            // What was in memory only ended with the process.
            let kept = if topic == "memory" { BEFORE } else { ALL };
            assert!(found.len() >= kept * RECORDS, "{topic}/{partition}: {}", found.len());
            assert!(found == expected[..found.len()], "{topic}/{partition}");
            let count = i64::try_from(found.len()).expect("small");
            assert_eq!((start, end), (0, count), "{topic}/{partition}");
            assert_eq!(
                offset_for(connection, topic, partition, TIME + 1),
                1,
                "{topic}/{partition}"
            );
        }
    }
    for (partition, log_start) in LOG_STARTS.into_iter().enumerate() {
        let (found, start, end) = read_all(connection, SHORTENED, partition);
        let mut expected = records_of(SHORTENED, partition);
        let all = i64::try_from(expected.len()).expect("small");
        expected.retain(|(offset, ..)| *offset >= log_start);
        assert!(found == expected, "{SHORTENED}/{partition}");
        assert_eq!((start, end), (log_start, all), "{SHORTENED}/{partition}");
    }
    let (found, ..) = read_all(connection, ROLLED, 0);
    let expected: Vec<_> = (0..)
        .zip(0..ROLLED_BATCHES)
        .map(|(offset, number)| (offset, TIME, large_value(number)))
        .collect();
    assert!(found == expected, "{ROLLED}");
    let (found, ..) = read_all(connection, SEQUENCED, 0);
    let expected: Vec<_> = (0..)
        .zip(0..ALL)
        .map(|(offset, number)| (offset, TIME, value(SEQUENCED, 0, number, 0)))
        .collect();
    assert!(found == expected, "{SEQUENCED}");
}

fn check_settings(connection: &mut Connection) {
    let mut is_set = |topic: &str, (name, value): (&str, &str)| {
        let configs = describe(connection, TOPIC, topic);
        let found = configs.into_iter().find(|config| config.name == name).expect(name);
        assert_eq!(found.value.as_deref(), Some(value), "{topic}: {name}");
    };
    is_set(CLASSES[0], ALTERED);
    is_set(ROLLED, ("segment.bytes", "1048576"));
    for class in CLASSES {
        is_set(class, ("durability", class));
        is_set(class, ("retention.ms", "-1"));
    }
    let gone = metadata(connection, DELETED, false).topics.remove(0);
    assert_eq!(gone.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

fn check_groups(broker: &Broker) {
    let mut connection = members::connect(broker);
    for (group, at) in GROUPS {
        let found = offset(&mut connection, group, CLASSES[0]);
        assert_eq!(found.error_code, ErrorCode::NONE, "{group}");
        assert_eq!(
            (
                found.committed_offset,
                found.committed_leader_epoch,
                found.metadata.as_deref()
            ),
            (at, 3, Some("where it was")),
            "{group}"
        );
    }
}

fn check_producer(connection: &mut Connection) {
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: SEQUENCED,
            partition_indexes: vec![0],
        }],
    };
    let mut answer = call(connection, &request, 0);
    let remembered = answer.topics.remove(0).partitions.remove(0).active_producers.remove(0);
    let next = index_of(ALL);
    assert_eq!(remembered.last_sequence, next - 1);
    let id = remembered.producer_id;
    let epoch = i16::try_from(remembered.producer_epoch).expect("epochs are small");
    let mut send = |sequence| {
        let told = produce(connection, SEQUENCED, &sequenced(id, epoch, sequence, &[b"goes on"]));
        (told.error_code, told.base_offset)
    };
    assert_eq!(send(next + 1), (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1));
    assert_eq!(
        send(next - 1),
        (ErrorCode::NONE, i64::from(next - 1)),
        "a repeat is no new record"
    );
    assert_eq!(send(next), (ErrorCode::NONE, i64::from(next)));
    let (new, _) = producer(connection);
    assert!(new > id, "{new} was given out before");
}

#[test]
fn a_data_directory_of_every_earlier_format_is_served_whole() {
    let mut checked = 0;
    for entry in std::fs::read_dir(FOLDER).expect("the folder is in the repository") {
        let archive = entry.expect("a readable folder").path().join(ARCHIVE);
        if !archive.is_file() {
            continue;
        }
        for shards in [2, 1, 3] {
            check(&archive, shards);
        }
        checked += 1;
    }
    assert!(checked > 0, "no archive in {FOLDER}");
}

fn check(archive: &Path, shards: u16) {
    let directory = DataDirectory::fresh().expect("a temporary directory");
    run(Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(directory.path()));
    is_as_meant(directory.path());
    // However long ago it was written, nothing in it is too old.
    let mut options = BrokerOptions::new(program())
        .with("offsets.retention.minutes", "2147483647")
        .with("log.retention.check.interval.ms", "86400000");
    options.shards = shards;
    let mut broker = Broker::start(options, directory).expect("it starts");
    let mut connection = connect(&broker);
    check_records(&mut connection);
    check_settings(&mut connection);
    check_groups(&broker);
    check_producer(&mut connection);
    broker.stop().expect("it stops");
    assert_eq!(verify(broker.directory()), [] as [serde_json::Value; 0]);
}
