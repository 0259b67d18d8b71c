//! One shard: everything that happens on one core, as a state machine.
//!
//! Events in, effects out; no input or output, no clock, no thread.
//! Every request ends in exactly one answer, in the order of its connection, or in a closed connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use hallows_config::TopicConfig;
use hallows_runtime::{ConnectionId, Effects, Event, Inbox, MemoryBudget, Random, Turn};
use hallows_storage::{Storage, StorageEvent};
use hallows_types::{Monotonic, Now, ShardId, TopicId};

use crate::backlog::Backlog;
use crate::connection::Connection;
use crate::controller::Controller;
use crate::coordinator::Coordinators;
use crate::fetch::Sessions;
use crate::gather::Gather;
use crate::handlers::Validating;
use crate::message::{Body, Message};
use crate::op::{Op, OpAnswer, ReplyTo};
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::rows::{RowKey, Rows};
use crate::statistics::ShardStatistics;
use crate::view::View;

/// One shard. Its parts are in the modules of their names, as `impl Shard`.
pub struct Shard {
    /// The node as this shard sees it.
    pub(crate) view: View,
    /// What this turn wants done so far.
    pub(crate) effects: Effects<Message>,
    /// Of the whole node.
    pub(crate) memory: Arc<MemoryBudget>,
    /// What holds for each topic of the image, resolved once per change instead of once per request.
    pub(crate) topic_configs: BTreeMap<TopicId, TopicConfig>,
    pub(crate) storage: Storage,
    pub(crate) partitions: Partitions,
    /// Appends that wait for room.
    pub(crate) backlog: Backlog,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// Connections that may have a request to start, each once.
    pub(crate) ready: VecDeque<ConnectionId>,
    pub(crate) gathers: Rows<Gather>,
    /// Requests whose batches are on the pool.
    pub(crate) validations: Rows<Validating>,
    /// The longest waits of fetches.
    pub(crate) timers: BTreeSet<(Monotonic, RowKey)>,
    pub(crate) sessions: Sessions,
    pub(crate) coordinators: Coordinators,
    /// Only on shard 0.
    pub(crate) controller: Option<Controller>,
    pub(crate) producer_ids: ProducerIds,
    /// Work for other shards, by shard, sent at the end of the turn.
    pub(crate) asks: Vec<Vec<(Option<ReplyTo>, Op)>>,
    /// Answers for other shards, by shard, sent at the end of the turn.
    pub(crate) tells: Vec<Vec<(ReplyTo, OpAnswer)>>,
    pub(crate) random: Random,
    pub(crate) statistics: ShardStatistics,
    pub(crate) life: Life,
    /// Reused memory of record validation.
    pub(crate) scratch: hallows_record::Scratch,
}

/// How the node presents itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeIdentity {
    /// The cluster's id as clients see it: 22 characters of URL-safe base64.
    pub cluster_id: Arc<str>,
    /// The node's id.
    pub node_id: i32,
    /// Host and port that clients are told, by listener.
    pub advertised: Vec<Advertised>,
}

/// One advertised address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advertised {
    /// A name or address.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

/// Where a shard is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// Requests wait until the leader epochs of an unclean start are raised, durably and on every shard.
    Starting,
    /// Requests are served.
    Serving,
    /// No request starts any more; what was appended is being written.
    Stopping,
    /// Everything is on disk.
    Stopped,
}

impl Deref for Shard {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Turn for Shard {
    type Message = Message;

    fn turn(&mut self, now: Now, inbox: &mut Inbox<Message>, effects: &mut Effects<Message>) {
        self.view.now = now;
        std::mem::swap(&mut self.effects, effects);
        while let Some(item) = inbox.pop() {
            self.statistics.record_queue_delay(now.monotonic.since(item.arrived));
            self.step(item.event);
        }
        self.expire();
        self.settle();
        self.flush_messages();
        std::mem::swap(&mut self.effects, effects);
    }

    fn next_deadline(&self) -> Monotonic {
        if !self.ready.is_empty() {
            return self.now.monotonic;
        }
        let timer = self.timers.first().map_or(Monotonic::NEVER, |(deadline, _)| *deadline);
        timer
            .min(self.storage.next_deadline())
            .min(self.coordinators_deadline())
            .min(self.backlog.next_deadline())
    }
}

impl Shard {
    /// Whether it has ended with everything on disk.
    #[must_use]
    pub const fn stopped_clean(&self) -> bool {
        self.statistics.clean_stop
    }

