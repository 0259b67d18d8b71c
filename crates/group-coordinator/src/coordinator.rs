//! The coordinator of the groups of one log partition: takes events, keeps groups, gives effects.
//!
//! Invariants: every request is answered exactly once; what an answer promises is in the log before it leaves.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::{Monotonic, Now};

use crate::answer::{Answer, GroupError, Joined};
use crate::event::{Effect, Event, Request, RequestId, Ticket};
use crate::group::{Group, GroupState};
use crate::row::{CommittedOffset, Row};
use crate::settings::Settings;
use crate::timers::{Timer, Timers};

/// What is to be done when rows are in the log, or are known never to be.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// The leader's assignments of a generation are in the log.
    Assigned { group: String, generation: i32 },
    /// A group's row without consequences: it became empty, or a static member came back.
    Kept,
    /// A static member came back under a new id; its join is answered.
    Rejoined { id: RequestId, joined: Joined },
    /// Offsets were committed.
    Committed {
        id: RequestId,
        group: String,
        offsets: Vec<((String, i32), CommittedOffset)>,
        results: Vec<Result<(), GroupError>>,
    },
    /// Offsets were deleted.
    OffsetsDeleted {
        id: Option<RequestId>,
        group: String,
        partitions: Vec<(String, i32)>,
        results: Vec<Result<(), GroupError>>,
    },
    /// A group was deleted.
    Deleted { id: Option<RequestId>, group: String },
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(crate) settings: Settings,
    pub(crate) loading: bool,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) timers: Timers,
    appends: BTreeMap<Ticket, Then>,
    next_ticket: u64,
}

