//! Between a coordinator and its partition: requests in, rows out, answers back.

use std::collections::BTreeMap;

use hallows_group_coordinator::{
    Answer, Coordinator, Effect, Event, Failure, ListedGroup, Request, RequestId, Row, Settings, Ticket,
};
use hallows_storage::{AppendError, Origin, PartitionKey};
use hallows_types::{Monotonic, PartitionId, ShardId};

use super::rows;
use crate::metadata::Topic;
use crate::op::{AppendDone, AppendFailure, OpAnswer, ReplyTo};
use crate::partitions::AppendWaiter;
use crate::shard::Shard;

/// Work for the coordinator of one partition.
pub(crate) struct GroupOp(pub(crate) Request);

/// Lists the groups of a shard.
pub(crate) struct ListGroupsOp {
    pub(crate) shard: ShardId,
}

/// What a coordinator answered.
pub(crate) enum GroupAnswer {
    /// To a [`GroupOp`].
    Told(Answer),
    /// To a [`ListGroupsOp`].
    Listed(Vec<ListedGroup>),
    /// The partition is not here (any more).
    NotCoordinator,
}

/// One coordinator and its partition.
pub(super) struct Hosted {
    pub(super) partition: PartitionId,
    pub(super) key: PartitionKey,
    pub(super) coordinator: Coordinator,
    /// Bytes of the batches from the log's start on; what storage counts has whole segments. After a start it may have
    /// bytes from before the log's start, until the first rewrite.
    pub(super) log_bytes: u64,
    /// Bytes of the rows that were live when the log was last rewritten.
    pub(super) live_bytes: u64,
    /// The rewrite on its way.
    pub(super) rewrite: Option<super::rewrite::Rewrite>,
}

/// What an append of this module was for.
#[derive(Debug)]
pub(super) enum Append {
    /// A coordinator's rows, kept until they are in the log: a rewrite that begins meanwhile repeats them.
    Rows { index: i32, ticket: Ticket, rows: Vec<Row> },
    /// A part of a rewritten log.
    Rewrite { index: i32, rewrite: u64 },
}

/// The coordinators of a shard, by partition index.
#[derive(Default)]
pub(crate) struct Coordinators {
    pub(super) hosted: BTreeMap<i32, Hosted>,
    requests: BTreeMap<RequestId, Option<ReplyTo>>,
    next_request: u64,
    pub(super) appends: BTreeMap<u64, Append>,
    pub(super) next_append: u64,
}

impl Coordinators {
    /// The first deadline of any group.
    pub(crate) fn next_deadline(&self) -> Monotonic {
        self.hosted
            .values()
            .map(|hosted| hosted.coordinator.next_deadline())
            .min()
            .unwrap_or(Monotonic::NEVER)
    }
}

impl Shard {
    /// Begins to coordinate the groups of a partition of `__consumer_offsets`, with what its log holds.
    pub(crate) fn host_coordinator(&mut self, topic: &Topic, id: PartitionId, key: PartitionKey, rows: Vec<Row>) {
        // Without its log nobody knows what the groups had committed: they have no coordinator here, which clients take
        // as a reason to ask again, where "nothing committed" would send them back to the beginning.
        if !topic.is_internal() || self.storage.partition(key).failure().is_some() {
            return;
        }
        let mut coordinator = Coordinator::new(group_settings(&self.config));
        let mut effects = Vec::new();
        for row in rows {
            coordinator.step(self.now, Event::Loaded(row), &mut effects);
        }
        let hosted = Hosted {
            partition: id,
            key,
            coordinator,
            log_bytes: self.storage.partition(key).size_bytes(),
            live_bytes: 0,
            rewrite: None,
        };
        self.coordinators.hosted.insert(id.index, hosted);
        self.coordinate(id.index, Event::LoadFinished);
    }

    /// Hands a request to its coordinator.
    pub(crate) fn group(&mut self, reply: Option<ReplyTo>, id: PartitionId, op: GroupOp) {
        let is_here = self
            .coordinators
            .hosted
            .get(&id.index)
            .is_some_and(|hosted| hosted.partition == id);
        if !is_here {
            return self.tell(reply, OpAnswer::Group(Box::new(GroupAnswer::NotCoordinator)));
        }
        let request = RequestId(self.coordinators.next_request);
        self.coordinators.next_request += 1;
        self.coordinators.requests.insert(request, reply);
        self.coordinate(
            id.index,
            Event::Request {
                id: request,
                request: op.0,
            },
        );
    }

    /// Lists the groups of all coordinators of this shard.
    pub(crate) fn list_groups(&mut self, reply: Option<ReplyTo>) {
        let mut listed = Vec::new();
        for hosted in self.coordinators.hosted.values_mut() {
            let request = Event::Request {
                id: RequestId(u64::MAX),
                request: Request::List,
            };
            let mut effects = Vec::new();
            hosted.coordinator.step(self.view.now, request, &mut effects);
            for effect in effects {
                if let Effect::Answer {
                    answer: Answer::Listed(Ok(groups)),
                    ..
                } = effect
                {
                    listed.extend(groups);
                }
            }
        }
        self.tell(reply, OpAnswer::Group(Box::new(GroupAnswer::Listed(listed))));
    }

