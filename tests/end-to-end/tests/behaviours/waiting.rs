//! Batches that wait for room while something else happens: in what order they go, and who never goes.
//!
//! The broker under test may open no further file, so that what fills its memory stays there for as long as the test
//! wants. Connections are opened before.

use hallows_client::{Codec, Connection, ErrorCode, Ticket};
use hallows_protocol::messages::ApiVersionsRequest;
use hallows_protocol::messages::produce_response::ProduceResponse;
use hallows_testkit::Broker;
use hallows_types::TopicId;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::support::{
    PRODUCE, append, batch, call, connect, produce_request, sequenced, start_on, topic_id, topic_with,
};
use crate::topics::{SET, alter, delete};

/// Together with another batch that waits it exceeds `tail.bytes.max`.
const FILLING_BYTES: usize = 1_040_000;
const WAITING_BYTES: usize = 20_000;
const PATIENCE_MS: i32 = 60_000;

/// A broker whose memory for batches is full and stays so.
struct Full {
    broker: Broker,
    /// For what does not wait.
    beside: Connection,
    process: Pid,
    limit: Rlimit,
    filling: String,
}

impl Full {
    /// `prepare` has the broker before it is full.
    fn new<T>(settings: &[(&str, &str)], prepare: impl FnOnce(&Broker, &mut Connection) -> T) -> (Self, T) {
        let settings = [&[("tail.bytes.max", "1048576")], settings].concat();
        let broker = start_on(1, &settings);
        let mut beside = connect(&broker);
        let filling = topic_with(&mut beside, 1, &[("durability", "memory")]);
        let prepared = prepare(&broker, &mut beside);
        let id = broker.process_id().expect("it runs");
        let process = Pid::from_raw(i32::try_from(id).expect("process ids are small")).expect("not 0");
        // The broker has our hard limit, which stays as it is.
        let none = Rlimit {
            current: Some(0),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        let limit = prlimit(Some(process), Resource::Nofile, none).expect("it may be lowered");
        append(
            &mut beside,
            &filling,
            &batch(Codec::None, &[&vec![b'x'; FILLING_BYTES]]),
        );
        let full = Self {
            broker,
            beside,
            process,
            limit,
            filling,
        };
        (full, prepared)
    }

    /// Sends a batch that has to wait, and sees the broker take it.
    fn send(&mut self, to: &mut Connection, topic: &str, index: i32, sent: &[u8], timeout_ms: i32) -> Ticket {
        let mut request = produce_request(topic, index, -1, sent);
        request.timeout_ms = timeout_ms;
        let ticket = to.send(&request, PRODUCE).expect("it is sent");
        let versions = ApiVersionsRequest {
            client_software_name: "waiting",
            client_software_version: "1",
        };
        // What has arrived is read before what arrives later; the second comes when the first was worked off.
        for _ in 0..2 {
            call(&mut self.beside, &versions, 3);
        }
        ticket
    }

    /// There is room soon.
    fn go_on(&self) {
        prlimit(Some(self.process), Resource::Nofile, self.limit).expect("it may be raised");
    }
}

fn answer(connection: &mut Connection, ticket: Ticket) -> (ErrorCode, i64) {
    let mut answer: ProduceResponse = connection.receive(ticket).expect("it is answered");
    let partition = answer.responses.remove(0).partition_responses.remove(0);
    (partition.error_code, partition.base_offset)
}

/// What a partition answers to a batch now.
fn appended(connection: &mut Connection, topic: &str, index: i32) -> (ErrorCode, i64) {
    let sent = batch(Codec::None, &[b"later"]);
    let ticket = connection
        .send(&produce_request(topic, index, -1, &sent), PRODUCE)
        .expect("it is sent");
    answer(connection, ticket)
}

fn large() -> Vec<u8> {
    batch(Codec::None, &[&[b'y'; WAITING_BYTES]])
}

#[test]
fn batches_that_wait_keep_their_order_when_the_durability_of_their_topic_changes() {
    for (before, after) in [("written", "fsync"), ("fsync", "written"), ("memory", "fsync")] {
        let (mut full, (topic, mut connections)) = Full::new(&[], |broker, beside| {
            let topic = topic_with(beside, 1, &[("durability", before)]);
            (topic, [0, 1, 2, 3].map(|_| connect(broker)))
        });
        let mut tickets = Vec::new();
        for (sequence, connection) in (0..).zip(&mut connections) {
            if sequence == 2 {
                let altered = alter(&mut full.beside, &topic, &[("durability", SET, Some(after))]);
                assert_eq!(altered, ErrorCode::NONE);
            }
            let sent = sequenced(7, 0, sequence, &[&[b'y'; WAITING_BYTES]]);
            tickets.push(full.send(connection, &topic, 0, &sent, PATIENCE_MS));
        }
        full.go_on();
        for (offset, (connection, ticket)) in (0..).zip(connections.iter_mut().zip(tickets)) {
            let told = answer(connection, ticket);
            assert_eq!(told, (ErrorCode::NONE, offset), "{before} to {after}");
        }
    }
}

#[test]
fn a_batch_behind_one_with_more_time_is_dropped_at_its_own_deadline() {
    let room_for_two = [("waiting.append.bytes.max", "50000")];
    let (mut full, (topic, [mut one, mut other, mut third])) = Full::new(&room_for_two, |broker, beside| {
        (topic_with(beside, 3, &[]), [0, 1, 2].map(|_| connect(broker)))
    });
    let first = full.send(&mut one, &topic, 0, &large(), PATIENCE_MS);
    let short = full.send(&mut other, &topic, 1, &large(), 1);
    assert_eq!(answer(&mut other, short), (ErrorCode::REQUEST_TIMED_OUT, -1));
    // It has left its room to the next one.
    let next = full.send(&mut third, &topic, 2, &large(), PATIENCE_MS);
    full.go_on();
    assert_eq!(answer(&mut third, next), (ErrorCode::NONE, 0));
    assert_eq!(answer(&mut one, first), (ErrorCode::NONE, 0));
    assert_eq!(
        appended(&mut other, &topic, 1),
        (ErrorCode::NONE, 0),
        "it is not appended later"
    );
}

#[test]
fn batches_that_wait_for_a_topic_are_answered_when_it_is_deleted() {
    let (mut full, ([stays, goes], [mut one, mut other])) = Full::new(&[], |broker, beside| {
        let topics = [0, 1].map(|_| topic_with(beside, 1, &[]));
        (topics, [0, 1].map(|_| connect(broker)))
    });
    let first = full.send(&mut one, &stays, 0, &large(), PATIENCE_MS);
    let behind = full.send(&mut other, &goes, 0, &large(), PATIENCE_MS);
    assert_eq!(delete(&mut full.beside, Some(&goes), TopicId::ZERO), ErrorCode::NONE);
    assert_eq!(
        answer(&mut other, behind),
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1),
        "while the one before it waits"
    );
    full.go_on();
    assert_eq!(answer(&mut one, first), (ErrorCode::NONE, 0));
}

