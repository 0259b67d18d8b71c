//! State-machine tests: events in, exact effects out. After every step the invariants are checked.

mod behaviours;
mod expiry;
mod heartbeat;
mod join;
mod leave;
mod load;
mod offsets;
mod queries;
mod static_members;
mod sync;
mod walk;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use hallows_types::{Now, Offset, WallTime};

use crate::{
    Answer, CommitOffsets, CommitPartition, CommittedOffset, Coordinator, Effect, Event, Failure, FetchOffsets,
    GroupError, GroupRow, GroupState, Join, Joined, JoinedMember, Leave, LeavingMember, Request, RequestId, Row,
    Settings, Sync, Synced, Ticket,
};

/// A coordinator with its clock.
struct World {
    coordinator: Coordinator,
    now: Now,
    requests: u64,
}

impl World {
    /// A loaded coordinator with Kafka's settings.
    fn new() -> Self {
        Self::with(Settings::default())
    }

    /// A loaded coordinator whose first rebalance waits for nobody.
    fn quick() -> Self {
        Self::with(Settings {
            initial_rebalance_delay: Duration::ZERO,
            ..Settings::default()
        })
    }

    fn with(settings: Settings) -> Self {
        let mut world = Self::loading(settings);
        world.step(Event::LoadFinished);
        world
    }

    fn loading(settings: Settings) -> Self {
        let now = Now {
            wall: WallTime(1_000_000),
            ..Now::default()
        };
        Self {
            coordinator: Coordinator::new(settings),
            now,
            requests: 0,
        }
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.coordinator.step(self.now, event, &mut effects);
        self.coordinator.check_invariants();
        effects
    }

    /// A request and everything that follows at once.
    fn ask(&mut self, request: Request) -> (RequestId, Vec<Effect>) {
        self.requests += 1;
        let id = RequestId(self.requests);
        (id, self.step(Event::Request { id, request }))
    }

    /// A request whose only effect is its own answer.
    fn told(&mut self, request: Request) -> Answer {
        let (id, mut effects) = self.ask(request);
        match (effects.pop(), effects.is_empty()) {
            (Some(Effect::Answer { id: answered, answer }), true) if answered == id => answer,
            (last, _) => panic!("one answer expected, not {effects:?} and {last:?}"),
        }
    }

    /// A request whose only effect is an append.
    fn appended(&mut self, request: Request) -> (RequestId, Ticket, Vec<Row>) {
        let (id, effects) = self.ask(request);
        let (ticket, rows) = only_append(effects);
        (id, ticket, rows)
    }

    fn commit(&mut self, ticket: Ticket) -> Vec<Effect> {
        self.step(Event::Committed(ticket))
    }

    fn fail(&mut self, ticket: Ticket) -> Vec<Effect> {
        self.step(Event::NotCommitted(ticket, Failure::NotAvailable))
    }

    /// Lets time pass, with a tick whenever one is due.
    fn pass(&mut self, wait: Duration) -> Vec<Effect> {
        let end = self.now.monotonic.after(wait);
        let mut effects = Vec::new();
        while self.coordinator.next_deadline() <= end {
            let next = self.coordinator.next_deadline();
            self.advance(next.since(self.now.monotonic));
            effects.extend(self.step(Event::Tick));
        }
        self.advance(end.since(self.now.monotonic));
        effects
    }

    fn advance(&mut self, wait: Duration) {
        self.now.monotonic = self.now.monotonic.after(wait);
        self.now.wall.0 += i64::try_from(wait.as_millis()).expect("tests are short");
    }

    fn state(&self, group: &str) -> Option<GroupState> {
        self.coordinator.describe(group).map(|group| group.state)
    }

    fn generation(&self, group: &str) -> i32 {
        self.coordinator.groups[group].generation
    }

    /// A stable group "g" of dynamic members "c-<unique>" and static members "<instance>-<unique>",
    /// each assigned its own id. The first is the leader.
    fn stable(&mut self, members: &[Join]) -> Vec<String> {
        for member in members {
            let (_, effects) = self.ask(Request::Join(member.clone()));
            assert!(effects.is_empty() || members.len() == 1, "{effects:?}");
        }
        let delay = self.coordinator.settings.initial_rebalance_delay;
        self.pass(delay * 3);
        let ids: Vec<String> = members.iter().map(member_id).collect();
        self.assign(&ids);
        ids
    }

    /// Syncs all, each member being assigned its own id.
    fn assign(&mut self, ids: &[String]) {
        let generation = self.generation("g");
        for id in ids {
            self.ask(Request::Sync(sync(id, generation, ids)));
            let ticket = self.coordinator.appends.newest();
            if let Some(ticket) = ticket {
                self.commit(ticket);
            }
        }
        assert_eq!(self.state("g"), Some(GroupState::Stable));
    }
}

