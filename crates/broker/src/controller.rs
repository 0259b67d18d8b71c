//! The controller: the only writer of the metadata log, on shard 0.
//!
//! A change is proposed against the newest image, committed by the log, folded into the image, installed on every
//! shard, and only then answered. Answers keep the order of proposals.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use hallows_record::{BatchBuilder, Codec, NewRecord};
use hallows_storage::{Origin, PartitionKey};
use hallows_types::{Monotonic, PartitionId, ShardId, TopicId};

use crate::message::{Body, Message};
use crate::metadata::{Command, Image};
use crate::op::{AppendDone, AppendFailure, OpAnswer, ReplyTo};
use crate::partitions::AppendWaiter;
use crate::shard::{Life, Shard};

/// The shard that owns the metadata log.
pub(crate) const CONTROLLER: ShardId = ShardId(0);

/// The metadata log's only partition.
pub(crate) const METADATA_PARTITION: PartitionId = PartitionId {
    topic: TopicId::METADATA,
    index: 0,
};

/// Decides a change against the newest image: the commands to commit, and the answer once they are installed.
pub(crate) type Propose = Box<dyn FnOnce(&Image, &mut hallows_runtime::Random) -> (Vec<Command>, AdminAnswer) + Send>;

/// A change of the metadata.
pub(crate) struct AdminOp {
    /// Decides it, on the controller.
    pub(crate) propose: Propose,
    /// From then on the controller does not begin it any more.
    pub(crate) deadline: Monotonic,
}

/// What became of a change.
pub(crate) enum AdminAnswer {
    /// Per item of the request, in its order.
    Items(Vec<crate::handlers::admin::ItemResult>),
    /// A block of producer ids, its end exclusive.
    ProducerIds { first: i64, end: i64 },
    /// The log did not take it.
    NotCommitted(AppendFailure),
    /// Its time was over before it was begun; nothing has changed.
    TimedOut,
}

struct Proposal {
    reply: Option<ReplyTo>,
    answer: AdminAnswer,
    image: Arc<Image>,
    changed: Vec<TopicId>,
}

/// The controller's state.
pub(crate) struct Controller {
    key: PartitionKey,
    /// Every proposed command folded in, committed or not.
    newest: Image,
    /// Proposals on their way through the log, oldest first.
    proposed: VecDeque<Proposal>,
    /// Committed ones that some shard has not installed, by the version it must install.
    installing: BTreeMap<u64, Vec<(Option<ReplyTo>, AdminAnswer)>>,
    /// What each shard has installed.
    installed: Vec<u64>,
    /// What all of them had at the start; the first change after an unclean one raises the leader epochs.
    starting_version: u64,
}

impl Controller {
    pub(crate) fn new(key: PartitionKey, image: Image) -> Self {
        let installed = vec![image.version; usize::from(image.shard_count())];
        Self {
            key,
            starting_version: image.version,
            newest: image,
            proposed: VecDeque::new(),
            installing: BTreeMap::new(),
            installed,
        }
    }
}

impl Shard {
    /// Decides a change and commits it. Only the controller gets here.
    pub(crate) fn administer(&mut self, reply: Option<ReplyTo>, op: AdminOp) {
        let Some(controller) = self.controller.as_mut() else {
            return;
        };
        if op.deadline <= self.view.now.monotonic {
            return self.tell(reply, OpAnswer::Admin(Box::new(AdminAnswer::TimedOut)));
        }
        let (commands, answer) = (op.propose)(&controller.newest, &mut self.random);
        if commands.is_empty() {
            return self.tell(reply, OpAnswer::Admin(Box::new(answer)));
        }
        self.commit(reply, &commands, answer);
    }

    /// Commits commands; `answer` is told once they are installed everywhere.
    pub(crate) fn commit(&mut self, reply: Option<ReplyTo>, commands: &[Command], answer: AdminAnswer) {
        let Some(controller) = self.controller.as_mut() else {
            return;
        };
        let mut changed = Vec::new();
        for command in commands {
            changed.extend(controller.newest.apply(command));
        }
        let image = Arc::new(controller.newest.clone());
        let key = controller.key;
        let batch = encode(commands, self.view.now.wall);
        match self.storage.append(self.view.now, key, batch, Origin::Internal) {
            Ok(appended) => {
                controller.proposed.push_back(Proposal {
                    reply,
                    answer,
                    image,
                    changed,
                });
                self.await_append(key, AppendWaiter::Controller, appended);
            }
            Err(error) => {
                let before = controller
                    .proposed
                    .back()
                    .map_or(&self.view.image, |proposal| &proposal.image);
                controller.newest = Image::clone(before);
                let answer = AdminAnswer::NotCommitted(AppendFailure::Storage(error));
                self.tell(reply, OpAnswer::Admin(Box::new(answer)));
            }
        }
    }

