//! What bounds the resources of a broker: a setting each, and what its excess is told.
//!
//! Each test starts a broker with a small value, goes beyond it, and sees that the excess gets its clear answer and
//! that everybody else goes on being served. `docs/operations.md` lists these settings; some are asserted in the
//! modules of their subjects.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use hallows_protocol::messages::describe_producers_request::{DescribeProducersRequest, TopicRequest};
use hallows_protocol::messages::fetch_request::FetchRequest;
use hallows_protocol::messages::produce_request::PartitionProduceData;
use hallows_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use hallows_protocol::{Writer, frame};
use hallows_testkit::Broker;

use crate::limits::memory_peak;
use crate::support::{
    FETCH, LONG_POLL_MS, PATIENCE, PRODUCE, Raw, append, batch, bytes, call, connect, create, fetch, fetch_request,
    fresh_name, from, produce, produce_request, sequenced, start, start_on, topic, topic_with, values,
};

/// How long nothing comes where nothing is due.
const SILENCE: Duration = Duration::from_millis(300);

/// A record is written and read by a client of long standing.
fn is_served(connection: &mut Connection, topic: &str) {
    let offset = append(connection, topic, &batch(Codec::None, &[b"beside"]));
    assert_eq!(values(bytes(&fetch(connection, topic, offset))), [b"beside"]);
}

fn ask_versions(raw: &mut Raw, correlation_id: i32) {
    let request = ApiVersionsRequest {
        client_software_name: "bounds",
        client_software_version: "1",
    };
    raw.send(&request, 3, correlation_id);
}

#[test]
fn max_connections_lets_further_ones_wait_until_one_closes() {
    let broker = start(&[("max.connections", "2")]);
    let mut one = connect(&broker);
    let other = connect(&broker);
    let topic = topic(&mut one, 1);
    let mut third = Raw::connect(&broker);
    ask_versions(&mut third, 3);
    third.0.set_read_timeout(Some(SILENCE)).expect("a socket has timeouts");
    let silent = third.0.read(&mut [0; 1]).expect_err("it is not accepted yet");
    assert!(
        [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&silent.kind()),
        "{silent}"
    );
    is_served(&mut one, &topic);
    drop(other);
    third.0.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
    assert_eq!(third.receive()[..4], 3_i32.to_be_bytes());
    is_served(&mut one, &topic);
}

#[test]
fn max_connections_per_ip_closes_further_ones_at_once() {
    let broker = start(&[("max.connections.per.ip", "2")]);
    let mut one = connect(&broker);
    let other = connect(&broker);
    let topic = topic(&mut one, 1);
    Raw::connect(&broker).expect_closed();
    is_served(&mut one, &topic);
    drop(other);
    // The broker learns of the close when it looks at that socket, which may be after the next connection came.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut again = Raw::connect(&broker);
        ask_versions(&mut again, 4);
        if matches!(again.0.read(&mut [0; 1]), Ok(1)) {
            break;
        }
        assert!(Instant::now() < deadline, "there is never room again");
    }
}

#[test]
fn partitions_max_counts_all_topics_together() {
    let broker = start(&[("partitions.max", "5")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 3);
    let error = create(&mut connection, &fresh_name("excess"), 3, &[]);
    assert_eq!(error, ErrorCode::INVALID_PARTITIONS);
    let request = CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: &topic,
            count: 6,
            assignments: None,
        }],
        timeout_ms: 30_000,
        ..CreatePartitionsRequest::default()
    };
    let answer = call(&mut connection, &request, 3);
    assert_eq!(answer.results[0].error_code, ErrorCode::INVALID_PARTITIONS);
    is_served(&mut connection, &topic);
    assert_eq!(create(&mut connection, &fresh_name("fits"), 2, &[]), ErrorCode::NONE);
}

