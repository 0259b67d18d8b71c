//! A member of a consumer group by the classic protocol: joins, syncs, beats, commits, leaves or just dies.

use std::collections::BTreeMap;

use hallows_client::assignor::{Assignment, Member as Listed, range};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use hallows_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use hallows_protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use hallows_protocol::messages::heartbeat_request::HeartbeatRequest;
use hallows_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use hallows_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use hallows_protocol::messages::offset_commit_response::OffsetCommitResponse;
use hallows_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use hallows_protocol::messages::sync_group_response::SyncGroupResponse;
use hallows_protocol::records::{decode_versioned, encode_versioned};

use super::{Actor, MILLISECOND};
use crate::broker::Stage;
use crate::broker::link::{Asked, Link};
use crate::broker::offsets;
use crate::checks::committed_offsets::Place;
use crate::random::Choose;
use crate::violation::{Verdict, Violation};

const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
/// How long a group waits for its members to join.
const REBALANCE_TIMEOUT_MS: i32 = 1_500;

/// Where a member is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// It is no member until then.
    Away(u64),
    /// It does not know its coordinator.
    Searching,
    Joining,
    Stable,
}

/// A commit on its way.
struct Commit {
    generation: i32,
    offsets: Vec<(Place, i64)>,
}

/// A member.
pub(in crate::broker) struct Member {
    link: Link,
    group: String,
    topics: Vec<u32>,
    session_timeout_ms: i32,
    state: State,
    id: String,
    generation: i32,
    assigned: Vec<(String, i32)>,
    commits: BTreeMap<u64, Commit>,
    /// Offsets are numbered, so that each commit can be told from every other.
    next_offset: i64,
    next_tag: u64,
}

impl Member {
    pub(in crate::broker) fn new(owner: usize, group: u32, topics: Vec<u32>, session_timeout_ms: i32) -> Self {
        Self {
            link: Link::new(owner),
            group: format!("group-{group}"),
            topics,
            session_timeout_ms,
            state: State::Away(0),
            id: String::new(),
            generation: -1,
            assigned: Vec::new(),
            commits: BTreeMap::new(),
            next_offset: i64::try_from(owner).unwrap_or(0) * 1_000_000_000,
            next_tag: 0,
        }
    }

    /// Asks for the coordinator; the first one who does has the log of committed offsets made.
    fn search(&mut self, stage: &mut Stage<'_>) {
        let version = [0, 2, 3, 4, 6][stage.random.index(5)];
        let group = self.group.clone();
        let mut request = FindCoordinatorRequest::default();
        if version < 4 {
            request.key = &group;
        } else {
            request.coordinator_keys.push(&group);
        }
        self.link.send(stage, version, 0, &request);
    }

    fn found(&mut self, answer: &FindCoordinatorResponse) {
        let errors = answer.coordinators.iter().map(|coordinator| coordinator.error_code);
        let mut errors = std::iter::once(answer.error_code).chain(errors);
        if errors.all(|error| error == ErrorCode::NONE) {
            self.state = State::Joining;
        }
    }

