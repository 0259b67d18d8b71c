//! `__consumer_offsets` is compacted: it stays short under any number of commits, and knows the newest of each.
//!
//! Every broker here has one partition of it, so that all rows are in one log.

use std::path::PathBuf;
use std::time::Instant;

use hallows_client::{Client, ClientOptions, Codec, Connection, ErrorCode, OffsetAt, Ticket};
use hallows_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use hallows_protocol::messages::offset_commit_response::OffsetCommitResponse;
use hallows_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use hallows_testkit::Broker;

use crate::members::connect;
use crate::support::{self, PATIENCE, append, batch, bytes, call, fetch, produce, start, topic};

const OFFSETS: &str = "__consumer_offsets";
/// Partitions of one commit, each with [`TEXT_BYTES`] of metadata: 400 KB in one batch.
const PARTITIONS: i32 = 100;
const TEXT_BYTES: usize = 4_000;

fn one_partition() -> Broker {
    start(&[
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
    ])
}

/// A commit of `committed_offset` for every partition.
fn commit_all<'a>(group: &'a str, topic: &'a str, committed_offset: i64, text: &'a str) -> OffsetCommitRequest<'a> {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_metadata: Some(text),
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic,
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn assert_taken(answer: &OffsetCommitResponse) {
    for partition in &answer.topics[0].partitions {
        assert_eq!(partition.error_code, ErrorCode::NONE);
    }
}

/// Sends a commit again, as clients do, while the journal has no room for what the node itself appends.
fn take(connection: &mut Connection, request: &OffsetCommitRequest<'_>, mut answer: OffsetCommitResponse) {
    let began = Instant::now();
    while answer.topics[0].partitions[0].error_code == ErrorCode::COORDINATOR_NOT_AVAILABLE {
        assert!(began.elapsed() < PATIENCE, "there is never room again");
        answer = connection.call(request, 8).expect("it is answered");
    }
    assert_taken(&answer);
}

/// Every partition's committed offset.
fn committed_offsets(connection: &mut Connection, group: &str, topic: &str) -> Vec<i64> {
    let request = OffsetFetchRequest {
        group_id: group,
        topics: Some(vec![OffsetFetchRequestTopic {
            name: topic,
            partition_indexes: (0..PARTITIONS).collect(),
        }]),
        ..OffsetFetchRequest::default()
    };
    let answer = call(connection, &request, 7);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let partitions = answer.topics[0].partitions.iter();
    partitions.map(|partition| partition.committed_offset).collect()
}

/// Where the log of `__consumer_offsets` begins and ends.
fn log(broker: &Broker) -> (i64, i64) {
    let mut client = Client::connect(&[&broker.address()], ClientOptions::default()).expect("the broker accepts");
    let [start, end] = [OffsetAt::Earliest, OffsetAt::Latest].map(|at| {
        let found = client.list_offsets(OFFSETS, &[(0, at)]).expect("the topic exists");
        found[&0].offset
    });
    (start, end)
}

/// Waits until the log has at most so many records; its start moves a little after the commit that makes it move.
fn await_short(broker: &Broker, records_max: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (start, end) = log(broker);
        if end - start <= records_max {
            return;
        }
        assert!(Instant::now() < deadline, "the log has {} records", end - start);
    }
}

/// A log is rewritten above 8 MiB, or four times what is live; half of that again may come until it is.
const RECORDS_MAX: i64 = 12 * 1024 * 1024 / TEXT_BYTES as i64;

#[test]
fn many_commits_leave_a_short_log_and_the_newest_offsets_also_through_kill_9() {
    let mut broker = one_partition();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, PARTITIONS);
    let text = "x".repeat(TEXT_BYTES);
    // 48 MB of rows, of which 1.6 MB live: more than one batch may have.
    let groups = ["group-0", "group-1", "group-2", "group-3"];
    for round in 1..=30 {
        for group in groups {
            let answer = call(&mut connection, &commit_all(group, &topic, round, &text), 8);
            assert_taken(&answer);
        }
    }
    await_short(&broker, RECORDS_MAX);
    for restarted in [false, true] {
        if restarted {
            broker.kill();
            broker.restart().expect("it starts again");
        }
        let mut connection = connect(&broker);
        for group in groups {
            let offsets = committed_offsets(&mut connection, group, &topic);
            assert_eq!(offsets, vec![30; offsets.len()], "{group}, restarted {restarted}");
        }
    }
}

