//! Fetch sessions.

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use hallows_protocol::messages::fetch_response::FetchResponse;
use hallows_types::TopicId;

use crate::support::{
    FETCH, LONG_POLL_MS, append, batch, bytes, call, connect, create, fetch_request, from, only, produce_request,
    shared, start, topic, topic_id, values,
};

/// Opens a session and returns the answer.
fn open(connection: &mut Connection, topic: &str, partitions: Vec<FetchPartition>) -> FetchResponse {
    let request = FetchRequest {
        session_epoch: 0,
        ..fetch_request(topic, partitions)
    };
    let answer = call(connection, &request, FETCH);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer
}

/// A fetch in a session that changes nothing about it and does not wait.
fn next(session_id: i32, session_epoch: i32) -> FetchRequest<'static> {
    FetchRequest {
        session_id,
        session_epoch,
        min_bytes: 1,
        ..FetchRequest::default()
    }
}

/// The indexes of the partitions in an answer.
fn answered(answer: &FetchResponse) -> Vec<i32> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let mut indexes: Vec<_> = partitions.map(|partition| partition.partition_index).collect();
    indexes.sort_unstable();
    indexes
}

#[test]
fn a_full_fetch_opens_a_session_and_answers_every_partition() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 3);
    let answer = open(
        &mut connection,
        &topic,
        (0..3).map(|partition| from(partition, 0)).collect(),
    );
    assert!(answer.session_id > 0);
    assert_eq!(answered(&answer), [0, 1, 2]);
}

#[test]
fn an_incremental_fetch_omits_unchanged_partitions() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 3);
    let session = open(
        &mut connection,
        &topic,
        (0..3).map(|partition| from(partition, 0)).collect(),
    )
    .session_id;
    let idle = call(&mut connection, &next(session, 1), FETCH);
    assert_eq!((idle.error_code, idle.session_id), (ErrorCode::NONE, session));
    assert!(answered(&idle).is_empty());

    let sent = batch(Codec::None, &[b"new"]);
    call(&mut connection, &produce_request(&topic, 1, -1, &sent), 9);
    let changed = call(&mut connection, &next(session, 2), FETCH);
    assert_eq!(answered(&changed), [1]);
    assert_eq!(values(bytes(&only(changed))), [b"new"]);
}

#[test]
fn an_incremental_fetch_includes_errors_and_moved_watermarks() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 2);
    // The reader of partition 0 is ahead of its log; partition 1 is idle.
    let first = open(&mut connection, &topic, vec![from(0, 5), from(1, 0)]);
    let session = first.session_id;
    assert_eq!(answered(&first), [0, 1]);
    let again = call(&mut connection, &next(session, 1), FETCH);
    assert_eq!(answered(&again), [0], "an error is told in every answer");
    assert_eq!(only(again).error_code, ErrorCode::OFFSET_OUT_OF_RANGE);

    append(
        &mut connection,
        &topic,
        &batch(Codec::None, &[b"a", b"b", b"c", b"d", b"e"]),
    );
    let moved = call(&mut connection, &next(session, 2), FETCH);
    let moved = only(moved);
    assert_eq!(
        (moved.partition_index, moved.error_code, moved.high_watermark),
        (0, ErrorCode::NONE, 5)
    );
    assert!(answered(&call(&mut connection, &next(session, 3), FETCH)).is_empty());
}

#[test]
fn a_waiting_fetch_of_a_session_is_answered_by_a_record() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 2);
    let session = open(&mut connection, &topic, vec![from(0, 0), from(1, 0)]).session_id;
    let mut waiting = connect(&broker);
    let request = FetchRequest {
        max_wait_ms: LONG_POLL_MS,
        ..next(session, 1)
    };
    let ticket = waiting.send(&request, FETCH).expect("it is sent");
    append(&mut connection, &topic, &batch(Codec::None, &[b"awaited"]));
    let found = only(waiting.receive(ticket).expect("it is answered"));
    assert_eq!(values(bytes(&found)), [b"awaited"]);
}

#[test]
fn forgotten_topics_are_really_forgotten() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 2);
    let session = open(&mut connection, &topic, vec![from(0, 0), from(1, 0)]).session_id;
    let request = FetchRequest {
        forgotten_topics_data: vec![ForgottenTopic {
            topic: &topic,
            partitions: vec![0],
            ..ForgottenTopic::default()
        }],
        ..next(session, 1)
    };
    call(&mut connection, &request, FETCH);
    let sent = batch(Codec::None, &[b"x"]);
    for partition in 0..2 {
        call(&mut connection, &produce_request(&topic, partition, -1, &sent), 9);
    }
    assert_eq!(answered(&call(&mut connection, &next(session, 2), FETCH)), [1]);
}

#[test]
fn partitions_can_be_added_to_a_session_and_moved_in_it() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 2);
    let sent = batch(Codec::None, &[b"x"]);
    for partition in 0..2 {
        call(&mut connection, &produce_request(&topic, partition, -1, &sent), 9);
    }
    let session = open(&mut connection, &topic, vec![from(0, 0)]).session_id;
    let change = |partitions, epoch| FetchRequest {
        session_id: session,
        session_epoch: epoch,
        ..fetch_request(&topic, partitions)
    };
    let answer = call(&mut connection, &change(vec![from(0, 1), from(1, 0)], 1), FETCH);
    let with_records = |answer: &FetchResponse| {
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let filled = partitions.filter(|partition| !bytes(partition).is_empty());
        filled.map(|partition| partition.partition_index).collect::<Vec<_>>()
    };
    assert_eq!(with_records(&answer), [1], "partition 0 was read to its end");
    let answer = call(&mut connection, &change(vec![from(0, 0), from(1, 1)], 2), FETCH);
    assert_eq!(with_records(&answer), [0]);
}