    /// Deadlines of groups have come.
    pub(crate) fn coordinators_tick(&mut self) {
        let now = self.now.monotonic;
        let due: Vec<i32> = self
            .coordinators
            .hosted
            .iter()
            .filter(|(_, hosted)| hosted.coordinator.next_deadline() <= now)
            .map(|(index, _)| *index)
            .collect();
        for index in due {
            self.coordinate(index, Event::Tick);
        }
    }

    /// A topic is gone: its committed offsets are too.
    pub(crate) fn topic_deleted(&mut self, name: &str) {
        for index in self.coordinators.hosted.keys().copied().collect::<Vec<_>>() {
            self.coordinate(index, Event::TopicDeleted(name.to_owned()));
        }
    }

    /// A partition of `__consumer_offsets` left this shard.
    pub(crate) fn unhost_coordinator(&mut self, id: PartitionId) {
        if self
            .coordinators
            .hosted
            .get(&id.index)
            .is_some_and(|hosted| hosted.partition == id)
        {
            self.coordinators.hosted.remove(&id.index);
        }
    }

    pub(super) fn coordinate(&mut self, index: i32, event: Event) {
        let Some(hosted) = self.coordinators.hosted.get_mut(&index) else {
            return;
        };
        let mut effects = Vec::new();
        hosted.coordinator.step(self.view.now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Append { ticket, rows } => self.append_rows(index, ticket, rows),
                Effect::Answer { id, answer } => {
                    if let Some(reply) = self.coordinators.requests.remove(&id) {
                        self.tell(reply, OpAnswer::Group(Box::new(GroupAnswer::Told(answer))));
                    }
                }
            }
        }
    }

    fn append_rows(&mut self, index: i32, ticket: Ticket, rows: Vec<Row>) {
        let Some(key) = self.coordinators.hosted.get(&index).map(|hosted| hosted.key) else {
            return;
        };
        let mut size_bytes = 0;
        let appended = match rows::encode(&rows, self.now.wall) {
            Ok(batch) => {
                size_bytes = rows::size_of(&batch);
                let appended = self.storage.append(self.now, key, batch, Origin::Internal);
                appended.map_err(|error| {
                    (
                        append_failure(&AppendFailure::Storage(error)),
                        "storage refused it".to_owned(),
                    )
                })
            }
            Err(error) => Err((Failure::TooLarge, error.to_string())),
        };
        match appended {
            Ok(appended) => {
                let append = self.coordinators.next_append;
                self.coordinators.next_append += 1;
                let waiting = Append::Rows { index, ticket, rows };
                self.coordinators.appends.insert(append, waiting);
                if let Some(hosted) = self.coordinators.hosted.get_mut(&index) {
                    hosted.log_bytes += size_bytes;
                }
                self.await_append(key, AppendWaiter::Coordinator { ticket: append }, appended);
            }
            Err((failure, reason)) => {
                tracing::error!(
                    partition = index,
                    ?failure,
                    reason,
                    "__consumer_offsets did not take a change"
                );
                self.coordinate(index, Event::NotCommitted(ticket, failure));
            }
        }
    }

    /// How an append of this module ended.
    pub(crate) fn coordinator_appended(&mut self, append: u64, result: Result<AppendDone, AppendFailure>) {
        match self.coordinators.appends.remove(&append) {
            Some(Append::Rows { index, ticket, .. }) => {
                let event = match result {
                    Ok(_) => Event::Committed(ticket),
                    Err(failure) => {
                        tracing::error!(partition = index, ?failure, "__consumer_offsets did not take a change");
                        Event::NotCommitted(ticket, append_failure(&failure))
                    }
                };
                self.coordinate(index, event);
                self.rewrite_if_long(index);
            }
            Some(Append::Rewrite { index, rewrite }) => self.rewrite_appended(index, rewrite, result),
            None => {}
        }
    }
}

/// What a failed append means for those who wait for it.
fn append_failure(failure: &AppendFailure) -> Failure {
    match failure {
        AppendFailure::Storage(AppendError::TooLarge { .. }) => Failure::TooLarge,
        AppendFailure::Storage(AppendError::Full | AppendError::Busy) => Failure::NotAvailable,
        AppendFailure::Storage(_) | AppendFailure::Partition(_) => Failure::NotCoordinator,
    }
}

fn group_settings(config: &hallows_config::BrokerConfig) -> Settings {
    let ms = |value: u32| std::time::Duration::from_millis(u64::from(value));
    let bound = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    Settings {
        session_timeout_min: ms(config.group_session_timeout_ms_min),
        session_timeout_max: ms(config.group_session_timeout_ms_max),
        members_max: bound(config.group_members_max),
        initial_rebalance_delay: ms(config.group_initial_rebalance_delay_ms),
        offset_metadata_bytes_max: bound(config.offset_metadata_bytes_max),
        offsets_retention: std::time::Duration::from_millis(config.offsets_retention_ms),
        offsets_retention_check_interval: std::time::Duration::from_millis(config.offsets_retention_check_interval_ms),
        groups_max: bound(config.groups_max),
    }
}
