//! Consumer groups, classic protocol.

use std::time::Instant;

use hallows_client::{Connection, ErrorCode, Ticket};
use hallows_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use hallows_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use hallows_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use hallows_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use hallows_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition;
use hallows_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use hallows_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, SyncGroupResponse,
};
use hallows_testkit::Broker;
use hallows_types::TopicId;

use crate::support::{self, PATIENCE, call, create, fresh_name, shared, start, topic};

/// A version of JoinGroup that lets a member join without an id of its own first.
const OLD_JOIN: i16 = 3;
/// The version from which static members exist.
const JOIN: i16 = 5;
/// So long that no test sees it pass.
const SESSION_MS: i32 = 60_000;

/// A connection to a broker whose coordinators have loaded what they know.
fn connect(broker: &Broker) -> Connection {
    let mut connection = support::connect(broker);
    let find = FindCoordinatorRequest {
        key: "any",
        ..FindCoordinatorRequest::default()
    };
    let list = DescribeGroupsRequest {
        groups: (0..10).map(|at| &"0123456789"[at..=at]).collect(),
        ..DescribeGroupsRequest::default()
    };
    let deadline = Instant::now() + PATIENCE;
    // The first to ask has the offsets topic created; after a restart it is read.
    while call(&mut connection, &find, 2).error_code.is_error()
        || call(&mut connection, &list, 5)
            .groups
            .iter()
            .any(|group| group.error_code.is_error())
    {
        assert!(Instant::now() < deadline, "there never is a coordinator");
    }
    connection
}

/// A member as it joins.
#[derive(Clone)]
struct Member<'a> {
    group: &'a str,
    id: &'a str,
    instance: Option<&'a str>,
    protocols: &'a [&'a str],
    session_ms: i32,
}

impl<'a> Member<'a> {
    const fn new(group: &'a str, id: &'a str) -> Self {
        Self {
            group,
            id,
            instance: None,
            protocols: &["range"],
            session_ms: SESSION_MS,
        }
    }

    fn request(&self) -> JoinGroupRequest<'a> {
        let protocols = self.protocols.iter().map(|name| JoinGroupRequestProtocol {
            name,
            metadata: b"subscription",
        });
        JoinGroupRequest {
            group_id: self.group,
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: SESSION_MS,
            member_id: self.id,
            group_instance_id: self.instance,
            protocol_type: "consumer",
            protocols: protocols.collect(),
            reason: None,
        }
    }

    fn join(&self, connection: &mut Connection, version: i16) -> JoinGroupResponse {
        call(connection, &self.request(), version)
    }

    fn begin_join(&self, connection: &mut Connection, version: i16) -> Ticket {
        connection.send(&self.request(), version).expect("it is sent")
    }
}

/// A member that is alone in its group, with its assignment; returns its id and generation.
fn join_alone(connection: &mut Connection, group: &str) -> (String, i32) {
    let joined = Member::new(group, "").join(connection, OLD_JOIN);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    assert_eq!(joined.leader, joined.member_id);
    let synced = sync(connection, group, &joined, &[(&joined.member_id, b"everything")]);
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (ErrorCode::NONE, &b"everything"[..])
    );
    (joined.member_id, joined.generation_id)
}

fn sync_request<'a>(
    group: &'a str,
    joined: &'a JoinGroupResponse,
    assignments: &'a [(&'a str, &'a [u8])],
) -> SyncGroupRequest<'a> {
    let assignments = assignments
        .iter()
        .map(|&(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment });
    SyncGroupRequest {
        group_id: group,
        generation_id: joined.generation_id,
        member_id: &joined.member_id,
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

fn sync(
    connection: &mut Connection,
    group: &str,
    joined: &JoinGroupResponse,
    assignments: &[(&str, &[u8])],
) -> SyncGroupResponse {
    call(connection, &sync_request(group, joined, assignments), 3)
}

fn heartbeat(connection: &mut Connection, group: &str, member_id: &str, generation_id: i32) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: group,
        generation_id,
        member_id,
        group_instance_id: None,
    };
    call(connection, &request, 3).error_code
}

