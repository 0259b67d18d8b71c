//! Membership of a consumer group, by the classic protocol with the range assignor.
//!
//! There is no thread behind it: [`GroupConsumer::poll`] joins, beats and reads, so it has to be called more often
//! than the session timeout.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::consumer_protocol_assignment::{ConsumerProtocolAssignment, TopicPartition};
use hallows_protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use hallows_protocol::messages::heartbeat_request::HeartbeatRequest;
use hallows_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use hallows_protocol::messages::join_group_response::JoinGroupResponse;
use hallows_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use hallows_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use hallows_protocol::records::{decode_versioned, encode_versioned};

use crate::assignor::{Assignment, Member, range};
use crate::error::check;
use crate::{Client, ClientError, ConsumedRecord, Consumer, ConsumerOptions, OffsetAt, OffsetReset, Result};

const PROTOCOL_TYPE: &str = "consumer";
const ASSIGNOR: &str = "range";
/// Joining waits for the slowest member; the answer may come this much after the rebalance timeout.
const JOIN_GRACE: Duration = Duration::from_secs(10);

/// How a member behaves.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// The group's name.
    pub group: String,
    /// A name that stays when the process restarts (KIP-345).
    pub instance_id: Option<String>,
    /// Without a heartbeat for this long, the group goes on without the member.
    pub session_timeout: Duration,
    /// How long the group waits for members to join anew.
    pub rebalance_timeout: Duration,
    /// The pause between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Where a partition starts that the group has not committed; [`OffsetReset::Fail`] makes that an error.
    pub reset: OffsetReset,
}

impl GroupOptions {
    /// The defaults of Kafka's consumer for `group`.
    #[must_use]
    pub fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
            reset: OffsetReset::Latest,
        }
    }
}

/// A member of a group that reads what it is assigned.
pub struct GroupConsumer {
    consumer: Consumer,
    options: GroupOptions,
    topics: Vec<String>,
    member_id: String,
    /// The generation it is part of; `None` while it has to join.
    generation: Option<i32>,
    next_heartbeat: Instant,
    /// How often the assignment has changed.
    rebalances: u64,
}

impl GroupConsumer {
    /// A member that will join with the first [`GroupConsumer::poll`].
    #[must_use]
    pub fn new(client: Client, topics: &[&str], options: GroupOptions, consumer: ConsumerOptions) -> Self {
        let consumer = ConsumerOptions {
            reset: options.reset,
            ..consumer
        };
        Self {
            consumer: Consumer::new(client, consumer),
            options,
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            member_id: String::new(),
            generation: None,
            next_heartbeat: Instant::now(),
            rebalances: 0,
        }
    }

    /// Its id inside the group; empty before it joined.
    #[must_use]
    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// How often it was assigned partitions.
    #[must_use]
    pub const fn rebalances(&self) -> u64 {
        self.rebalances
    }

