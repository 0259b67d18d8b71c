//! From a data directory to the shards of a broker: straight-line code over the blocking disk, before any shard runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use hallows_config::BrokerConfig;
use hallows_group_coordinator::Row;
use hallows_record::{Scratch, records};
use hallows_runtime::{Disk, Effects, MemoryBudget, Random};
use hallows_storage::{Identity, OpenError, Recovered, Recovery, Storage};
use hallows_types::{Now, PartitionId, ShardId};

use crate::controller::{Controller, METADATA_PARTITION};
use crate::limits::Limits;
use crate::metadata::{Command, CommandError, Image, OFFSETS_TOPIC};
use crate::shard::{Advertised, Life, NodeIdentity, Shard};
use crate::view::View;

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The data directory is another node's.
    #[error(
        "cannot start: the data directory is that of node {owner}, and `node.id` is {configured}. \
         Set `node.id` to {owner}, or point `log.dirs` at a directory of this node's own"
    )]
    OtherNode {
        /// Whose it is.
        owner: i32,
        /// Who was to be started.
        configured: i32,
    },
    /// The data directory is of another cluster.
    #[error(
        "cannot start: the data directory belongs to cluster {owner}, and `cluster.id` is {configured}. \
         Set `cluster.id` to {owner} or leave it out, or point `log.dirs` at a directory of that cluster"
    )]
    OtherCluster {
        /// Whose it is.
        owner: String,
        /// Which was to be started.
        configured: String,
    },
    /// The metadata log cannot be read, so nobody knows what exists.
    #[error("cannot start: the metadata log failed: {0}")]
    Metadata(hallows_storage::Failure),
    /// The metadata log holds a command that this build does not know.
    #[error("cannot start: {0}")]
    Command(#[from] CommandError),
    /// A record of one of the broker's own logs is not readable.
    #[error("cannot start: one of the broker's own logs holds an unreadable record: {0}")]
    Record(hallows_record::RecordError),
    /// A log of committed offsets cannot be read to its end.
    #[error("cannot start: a log of committed offsets failed: {0}")]
    Groups(hallows_storage::Failure),
    /// A record of a log of committed offsets is not one that this build knows.
    #[error("cannot start: a log of committed offsets holds an unreadable record: {0}. Run the release that wrote it")]
    GroupRecord(hallows_protocol::DecodeError),
}

/// What a start needs besides the settings.
pub struct BootOptions {
    /// How many shards.
    pub shards: u16,
    /// What clients are told, by listener.
    pub advertised: Vec<Advertised>,
    /// The time of the start.
    pub now: Now,
    /// The seed of all identifiers made by this process.
    pub seed: u64,
}

/// A broker that is ready to run.
pub struct Booted {
    /// One per core.
    pub shards: Vec<Shard>,
    /// Whether the last stop was clean, or this is the first start.
    pub was_clean: bool,
    /// The cluster's id as clients see it.
    pub cluster_id: Arc<str>,
    /// What all of it may hold for its clients.
    pub memory: Arc<MemoryBudget>,
}

/// Recovers everything and builds the shards.
///
/// # Errors
/// [`BootError`] when the node as a whole cannot start. A damaged partition fails alone: it is served as failed.
pub fn boot(disk: Arc<dyn Disk>, config: BrokerConfig, options: BootOptions) -> Result<Booted, BootError> {
    let mut random = Random::from_seed(options.seed);
    let settings = crate::settings::storage_settings(&config);
    boot_with(disk, config, options, &mut random, settings)
}