    /// How many requests wait for something.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.gathers.len() + self.validations.len()
    }

    fn step(&mut self, event: Event<Message>) {
        match event {
            Event::Accepted {
                connection,
                peer,
                listener,
            } => self.accept(connection, peer, listener),
            Event::Received { connection, bytes } => self.receive(connection, bytes),
            Event::OutputFull { connection } => self.output_full(connection),
            Event::OutputDrained { connection } => self.output_drained(connection),
            Event::Closed { connection, .. } => self.closed(connection),
            Event::Disk(completion) => self.storage.on_disk(self.now, completion),
            Event::Message { from, message } => self.on_message(from, message.0),
            Event::Computed { token, output } => self.validated(token, output),
            Event::Shutdown => self.shut_down(),
        }
    }

    fn on_message(&mut self, from: ShardId, body: Body) {
        match body {
            Body::Ask(asks) => asks.into_iter().for_each(|(reply, op)| self.perform(reply, op)),
            Body::Tell(tells) => tells
                .into_iter()
                .for_each(|(reply, answer)| self.tell(Some(reply), answer)),
            Body::Dirty(watcher) => self.session_dirty(watcher),
            Body::Image { image, changed } => self.install(image, &changed),
            Body::Installed { version } => self.image_installed(from, version),
            Body::Serve => self.serve(),
        }
    }

    /// Runs an op whose subject this shard owns.
    pub(crate) fn perform(&mut self, reply: Option<ReplyTo>, op: Op) {
        match op {
            Op::Partition(id, op) => self.perform_on_partition(reply, id, op),
            Op::Fetch(fetch) => self.fetch_start(reply, *fetch),
            Op::Admin(admin) => self.administer(reply, *admin),
            Op::ListGroups(_) => self.list_groups(reply),
        }
    }

    fn expire(&mut self) {
        while let Some((deadline, row)) = self.timers.first().copied() {
            if deadline > self.now.monotonic {
                break;
            }
            self.timers.pop_first();
            self.fetch_expire(row);
        }
        if self.backlog.next_deadline() <= self.now.monotonic {
            self.work_off_backlog();
        }
        if self.coordinators_deadline() <= self.now.monotonic {
            self.coordinators_tick();
        }
        if self.storage.next_deadline() <= self.now.monotonic {
            self.storage.tick(self.now);
        }
    }

    /// Groups change with time only while the shard serves: what changes is appended, which may not be yet or any more.
    fn coordinators_deadline(&self) -> Monotonic {
        if self.life == Life::Serving {
            self.coordinators.next_deadline()
        } else {
            Monotonic::NEVER
        }
    }

    /// Works off what the events of this turn set in motion, then gives storage its chance to write.
    fn settle(&mut self) {
        loop {
            while let Some(event) = self.storage.poll_event() {
                self.on_storage(event);
            }
            let Some(connection) = self.ready.pop_front() else {
                break;
            };
            self.drive(connection);
        }
        self.storage.flush(self.now, &mut self.effects.disk);
        while let Some(event) = self.storage.poll_event() {
            self.on_storage(event);
        }
    }

    fn on_storage(&mut self, event: StorageEvent) {
        match event {
            StorageEvent::HighWatermark { key } => self.on_high_watermark(key),
            StorageEvent::LogStart { key } => self.on_log_start(key),
            StorageEvent::ReadReady { key } => self.on_read_ready(key),
            StorageEvent::TimeLookup { request, result } => self.on_time_lookup(request, result),
            StorageEvent::Failed { key, failure } => self.on_partition_failed(key, &failure),
            StorageEvent::Writable => self.work_off_backlog(),
            StorageEvent::Stopped { clean } => self.stopped(clean),
        }
    }

    fn shut_down(&mut self) {
        if matches!(self.life, Life::Starting | Life::Serving) {
            self.life = Life::Stopping;
            self.refuse_backlog();
            self.storage.shut_down(self.now);
        }
    }

    fn stopped(&mut self, clean: bool) {
        self.life = Life::Stopped;
        self.statistics.clean_stop = clean;
        self.effects.stop = true;
    }
}