    fn join(&mut self, stage: &mut Stage<'_>) {
        let version = [2, 4, 5, 7, 9][stage.random.index(5)];
        let group = self.group.clone();
        let id = self.id.clone();
        let request = JoinGroupRequest {
            group_id: &group,
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: &id,
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol {
                name: ASSIGNOR,
                metadata: b"all of them",
            }],
            ..JoinGroupRequest::default()
        };
        self.link.send(stage, version, 0, &request);
    }

    fn joined(&mut self, stage: &mut Stage<'_>, answer: &JoinGroupResponse) -> Verdict {
        match answer.error_code {
            ErrorCode::NONE => {}
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.id.clone_from(&answer.member_id);
                return Ok(());
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                self.id.clear();
                return Ok(());
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::NOT_COORDINATOR => {
                self.state = State::Searching;
                return Ok(());
            }
            _ => return Ok(()),
        }
        self.id.clone_from(&answer.member_id);
        self.generation = answer.generation_id;
        let assignments = if answer.leader == answer.member_id {
            stage
                .book
                .assignments
                .leads(&self.group, answer.generation_id, &answer.member_id)?;
            self.assign(stage, answer)
        } else {
            BTreeMap::new()
        };
        self.sync(stage, &assignments);
        Ok(())
    }

    fn assign(&self, stage: &mut Stage<'_>, answer: &JoinGroupResponse) -> BTreeMap<String, Vec<u8>> {
        let usable = self.topics.iter().filter_map(|number| stage.book.topics.get(number));
        let partitions: BTreeMap<String, Vec<i32>> = usable
            .map(|topic| (topic.name.clone(), (0..topic.count.certain).collect()))
            .collect();
        let members: Vec<Listed> = answer
            .members
            .iter()
            .map(|member| Listed {
                id: member.member_id.clone(),
                instance_id: None,
                topics: partitions.keys().cloned().collect(),
            })
            .collect();
        let encoded: BTreeMap<String, Vec<u8>> = range(&members, &partitions)
            .into_iter()
            .map(|(member, assignment)| (member, encode(&assignment)))
            .collect();
        let generation = answer.generation_id;
        stage.book.assignments.given(&self.group, generation, encoded.clone());
        encoded
    }

    fn sync(&mut self, stage: &mut Stage<'_>, assignments: &BTreeMap<String, Vec<u8>>) {
        let version = [0, 3, 4, 5][stage.random.index(4)];
        let (group, id) = (self.group.clone(), self.id.clone());
        let request = SyncGroupRequest {
            group_id: &group,
            generation_id: self.generation,
            member_id: &id,
            group_instance_id: None,
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(ASSIGNOR),
            assignments: assignments
                .iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
                .collect(),
        };
        self.link.send(stage, version, 0, &request);
    }

    fn synced(&mut self, stage: &mut Stage<'_>, answer: &SyncGroupResponse) -> Verdict {
        if answer.error_code != ErrorCode::NONE {
            self.note(stage, answer.error_code);
            return Ok(());
        }
        let bytes = answer.assignment.as_ref();
        let partitions = if bytes.is_empty() { Vec::new() } else { decode(bytes)? };
        let now = stage.book.now;
        stage
            .book
            .assignments
            .taken(&self.group, self.generation, &self.id, (bytes, &partitions), now)?;
        self.assigned = partitions;
        self.state = State::Stable;
        Ok(())
    }

    /// What an error means for the membership.
    fn note(&mut self, stage: &mut Stage<'_>, error: ErrorCode) {
        match error {
            ErrorCode::UNKNOWN_MEMBER_ID => self.id.clear(),
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION => {}
            _ => return,
        }
        // Most members join at once, some only when they notice again.
        if !stage.random.one_in(8) {
            self.state = State::Joining;
        }
    }

    fn beat(&mut self, stage: &mut Stage<'_>) {
        let version = [0, 3, 4][stage.random.index(3)];
        let (group, id) = (self.group.clone(), self.id.clone());
        let request = HeartbeatRequest {
            group_id: &group,
            generation_id: self.generation,
            member_id: &id,
            group_instance_id: None,
        };
        self.link.send(stage, version, 0, &request);
    }

    fn commit(&mut self, stage: &mut Stage<'_>) {
        if self.assigned.is_empty() {
            return self.beat(stage);
        }
        let version = [2, 5, 7, 8, 9][stage.random.index(5)];
        let (group, id) = (self.group.clone(), self.id.clone());
        let count = 1 + stage.random.index(self.assigned.len().min(3));
        let from = stage.random.index(self.assigned.len());
        let mut offsets = Vec::new();
        for place in 0..count {
            let (topic, index) = self.assigned[(from + place) % self.assigned.len()].clone();
            self.next_offset += 1;
            let place: Place = (group.clone(), topic, index);
            stage.book.offsets.sent(place.clone(), self.next_offset, stage.book.now);
            offsets.push((place, self.next_offset));
        }
        let request = OffsetCommitRequest {
            group_id: &group,
            generation_id_or_member_epoch: self.generation,
            member_id: &id,
            retention_time_ms: -1,
            topics: offsets
                .iter()
                .map(|((_, topic, index), offset)| OffsetCommitRequestTopic {
                    name: topic,
                    partitions: vec![OffsetCommitRequestPartition {
                        partition_index: *index,
                        committed_offset: *offset,
                        ..OffsetCommitRequestPartition::default()
                    }],
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
            ..OffsetCommitRequest::default()
        };
        let tag = self.next_tag;
        self.next_tag += 1;
        self.link.send(stage, version, tag, &request);
        let generation = self.generation;
        self.commits.insert(tag, Commit { generation, offsets });
    }

    fn committed(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: &OffsetCommitResponse) -> Verdict {
        let Some(commit) = self.commits.remove(&asked.tag) else {
            return Ok(());
        };
        let parts = answer.topics.iter().flat_map(|topic| {
            let name = &topic.name;
            topic.partitions.iter().map(move |part| (name, part))
        });
        for (topic, part) in parts {
            let found = commit
                .offsets
                .iter()
                .find(|((_, name, index), _)| name == topic && *index == part.partition_index);
            let Some((place, offset)) = found else { continue };
            match part.error_code {
                ErrorCode::NONE => {
                    let now = stage.book.now;
                    stage.book.offsets.answered(place, *offset, true, now);
                    stage
                        .book
                        .assignments
                        .committed(&self.group, commit.generation, asked.at)?;
                }
                error if is_refusal(error) => {
                    stage.book.offsets.answered(place, *offset, false, stage.book.now);
                    self.note(stage, error);
                }
                // It may be in the log all the same.
                _ => {}
            }
        }
        Ok(())
    }

    fn leave(&mut self, stage: &mut Stage<'_>) {
        let version = [0, 2, 3, 5][stage.random.index(4)];
        let (group, id) = (self.group.clone(), self.id.clone());
        let mut request = LeaveGroupRequest {
            group_id: &group,
            ..LeaveGroupRequest::default()
        };
        if version < 3 {
            request.member_id = &id;
        } else {
            request.members.push(MemberIdentity {
                member_id: &id,
                ..MemberIdentity::default()
            });
        }
        self.link.send(stage, version, 0, &request);
        self.go_away(stage);
    }

    fn die(&mut self, stage: &mut Stage<'_>) {
        self.link.abandon(stage);
        self.commits.clear();
        self.go_away(stage);
    }

    fn go_away(&mut self, stage: &mut Stage<'_>) {
        self.id.clear();
        self.assigned.clear();
        self.state = State::Away(stage.book.now + stage.random.wait_ns(20 * MILLISECOND, 6));
    }

    fn be_stable(&mut self, stage: &mut Stage<'_>) {
        match stage.random.below(40) {
            0 => self.leave(stage),
            1 => self.die(stage),
            2 => self.state = State::Joining,
            3..20 => self.commit(stage),
            20..25 => {
                let places: Vec<Place> = stage.book.offsets.places();
                let own = places
                    .into_iter()
                    .filter(|(group, ..)| *group == self.group)
                    .collect::<Vec<_>>();
                offsets::ask(stage, &mut self.link, &self.group, &own);
            }
            _ => self.beat(stage),
        }
    }
}

/// Whether an error says that nothing was committed and nothing will be.
fn is_refusal(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::REBALANCE_IN_PROGRESS
    )
}

