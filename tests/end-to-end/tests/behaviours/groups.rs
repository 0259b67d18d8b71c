//! Consumer groups, classic protocol.

use hallows_client::{Connection, ErrorCode};
use hallows_protocol::messages::join_group_request::JoinGroupRequest;
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use hallows_protocol::messages::sync_group_request::SyncGroupRequest;
use hallows_protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest};

use crate::members::{
    JOIN, Member, OLD_JOIN, Pair, await_rebalance, connect, heartbeat, join_alone, join_pair, sync, sync_request,
};
use crate::support::{call, fresh_name, shared, start};

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
