//! Clients that misbehave cost only their own connection.
//!
//! Beside each of them a well-behaved client writes and reads, and every answer it gets is checked. The bounds of this
//! broker are tight, so that reaching them costs little.

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;

use hallows_client::{Codec, ErrorCode};
use hallows_protocol::messages::fetch_request::FetchRequest;
use hallows_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use hallows_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use hallows_protocol::{ApiKey, Request, Writer, frame};
use hallows_testkit::{Broker, Random};

use crate::support::{
    FETCH, PRODUCE, Raw, append, batch, bytes, connect, create, fetch, fetch_request, fresh_name, from, produce, start,
    topic, values,
};

/// The bounds of the broker under attack.
const BOUNDS: [(&str, &str); 4] = [
    ("decompressed.batch.bytes.max", "1048576"),
    ("connections.max.idle.ms", "20000"),
    ("connection.stall.timeout.ms", "1000"),
    ("partitions.max", "20000"),
];
/// How many records the client beside an attack writes and reads at least.
const ROUNDS: i64 = 50;
/// What the broker's memory may grow by under promises that are not kept.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Runs `attack` on a broker while a client beside it writes and reads, and checks everything that client gets.
fn beside_a_well_behaved_client(attack: impl FnOnce(&Broker)) {
    static BROKER: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let broker = {
        let mut shared = BROKER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let broker = shared.upgrade().unwrap_or_else(|| Arc::new(start(&BOUNDS)));
        *shared = Arc::downgrade(&broker);
        broker
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| write_and_read(&broker, &over));
        let ended = Ended(&over);
        attack(&broker);
        drop(ended);
        let rounds = neighbour.join().expect("the client beside it is served");
        assert!(rounds >= ROUNDS);
    });
}

/// Ends the client beside an attack also when the attack's assertions fail.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn write_and_read(broker: &Broker, over: &AtomicBool) -> i64 {
    let mut connection = connect(broker);
    let topic = topic(&mut connection, 1);
    let mut round = 0;
    while round < ROUNDS || !over.load(Ordering::Relaxed) {
        let value = round.to_be_bytes();
        assert_eq!(append(&mut connection, &topic, &batch(Codec::None, &[&value])), round);
        assert_eq!(values(bytes(&fetch(&mut connection, &topic, round))), [value]);
        round += 1;
    }
    round
}

/// The most memory that the broker has had, in bytes.
pub(crate) fn memory_peak(broker: &Broker) -> u64 {
    let id = broker.process_id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux tells it");
    let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
    kib << 10
}

#[test]
fn garbage_closes_its_own_connection() {
    beside_a_well_behaved_client(|broker| {
        let mut random = Random::from_seed(1);
        for words in 1..60 {
            let mut raw = Raw::connect(broker);
            let garbage: Vec<u8> = (0..words).flat_map(|_| random.next_u64().to_be_bytes()).collect();
            // The broker may have closed it already.
            let _ = raw.0.write_all(&garbage);
            raw.expect_closed();
        }
        let mut raw = Raw::connect(broker);
        raw.0
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("the broker accepts");
        raw.expect_closed();
    });
}

#[test]
fn garbage_behind_a_valid_header_closes_its_own_connection_or_is_answered() {
    beside_a_well_behaved_client(|broker| {
        let offered = connect(broker).offered().clone();
        let mut random = Random::from_seed(2);
        for (key, (oldest, newest)) in offered {
            for version in oldest..=newest {
                let mut raw = Raw::connect(broker);
                let body: Vec<u8> = (0..20).flat_map(|_| random.next_u64().to_be_bytes()).collect();
                raw.send_frame(key.number(), version, 1, &body);
                // Whatever it says, it says it at once, or closes; the idle limit is not what ends this.
                let mut answer = [0; 4];
                let _ = raw.0.read(&mut answer);
            }
        }
    });
}

#[test]
fn half_a_frame_and_then_silence_is_closed_when_idle() {
    beside_a_well_behaved_client(|broker| {
        let mut half = Vec::from(100_i32.to_be_bytes());
        half.extend([0; 50]);
        let mut raws: Vec<_> = (0..20).map(|_| Raw::connect(broker)).collect();
        for raw in &mut raws {
            raw.0.write_all(&half).expect("the broker reads");
        }
        for raw in &mut raws {
            raw.expect_closed();
        }
    });
}

#[test]
fn a_connection_that_sends_nothing_is_closed_when_idle() {
    beside_a_well_behaved_client(|broker| {
        let mut raws: Vec<_> = (0..50).map(|_| Raw::connect(broker)).collect();
        for raw in &mut raws {
            raw.expect_closed();
        }
    });
}

#[test]
fn a_length_of_2_gib_or_below_0_closes_its_own_connection() {
    beside_a_well_behaved_client(|broker| {
        for length in [i32::MAX, i32::MIN, -1, 104_857_601] {
            let mut raw = Raw::connect(broker);
            raw.0.write_all(&length.to_be_bytes()).expect("the broker accepts");
            raw.expect_closed();
        }
    });
}

#[test]
fn memory_grows_with_bytes_received_and_not_with_bytes_promised() {
    beside_a_well_behaved_client(|broker| {
        let before = memory_peak(broker);
        let mut raws: Vec<_> = (0..64).map(|_| Raw::connect(broker)).collect();
        for raw in &mut raws {
            // Just within socket.request.max.bytes.
            raw.0
                .write_all(&104_857_600_i32.to_be_bytes())
                .expect("the broker reads");
            raw.0.write_all(&[0; 1000]).expect("the broker reads");
        }
        for raw in &mut raws {
            raw.expect_closed();
        }
        let grown = memory_peak(broker) - before;
        assert!(
            grown < GROWTH_BYTES_MAX,
            "{grown} bytes more for 64 promises of 100 MiB"
        );
    });
}