/// As [`boot`], with storage settings of the caller's: for simulation, whose harness breaks promises on purpose.
///
/// # Errors
/// As [`boot`].
pub fn boot_with(
    disk: Arc<dyn Disk>,
    config: BrokerConfig,
    options: BootOptions,
    random: &mut Random,
    settings: hallows_storage::StorageSettings,
) -> Result<Booted, BootError> {
    let now = options.now;
    let fresh = Identity {
        cluster_id: fresh_cluster_id(&config, random),
        node_id: config.node_id,
    };
    if let Some(owner) = Recovery::owner(&*disk)? {
        check_owner(&config, &owner)?;
    }
    let sabotage = settings.sabotage;
    let mut recovery = Recovery::begin(Arc::clone(&disk), settings, || fresh)?;
    let was_clean = recovery.was_clean();
    let metadata = recovery.recover(METADATA_PARTITION, crate::settings::metadata_log_config(&config), now);
    let image = fold(&metadata, &*disk, options.shards)?;
    let mut placed: Vec<Vec<Recovered>> = std::iter::repeat_with(Vec::new)
        .take(usize::from(options.shards))
        .collect();
    placed[0].push(metadata);
    for topic in image.topics.values() {
        let log = crate::settings::log_config(&config, topic);
        for (id, shard) in topic.partition_ids() {
            placed[usize::from(shard.0)].push(recovery.recover(id, log.clone(), now));
        }
    }
    report_damage(&placed);
    let mut group_rows = load_groups(&placed, &image, &*disk)?;
    if sabotage.lose_group_offset() {
        group_rows.values_mut().for_each(forget_last_offset);
    }
    let ids: Vec<Vec<PartitionId>> = placed
        .iter()
        .map(|shard| shard.iter().map(Recovered::id).collect())
        .collect();
    let identity = NodeIdentity {
        cluster_id: crate::base64::encode_uuid(recovery.identity().cluster_id).into(),
        node_id: config.node_id,
        advertised: options.advertised,
    };
    let seeds: Vec<u64> = (0..options.shards).map(|_| random.next_u64()).collect();
    let storages = recovery.finish(placed, now, &seeds)?;
    let config = config.with_dynamic(&crate::settings::dynamic_overrides(&image));
    crate::settings::tell_missing_replicas(None, config.min_insync_replicas);
    let memory = MemoryBudget::new(config.memory_bytes_max);
    let mut start = Start {
        config: Arc::new(config),
        identity: Arc::new(identity),
        memory: Arc::clone(&memory),
        image,
        was_clean,
        now,
        group_rows,
    };
    let shards: Vec<Shard> = storages
        .into_iter()
        .zip(ids)
        .zip((0..).map(ShardId))
        .map(|((storage, ids), id)| start.shard(id, storage, &ids, random))
        .collect();
    Ok(Booted {
        shards,
        was_clean,
        cluster_id: Arc::clone(&start.identity.cluster_id),
        memory,
    })
}

struct Start {
    config: Arc<BrokerConfig>,
    identity: Arc<NodeIdentity>,
    memory: Arc<MemoryBudget>,
    image: Image,
    was_clean: bool,
    now: Now,
    /// What the logs of committed offsets hold, by partition.
    group_rows: BTreeMap<PartitionId, Vec<Row>>,
}

impl Start {
    fn shard(&mut self, id: ShardId, storage: Storage, ids: &[PartitionId], random: &mut Random) -> Shard {
        let limits = Limits::new(&self.config);
        let shard_count = self.image.shard_count();
        let lanes = usize::from(shard_count);
        let epochs_rise = !self.was_clean && !storage.sabotage().keep_leader_epochs();
        let life = if epochs_rise { Life::Starting } else { Life::Serving };
        let mut shard = Shard {
            view: View {
                id,
                shard_count,
                now: self.now,
                config: Arc::clone(&self.config),
                limits,
                identity: Arc::clone(&self.identity),
                image: Arc::new(self.image.clone()),
            },
            memory: Arc::clone(&self.memory),
            effects: Effects::default(),
            topic_configs: std::collections::BTreeMap::new(),
            storage,
            partitions: crate::partitions::Partitions::default(),
            backlog: crate::backlog::Backlog::default(),
            connections: std::collections::BTreeMap::new(),
            ready: std::collections::VecDeque::new(),
            gathers: crate::rows::Rows::default(),
            validations: crate::rows::Rows::default(),
            timers: std::collections::BTreeSet::new(),
            sessions: crate::fetch::Sessions::default(),
            coordinators: crate::coordinator::Coordinators::default(),
            controller: None,
            producer_ids: crate::producer_ids::ProducerIds::default(),
            asks: std::iter::repeat_with(Vec::new).take(lanes).collect(),
            tells: std::iter::repeat_with(Vec::new).take(lanes).collect(),
            random: Random::from_seed(random.next_u64()),
            statistics: crate::statistics::ShardStatistics::default(),
            life,
            scratch: Scratch::new(limits.decompressed_batch_bytes_max),
        };
        shard.resolve_topic_configs();
        for &partition in ids {
            self.adopt(&mut shard, partition);
        }
        shard
    }

