//! The coordinator of the groups of one log partition: takes events, keeps groups, gives effects.
//!
//! Invariants: every request is answered exactly once; what an answer promises is in the log before it leaves;
//! no timer is due at the moment it is set, so that a tick ends.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hallows_types::{Monotonic, Now};

use crate::answer::{Answer, GroupError, Joined};
use crate::appends::Appends;
use crate::event::{Effect, Event, Join, Request, RequestId};
use crate::group::Group;
use crate::member::millis;
use crate::row::Row;
use crate::settings::Settings;
use crate::timers::{Timer, Timers};

/// The shortest time any timer waits: with none, a timer that is set again when it is due would keep a tick for ever.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct Coordinator {
    pub(crate) settings: Settings,
    pub(crate) loading: bool,
    /// Topics that were deleted before the log was read; their offsets go when it is.
    pub(crate) topics_deleted: BTreeSet<String>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) timers: Timers,
    pub(crate) appends: Appends,
}

impl Coordinator {
    /// A coordinator whose log has not been read: it answers nothing but "loading" until [`Event::LoadFinished`].
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            loading: true,
            topics_deleted: BTreeSet::new(),
            groups: BTreeMap::new(),
            timers: Timers::default(),
            appends: Appends::default(),
        }
    }

    /// Handles one event: the same state, time and event always give the same effects.
    ///
    /// [`Event::Committed`] must come in the order of the appends, as the log keeps them.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Request { id, request } => self.request(now, id, request, effects),
            Event::Committed(ticket) => self.committed(now, ticket, effects),
            Event::NotCommitted(ticket, failure) => self.not_committed(now, ticket, failure, effects),
            Event::Tick => self.tick(now, effects),
            Event::TopicDeleted(topic) => self.topic_deleted(topic, effects),
            Event::Loaded(row) => self.load(now, row),
            Event::LoadFinished => self.load_finished(now, effects),
        }
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Monotonic {
        self.timers.next()
    }

    /// Every row that a log needs to give this state again: for rewriting a log that has grown long.
    ///
    /// They are the newest rows that are in the log, also of groups that are about to change; rows that are still
    /// on their way into the log are not among them.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, group) in &self.groups {
            for ((topic, partition), value) in &group.offsets {
                rows.push(Row::Offset {
                    group: name.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                    value: Some(value.clone()),
                });
            }
            if let Some(row) = &group.logged {
                rows.push(Row::Group {
                    group: name.clone(),
                    value: Some(row.clone()),
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
        use crate::group::GroupState::{CompletingRebalance, PreparingRebalance};
        let session = |group: &String, member: &String| Timer::Session {
            group: group.clone(),
            member: member.clone(),
        };
        for (name, group) in &self.groups {
            group.check_invariants();
            if self.loading {
                continue;
            }
            // Nothing waits for a member for ever.
            for member in group.members.ids().chain(&group.pending) {
                assert!(
                    self.timers.is_set(&session(name, member)),
                    "{member} would be waited for"
                );
            }
            let joins = self.timers.is_set(&Timer::Join(name.clone()));
            assert_eq!(joins, group.state == PreparingRebalance, "{name} waits for joins");
            let syncs = self.timers.is_set(&Timer::Sync(name.clone()));
            let waits = group.state == CompletingRebalance && !group.unsynced.is_empty();
            assert!(syncs || !waits, "{name} waits for syncs");
        }
        self.appends.check_invariants(&self.groups);
    }

    fn request(&mut self, now: Now, id: RequestId, request: Request, effects: &mut Vec<Effect>) {
        if let Some(refused) = self.refused_at_once(&request) {
            return answer(effects, id, refused);
        }
        match request {
            Request::Join(join) => self.join(now, id, join, effects),
            Request::Sync(sync) => self.sync(now, id, sync, effects),
            Request::Heartbeat(heartbeat) => {
                let result = self.heartbeat(now, &heartbeat);
                answer(effects, id, Answer::Heartbeat(result));
            }
            Request::Leave(leave) => self.leave(now, id, &leave, effects),
            Request::CommitOffsets(commit) => self.commit_offsets(now, id, commit, effects),
            Request::FetchOffsets(fetch) => answer(effects, id, Answer::Offsets(Ok(self.fetch_offsets(&fetch)))),
            Request::DeleteOffsets(delete) => self.delete_offsets(id, delete, effects),
            Request::Describe { group } => answer(effects, id, Answer::Described(Ok(self.describe(&group)))),
            Request::List => answer(effects, id, Answer::Listed(Ok(self.list()))),
            Request::Delete { group } => self.delete(id, group, effects),
        }
    }

    /// What no group has to be known for. The empty group id is only refused where membership is meant: offsets were
    /// once committed under it, and can still be read and deleted.
    fn refused_at_once(&self, request: &Request) -> Option<Answer> {
        let invalid = GroupError::InvalidGroupId;
        match request {
            Request::Join(join) if join.group.is_empty() => Some(refused(invalid, join.member_id.clone())),
            Request::Join(join) if !self.allows_session(join) => {
                Some(refused(GroupError::InvalidSessionTimeout, join.member_id.clone()))
            }
            Request::Sync(sync) if sync.group.is_empty() => Some(Answer::Synced(Err(invalid))),
            Request::Heartbeat(heartbeat) if heartbeat.group.is_empty() => Some(Answer::Heartbeat(Err(invalid))),
            Request::Leave(leave) if leave.group.is_empty() => Some(Answer::Left(Err(invalid))),
            Request::DeleteOffsets(delete) if delete.group.is_empty() => Some(Answer::OffsetsDeleted(Err(invalid))),
            _ if self.loading => Some(loading(request)),
            _ => None,
        }
    }

    fn allows_session(&self, join: &Join) -> bool {
        let session = millis(join.session_timeout_ms);
        join.session_timeout_ms >= 0
            && session >= self.settings.session_timeout_min
            && session <= self.settings.session_timeout_max
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

    /// Sets a deadline, in place of an earlier one of the same subject.
    pub(crate) fn arm(&mut self, now: Now, timer: Timer, wait: Duration) {
        self.timers.set(timer, now.monotonic.after(wait.max(WAIT_MIN)));
    }

    /// Sets how long a member, pending or not, may not be heard of.
    pub(crate) fn arm_session(&mut self, now: Now, group: &str, member: &str, wait: Duration) {
        let timer = Timer::Session {
            group: group.into(),
            member: member.into(),
        };
        self.arm(now, timer, wait);
    }

    pub(crate) fn cancel_session(&mut self, group: &str, member: &str) {
        self.timers.cancel(&Timer::Session {
            group: group.into(),
            member: member.into(),
        });
    }

    /// Forgets a group that was made for a request that came to nothing.
    pub(crate) fn forget_if_vacant(&mut self, name: &str) {
        if self.groups.get(name).is_some_and(Group::is_vacant) {
            self.groups.remove(name);
        }
    }
}

/// Answers a request.
pub(crate) fn answer(effects: &mut Vec<Effect>, id: RequestId, answer: Answer) {
    effects.push(Effect::Answer { id, answer });
}

/// The answer to a join that failed.
pub(crate) fn refused(error: GroupError, member_id: String) -> Answer {
    Answer::Joined(Joined {
        error: Some(error),
        generation: -1,
        member_id,
        ..Joined::default()
    })
}

fn loading(request: &Request) -> Answer {
    let error = GroupError::LoadInProgress;
    match request {
        Request::Join(_) => refused(error, String::new()),
        Request::Sync(_) => Answer::Synced(Err(error)),
        // A living member must not take itself for lost while its coordinator starts, so Kafka says yes blindly.
        Request::Heartbeat(_) => Answer::Heartbeat(Ok(())),
        Request::Leave(_) => Answer::Left(Err(error)),
        Request::CommitOffsets(commit) => Answer::Committed(commit.partitions.iter().map(|_| Err(error)).collect()),
        Request::FetchOffsets(_) => Answer::Offsets(Err(error)),
        Request::DeleteOffsets(_) => Answer::OffsetsDeleted(Err(error)),
        Request::Describe { .. } => Answer::Described(Err(error)),
        Request::List => Answer::Listed(Err(error)),
        Request::Delete { .. } => Answer::Deleted(Err(error)),
    }
}
