//! Committed offsets of groups.

use std::time::Instant;

use hallows_client::{Connection, ErrorCode};
use hallows_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use hallows_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use hallows_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition;
use hallows_types::TopicId;

use crate::members::{Member, OLD_JOIN, await_rebalance, connect, join_alone};
use crate::support::{PATIENCE, call, create, fresh_name, shared, start, topic};

pub(crate) fn commit<'a>(
    group: &'a str,
    member: &'a str,
    generation: i32,
    topic: &'a str,
    metadata: Option<&'a str>,
) -> OffsetCommitRequest<'a> {
    let partition = OffsetCommitRequestPartition {
        committed_offset: 42,
        committed_leader_epoch: 3,
        committed_metadata: metadata,
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: generation,
        member_id: member,
        topics: vec![OffsetCommitRequestTopic {
            name: topic,
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

pub(crate) fn committed(connection: &mut Connection, request: &OffsetCommitRequest<'_>) -> ErrorCode {
    call(connection, request, 8).topics[0].partitions[0].error_code
}

pub(crate) fn offset(connection: &mut Connection, group: &str, topic: &str) -> OffsetFetchResponsePartition {
    let request = OffsetFetchRequest {
        group_id: group,
        topics: Some(vec![OffsetFetchRequestTopic {
            name: topic,
            partition_indexes: vec![0],
        }]),
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let mut answer = call(connection, &request, 7);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    answer.topics.remove(0).partitions.remove(0)
}

#[test]
fn commits_keep_metadata_and_leader_epoch_also_through_kill_9() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let nothing = offset(&mut connection, "group", &topic);
    assert_eq!((nothing.error_code, nothing.committed_offset), (ErrorCode::NONE, -1));
    let request = commit("group", "", -1, &topic, Some("where I was"));
    assert_eq!(committed(&mut connection, &request), ErrorCode::NONE);
    for restarted in [false, true] {
        if restarted {
            broker.kill();
            broker.restart().expect("it starts again");
        }
        let found = offset(&mut connect(&broker), "group", &topic);
        assert_eq!(found.error_code, ErrorCode::NONE);
        assert_eq!(
            (found.committed_offset, found.committed_leader_epoch),
            (42, 3),
            "restarted {restarted}"
        );
        assert_eq!(found.metadata.as_deref(), Some("where I was"), "restarted {restarted}");
    }
}

#[test]
fn commit_metadata_has_a_size_cap() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (group, topic) = (fresh_name("group"), topic(&mut connection, 1));
    let long = "x".repeat(4097);
    let too_long = committed(&mut connection, &commit(&group, "", -1, &topic, Some(&long)));
    assert_eq!(too_long, ErrorCode::OFFSET_METADATA_TOO_LARGE);
    assert_eq!(
        committed(&mut connection, &commit(&group, "", -1, &topic, Some(&long[1..]))),
        ErrorCode::NONE
    );
}

#[test]
fn commits_with_generation_minus_1_go_into_empty_groups_only() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (group, topic) = (fresh_name("group"), topic(&mut connection, 1));
    assert_eq!(
        committed(&mut connection, &commit(&group, "", -1, &topic, None)),
        ErrorCode::NONE
    );
    let (member, generation) = join_alone(&mut connection, &group);
    let outside = committed(&mut connection, &commit(&group, "", -1, &topic, None));
    assert_eq!(outside, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(
        committed(&mut connection, &commit(&group, &member, generation, &topic, None)),
        ErrorCode::NONE
    );
    let old = committed(&mut connection, &commit(&group, &member, generation - 1, &topic, None));
    assert_eq!(old, ErrorCode::ILLEGAL_GENERATION);
}

#[test]
fn commits_are_allowed_while_preparing_and_refused_while_completing_a_rebalance() {
    let broker = shared();
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let (group, topic) = (fresh_name("group"), topic(&mut one, 1));
    let (first, generation) = join_alone(&mut one, &group);
    let ticket = Member::new(&group, "").begin_join(&mut other, OLD_JOIN);
    await_rebalance(&mut one, &group, &first, generation);
    let preparing = committed(&mut one, &commit(&group, &first, generation, &topic, None));
    assert_eq!(preparing, ErrorCode::NONE);
    let leader = Member::new(&group, &first).join(&mut one, OLD_JOIN);
    let _: JoinGroupResponse = other.receive(ticket).expect("it is answered");
    let completing = committed(&mut one, &commit(&group, &first, leader.generation_id, &topic, None));
    assert_eq!(completing, ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn committed_offsets_of_a_deleted_topic_disappear() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (group, topic) = (fresh_name("group"), topic(&mut connection, 1));
    assert_eq!(
        committed(&mut connection, &commit(&group, "", -1, &topic, None)),
        ErrorCode::NONE
    );
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(&topic),
            topic_id: TopicId::ZERO,
        }],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(
        call(&mut connection, &request, 6).responses[0].error_code,
        ErrorCode::NONE
    );
    assert_eq!(create(&mut connection, &topic, 1, &[]), ErrorCode::NONE);
    let deadline = Instant::now() + PATIENCE;
    while offset(&mut connection, &group, &topic).committed_offset != -1 {
        assert!(Instant::now() < deadline, "they stay");
    }
}