#[test]
fn fetch_max_bytes_bounds_an_answer_whatever_the_client_asks_for() {
    const BOUND: usize = 3000;
    let broker = start(&[("fetch.max.bytes", "3000")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let value = vec![b'x'; 1000];
    for _ in 0..10 {
        append(&mut connection, &topic, &batch(Codec::None, &[&value]));
    }
    let (mut offset, mut answers) = (0, 0);
    while offset < 10 {
        let answer = fetch(&mut connection, &topic, offset);
        let found = bytes(&answer);
        assert!(found.len() <= BOUND, "{} bytes", found.len());
        // The last batch of an answer may be cut.
        offset += i64::try_from(found.len() / (value.len() + 61)).expect("few");
        answers += 1;
    }
    assert_eq!(answers, 5);
}

#[test]
fn message_max_bytes_lets_a_record_of_50_mb_through_and_a_larger_one_not() {
    let broker = start(&[("message.max.bytes", "50001000")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let value = vec![b'x'; 50_000_000];
    let sent = batch(Codec::None, &[&value]);
    assert_eq!(append(&mut connection, &topic, &sent), 0);
    let answer = produce(&mut connection, &topic, &batch(Codec::None, &[&value, &[b'y'; 2000]]));
    assert_eq!(answer.error_code, ErrorCode::MESSAGE_TOO_LARGE);
    is_served(&mut connection, &topic);
    let found = fetch(&mut connection, &topic, 0);
    assert_eq!(bytes(&found)[16..], sent[16..], "the first batch always fits");
}

#[test]
fn socket_request_max_bytes_closes_the_connection_of_a_longer_request() {
    let broker = start(&[("socket.request.max.bytes", "10000")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut raw = Raw::connect(&broker);
    raw.0.write_all(&10_001_i32.to_be_bytes()).expect("the broker accepts");
    raw.expect_closed();
    is_served(&mut connection, &topic);
}

/// A fetch that waits for a record.
fn waiting(topic: &str) -> FetchRequest<'_> {
    FetchRequest {
        max_wait_ms: LONG_POLL_MS,
        ..fetch_request(topic, vec![from(0, 0)])
    }
}

#[test]
fn delayed_requests_max_closes_the_connection_that_asks_for_more() {
    let broker = start_on(1, &[("delayed.requests.max", "2")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut waiters: Vec<Raw> = (0..4).map(|_| Raw::connect(&broker)).collect();
    for waiter in &mut waiters {
        waiter.send(&waiting(&topic), FETCH, 1);
    }
    // Two of them come last, whichever the broker reads first.
    let deadline = Instant::now() + PATIENCE;
    while waiters.len() > 2 {
        waiters.retain(|waiter| !is_closed(waiter));
        assert!(Instant::now() < deadline, "{} wait", waiters.len());
    }
    assert_eq!(call(&mut connection, &MetadataRequest::default(), 1).brokers.len(), 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"awaited"]));
    for waiter in &mut waiters {
        assert_eq!(waiter.receive()[..4], 1_i32.to_be_bytes());
    }
}

/// Whether the broker has closed the connection, without waiting.
fn is_closed(raw: &Raw) -> bool {
    raw.0.set_nonblocking(true).expect("a socket can be asked");
    let closed = match raw.0.peek(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    raw.0.set_nonblocking(false).expect("a socket can be asked");
    closed
}

#[test]
fn connection_requests_max_leaves_further_requests_of_a_connection_unread() {
    /// Far more than all buffers on the way.
    const SENT_MAX: usize = 256 << 20;
    let broker = start(&[("connection.requests.max", "2")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut raw = Raw::connect(&broker);
    raw.send(&waiting(&topic), FETCH, 1);
    raw.send(&waiting(&topic), FETCH, 2);
    let mut writer = Writer::new();
    frame::encode_request(&mut writer, 1, 3, None, &MetadataRequest::default()).expect("it can be written");
    let requests = writer.as_slice().repeat(1000);
    raw.0.set_write_timeout(Some(SILENCE)).expect("a socket has timeouts");
    let before = memory_peak(&broker);
    let mut sent = 0;
    let error = loop {
        assert!(sent < SENT_MAX, "the broker reads on and on");
        match raw.0.write_all(&requests) {
            Ok(()) => sent += requests.len(),
            Err(error) => break error,
        }
    };
    assert!(
        [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()),
        "{error}"
    );
    let grown = memory_peak(&broker) - before;
    assert!(grown < 16 << 20, "{grown} bytes more");
    is_served(&mut connection, &topic);
    for correlation_id in [1_i32, 2, 3] {
        assert_eq!(raw.receive()[..4], correlation_id.to_be_bytes());
    }
}

#[test]
fn connection_stall_timeout_closes_consumers_that_hardly_read_and_they_take_bounded_memory() {
    const CONSUMERS: usize = 50;
    const BATCHES: usize = 32;
    let broker = start(&[("connection.stall.timeout.ms", "1000")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let value = vec![b'x'; 900_000];
    for _ in 0..BATCHES {
        append(&mut connection, &topic, &batch(Codec::None, &[&value]));
    }
    let (before, sockets) = (memory_peak(&broker), sockets(&broker));
    let mut slow: Vec<Raw> = (0..CONSUMERS).map(|_| Raw::connect(&broker)).collect();
    for raw in &mut slow {
        let mut partition = from(0, 0);
        partition.partition_max_bytes = i32::MAX;
        let request = FetchRequest {
            max_bytes: i32::MAX,
            ..fetch_request(&topic, vec![partition])
        };
        raw.send(&request, FETCH, 1);
        raw.0.read_exact(&mut [0; 1]).expect("it is answered");
    }
    let deadline = Instant::now() + PATIENCE;
    while self::sockets(&broker) > sockets {
        is_served(&mut connection, &topic);
        assert!(Instant::now() < deadline, "some are never closed");
    }
    let grown = memory_peak(&broker) - before;
    assert!(grown < 64 << 20, "{grown} bytes more");
    is_served(&mut connection, &topic);
}

/// How many sockets the broker has open.
fn sockets(broker: &Broker) -> usize {
    let id = broker.process_id().expect("it runs");
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
    // One that was closed meanwhile has no target any more.
    let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn producers_per_partition_max_has_the_one_idle_for_longest_forgotten() {
    let broker = start(&[("producers.per.partition.max", "2")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for id in [7, 8, 9] {
        append(&mut connection, &topic, &sequenced(id, 0, 0, &[b"one"]));
    }
    let request = DescribeProducersRequest {
        topics: vec![TopicRequest {
            name: &topic,
            partition_indexes: vec![0],
        }],
    };
    let answer = call(&mut connection, &request, 0);
    let remembered = &answer.topics[0].partitions[0].active_producers;
    let mut ids: Vec<i64> = remembered.iter().map(|producer| producer.producer_id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [8, 9]);
    append(&mut connection, &topic, &sequenced(9, 0, 1, &[b"goes on"]));
}

/// One request with a batch of 600,000 bytes for each of four partitions; what became of each.
fn four_at_once(connection: &mut Connection, topic: &str, timeout_ms: i32) -> Vec<(ErrorCode, i64)> {
    let sent = batch(Codec::None, &[&[b'x'; 600_000]]);
    let mut request = produce_request(topic, 0, -1, &sent);
    request.timeout_ms = timeout_ms;
    request.topic_data[0].partition_data = (0..4)
        .map(|index| PartitionProduceData {
            index,
            records: Some(&sent),
        })
        .collect();
    let answer = call(connection, &request, PRODUCE);
    let partitions = &answer.responses[0].partition_responses;
    partitions
        .iter()
        .map(|partition| (partition.error_code, partition.base_offset))
        .collect()
}

#[test]
fn tail_bytes_max_lets_batches_wait_until_there_is_room_for_them() {
    let broker = start_on(2, &[("tail.bytes.max", "1048576")]);
    let mut connection = connect(&broker);
    for class in ["fsync", "written", "memory"] {
        let topic = topic_with(&mut connection, 4, &[("durability", class)]);
        for round in 0..10 {
            let answers = four_at_once(&mut connection, &topic, 30_000);
            assert_eq!(answers, [(ErrorCode::NONE, round); 4], "{class}");
        }
    }
}

#[test]
fn batches_that_wait_for_room_keep_the_order_of_their_producer() {
    const BATCHES: i32 = 40;
    let broker = start_on(1, &[("tail.bytes.max", "1048576")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut raw = Raw::connect(&broker);
    let mut reader = raw.0.try_clone().expect("a socket can be shared");
    let answers = std::thread::spawn(move || {
        let mut next = || {
            let mut length = [0; 4];
            reader.read_exact(&mut length).expect("it is answered");
            let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("short")];
            reader.read_exact(&mut answer).expect("it is answered");
            i32::from_be_bytes(answer[..4].try_into().expect("four bytes"))
        };
        (0..BATCHES).map(|_| next()).collect::<Vec<_>>()
    });
    let value = vec![b'x'; 900_000];
    for sequence in 0..BATCHES {
        let sent = sequenced(7, 0, sequence, &[&value]);
        raw.send(&produce_request(&topic, 0, -1, &sent), PRODUCE, sequence);
    }
    assert_eq!(
        answers.join().expect("all are answered"),
        (0..BATCHES).collect::<Vec<_>>()
    );
    // Had one been refused or overtaken, those behind it would have been out of sequence.
    append(&mut connection, &topic, &sequenced(7, 0, BATCHES, &[b"in sequence"]));
    let found = fetch(&mut connection, &topic, i64::from(BATCHES));
    assert_eq!(values(bytes(&found)), [b"in sequence"]);
}

#[test]
fn waiting_append_bytes_max_bounds_the_batches_that_wait_for_room() {
    // One is appended, one waits, two are refused.
    let broker = start_on(
        1,
        &[("tail.bytes.max", "1048576"), ("waiting.append.bytes.max", "1000000")],
    );
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 4);
    let answers = four_at_once(&mut connection, &topic, 30_000);
    let refused = (ErrorCode::REQUEST_TIMED_OUT, -1);
    assert_eq!(answers, [(ErrorCode::NONE, 0), (ErrorCode::NONE, 0), refused, refused]);
    is_served(&mut connection, &topic);
}

#[test]
fn batches_that_wait_for_room_are_dropped_when_their_request_times_out() {
    let broker = start_on(1, &[("tail.bytes.max", "1048576")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 4);
    let answers = four_at_once(&mut connection, &topic, 0);
    assert_eq!(answers[1..], [(ErrorCode::REQUEST_TIMED_OUT, -1); 3]);
    // None of those is appended later.
    for index in 1..4 {
        let sent = batch(Codec::None, &[b"first"]);
        let mut answer = call(&mut connection, &produce_request(&topic, index, -1, &sent), PRODUCE);
        let partition = answer.responses.remove(0).partition_responses.remove(0);
        assert_eq!((partition.error_code, partition.base_offset), (ErrorCode::NONE, 0));
    }
}

#[test]
fn journal_bytes_max_bounds_the_journal_of_each_shard() {
    const BOUND: u64 = 16 << 20;
    let broker = start_on(
        1,
        &[("journal.bytes.max", "16777216"), ("journal.file.bytes", "4194304")],
    );
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let value = vec![b'x'; 900_000];
    for _ in 0..100 {
        append(&mut connection, &topic, &batch(Codec::None, &[&value]));
        let size = journal_bytes(&broker);
        assert!(size <= BOUND, "{size} bytes of journal");
    }
    is_served(&mut connection, &topic);
}

fn journal_bytes(broker: &Broker) -> u64 {
    let journals: &Path = &broker.directory().join("journals");
    let files = std::fs::read_dir(journals).expect("there are journals");
    // One that is removed between the two calls has no size any more.
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}