#[test]
fn a_decompression_bomb_is_refused_and_its_memory_never_taken() {
    beside_a_well_behaved_client(|broker| {
        let zeros = vec![0; 128 << 20];
        let bombs = [Codec::Gzip, Codec::Zstd].map(|codec| (codec, batch(codec, &[&zeros])));
        let mut connection = connect(broker);
        let topic = topic(&mut connection, 1);
        for (codec, bomb) in bombs {
            assert!(bomb.len() < 1 << 20, "it passes as a small batch");
            let before = memory_peak(broker);
            let answer = produce(&mut connection, &topic, &bomb);
            assert!(answer.error_code.is_error(), "{codec:?}");
            let grown = memory_peak(broker) - before;
            assert!(grown < GROWTH_BYTES_MAX, "{codec:?}: {grown} bytes more");
        }
        assert_eq!(fetch(&mut connection, &topic, 0).high_watermark, 0);
        // The connection goes on: a bomb is an error of its partition.
        append(&mut connection, &topic, &batch(Codec::Zstd, &[b"small"]));
    });
}

/// Sends a request that the broker need not survive politely: it answers or closes, and goes on.
fn send_and_expect_refusal<R: Request>(broker: &Broker, request: &R, version: i16) {
    let mut raw = Raw::connect(broker);
    let mut writer = Writer::new();
    frame::encode_request(&mut writer, version, 1, None, request).expect("it can be written");
    // The broker may close before all of it is written.
    let _ = raw.0.write_all(writer.as_slice());
    raw.expect_closed();
}

#[test]
fn a_request_that_names_a_million_partitions_closes_its_own_connection() {
    const MILLION: i32 = 1_000_000;
    beside_a_well_behaved_client(|broker| {
        let name = topic(&mut connect(broker), 1);
        let fetch = fetch_request(&name, (0..MILLION).map(|index| from(index, 0)).collect());
        send_and_expect_refusal(broker, &fetch, FETCH);
        let partitions = (0..MILLION).map(|partition_index| ListOffsetsPartition {
            partition_index,
            ..ListOffsetsPartition::default()
        });
        let list = ListOffsetsRequest {
            topics: vec![ListOffsetsTopic {
                name: &name,
                partitions: partitions.collect(),
            }],
            ..ListOffsetsRequest::default()
        };
        send_and_expect_refusal(broker, &list, 7);
        let offsets = OffsetFetchRequest {
            group_id: "greedy",
            topics: Some(vec![OffsetFetchRequestTopic {
                name: &name,
                partition_indexes: (0..MILLION).collect(),
            }]),
            ..OffsetFetchRequest::default()
        };
        send_and_expect_refusal(broker, &offsets, 7);
        let partitions = (0..MILLION).map(|index| PartitionProduceData { index, records: None });
        let produce = ProduceRequest {
            acks: 1,
            topic_data: vec![TopicProduceData {
                name: &name,
                partition_data: partitions.collect(),
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        send_and_expect_refusal(broker, &produce, PRODUCE);
    });
}

#[test]
fn a_topic_of_a_million_partitions_is_refused() {
    beside_a_well_behaved_client(|broker| {
        let error = create(&mut connect(broker), &fresh_name("huge"), 1_000_000, &[]);
        assert!(
            [ErrorCode::INVALID_PARTITIONS, ErrorCode::POLICY_VIOLATION].contains(&error),
            "{error:?}"
        );
    });
}

#[test]
fn an_array_longer_than_its_frame_closes_its_own_connection() {
    beside_a_well_behaved_client(|broker| {
        for key in [ApiKey::Metadata, ApiKey::DescribeGroups] {
            let mut raw = Raw::connect(broker);
            raw.send_frame(key.number(), 1, 1, &i32::MAX.to_be_bytes());
            raw.expect_closed();
        }
    });
}

#[test]
fn a_client_that_never_reads_its_answers_is_closed_and_takes_bounded_memory() {
    beside_a_well_behaved_client(|broker| {
        let mut connection = connect(broker);
        let topic = topic(&mut connection, 1);
        let value = vec![b'x'; 900_000];
        append(&mut connection, &topic, &batch(Codec::None, &[&value]));
        let before = memory_peak(broker);
        let mut raw = Raw::connect(broker);
        let request = FetchRequest {
            session_epoch: -1,
            ..fetch_request(&topic, vec![from(0, 0)])
        };
        let mut writer = Writer::new();
        frame::encode_request(&mut writer, FETCH, 1, None, &request).expect("it can be written");
        let requests = writer.as_slice().repeat(1000);
        // Until the broker has had enough of it: far more than fits into any buffer on the way.
        let error = loop {
            if let Err(error) = raw.0.write_all(&requests) {
                break error;
            }
        };
        let closed = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind());
        assert!(closed, "the broker never closed it: {error}");
        let grown = memory_peak(broker) - before;
        assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");
    });
}

#[test]
fn a_flood_of_small_requests_is_answered_in_turn_with_everybody_elses() {
    beside_a_well_behaved_client(|broker| {
        let mut raw = Raw::connect(broker);
        for correlation_id in 0..5_000 {
            raw.send(
                &ApiVersionsRequest {
                    client_software_name: "flood",
                    client_software_version: "1",
                },
                3,
                correlation_id,
            );
            if correlation_id % 100 == 99 {
                // Some are left unread, so that there is always a queue.
                for _ in 0..90 {
                    raw.receive();
                }
            }
        }
        let mut raw = Raw::connect(broker);
        raw.send(&MetadataRequest::default(), 1, 7);
        assert_eq!(raw.receive()[..4], 7_i32.to_be_bytes());
    });
}