fn only_append(mut effects: Vec<Effect>) -> (Ticket, Vec<Row>) {
    match (effects.pop(), effects.is_empty()) {
        (Some(Effect::Append { ticket, rows }), true) => (ticket, rows),
        (last, _) => panic!("one append expected, not {effects:?} and {last:?}"),
    }
}

fn answered(id: RequestId, answer: Answer) -> Effect {
    Effect::Answer { id, answer }
}

fn refusal(error: GroupError, member_id: &str) -> Answer {
    crate::coordinator::refused(error, member_id.into())
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A consumer of topic "t" that has no id yet.
fn join(unique: &str) -> Join {
    Join {
        group: "g".into(),
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), subscription(&["t"]))],
        unique: unique.into(),
        ..Join::default()
    }
}

fn static_join(instance: &str, unique: &str) -> Join {
    Join {
        instance_id: Some(instance.into()),
        ..join(unique)
    }
}

/// The same member joins again with the id that it was given.
fn again(join: &Join) -> Join {
    Join {
        member_id: member_id(join),
        ..join.clone()
    }
}

fn member_id(join: &Join) -> String {
    let stem = join.instance_id.as_ref().unwrap_or(&join.client_id);
    alloc::format!("{stem}-{}", join.unique)
}

fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

fn sync(member_id: &str, generation: i32, assigned: &[String]) -> Sync {
    Sync {
        group: "g".into(),
        generation,
        member_id: member_id.into(),
        assignments: assigned.iter().map(|id| (id.clone(), id.clone().into())).collect(),
        ..Sync::default()
    }
}

fn synced(assignment: &str) -> Answer {
    Answer::Synced(Ok(Synced {
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignment: assignment.to_string().into(),
    }))
}

/// The answer to a member that follows.
fn follows(generation: i32, member_id: &str, leader: &str) -> Answer {
    Answer::Joined(Joined {
        error: None,
        generation,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        leader: leader.into(),
        skip_assignment: false,
        member_id: member_id.into(),
        members: Vec::new(),
    })
}

/// The answer to the leader of members of topic "t".
fn leads(generation: i32, leader: &str, members: &[(&str, Option<&str>)]) -> Answer {
    let Answer::Joined(joined) = follows(generation, leader, leader) else {
        unreachable!()
    };
    let member = |(id, instance): &(&str, Option<&str>)| JoinedMember {
        member_id: (*id).into(),
        instance_id: instance.map(Into::into),
        metadata: subscription(&["t"]),
    };
    Answer::Joined(Joined {
        members: members.iter().map(member).collect(),
        ..joined
    })
}

fn heartbeat(member_id: &str, generation: i32) -> Request {
    Request::Heartbeat(crate::Heartbeat {
        group: "g".into(),
        generation,
        member_id: member_id.into(),
        instance_id: None,
    })
}

fn leave(members: &[&str]) -> Request {
    let leaving = |id: &&str| LeavingMember {
        member_id: (*id).into(),
        instance_id: None,
    };
    Request::Leave(Leave {
        group: "g".into(),
        members: members.iter().map(leaving).collect(),
    })
}

/// A commit to topic "t" from outside any generation.
fn commit(partitions: &[(i32, i64)]) -> CommitOffsets {
    let partition = |(partition, offset): &(i32, i64)| CommitPartition {
        topic: "t".into(),
        partition: *partition,
        offset: Offset(*offset),
        metadata: "note".into(),
        ..CommitPartition::default()
    };
    CommitOffsets {
        group: "g".into(),
        generation: -1,
        partitions: partitions.iter().map(partition).collect(),
        ..CommitOffsets::default()
    }
}

/// The offset of a partition of "t", as a fetch gives it.
fn fetched(world: &mut World, partition: i32) -> Option<i64> {
    let fetch = FetchOffsets {
        group: "g".into(),
        partitions: Some(vec![("t".into(), partition)]),
        ..FetchOffsets::default()
    };
    let Answer::Offsets(Ok(offsets)) = world.told(Request::FetchOffsets(fetch)) else {
        panic!("offsets can be read")
    };
    offsets[0].committed.as_ref().map(|committed| committed.offset.0)
}

fn offset_row(partition: i32, value: Option<CommittedOffset>) -> Row {
    Row::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition,
        value,
    }
}

fn committed_offset(offset: i64, committed_at: WallTime) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(offset),
        leader_epoch: crate::CommitPartition::default().leader_epoch,
        metadata: "note".into(),
        committed_at,
        expires_at: None,
    }
}

fn group_row(rows: &[Row]) -> &GroupRow {
    match rows {
        [Row::Group { value: Some(row), .. }] => row,
        rows => panic!("one group's row expected, not {rows:?}"),
    }
}
