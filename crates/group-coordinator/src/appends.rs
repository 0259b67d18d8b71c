//! Rows on their way into the log, and what is done when they are there or are known never to be.
//!
//! A group with rows on their way is not forgotten, and an offset on its way is not taken for absent:
//! [`crate::group::InFlight`] counts both.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use hallows_types::Now;

use crate::answer::{Answer, GroupError};
use crate::coordinator::{Coordinator, answer};
use crate::event::{Effect, Failure, RequestId, Ticket};
use crate::group::{Group, GroupState, InFlight};
use crate::row::{CommittedOffset, GroupRow, Row};
use crate::static_member::Rejoin;

/// Appends on their way at once. Above it, requests that would write are answered COORDINATOR_NOT_AVAILABLE, and clients
/// try again; what the coordinator writes by itself is bounded by the number of its groups.
pub(crate) const APPENDS_MAX: usize = 10_000;

/// What is to be done when rows are in the log, or are known never to be.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// The leader's assignments of a generation. Only the row has them until then.
    Assigned { generation: i32, row: GroupRow },
    /// The last member is gone; a leave that caused it is answered.
    Emptied { row: GroupRow, left: Option<Left> },
    /// A static member came back under a new id; its join is answered.
    Rejoined { rejoin: Box<Rejoin>, row: GroupRow },
    /// Offsets were committed.
    Committed {
        id: RequestId,
        offsets: Vec<((String, i32), CommittedOffset)>,
        results: Vec<Result<(), GroupError>>,
    },
    /// Offsets were deleted.
    OffsetsDeleted {
        id: Option<RequestId>,
        partitions: Vec<(String, i32)>,
        results: Vec<Result<(), GroupError>>,
    },
    /// A group was deleted, and the last part of its offsets with it.
    Deleted {
        id: Option<RequestId>,
        offsets: Vec<(String, i32)>,
    },
}

/// A leave that is answered when its group's row is in the log.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) id: RequestId,
    pub(crate) results: Vec<Result<(), GroupError>>,
}

/// Appends by ticket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Appends {
    waiting: BTreeMap<Ticket, (String, Then)>,
    next_ticket: u64,
}

impl Appends {
    /// The newest append that is still on its way.
    #[cfg(test)]
    pub(crate) fn newest(&self) -> Option<Ticket> {
        self.waiting.keys().next_back().copied()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < APPENDS_MAX
    }

    /// Asserts that every group knows what is on its way, and that joins outside a rebalance wait for a row.
    pub(crate) fn check_invariants(&self, groups: &BTreeMap<String, Group>) {
        let mut in_flight: BTreeMap<&String, InFlight> = BTreeMap::new();
        for (group, then) in self.waiting.values() {
            in_flight.entry(group).or_default().begin(then);
        }
        let nothing = InFlight::default();
        for (name, group) in groups {
            assert_eq!(&group.in_flight, in_flight.get(name).unwrap_or(&nothing));
            if group.state != GroupState::Stable {
                continue;
            }
            for id in group.members.ids().filter_map(|member| group.members.join_of(member)) {
                let waits = |then: &Then| matches!(then, Then::Rejoined { rejoin, .. } if rejoin.id == id);
                assert!(
                    self.waiting.values().any(|(_, then)| waits(then)),
                    "{id:?} waits for a row"
                );
            }
        }
    }
}

impl InFlight {
    fn begin(&mut self, then: &Then) {
        self.appends += 1;
        self.deletions += usize::from(matches!(then, Then::OffsetsDeleted { .. }));
        for partition in committing(then) {
            *self.commits.entry(partition.clone()).or_default() += 1;
        }
    }

    fn end(&mut self, then: &Then) {
        self.appends -= 1;
        self.deletions -= usize::from(matches!(then, Then::OffsetsDeleted { .. }));
        for partition in committing(then) {
            if let Some(count) = self.commits.get_mut(partition) {
                *count -= 1;
                if *count == 0 {
                    self.commits.remove(partition);
                }
            }
        }
    }
}

fn committing(then: &Then) -> impl Iterator<Item = &(String, i32)> {
    let offsets = match then {
        Then::Committed { offsets, .. } => offsets.as_slice(),
        _ => &[],
    };
    offsets.iter().map(|(partition, _)| partition)
}