#[test]
fn batches_that_wait_for_a_partition_are_answered_when_it_fails() {
    let (mut full, mut connection) = Full::new(&[], |broker, _| connect(broker));
    let filling = full.filling.clone();
    let waits = full.send(&mut connection, &filling, 0, &large(), PATIENCE_MS);
    // Its segment cannot be created, for a reason that does not pass.
    let segments = full.broker.directory().join("segments");
    std::fs::rename(&segments, segments.with_extension("gone")).expect("it can be renamed");
    std::fs::write(&segments, b"no directory").expect("it can be written");
    full.go_on();
    assert_eq!(answer(&mut connection, waits), (ErrorCode::KAFKA_STORAGE_ERROR, -1));
}

#[test]
fn batches_that_wait_when_the_broker_stops_are_refused_and_not_there_after_it_started_again() {
    let (mut full, (topic, mut connection)) =
        Full::new(&[], |broker, beside| (topic_with(beside, 1, &[]), connect(broker)));
    let waits = full.send(&mut connection, &topic, 0, &large(), PATIENCE_MS);
    kill_process(full.process, Signal::TERM).expect("it runs");
    assert_eq!(answer(&mut connection, waits), (ErrorCode::REQUEST_TIMED_OUT, -1));
    full.go_on();
    full.broker.restart().expect("it starts again");
    let mut connection = connect(&full.broker);
    topic_id(&mut connection, &topic);
    assert_eq!(appended(&mut connection, &topic, 0), (ErrorCode::NONE, 0));
}
