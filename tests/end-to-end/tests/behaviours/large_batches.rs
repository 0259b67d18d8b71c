//! Large compressed batches: unpacking one takes long, and nobody but its producer waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hallows_client::{Codec, Connection, ErrorCode, Ticket};
use hallows_protocol::messages::produce_response::ProduceResponse;
use hallows_protocol::messages::{ApiVersionsRequest, InitProducerIdRequest};
use hallows_record::{BatchBuilder, Producer};
use hallows_testkit::Random;

use crate::support::{
    PRODUCE, append, batch, bytes, call, connect, fetch, filled, produce, produce_request, shared, start_on, topic,
    values,
};

/// What does not shrink, so that a batch is large also when compressed.
const NOISE_BYTES: usize = 200 << 10;
/// What shrinks to nearly nothing, and takes time to unpack.
const ZEROS_BYTES: usize = 48 << 20;
/// Where the records of a batch begin.
const RECORDS_AT: usize = 61;

fn noise() -> Vec<u8> {
    let mut random = Random::from_seed(5);
    let mut noise = Vec::with_capacity(NOISE_BYTES + 8);
    while noise.len() < NOISE_BYTES {
        noise.extend_from_slice(&random.next_u64().to_be_bytes());
    }
    noise
}

#[test]
fn a_large_compressed_batch_is_taken_and_given_back_unchanged_with_every_codec() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let noise = noise();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let sent = batch(codec, &[&noise, b"small"]);
        assert!(sent.len() > NOISE_BYTES / 2, "{codec:?}");
        let offset = append(&mut connection, &topic, &sent);
        let found = fetch(&mut connection, &topic, offset);
        assert_eq!(bytes(&found)[16..], sent[16..], "{codec:?}");
        assert!(values(bytes(&found)) == [noise.clone(), b"small".to_vec()], "{codec:?}");
    }
}

#[test]
fn a_large_compressed_batch_with_damage_is_refused_and_its_connection_goes_on() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let mut damaged = batch(Codec::Zstd, &[&noise()]);
    damaged[RECORDS_AT] ^= 0xff;
    let answer = produce(&mut connection, &topic, &crate::producing::seal(damaged));
    assert!(answer.error_code.is_error(), "{:?}", answer.error_code);
    assert_eq!(append(&mut connection, &topic, &batch(Codec::None, &[b"next"])), 0);
}

#[test]
fn what_a_producer_sends_behind_a_large_compressed_batch_does_not_overtake_it() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let request = InitProducerIdRequest {
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let told = call(&mut connection, &request, 4);
    let numbered = |codec, base_sequence, value: &[u8]| {
        let producer = Producer {
            id: told.producer_id,
            epoch: told.producer_epoch,
            base_sequence,
        };
        filled(BatchBuilder::new(codec).with_producer(producer), &[value])
    };
    let large = [noise(), vec![0; ZEROS_BYTES / 4]].concat();
    let batches = [
        numbered(Codec::Gzip, 0, &large),
        numbered(Codec::None, 1, b"small"),
        numbered(Codec::Gzip, 2, &large),
        numbered(Codec::None, 3, b"small"),
    ];
    let tickets: Vec<Ticket> = batches
        .iter()
        .map(|batch| {
            let request = produce_request(&topic, 0, -1, batch);
            connection.send(&request, PRODUCE).expect("it is sent")
        })
        .collect();
    for (ticket, expected) in tickets.into_iter().zip(0..) {
        let answer: ProduceResponse = connection.receive(ticket).expect("it is answered");
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(
            (partition.error_code, partition.base_offset),
            (ErrorCode::NONE, expected)
        );
    }
}

#[test]
fn others_of_the_same_shard_are_answered_while_a_large_compressed_batch_is_unpacked() {
    let broker = start_on(1, &[]);
    let (mut producing, mut asking) = (connect(&broker), connect(&broker));
    let topic = topic(&mut producing, 1);
    let large = batch(Codec::Gzip, &[&noise(), &vec![0; ZEROS_BYTES]]);
    append(&mut producing, &topic, &batch(Codec::None, &[b"the leader is there"]));
    let done = AtomicBool::new(false);
    let (took, longest) = thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let begun = Instant::now();
            let answer = produce(&mut producing, &topic, &large);
            done.store(true, Ordering::Release);
            assert_eq!(answer.error_code, ErrorCode::NONE, "{:?}", answer.error_message);
            begun.elapsed()
        });
        let mut longest = Duration::ZERO;
        while !done.load(Ordering::Acquire) {
            longest = longest.max(ask(&mut asking));
        }
        (producer.join().expect("it does not panic"), longest)
    });
    // Were it unpacked on the shard, one question would have waited nearly as long as the batch took.
    assert!(
        longest < took / 2,
        "a question waited {longest:?} of the {took:?} that the batch took"
    );
}

/// Asks for something small; returns how long the answer took.
fn ask(connection: &mut Connection) -> Duration {
    let begun = Instant::now();
    call(connection, &ApiVersionsRequest::default(), 0);
    begun.elapsed()
}