    /// The oldest proposal is committed, or will never be.
    pub(crate) fn controller_appended(&mut self, result: Result<AppendDone, AppendFailure>) {
        let Some(controller) = self.controller.as_mut() else {
            return;
        };
        let Some(proposal) = controller.proposed.pop_front() else {
            return;
        };
        if let Err(failure) = result {
            tracing::error!(?failure, "the metadata log did not take a change");
            controller.newest = Image::clone(&self.view.image);
            let answer = AdminAnswer::NotCommitted(failure);
            return self.tell(proposal.reply, OpAnswer::Admin(Box::new(answer)));
        }
        let version = proposal.image.version;
        controller
            .installing
            .entry(version)
            .or_default()
            .push((proposal.reply, proposal.answer));
        let changed: Arc<[TopicId]> = proposal.changed.into();
        for shard in (1..self.shard_count).map(ShardId) {
            let body = Body::Image {
                image: Arc::clone(&proposal.image),
                changed: Arc::clone(&changed),
            };
            self.effects.message(shard, Message(body));
        }
        self.install(proposal.image, &changed);
    }

    /// Takes a new image: partitions of this shard appear, change and go.
    pub(crate) fn install(&mut self, image: Arc<Image>, changed: &[TopicId]) {
        let version = image.version;
        let before = std::mem::replace(&mut self.view.image, image);
        for id in changed {
            self.resolve_topic_config(*id);
            self.install_topic(before.topic_by_id(*id).map(Arc::as_ref), *id);
        }
        self.dynamic_config_changed(&before);
        self.work_off_backlog();
        if self.id == CONTROLLER {
            self.image_installed(CONTROLLER, version);
        } else {
            self.effects.message(CONTROLLER, Message(Body::Installed { version }));
        }
    }

    fn install_topic(&mut self, before: Option<&crate::metadata::Topic>, id: TopicId) {
        let Some(topic) = self.image.topic_by_id(id).cloned() else {
            let gone: Vec<_> = before
                .into_iter()
                .flat_map(crate::metadata::Topic::partition_ids)
                .collect();
            for (id, shard) in gone {
                if shard == self.id {
                    self.remove_partition(id);
                }
            }
            if let Some(before) = before {
                self.topic_deleted(&before.name);
            }
            return;
        };
        let config = crate::settings::log_config(&self.config, &topic);
        for (id, shard) in topic.partition_ids() {
            if shard != self.id {
                continue;
            }
            match self.storage.find(id) {
                Some(key) => {
                    self.configure_partition(id, key, config.clone());
                    self.storage.set_leader_epoch(key, topic.leader_epoch);
                }
                None => {
                    let key = self.storage.create_partition(id, config.clone(), topic.leader_epoch);
                    self.partitions.insert(key, id);
                    self.host_coordinator(&topic, id, key, Vec::new());
                }
            }
        }
    }

    /// Takes changed settings of the broker over, and hands them on to the logs.
    fn dynamic_config_changed(&mut self, before: &Image) {
        if before.dynamic_configs == self.image.dynamic_configs {
            return;
        }
        let dynamic = crate::settings::dynamic_overrides(&self.image);
        let wanted = self.config.min_insync_replicas;
        self.view.config = Arc::new(self.config.with_dynamic(&dynamic));
        if self.controller.is_some() && self.config.min_insync_replicas != wanted {
            crate::settings::tell_missing_replicas(None, self.config.min_insync_replicas);
        }
        self.resolve_topic_configs();
        let image = Arc::clone(&self.image);
        for topic in image.topics.values() {
            let config = crate::settings::log_config(&self.config, topic);
            for (id, shard) in topic.partition_ids() {
                if shard == self.id
                    && let Some(key) = self.storage.find(id)
                {
                    self.configure_partition(id, key, config.clone());
                }
            }
        }
    }

    /// A shard has installed an image; changes that all shards have are answered.
    pub(crate) fn image_installed(&mut self, shard: ShardId, version: u64) {
        let Some(controller) = self.controller.as_mut() else {
            return;
        };
        controller.installed[usize::from(shard.0)] = version;
        let starting_version = controller.starting_version;
        let everywhere = controller.installed.iter().min().copied().unwrap_or(version);
        let waiting = controller.installing.split_off(&(everywhere + 1));
        let done = std::mem::replace(&mut controller.installing, waiting);
        for (reply, answer) in done.into_values().flatten() {
            self.tell(reply, OpAnswer::Admin(Box::new(answer)));
        }
        if self.life == Life::Starting && everywhere > starting_version {
            for shard in (1..self.shard_count).map(ShardId) {
                self.effects.message(shard, Message(Body::Serve));
            }
            self.serve();
        }
    }

    /// Requests may start. Not before every shard has the raised leader epochs: a request that begins on one shard is
    /// worked on by others, and one that appended under an old epoch could give offsets that a crash took away other
    /// bytes, and no reader would notice.
    pub(crate) fn serve(&mut self) {
        if self.life == Life::Starting {
            self.life = Life::Serving;
            self.drive_all();
        }
    }
}

/// One record batch with a record per command.
pub(crate) fn encode(commands: &[Command], wall: hallows_types::WallTime) -> BytesMut {
    let mut builder = BatchBuilder::new(Codec::None);
    for command in commands {
        let value = command.encode();
        builder
            .append(&NewRecord {
                timestamp: wall,
                key: None,
                value: Some(&value),
                headers: &[],
            })
            .expect("commands come from requests, which are far smaller than a batch may be");
    }
    let batch = builder.build().expect("at least one command, and no codec");
    BytesMut::from(&batch[..])
}