    /// The offset that is read next, of every assigned partition.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<(String, i32), i64> {
        self.consumer.positions()
    }

    /// The client it uses.
    pub fn client(&mut self) -> &mut Client {
        self.consumer.client()
    }

    /// Joins if necessary, beats if it is time, and reads for up to `wait`.
    ///
    /// # Errors
    /// Those that joining again does not cure.
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>> {
        if self.generation.is_none() {
            self.join()?;
        }
        if Instant::now() >= self.next_heartbeat {
            self.heartbeat()?;
            if self.generation.is_none() {
                return Ok(Vec::new());
            }
        }
        self.consumer.poll(wait.min(self.options.heartbeat_interval))
    }

    /// Commits the position of every assigned partition.
    ///
    /// # Errors
    /// ILLEGAL_GENERATION and its kin when the group has moved on: what was read since the last commit will be read
    /// again by whoever has the partition now.
    pub fn commit(&mut self) -> Result<()> {
        let positions = self.consumer.positions();
        self.commit_offsets(&positions)
    }

    /// Commits given offsets.
    ///
    /// # Errors
    /// As [`GroupConsumer::commit`].
    pub fn commit_offsets(&mut self, offsets: &BTreeMap<(String, i32), i64>) -> Result<()> {
        let Some(generation) = self.generation else {
            return Ok(());
        };
        let (group, member_id) = (self.options.group.clone(), self.member_id.clone());
        let instance = self.options.instance_id.clone();
        let committed = self
            .consumer
            .client()
            .retry(|client| client.commit_as(&group, (&member_id, generation, instance.as_deref()), offsets));
        if let Err(error) = &committed {
            self.note(error);
        }
        committed
    }

    /// Leaves, so that the others need not wait for the session to end. A static member is removed for good.
    ///
    /// # Errors
    /// Those of the coordinator.
    pub fn leave(&mut self) -> Result<()> {
        self.consumer.clear();
        if self.generation.take().is_none() {
            return Ok(());
        }
        let identity = MemberIdentity {
            member_id: &self.member_id,
            group_instance_id: self.options.instance_id.as_deref(),
            ..MemberIdentity::default()
        };
        let request = LeaveGroupRequest {
            group_id: &self.options.group,
            members: vec![identity],
            ..LeaveGroupRequest::default()
        };
        let answer = self
            .consumer
            .client()
            .call_coordinator(&self.options.group, &request, i16::MAX)?;
        check("LeaveGroup", answer.error_code, None, || {
            format!("group {}", self.options.group)
        })
    }

    /// What an error means for the membership; tells whether joining again cures it.
    fn note(&mut self, error: &ClientError) -> bool {
        match error.code() {
            Some(ErrorCode::UNKNOWN_MEMBER_ID) => self.member_id.clear(),
            Some(ErrorCode::ILLEGAL_GENERATION | ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::MEMBER_ID_REQUIRED) => {}
            _ if error.is_retriable() => {
                self.consumer.client().forget_coordinator(&self.options.group);
                return true;
            }
            _ => return false,
        }
        self.generation = None;
        true
    }

    fn heartbeat(&mut self) -> Result<()> {
        self.next_heartbeat = Instant::now() + self.options.heartbeat_interval;
        let Some(generation_id) = self.generation else {
            return Ok(());
        };
        let request = HeartbeatRequest {
            group_id: &self.options.group,
            generation_id,
            member_id: &self.member_id,
            group_instance_id: self.options.instance_id.as_deref(),
        };
        let client = self.consumer.client();
        let beaten = client
            .call_coordinator(&self.options.group, &request, i16::MAX)
            .and_then(|answer| {
                check("Heartbeat", answer.error_code, None, || {
                    format!("group {}", self.options.group)
                })
            });
        match beaten {
            Err(error) if self.note(&error) => Ok(()),
            result => result,
        }
    }

    /// Joins and syncs until the member has an assignment.
    fn join(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.options.rebalance_timeout + JOIN_GRACE;
        loop {
            match self.join_once() {
                Ok(()) => return Ok(()),
                Err(error) if self.note(&error) && Instant::now() < deadline => {
                    std::thread::sleep(self.consumer.client().options().retry_pause);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn join_once(&mut self) -> Result<()> {
        let joined = self.send_join()?;
        self.member_id.clone_from(&joined.member_id);
        check("JoinGroup", joined.error_code, None, || {
            format!("group {}", self.options.group)
        })?;
        let assignments = if joined.leader == joined.member_id && !joined.skip_assignment {
            self.assign_members(&joined)?
        } else {
            Vec::new()
        };
        let assigned = self.sync(&joined, &assignments)?;
        self.generation = Some(joined.generation_id);
        self.next_heartbeat = Instant::now() + self.options.heartbeat_interval;
        self.rebalances += 1;
        self.take_assignment(&assigned)
    }

    fn send_join(&mut self) -> Result<JoinGroupResponse> {
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(String::as_str).collect(),
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = encode_versioned(&subscription, 0)?;
        let request = JoinGroupRequest {
            group_id: &self.options.group,
            session_timeout_ms: milliseconds(self.options.session_timeout),
            rebalance_timeout_ms: milliseconds(self.options.rebalance_timeout),
            member_id: &self.member_id,
            group_instance_id: self.options.instance_id.as_deref(),
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol {
                name: ASSIGNOR,
                metadata: &metadata,
            }],
            ..JoinGroupRequest::default()
        };
        let client = self.consumer.client();
        let node = client.coordinator(&self.options.group)?;
        let usual = client.options().connection.request_timeout;
        client
            .connection(node)?
            .set_timeout(self.options.rebalance_timeout + JOIN_GRACE);
        let joined = client.call_coordinator(&self.options.group, &request, i16::MAX);
        if joined.is_ok() {
            client.connection(node)?.set_timeout(usual);
        }
        joined
    }

    /// As the group's leader: cuts every topic's partitions among the members.
    fn assign_members(&mut self, joined: &JoinGroupResponse) -> Result<Vec<(String, Vec<u8>)>> {
        let mut members = Vec::new();
        let mut partitions = BTreeMap::new();
        for member in &joined.members {
            let (_, subscription) =
                decode_versioned::<ConsumerProtocolSubscription<'_>>(&member.metadata).map_err(|source| {
                    ClientError::GroupPayload {
                        group: self.options.group.clone(),
                        source,
                    }
                })?;
            members.push(Member {
                id: member.member_id.clone(),
                instance_id: member.group_instance_id.clone(),
                topics: subscription.topics.iter().map(|&topic| topic.to_owned()).collect(),
            });
        }
        for topic in members.iter().flat_map(|member| &member.topics) {
            let known = self.consumer.client().topic(topic)?;
            partitions.insert(topic.clone(), known.partitions.keys().copied().collect());
        }
        let assigned = range(&members, &partitions);
        assigned
            .into_iter()
            .map(|(member, assignment)| Ok((member, encode_assignment(&assignment)?)))
            .collect()
    }

    fn sync(&mut self, joined: &JoinGroupResponse, assignments: &[(String, Vec<u8>)]) -> Result<Assignment> {
        let request = SyncGroupRequest {
            group_id: &self.options.group,
            generation_id: joined.generation_id,
            member_id: &self.member_id,
            group_instance_id: self.options.instance_id.as_deref(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(ASSIGNOR),
            assignments: assignments
                .iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
                .collect(),
        };
        let client = self.consumer.client();
        let answer = client.call_coordinator(&self.options.group, &request, i16::MAX)?;
        check("SyncGroup", answer.error_code, None, || {
            format!("group {}", self.options.group)
        })?;
        if answer.assignment.is_empty() {
            return Ok(Assignment::new());
        }
        let (_, decoded) =
            decode_versioned::<ConsumerProtocolAssignment<'_>>(&answer.assignment).map_err(|source| {
                ClientError::GroupPayload {
                    group: self.options.group.clone(),
                    source,
                }
            })?;
        let named = decoded.assigned_partitions.into_iter();
        Ok(named.map(|topic| (topic.topic.to_owned(), topic.partitions)).collect())
    }

    /// Reads the assigned partitions from where the group has committed, or from where the options say.
    fn take_assignment(&mut self, assigned: &Assignment) -> Result<()> {
        self.consumer.clear();
        let asked: Vec<(&str, Vec<i32>)> = assigned
            .iter()
            .map(|(topic, partitions)| (topic.as_str(), partitions.clone()))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let committed = self
            .consumer
            .client()
            .committed_offsets(&self.options.group, Some(&asked))?;
        for (topic, partitions) in assigned {
            for &partition in partitions {
                match (committed.get(&(topic.clone(), partition)), self.options.reset) {
                    (Some(found), _) => self.consumer.assign(topic, partition, found.offset),
                    (None, OffsetReset::Earliest) => {
                        self.consumer.assign_at(topic, partition, OffsetAt::Earliest)?;
                    }
                    (None, OffsetReset::Latest) => {
                        self.consumer.assign_at(topic, partition, OffsetAt::Latest)?;
                    }
                    (None, OffsetReset::Fail) => {
                        let subject = format!("what group {} committed for {topic}-{partition}", self.options.group);
                        return Err(ClientError::Missing {
                            api: "OffsetFetch",
                            subject,
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn encode_assignment(assignment: &Assignment) -> Result<Vec<u8>> {
    let assigned = assignment.iter().map(|(topic, partitions)| TopicPartition {
        topic,
        partitions: partitions.clone(),
    });
    let payload = ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        user_data: None,
    };
    Ok(encode_versioned(&payload, 0)?)
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