/// Two members of one group, with their assignments and connections; the leader is first.
struct Pair {
    connections: [Connection; 2],
    joined: [JoinGroupResponse; 2],
}

/// Brings two members through overlapping joins into one generation.
fn join_pair(broker: &Broker, group: &str) -> Pair {
    let (mut one, mut other) = (connect(broker), connect(broker));
    let (first, generation) = join_alone(&mut one, group);
    let ticket = Member::new(group, "").begin_join(&mut other, OLD_JOIN);
    // The heartbeat tells the first of the second, as a client learns of it.
    await_rebalance(&mut one, group, &first, generation);
    let leader = Member::new(group, &first).join(&mut one, OLD_JOIN);
    let follower: JoinGroupResponse = other.receive(ticket).expect("it is answered");
    assert_eq!(
        (leader.error_code, follower.error_code),
        (ErrorCode::NONE, ErrorCode::NONE)
    );
    assert_eq!(leader.member_id, first, "the member survives the rebalance");
    assert_eq!(leader.generation_id, follower.generation_id);
    assert_eq!(leader.members.len(), 2, "the leader learns of all members");
    assert_eq!(follower.members.len(), 0, "the others of none");

    let (joined, assignments) = ([leader, follower], [b"to the leader", b"to the other "]);
    let ticket = other
        .send(&sync_request(group, &joined[1], &[]), 3)
        .expect("it is sent");
    let given = [0, 1].map(|at| (joined[at].member_id.as_str(), &assignments[at][..]));
    let synced = sync(&mut one, group, &joined[0], &given);
    let other_synced: SyncGroupResponse = other.receive(ticket).expect("it is answered");
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (ErrorCode::NONE, &assignments[0][..])
    );
    assert_eq!(
        (other_synced.error_code, &other_synced.assignment[..]),
        (ErrorCode::NONE, &assignments[1][..])
    );
    Pair {
        connections: [one, other],
        joined,
    }
}

