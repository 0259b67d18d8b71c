//! What the settings of groups do, and what happens to members that take too long.

use std::time::{Duration, Instant};

use hallows_client::ErrorCode;
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::leave_group_request::LeaveGroupRequest;

use crate::commits::{commit, committed, offset};
use crate::members::{
    JOIN, Member, OLD_JOIN, Pair, await_rebalance, connect, heartbeat, join_alone, join_pair_of, sync, sync_request,
};
use crate::support::{PATIENCE, call, fresh_name, metadata, shared, start, topic};

#[test]
fn session_timeouts_are_bounded_by_the_brokers_settings() {
    let broker = start(&[
        ("group.min.session.timeout.ms", "1000"),
        ("group.max.session.timeout.ms", "2000"),
    ]);
    let mut connection = connect(&broker);
    for (session_ms, expected) in [
        (999, ErrorCode::INVALID_SESSION_TIMEOUT),
        (1_000, ErrorCode::NONE),
        (2_000, ErrorCode::NONE),
        (2_001, ErrorCode::INVALID_SESSION_TIMEOUT),
    ] {
        let group = fresh_name("group");
        let member = Member {
            session_ms,
            ..Member::new(&group, "")
        };
        let joined = member.join(&mut connection, OLD_JOIN);
        assert_eq!(joined.error_code, expected, "{session_ms} ms");
    }
}

#[test]
fn a_full_group_keeps_its_members_and_has_room_again_when_one_leaves() {
    let broker = start(&[("group.max.size", "1")]);
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let (member, generation) = join_alone(&mut one, "small");
    for version in [OLD_JOIN, JOIN] {
        let refused = Member::new("small", "").join(&mut other, version);
        assert_eq!(
            refused.error_code,
            ErrorCode::GROUP_MAX_SIZE_REACHED,
            "version {version}"
        );
    }
    assert_eq!(heartbeat(&mut one, "small", &member, generation), ErrorCode::NONE);
    let leave = LeaveGroupRequest {
        group_id: "small",
        member_id: &member,
        ..LeaveGroupRequest::default()
    };
    assert_eq!(call(&mut one, &leave, 2).error_code, ErrorCode::NONE);
    let joined = Member::new("small", "").join(&mut other, OLD_JOIN);
    assert_eq!(joined.error_code, ErrorCode::NONE);
}

#[test]
fn members_that_come_during_the_initial_delay_are_in_the_first_generation() {
    const DELAY: Duration = Duration::from_secs(2);
    let broker = start(&[("group.initial.rebalance.delay.ms", "2000")]);
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let begun = Instant::now();
    let first = Member::new("group", "").begin_join(&mut one, OLD_JOIN);
    let second = Member::new("group", "").begin_join(&mut other, OLD_JOIN);
    let joined: [JoinGroupResponse; 2] = [
        one.receive(first).expect("it is answered"),
        other.receive(second).expect("it is answered"),
    ];
    assert!(
        begun.elapsed() >= DELAY,
        "answered after {} ms",
        begun.elapsed().as_millis()
    );
    for member in &joined {
        assert_eq!((member.error_code, member.generation_id), (ErrorCode::NONE, 1));
    }
    let known: usize = joined.iter().map(|member| member.members.len()).sum();
    assert_eq!(known, 2, "the leader knows both");
}

#[test]
fn without_an_initial_delay_the_first_member_is_answered_at_once() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    let joined = Member::new(&group, "").join(&mut connection, OLD_JOIN);
    assert_eq!(
        (joined.error_code, joined.generation_id, joined.members.len()),
        (ErrorCode::NONE, 1, 1)
    );
}