#[test]
fn epoch_minus_1_closes_a_session() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let session = open(&mut connection, &topic, vec![from(0, 0)]).session_id;
    let close = FetchRequest {
        session_id: session,
        session_epoch: -1,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let closed = call(&mut connection, &close, FETCH);
    assert_eq!((closed.error_code, closed.session_id), (ErrorCode::NONE, 0));
    assert_eq!(answered(&closed), [0], "it is a full fetch");
    let gone = call(&mut connection, &next(session, 1), FETCH);
    assert_eq!(gone.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn a_session_id_with_epoch_0_closes_that_session_and_opens_a_new_one() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let old = open(&mut connection, &topic, vec![from(0, 0)]).session_id;
    let reopen = |session_id| FetchRequest {
        session_id,
        session_epoch: 0,
        ..fetch_request(&topic, vec![from(0, 0)])
    };
    let answer = call(&mut connection, &reopen(old), FETCH);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    assert!(answer.session_id != 0 && answer.session_id != old);
    let gone = call(&mut connection, &next(old, 1), FETCH);
    assert_eq!(gone.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert_eq!(
        call(&mut connection, &next(answer.session_id, 1), FETCH).error_code,
        ErrorCode::NONE
    );

    // The clients' way out of every session error: also with an id that nobody has.
    let answer = call(&mut connection, &reopen(i32::MAX), FETCH);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    assert!(answer.session_id > 0);
}

#[test]
fn a_wrong_epoch_is_invalid_and_the_session_goes_on() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let session = open(&mut connection, &topic, vec![from(0, 0)]).session_id;
    for wrong in [2, 7] {
        let answer = call(&mut connection, &next(session, wrong), FETCH);
        assert_eq!(answer.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH, "{wrong}");
    }
    assert_eq!(
        call(&mut connection, &next(session, 1), FETCH).error_code,
        ErrorCode::NONE
    );
    let repeated = call(&mut connection, &next(session, 1), FETCH);
    assert_eq!(repeated.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH);
}

#[test]
fn an_unknown_session_is_not_found() {
    let broker = shared();
    let mut connection = connect(&broker);
    let answer = call(&mut connection, &next(123_456_789, 1), FETCH);
    assert_eq!(answer.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    assert!(answered(&answer).is_empty());
}

#[test]
fn a_full_cache_answers_with_session_id_0() {
    let broker = start(&[("max.incremental.fetch.session.cache.slots", "0")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a"]));
    let answer = open(&mut connection, &topic, vec![from(0, 0)]);
    assert_eq!(answer.session_id, 0);
    assert_eq!(values(bytes(&only(answer))), [b"a"]);
}

#[test]
fn fetch_session_partitions_max_has_fetches_of_more_work_without_a_session() {
    let broker = start(&[("fetch.session.partitions.max", "3"), ("shards", "1")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 4);
    append(&mut connection, &topic, &batch(Codec::None, &[b"a"]));
    let all = |range: std::ops::Range<i32>| range.map(|partition| from(partition, 0)).collect();
    let too_many = open(&mut connection, &topic, all(0..4));
    assert_eq!((too_many.session_id, answered(&too_many)), (0, vec![0, 1, 2, 3]));
    let session = open(&mut connection, &topic, all(0..3)).session_id;
    assert!(session > 0, "there is room for three");
    assert_eq!(
        open(&mut connection, &topic, all(0..1)).session_id,
        0,
        "and for no fourth"
    );
    // One that grows beyond the bound ends; its client opens another.
    let grown = FetchRequest {
        session_id: session,
        session_epoch: 1,
        ..fetch_request(&topic, vec![from(3, 0)])
    };
    let refused = call(&mut connection, &grown, FETCH);
    assert_eq!(refused.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    // Nothing of the refused ones is counted any more.
    let session = open(&mut connection, &topic, all(0..2)).session_id;
    assert!(open(&mut connection, &topic, all(2..3)).session_id > 0);
    let swapped = FetchRequest {
        session_id: session,
        session_epoch: 1,
        forgotten_topics_data: vec![ForgottenTopic {
            topic: &topic,
            partitions: vec![0],
            ..ForgottenTopic::default()
        }],
        ..fetch_request(&topic, vec![from(3, 0)])
    };
    let swapped = call(&mut connection, &swapped, FETCH);
    assert_eq!((swapped.error_code, swapped.session_id), (ErrorCode::NONE, session));
}

#[test]
fn a_recreated_topic_has_an_inconsistent_id_inside_a_session_and_the_old_id_is_unknown() {
    let broker = shared();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let old = topic_id(&mut connection, &topic);
    let by_id = |topic_id, session_id, session_epoch| FetchRequest {
        session_id,
        session_epoch,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic_id,
            partitions: vec![from(0, 0)],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let session = call(&mut connection, &by_id(old, 0, 0), 13).session_id;
    delete(&mut connection, &topic);
    assert_eq!(create(&mut connection, &topic, 1, &[]), ErrorCode::NONE);
    assert_ne!(topic_id(&mut connection, &topic), old);

    let inside = only(call(&mut connection, &next(session, 1), 13));
    assert_eq!(inside.error_code, ErrorCode::INCONSISTENT_TOPIC_ID);
    assert_eq!(
        only(call(&mut connection, &by_id(old, 0, -1), 13)).error_code,
        ErrorCode::UNKNOWN_TOPIC_ID
    );
}

fn delete(connection: &mut Connection, topic: &str) {
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(topic),
            topic_id: TopicId::ZERO,
        }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(call(connection, &request, 6).responses[0].error_code, ErrorCode::NONE);
}