#[test]
fn the_log_stays_short_although_some_commit_is_always_on_its_way() {
    const ROUNDS: i64 = 120;
    let mut broker = one_partition();
    let mut connections = [connect(&broker), connect(&broker), connect(&broker)];
    let topic = topic(&mut connections[0], PARTITIONS);
    let text = "x".repeat(TEXT_BYTES);
    let groups = ["group-0", "group-1", "group-2"];
    let mut tickets: [Option<Ticket>; 3] = [const { None }; 3];
    for round in 1..=ROUNDS {
        for place in 0..groups.len() {
            // The next commit of each connection is sent before the last one of the others is answered.
            if let Some(ticket) = tickets[place].take() {
                let answer = connections[place].receive(ticket).expect("it is answered");
                let before = commit_all(groups[place], &topic, round - 1, &text);
                take(&mut connections[place], &before, answer);
            }
            let request = commit_all(groups[place], &topic, round, &text);
            tickets[place] = Some(connections[place].send(&request, 8).expect("it is sent"));
        }
    }
    // All but the last three are answered; had only a pause made it short, it would have 144 MB.
    let (start, end) = log(&broker);
    assert!(end - start <= RECORDS_MAX, "the log has {} records", end - start);
    for (place, connection) in connections.iter_mut().enumerate() {
        let ticket = tickets[place].take().expect("it was sent");
        let answer = connection.receive(ticket).expect("it is answered");
        take(connection, &commit_all(groups[place], &topic, ROUNDS, &text), answer);
    }
    broker.kill();
    broker.restart().expect("it starts again");
    let mut connection = connect(&broker);
    for group in groups {
        let offsets = committed_offsets(&mut connection, group, &topic);
        assert_eq!(offsets, vec![ROUNDS; offsets.len()], "{group}");
    }
}

#[test]
fn a_commit_into_a_log_of_many_live_offsets_does_not_rewrite_it() {
    let broker = one_partition();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, PARTITIONS);
    let text = "x".repeat(TEXT_BYTES);
    // 40 MB of live rows: more than the smallest log that is ever rewritten, several times over.
    for group in 0..100 {
        let group = format!("group-{group}");
        assert_taken(&call(&mut connection, &commit_all(&group, &topic, 1, &text), 8));
    }
    // Every row may be written again a few times on the way there; further commits must not do so each.
    let (_, before) = log(&broker);
    for round in 2..=5 {
        let request = commit_all("group-0", &topic, round, &text);
        assert_taken(&call(&mut connection, &request, 8));
    }
    let (start, after) = log(&broker);
    let commits = i64::from(PARTITIONS) * 4;
    let live = i64::from(PARTITIONS) * 100;
    assert!(
        after - before <= commits + live,
        "four commits of {commits} rows in all wrote {} rows",
        after - before
    );
    assert!(after - start >= live, "nothing live is gone");
}

#[test]
fn a_client_can_read_the_offsets_topic_and_not_write_it() {
    let broker = one_partition();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, PARTITIONS);
    assert_taken(&call(&mut connection, &commit_all("group", &name, 7, "text"), 8));
    assert!(!bytes(&fetch(&mut connection, OFFSETS, 0)).is_empty());
    let refused = produce(&mut connection, OFFSETS, &batch(Codec::None, &[b"value"]));
    assert_eq!(refused.error_code, ErrorCode::INVALID_TOPIC_EXCEPTION);
    append(&mut connection, &name, &batch(Codec::None, &[b"value"]));
}

/// Nothing committed would send the group's members back to the beginning of its topics.
#[test]
fn a_group_whose_log_is_damaged_has_no_coordinator_rather_than_no_offsets() {
    let mut broker = one_partition();
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, PARTITIONS);
    assert_taken(&call(&mut connection, &commit_all("group", &topic, 1, "text"), 8));
    broker.stop().expect("it stops cleanly");
    for manifest in manifests_of_offsets(&broker) {
        std::fs::write(manifest, "damaged").expect("the file is there");
    }
    broker.restart().expect("the other partitions are served");
    let mut connection = support::connect(&broker);
    let request = OffsetFetchRequest {
        group_id: "group",
        topics: Some(vec![OffsetFetchRequestTopic {
            name: &topic,
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let answer = call(&mut connection, &request, 7);
    assert_eq!(answer.error_code, ErrorCode::NOT_COORDINATOR);
}

/// The manifests of `__consumer_offsets`: of all topics it alone has one partition and is not the metadata log.
fn manifests_of_offsets(broker: &Broker) -> Vec<PathBuf> {
    let topics = std::fs::read_dir(broker.directory().join("partitions")).expect("a data directory");
    let manifests = topics.map(|topic| {
        let partitions = std::fs::read_dir(topic.expect("readable").path()).expect("a topic's folder");
        partitions
            .map(|partition| partition.expect("readable").path())
            .collect::<Vec<_>>()
    });
    let metadata = format!("{:032x}", 1);
    let of_offsets = |manifests: &Vec<PathBuf>| {
        manifests.len() == 1 && !manifests[0].iter().any(|part| part.to_string_lossy() == metadata)
    };
    let found: Vec<_> = manifests.filter(of_offsets).flatten().collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found
}