    fn adopt(&mut self, shard: &mut Shard, id: PartitionId) {
        let Some(key) = shard.storage.find(id) else { return };
        shard.partitions.insert(key, id);
        if id == METADATA_PARTITION {
            shard.controller = Some(Controller::new(key, self.image.clone()));
            if shard.life == Life::Starting {
                shard.raise_leader_epochs();
            }
            return;
        }
        if let Some(topic) = shard.image.topic_by_id(id.topic).cloned() {
            shard.storage.set_leader_epoch(key, topic.leader_epoch);
            let rows = self.group_rows.remove(&id).unwrap_or_default();
            shard.host_coordinator(&topic, id, key, rows);
        }
    }
}

impl Shard {
    /// After an unclean stop, clients must be able to see that records may be gone: every leader epoch rises, durably,
    /// before anything is served.
    fn raise_leader_epochs(&mut self) {
        let answer = crate::controller::AdminAnswer::Items(Vec::new());
        self.commit(None, &[Command::RaiseLeaderEpochs], answer);
    }
}

fn fold(metadata: &Recovered, disk: &dyn Disk, shards: u16) -> Result<Image, BootError> {
    if let Some(failure) = metadata.failure() {
        return Err(BootError::Metadata(failure.clone()));
    }
    let mut image = Image::new(shards);
    let mut scratch = Scratch::new(usize::MAX);
    for batch in metadata.batches(disk) {
        let batch = batch.map_err(BootError::Metadata)?;
        let base = hallows_record::BatchHeader::parse(&batch).map_or(0, |header| header.base_offset.0);
        for record in records(&batch, &mut scratch).map_err(BootError::Record)? {
            let record = record.map_err(BootError::Record)?;
            let offset = base + i64::from(record.offset_delta);
            image.apply(&Command::decode(record.value.unwrap_or_default(), offset)?);
        }
    }
    Ok(image)
}

/// Reads the logs of committed offsets. One that failed is left out: its partition answers for itself.
fn load_groups(
    placed: &[Vec<Recovered>],
    image: &Image,
    disk: &dyn Disk,
) -> Result<BTreeMap<PartitionId, Vec<Row>>, BootError> {
    let mut loaded = BTreeMap::new();
    let Some(topic) = image.topic(OFFSETS_TOPIC) else {
        return Ok(loaded);
    };
    let mut scratch = Scratch::new(usize::MAX);
    let logs = placed
        .iter()
        .flatten()
        .filter(|log| log.id().topic == topic.id && log.failure().is_none());
    for log in logs {
        let mut rows = Vec::new();
        for batch in log.batches(disk) {
            let batch = batch.map_err(BootError::Groups)?;
            for record in records(&batch, &mut scratch).map_err(BootError::Record)? {
                let record = record.map_err(BootError::Record)?;
                let row = crate::coordinator::decode_row(record.key.unwrap_or_default(), record.value);
                rows.extend(row.map_err(BootError::GroupRecord)?);
            }
        }
        loaded.insert(log.id(), rows);
    }
    Ok(loaded)
}

/// What a harness does to see that it notices.
fn forget_last_offset(rows: &mut Vec<Row>) {
    if let Some(last) = rows.iter().rposition(|row| matches!(row, Row::Offset { .. })) {
        rows.remove(last);
    }
}

fn report_damage(placed: &[Vec<Recovered>]) {
    for recovered in placed.iter().flatten() {
        if let Some(failure) = recovered.failure() {
            tracing::error!(partition = %recovered.id(), %failure, "a partition is not served");
        }
    }
}

/// A directory keeps its node and its cluster: clients, groups and other nodes know it by them.
fn check_owner(config: &BrokerConfig, owner: &Identity) -> Result<(), BootError> {
    if config.node_id != owner.node_id {
        return Err(BootError::OtherNode {
            owner: owner.node_id,
            configured: config.node_id,
        });
    }
    let owner = crate::base64::encode_uuid(owner.cluster_id);
    match &config.cluster_id {
        Some(configured) if *configured != owner => Err(BootError::OtherCluster {
            owner,
            configured: configured.clone(),
        }),
        _ => Ok(()),
    }
}

/// A fresh directory's id: what `cluster.id` says, or a random one.
fn fresh_cluster_id(config: &BrokerConfig, random: &mut Random) -> [u8; 16] {
    config
        .cluster_id
        .as_deref()
        .and_then(crate::base64::decode_uuid)
        .unwrap_or_else(|| random.uuid())
}