#[test]
fn a_further_group_than_groups_max_is_refused_and_the_others_go_on() {
    let broker = start(&[("groups.max", "1"), ("offsets.topic.num.partitions", "1")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let (member, generation) = join_alone(&mut connection, "first");
    let refused = Member::new("second", "").join(&mut connection, OLD_JOIN);
    assert_eq!(refused.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
    let refused = committed(&mut connection, &commit("third", "", -1, &topic, None));
    assert!(refused.is_error());
    let request = commit("first", &member, generation, &topic, None);
    assert_eq!(committed(&mut connection, &request), ErrorCode::NONE);
}

#[test]
fn the_size_of_commit_metadata_is_a_setting() {
    let broker = start(&[("offset.metadata.max.bytes", "10")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    for (text, expected) in [
        ("0123456789", ErrorCode::NONE),
        ("0123456789+", ErrorCode::OFFSET_METADATA_TOO_LARGE),
    ] {
        let request = commit("group", "", -1, &topic, Some(text));
        assert_eq!(committed(&mut connection, &request), expected);
    }
}

#[test]
fn the_offsets_topic_has_as_many_partitions_as_its_setting_says() {
    let broker = start(&[("offsets.topic.num.partitions", "3")]);
    let mut connection = connect(&broker);
    let answer = metadata(&mut connection, "__consumer_offsets", false);
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE);
    assert_eq!(
        (answer.topics[0].partitions.len(), answer.topics[0].is_internal),
        (3, true)
    );
}

#[test]
fn an_offset_expires_at_the_next_check_after_the_time_its_client_gave_it() {
    let broker = start(&[("offsets.retention.check.interval.ms", "50")]);
    let mut connection = connect(&broker);
    let topic = topic(&mut connection, 1);
    let kept = commit("kept", "", -1, &topic, None);
    assert_eq!(committed(&mut connection, &kept), ErrorCode::NONE);
    let mut brief = commit("brief", "", -1, &topic, None);
    brief.retention_time_ms = 1;
    // The versions in which a client gives its commit a time.
    let answer = call(&mut connection, &brief, 4);
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
    let deadline = Instant::now() + PATIENCE;
    while offset(&mut connection, "brief", &topic).committed_offset != -1 {
        assert!(Instant::now() < deadline, "it stays");
    }
    assert_eq!(offset(&mut connection, "kept", &topic).committed_offset, 42);
}

#[test]
fn a_member_that_never_syncs_is_taken_out_after_its_rebalance_timeout() {
    let broker = shared();
    let group = fresh_name("group");
    let member = Member {
        rebalance_ms: 500,
        ..Member::new(&group, "")
    };
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let alone = member.join(&mut one, OLD_JOIN);
    sync(&mut one, &group, &alone, &[]);
    let ticket = member.begin_join(&mut other, OLD_JOIN);
    await_rebalance(&mut one, &group, &alone.member_id, alone.generation_id);
    let leader = Member {
        id: &alone.member_id,
        ..member.clone()
    };
    let joined = leader.join(&mut one, OLD_JOIN);
    let silent: JoinGroupResponse = other.receive(ticket).expect("it is answered");
    assert_eq!((joined.members.len(), silent.error_code), (2, ErrorCode::NONE));
    // Only the leader syncs. The other's sessions last a minute; it is the missing sync that counts.
    let synced = call(&mut one, &sync_request(&group, &joined, &[]), 3);
    assert_eq!(synced.error_code, ErrorCode::NONE);
    await_rebalance(&mut one, &group, &joined.member_id, joined.generation_id);
    let again = leader.join(&mut one, OLD_JOIN);
    assert_eq!((again.error_code, again.members.len()), (ErrorCode::NONE, 1));
    let gone = heartbeat(&mut other, &group, &silent.member_id, silent.generation_id);
    assert_eq!(gone, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_silent_member_is_taken_out_after_its_session_timeout() {
    let broker = start(&[("group.min.session.timeout.ms", "1")]);
    let brief = |id| Member {
        session_ms: 300,
        ..Member::new("group", id)
    };
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let silent = brief("").join(&mut one, OLD_JOIN);
    sync(&mut one, "group", &silent, &[]);
    let alone = Member::new("group", "").join(&mut other, OLD_JOIN);
    assert_eq!(
        (alone.error_code, alone.members.len(), &alone.leader),
        (ErrorCode::NONE, 1, &alone.member_id)
    );
    let gone = heartbeat(&mut one, "group", &silent.member_id, silent.generation_id);
    assert_eq!(gone, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_only_misses_a_rebalance_costs_one_rebalance() {
    let broker = shared();
    let group = fresh_name("group");
    let brief = |id| Member {
        rebalance_ms: 500,
        ..Member::new(&group, id)
    };
    let Pair {
        connections: [mut one, mut other],
        joined: [leader, late],
    } = join_pair_of(&broker, &brief(""));
    // A third comes; one of the two goes on beating and never joins again, as a client does whose poll takes too long.
    let mut third = connect(&broker);
    let ticket = brief("").begin_join(&mut third, OLD_JOIN);
    await_rebalance(&mut one, &group, &leader.member_id, leader.generation_id);
    await_rebalance(&mut other, &group, &late.member_id, late.generation_id);
    let again = brief(&leader.member_id).join(&mut one, OLD_JOIN);
    let new: JoinGroupResponse = third.receive(ticket).expect("it is answered");
    assert_eq!((again.error_code, new.error_code), (ErrorCode::NONE, ErrorCode::NONE));
    assert_eq!(again.members.len(), 2, "the late one is not waited for any longer");
    assert_eq!(
        again.generation_id,
        leader.generation_id + 1,
        "one rebalance was enough"
    );
    let gone = heartbeat(&mut other, &group, &late.member_id, late.generation_id);
    assert_eq!(gone, ErrorCode::UNKNOWN_MEMBER_ID);
}