impl Coordinator {
    /// A coordinator whose log has not been read: it answers nothing but "loading" until [`Event::LoadFinished`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            loading: true,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            appends: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Handles one event: the same state, time and event always give the same effects.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Request { id, request } if self.loading => answer(effects, id, loading(&request)),
            Event::Request { id, request } => self.request(now, id, request, effects),
            Event::Committed(ticket) => self.committed(now, ticket, effects),
            Event::NotCommitted(ticket, _) => self.not_committed(now, ticket, effects),
            Event::Tick => self.tick(now, effects),
            Event::TopicDeleted(topic) => self.topic_deleted(&topic, effects),
            Event::Loaded(row) => self.load(now, row),
            Event::LoadFinished => self.load_finished(now),
        }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Monotonic {
        self.timers.next()
    }

    /// Every row that a log needs to give this state again: for rewriting a log that has grown long.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, group) in &self.groups {
            for ((topic, partition), value) in &group.offsets {
                let (topic, value) = (topic.clone(), Some(value.clone()));
                rows.push(Row::Offset {
                    group: name.clone(),
                    topic,
                    partition: *partition,
                    value,
                });
            }
            if group.protocol_type.is_some() && matches!(group.state, GroupState::Empty | GroupState::Stable) {
                rows.push(Row::Group {
                    group: name.clone(),
                    value: Some(group.row()),
                });
            }
        }
        rows
    }

    /// Asserts what must always hold. For tests and simulation.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check_invariants(&self) {
        self.groups.values().for_each(Group::check_invariants);
    }

    fn request(&mut self, now: Now, id: RequestId, request: Request, effects: &mut Vec<Effect>) {
        match request {
            Request::Join(join) => self.join(now, id, join, effects),
            Request::Sync(sync) => self.sync(now, id, sync, effects),
            Request::Heartbeat(heartbeat) => {
                let result = self.heartbeat(now, &heartbeat);
                answer(effects, id, Answer::Heartbeat(result));
            }
            Request::Leave(leave) => self.leave(now, id, &leave, effects),
            Request::CommitOffsets(commit) => self.commit_offsets(now, id, commit, effects),
            Request::FetchOffsets(fetch) => answer(effects, id, Answer::Offsets(self.fetch_offsets(&fetch))),
            Request::DeleteOffsets(delete) => self.delete_offsets(id, delete, effects),
            Request::Describe { group } => answer(effects, id, Answer::Described(Ok(self.describe(&group)))),
            Request::List => answer(effects, id, Answer::Listed(Ok(self.list()))),
            Request::Delete { group } => self.delete(id, group, effects),
        }
    }

    /// Sends rows to the log.
    pub(crate) fn append(&mut self, rows: Vec<Row>, then: Then, effects: &mut Vec<Effect>) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.appends.insert(ticket, then);
        effects.push(Effect::Append { ticket, rows });
    }

    fn committed(&mut self, now: Now, ticket: Ticket, effects: &mut Vec<Effect>) {
        match self.appends.remove(&ticket) {
            None | Some(Then::Kept) => {}
            Some(Then::Assigned { group, generation }) => self.assigned(now, &group, generation, effects),
            Some(Then::Rejoined { id, joined }) => answer(effects, id, Answer::Joined(joined)),
            Some(Then::Committed {
                id,
                group,
                offsets,
                results,
            }) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.extend(offsets);
                }
                answer(effects, id, Answer::Committed(results));
            }
            Some(Then::OffsetsDeleted {
                id,
                group,
                partitions,
                results,
            }) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    partitions
                        .iter()
                        .for_each(|partition| drop(group.offsets.remove(partition)));
                }
                if let Some(id) = id {
                    answer(effects, id, Answer::OffsetsDeleted(Ok(results)));
                }
            }
            Some(Then::Deleted { id, group }) => {
                self.groups.remove(&group);
                if let Some(id) = id {
                    answer(effects, id, Answer::Deleted(Ok(())));
                }
            }
        }
    }

    fn not_committed(&mut self, now: Now, ticket: Ticket, effects: &mut Vec<Effect>) {
        let refused = GroupError::NotAvailable;
        match self.appends.remove(&ticket) {
            None | Some(Then::Kept) => {}
            Some(Then::Assigned { group, generation }) => self.not_assigned(now, &group, generation, effects),
            Some(Then::Rejoined { id, joined }) => {
                let joined = Joined {
                    error: Some(refused),
                    ..joined
                };
                answer(effects, id, Answer::Joined(joined));
            }
            Some(Then::Committed { id, results, .. }) => {
                let results = results.into_iter().map(|result| result.and(Err(refused))).collect();
                answer(effects, id, Answer::Committed(results));
            }
            Some(Then::OffsetsDeleted { id, .. }) => {
                if let Some(id) = id {
                    answer(effects, id, Answer::OffsetsDeleted(Err(refused)));
                }
            }
            Some(Then::Deleted { id, group }) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.enter(GroupState::Empty, now.wall);
                }
                if let Some(id) = id {
                    answer(effects, id, Answer::Deleted(Err(refused)));
                }
            }
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop_due(now.monotonic) {
            match timer {
                Timer::Session { group, member } => self.session_expired(now, &group, &member, effects),
                Timer::Join(group) => self.join_expired(now, &group, effects),
                Timer::Sync(group) => self.sync_expired(now, &group, effects),
                Timer::Expiry => self.expire_offsets(now, effects),
            }
        }
    }

    fn load(&mut self, now: Now, row: Row) {
        match row {
            Row::Offset {
                group,
                topic,
                partition,
                value,
            } => {
                let group = self.groups.entry(group).or_insert_with(|| Group::new(now.wall));
                match value {
                    Some(value) => drop(group.offsets.insert((topic, partition), value)),
                    None => drop(group.offsets.remove(&(topic, partition))),
                }
            }
            Row::Group {
                group,
                value: Some(value),
            } => {
                self.groups
                    .entry(group)
                    .or_insert_with(|| Group::new(now.wall))
                    .restore(value);
            }
            Row::Group { group, value: None } => drop(self.groups.remove(&group)),
        }
    }

    fn load_finished(&mut self, now: Now) {
        self.loading = false;
        self.groups
            .retain(|_, group| group.protocol_type.is_some() || !group.offsets.is_empty());
        for (name, group) in &self.groups {
            for (id, member) in &group.members {
                let timer = Timer::Session {
                    group: name.clone(),
                    member: id.clone(),
                };
                self.timers.set(timer, now.monotonic.after(member.session_timeout()));
            }
        }
        self.timers.set(
            Timer::Expiry,
            now.monotonic.after(self.settings.offsets_retention_check_interval),
        );
    }
}

/// Answers a request.
pub(crate) fn answer(effects: &mut Vec<Effect>, id: RequestId, answer: Answer) {
    effects.push(Effect::Answer { id, answer });
}

fn loading(request: &Request) -> Answer {
    let error = GroupError::LoadInProgress;
    match request {
        Request::Join(join) => Answer::Joined(Joined {
            error: Some(error),
            generation: -1,
            member_id: join.member_id.clone(),
            ..Joined::default()
        }),
        Request::Sync(_) => Answer::Synced(Err(error)),
        Request::Heartbeat(_) => Answer::Heartbeat(Err(error)),
        Request::Leave(_) => Answer::Left(Err(error)),
        Request::CommitOffsets(commit) => Answer::Committed(commit.partitions.iter().map(|_| Err(error)).collect()),
        Request::FetchOffsets(_) => Answer::Offsets(Err(error)),
        Request::DeleteOffsets(_) => Answer::OffsetsDeleted(Err(error)),
        Request::Describe { .. } => Answer::Described(Err(error)),
        Request::List => Answer::Listed(Err(error)),
        Request::Delete { .. } => Answer::Deleted(Err(error)),
    }
}