fn encode(assignment: &Assignment) -> Vec<u8> {
    let assigned = assignment.iter().map(|(topic, partitions)| TopicPartition {
        topic,
        partitions: partitions.clone(),
    });
    let payload = ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        user_data: None,
    };
    encode_versioned(&payload, 0).expect("few short names")
}

fn decode(bytes: &[u8]) -> Result<Vec<(String, i32)>, Violation> {
    let decoded = decode_versioned::<ConsumerProtocolAssignment<'_>>(bytes);
    let (_, decoded) = decoded.map_err(|error| Violation::new("answers can be decoded", error.to_string()))?;
    let named = decoded.assigned_partitions.into_iter();
    Ok(named
        .flat_map(|topic| {
            let name = topic.topic.to_owned();
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        })
        .collect())
}

impl Actor for Member {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict {
        if self.link.waiting() > 0 {
            return Ok(());
        }
        let usable = |number: &u32| {
            stage
                .book
                .topics
                .get(number)
                .is_some_and(super::super::book::Topic::is_usable)
        };
        if !self.topics.iter().all(usable) {
            return Ok(());
        }
        match self.state {
            State::Away(until) if stage.book.now < until => {}
            State::Away(_) | State::Searching => {
                self.state = State::Searching;
                self.search(stage);
            }
            State::Joining => self.join(stage),
            State::Stable => self.be_stable(stage),
        }
        Ok(())
    }

    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict {
        match answer {
            AnyResponse::FindCoordinator(answer) => {
                self.found(&answer);
                Ok(())
            }
            AnyResponse::JoinGroup(answer) => self.joined(stage, &answer),
            AnyResponse::SyncGroup(answer) => self.synced(stage, &answer),
            AnyResponse::OffsetCommit(answer) => self.committed(stage, asked, &answer),
            AnyResponse::OffsetFetch(answer) => offsets::check(stage.book, &self.group, asked, &answer),
            AnyResponse::Heartbeat(answer) => {
                self.note(stage, answer.error_code);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn disconnected(&mut self, _stage: &mut Stage<'_>, _lost: &[Asked]) {
        self.commits.clear();
        if self.state == State::Stable && self.id.is_empty() {
            self.state = State::Joining;
        }
    }

    fn patience(&self) -> u64 {
        4_000 * MILLISECOND
    }
}