impl Coordinator {
    /// Sends rows of a group to the log.
    pub(crate) fn append(&mut self, group: &str, rows: Vec<Row>, then: Then, effects: &mut Vec<Effect>) {
        let ticket = Ticket(self.appends.next_ticket);
        self.appends.next_ticket += 1;
        if let Some(group) = self.groups.get_mut(group) {
            group.in_flight.begin(&then);
        }
        self.appends.waiting.insert(ticket, (group.into(), then));
        effects.push(Effect::Append { ticket, rows });
    }

    /// Sends a group's row to the log.
    pub(crate) fn append_group(&mut self, group: &str, row: GroupRow, then: Then, effects: &mut Vec<Effect>) {
        let row = Row::Group {
            group: group.into(),
            value: Some(row),
        };
        self.append(group, alloc::vec![row], then, effects);
    }

    fn landed(&mut self, ticket: Ticket) -> Option<(String, Then)> {
        let (name, then) = self.appends.waiting.remove(&ticket)?;
        if let Some(group) = self.groups.get_mut(&name) {
            group.in_flight.end(&then);
        }
        Some((name, then))
    }

    pub(crate) fn committed(&mut self, now: Now, ticket: Ticket, effects: &mut Vec<Effect>) {
        let Some((name, then)) = self.landed(ticket) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&name) else {
            return;
        };
        match then {
            Then::Assigned { generation, row } => {
                group.logged = Some(row.clone());
                self.assigned(now, &name, generation, row, effects);
            }
            Then::Emptied { row, left } => {
                group.logged = Some(row);
                if let Some(Left { id, results }) = left {
                    answer(effects, id, Answer::Left(Ok(results)));
                }
            }
            Then::Rejoined { rejoin, row } => {
                group.logged = Some(row);
                self.rejoined(&name, &rejoin, effects);
            }
            Then::Committed { id, offsets, results } => {
                group.offsets.extend(offsets);
                answer(effects, id, Answer::Committed(results));
            }
            Then::OffsetsDeleted {
                id,
                partitions,
                results,
            } => {
                for partition in &partitions {
                    group.offsets.remove(partition);
                }
                if let Some(id) = id {
                    answer(effects, id, Answer::OffsetsDeleted(Ok(results)));
                }
            }
            Then::Deleted { id, offsets } => self.deleted(now, &name, id, &offsets, effects),
        }
    }

    pub(crate) fn not_committed(&mut self, now: Now, ticket: Ticket, failure: Failure, effects: &mut Vec<Effect>) {
        let Some((name, then)) = self.landed(ticket) else {
            return;
        };
        let error = refusal(failure);
        match then {
            Then::Assigned { generation, .. } => self.not_assigned(now, &name, generation, error, effects),
            Then::Emptied { left: Some(left), .. } => answer(effects, left.id, Answer::Left(Err(error))),
            // The log keeps the last generation; its members' sessions would end again after a restart.
            Then::Emptied { left: None, .. } => {}
            Then::Rejoined { rejoin, .. } => self.not_rejoined(now, &name, *rejoin, error, effects),
            Then::Committed { id, results, .. } => {
                let results = results.into_iter().map(|result| result.and(Err(error))).collect();
                answer(effects, id, Answer::Committed(results));
                self.forget_if_vacant(&name);
            }
            Then::OffsetsDeleted { id, .. } => {
                if let Some(id) = id {
                    answer(effects, id, Answer::OffsetsDeleted(Err(error)));
                }
            }
            Then::Deleted { id, .. } => {
                if let Some(group) = self.groups.get_mut(&name) {
                    group.state = GroupState::Empty;
                }
                if let Some(id) = id {
                    answer(effects, id, Answer::Deleted(Err(error)));
                }
            }
        }
    }
}

/// What clients are told, as in Kafka.
const fn refusal(failure: Failure) -> GroupError {
    match failure {
        Failure::NotCoordinator => GroupError::NotCoordinator,
        Failure::NotAvailable => GroupError::NotAvailable,
        Failure::TooLarge => GroupError::UnknownServerError,
    }
}