/// Beats until the group says that it rebalances.
fn await_rebalance(connection: &mut Connection, group: &str, member: &str, generation: i32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match heartbeat(connection, group, member, generation) {
            ErrorCode::REBALANCE_IN_PROGRESS => return,
            ErrorCode::NONE => assert!(Instant::now() < deadline, "it never rebalances"),
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_new_member_gets_its_id_first_from_join_version_4_on() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    let refused = Member::new(&group, "").join(&mut connection, 4);
    assert_eq!(refused.error_code, ErrorCode::MEMBER_ID_REQUIRED);
    assert!(!refused.member_id.is_empty());
    let joined = Member::new(&group, &refused.member_id).join(&mut connection, 4);
    assert_eq!(
        (joined.error_code, joined.member_id),
        (ErrorCode::NONE, refused.member_id)
    );
}

#[test]
fn the_protocol_that_all_members_know_is_chosen_by_their_votes() {
    let broker = shared();
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let group = fresh_name("group");
    let mut first = Member {
        protocols: &["only-mine", "second-choice", "common"],
        ..Member::new(&group, "")
    };
    let alone = first.join(&mut one, OLD_JOIN);
    assert_eq!(
        alone.protocol_name.as_deref(),
        Some("only-mine"),
        "{:?}",
        alone.error_code
    );
    let second = Member {
        protocols: &["common", "second-choice"],
        ..Member::new(&group, "")
    };
    let ticket = second.begin_join(&mut other, OLD_JOIN);
    sync(&mut one, &group, &alone, &[]);
    await_rebalance(&mut one, &group, &alone.member_id, alone.generation_id);
    first.id = &alone.member_id;
    let chosen = first.join(&mut one, OLD_JOIN).protocol_name.expect("there is one");
    assert!(["common", "second-choice"].contains(&chosen.as_str()), "{chosen}");
    let follower: JoinGroupResponse = other.receive(ticket).expect("it is answered");
    assert_eq!(follower.protocol_name, Some(chosen));
}

#[test]
fn a_member_without_a_common_protocol_or_of_another_type_is_inconsistent() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    join_alone(&mut connection, &group);
    let mut other = connect(&broker);
    let stranger = Member {
        protocols: &["unknown-to-others"],
        ..Member::new(&group, "")
    };
    assert_eq!(
        stranger.join(&mut other, OLD_JOIN).error_code,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
    let connector = JoinGroupRequest {
        protocol_type: "connect",
        ..Member::new(&group, "").request()
    };
    assert_eq!(
        call(&mut other, &connector, OLD_JOIN).error_code,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
    let empty = Member {
        protocols: &[],
        ..Member::new(&group, "")
    };
    assert_eq!(
        empty.join(&mut other, OLD_JOIN).error_code,
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL
    );
}

#[test]
fn a_session_timeout_outside_the_bounds_is_invalid() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    for session_ms in [0, 5_999, 1_800_001, i32::MAX] {
        let member = Member {
            session_ms,
            ..Member::new(&group, "")
        };
        assert_eq!(
            member.join(&mut connection, OLD_JOIN).error_code,
            ErrorCode::INVALID_SESSION_TIMEOUT
        );
    }
}

#[test]
fn a_full_group_takes_no_further_member() {
    let broker = start(&[("group.max.size", "1")]);
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    join_alone(&mut one, "small");
    let refused = Member::new("small", "").join(&mut other, OLD_JOIN);
    assert_eq!(refused.error_code, ErrorCode::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn members_survive_overlapping_rebalances_and_each_gets_its_assignment() {
    let broker = shared();
    let group = fresh_name("group");
    let Pair {
        mut connections,
        joined,
    } = join_pair(&broker, &group);
    for (connection, joined) in connections.iter_mut().zip(&joined) {
        assert_eq!(
            heartbeat(connection, &group, &joined.member_id, joined.generation_id),
            ErrorCode::NONE
        );
        let old = heartbeat(connection, &group, &joined.member_id, joined.generation_id - 1);
        assert_eq!(old, ErrorCode::ILLEGAL_GENERATION);
    }
    let stranger = heartbeat(&mut connections[0], &group, "nobody", joined[0].generation_id);
    assert_eq!(stranger, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_leaves_makes_the_others_rebalance() {
    let broker = shared();
    let group = fresh_name("group");
    let Pair {
        mut connections,
        joined,
    } = join_pair(&broker, &group);
    let [one, other] = &mut connections;
    let leave = LeaveGroupRequest {
        group_id: &group,
        member_id: &joined[1].member_id,
        ..LeaveGroupRequest::default()
    };
    assert_eq!(call(other, &leave, 2).error_code, ErrorCode::NONE);
    await_rebalance(one, &group, &joined[0].member_id, joined[0].generation_id);
    let alone = Member::new(&group, &joined[0].member_id).join(one, OLD_JOIN);
    assert_eq!((alone.error_code, alone.members.len()), (ErrorCode::NONE, 1));
}

/// A static member that is alone in its group, in the state Stable.
fn join_static(connection: &mut Connection, group: &str, instance: &str) -> JoinGroupResponse {
    let member = Member {
        instance: Some(instance),
        ..Member::new(group, "")
    };
    let joined = member.join(connection, JOIN);
    assert_eq!(joined.error_code, ErrorCode::NONE, "a static member needs no id first");
    let assignments: [(&str, &[u8]); 1] = [(&joined.member_id, b"mine")];
    let request = SyncGroupRequest {
        group_instance_id: Some(instance),
        ..sync_request(group, &joined, &assignments)
    };
    assert_eq!(call(connection, &request, 3).error_code, ErrorCode::NONE);
    joined
}

#[test]
fn a_restarted_static_member_keeps_its_assignment_without_a_rebalance_and_fences_the_old_one() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    let old = join_static(&mut connection, &group, "one");
    let member = Member {
        instance: Some("one"),
        ..Member::new(&group, "")
    };
    let again = member.join(&mut connection, JOIN);
    assert_eq!(
        (again.error_code, again.generation_id),
        (ErrorCode::NONE, old.generation_id)
    );
    assert_ne!(again.member_id, old.member_id);
    let request = SyncGroupRequest {
        group_instance_id: Some("one"),
        ..sync_request(&group, &again, &[])
    };
    let synced = call(&mut connection, &request, 3);
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (ErrorCode::NONE, &b"mine"[..])
    );

    let request = HeartbeatRequest {
        group_id: &group,
        generation_id: old.generation_id,
        member_id: &old.member_id,
        group_instance_id: Some("one"),
    };
    assert_eq!(
        call(&mut connection, &request, 3).error_code,
        ErrorCode::FENCED_INSTANCE_ID
    );
}

#[test]
fn a_static_member_can_be_removed_by_its_instance_id() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    let joined = join_static(&mut connection, &group, "one");
    let leave = |instance| LeaveGroupRequest {
        group_id: &group,
        members: vec![MemberIdentity {
            member_id: "",
            group_instance_id: Some(instance),
            reason: None,
        }],
        ..LeaveGroupRequest::default()
    };
    let unknown = call(&mut connection, &leave("other"), 3);
    assert_eq!(unknown.members[0].error_code, ErrorCode::UNKNOWN_MEMBER_ID);
    let left = call(&mut connection, &leave("one"), 3);
    assert_eq!(
        (left.error_code, left.members[0].error_code),
        (ErrorCode::NONE, ErrorCode::NONE)
    );
    let gone = heartbeat(&mut connection, &group, &joined.member_id, joined.generation_id);
    assert_eq!(gone, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_that_stays_away_expires_and_the_others_rebalance() {
    let broker = start(&[("group.min.session.timeout.ms", "1")]);
    let (mut one, mut other) = (connect(&broker), connect(&broker));
    let group = "expiring";
    let brief = Member {
        instance: Some("brief"),
        session_ms: 300,
        ..Member::new(group, "")
    };
    let joined = brief.join(&mut one, JOIN);
    assert_eq!(joined.error_code, ErrorCode::NONE);
    // The other's join waits for the first, which never comes: its session ends and the group goes on without it.
    let alone = Member::new(group, "").join(&mut other, OLD_JOIN);
    assert_eq!((alone.error_code, alone.members.len()), (ErrorCode::NONE, 1));
    assert_eq!(alone.leader, alone.member_id);
}

fn commit<'a>(
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

fn committed(connection: &mut Connection, request: &OffsetCommitRequest<'_>) -> ErrorCode {
    call(connection, request, 8).topics[0].partitions[0].error_code
}

fn offset(connection: &mut Connection, group: &str, topic: &str) -> OffsetFetchResponsePartition {
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

#[test]
fn an_unknown_group_is_dead_in_old_versions_and_not_found_from_6_on() {
    let broker = shared();
    let mut connection = connect(&broker);
    let request = DescribeGroupsRequest {
        groups: vec!["no-such-group"],
        include_authorized_operations: false,
    };
    for version in 0..=5 {
        let answer = call(&mut connection, &request, version);
        let group = &answer.groups[0];
        assert_eq!(
            (group.error_code, group.group_state.as_str()),
            (ErrorCode::NONE, "Dead"),
            "version {version}"
        );
    }
    assert_eq!(
        call(&mut connection, &request, 6).groups[0].error_code,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
}

#[test]
fn a_group_with_members_cannot_be_deleted() {
    let broker = shared();
    let mut connection = connect(&broker);
    let group = fresh_name("group");
    let (member, _) = join_alone(&mut connection, &group);
    let mut delete = |name| {
        let request = DeleteGroupsRequest {
            groups_names: vec![name],
        };
        call(&mut connection, &request, 2).results[0].error_code
    };
    assert_eq!(delete(&group), ErrorCode::NON_EMPTY_GROUP);
    assert_eq!(delete("no-such-group"), ErrorCode::GROUP_ID_NOT_FOUND);
    let leave = LeaveGroupRequest {
        group_id: &group,
        member_id: &member,
        ..LeaveGroupRequest::default()
    };
    assert_eq!(call(&mut connect(&broker), &leave, 2).error_code, ErrorCode::NONE);
    assert_eq!(delete(&group), ErrorCode::NONE);
}
