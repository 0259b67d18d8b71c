//! Members of classic groups, as the tests of groups need them.

use std::time::Instant;

use hallows_client::{Connection, ErrorCode, Ticket};
use hallows_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use hallows_protocol::messages::{DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, SyncGroupResponse};
use hallows_testkit::Broker;

use crate::support::{self, PATIENCE, call};

/// A version of JoinGroup that lets a member join without an id of its own first.
pub(crate) const OLD_JOIN: i16 = 3;
/// The version from which static members exist.
pub(crate) const JOIN: i16 = 5;
/// So long that no test sees it pass.
pub(crate) const SESSION_MS: i32 = 60_000;

/// A connection to a broker whose coordinators have loaded what they know.
pub(crate) fn connect(broker: &Broker) -> Connection {
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
pub(crate) struct Member<'a> {
    pub(crate) group: &'a str,
    pub(crate) id: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) protocols: &'a [&'a str],
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
}

impl<'a> Member<'a> {
    pub(crate) const fn new(group: &'a str, id: &'a str) -> Self {
        Self {
            group,
            id,
            instance: None,
            protocols: &["range"],
            session_ms: SESSION_MS,
            rebalance_ms: SESSION_MS,
        }
    }

    pub(crate) fn request(&self) -> JoinGroupRequest<'a> {
        let protocols = self.protocols.iter().map(|name| JoinGroupRequestProtocol {
            name,
            metadata: b"subscription",
        });
        JoinGroupRequest {
            group_id: self.group,
            session_timeout_ms: self.session_ms,
            rebalance_timeout_ms: self.rebalance_ms,
            member_id: self.id,
            group_instance_id: self.instance,
            protocol_type: "consumer",
            protocols: protocols.collect(),
            reason: None,
        }
    }

    pub(crate) fn join(&self, connection: &mut Connection, version: i16) -> JoinGroupResponse {
        call(connection, &self.request(), version)
    }

    pub(crate) fn begin_join(&self, connection: &mut Connection, version: i16) -> Ticket {
        connection.send(&self.request(), version).expect("it is sent")
    }
}

/// A member that is alone in its group, with its assignment; returns its id and generation.
pub(crate) fn join_alone(connection: &mut Connection, group: &str) -> (String, i32) {
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

pub(crate) fn sync_request<'a>(
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

pub(crate) fn sync(
    connection: &mut Connection,
    group: &str,
    joined: &JoinGroupResponse,
    assignments: &[(&str, &[u8])],
) -> SyncGroupResponse {
    call(connection, &sync_request(group, joined, assignments), 3)
}

pub(crate) fn heartbeat(connection: &mut Connection, group: &str, member_id: &str, generation_id: i32) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id: group,
        generation_id,
        member_id,
        group_instance_id: None,
    };
    call(connection, &request, 3).error_code
}

/// Two members of one group, with their assignments and connections; the leader is first.
pub(crate) struct Pair {
    pub(crate) connections: [Connection; 2],
    pub(crate) joined: [JoinGroupResponse; 2],
}

/// Brings two members through overlapping joins into one generation.
pub(crate) fn join_pair(broker: &Broker, group: &str) -> Pair {
    join_pair_of(broker, &Member::new(group, ""))
}

/// The same with two members like this one.
pub(crate) fn join_pair_of(broker: &Broker, member: &Member<'_>) -> Pair {
    let group = member.group;
    let (mut one, mut other) = (connect(broker), connect(broker));
    let alone = member.join(&mut one, OLD_JOIN);
    assert_eq!(alone.error_code, ErrorCode::NONE);
    sync(&mut one, group, &alone, &[]);
    let (first, generation) = (alone.member_id, alone.generation_id);
    let ticket = member.begin_join(&mut other, OLD_JOIN);
    // The heartbeat tells the first of the second, as a client learns of it.
    await_rebalance(&mut one, group, &first, generation);
    let leader = Member {
        id: &first,
        ..member.clone()
    };
    let leader = leader.join(&mut one, OLD_JOIN);
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
pub(crate) fn await_rebalance(connection: &mut Connection, group: &str, member: &str, generation: i32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match heartbeat(connection, group, member, generation) {
            ErrorCode::REBALANCE_IN_PROGRESS => return,
            ErrorCode::NONE => assert!(Instant::now() < deadline, "it never rebalances"),
            error => panic!("{error:?}"),
        }
    }
}
