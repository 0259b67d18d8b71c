//! The broker's configuration with a type and a unit for every value: what the rest of the program reads.
//!
//! Made from text by [`BrokerConfig::load`] only, so every value is within its bounds and no two contradict each
//! other. Tests may set single fields below the bounds that hold for people (`segment_bytes`, for example);
//! DescribeConfigs goes on telling what was given as text.

use crate::contradictions;
use crate::dynamic::DynamicBrokerOverrides;
use crate::effective::Effective;
use crate::error::{ConfigErrors, ConfigWarnings};
use crate::listener::{self, Listener};
use crate::sources::{self, Sources, StaticValues};
use crate::value;
use crate::words::{Durability, TimestampType};
use alloc::string::String;
use alloc::vec::Vec;

const MS_PER_MINUTE: u64 = 60_000;
pub(crate) const MS_PER_HOUR: u64 = 3_600_000;
/// The value of Kafka's settings of flushing that asks for none.
pub(crate) const NEVER_FLUSHED: u64 = i64::MAX.unsigned_abs();
const CHECKED: &str = "the text was checked when it was given";

/// Everything a broker is told at its start, and the dynamic values on top of it.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    /// `node.id`, or `broker.id` when only that is given.
    pub node_id: i32,
    /// `cluster.id`; `None` lets a new data directory get a random one.
    pub cluster_id: Option<String>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners` without those of `controller.listener.names`, in order; all of them plaintext.
    pub listeners: Vec<Listener>,
    /// `advertised.listeners` without those of `controller.listener.names`, or `listeners`. A host of `None` stands for this machine's name, a port of 0 for
    /// the port the listener of the same name got.
    pub advertised_listeners: Vec<Listener>,
    /// The one directory of `log.dirs` or `log.dir`.
    pub data_directory: String,
    /// `shards`; 0 is one per core.
    pub shards: u32,
    /// `poll.spin.us`.
    pub poll_spin_us: u32,
    /// `compute.threads`.
    pub compute_threads: u32,

    /// `num.partitions`.
    pub partitions_default: u32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `partitions.max`.
    pub partitions_max: u32,

    /// `socket.request.max.bytes`.
    pub request_bytes_max: u32,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: u32,
    /// `max.connections`.
    pub connections_max: u32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: u32,
    /// `connections.max.idle.ms`; `None` is forever.
    pub connection_idle_ms_max: Option<u64>,
    /// `connection.output.bytes.max`.
    pub connection_output_bytes_max: u32,
    /// `connection.stall.timeout.ms`.
    pub connection_stall_timeout_ms: u32,
    /// `connection.requests.max`.
    pub connection_requests_max: u32,
    /// `connection.follow.requests`.
    pub connection_follow_requests: u32,
    /// `request.partitions.max`.
    pub request_partitions_max: u32,
    /// `queued.max.request.bytes`, for requests, answers, sessions and groups of the whole node.
    pub memory_bytes_max: u64,
    /// `max.request.partition.size.limit`.
    pub describe_partitions_max: u32,
    /// `decompressed.batch.bytes.max`.
    pub decompressed_batch_bytes_max: u32,
    /// `shard.messages.max`.
    pub shard_messages_max: u32,
    /// `delayed.requests.max`.
    pub delayed_requests_max: u32,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: u32,
    /// `fetch.session.partitions.max`.
    pub fetch_session_partitions_max: u32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: u64,
    /// `producers.per.partition.max`.
    pub producers_per_partition_max: u32,

    /// `log.durability`, for topics without their own.
    pub durability: Durability,
    /// `log.segment.bytes`, for topics without their own.
    pub segment_bytes: u32,
    /// `log.roll.ms` or `log.roll.hours`, for topics without their own.
    pub segment_ms: u64,
    /// `log.index.interval.bytes`, for topics without their own.
    pub index_interval_bytes: u32,
    /// `log.index.size.max.bytes`, for topics without their own.
    pub segment_index_bytes: u32,
    /// `log.retention.ms`, `.minutes` or `.hours`, for topics without their own; `None` is forever.
    pub retention_ms: Option<u64>,
    /// `log.retention.bytes`, for topics without their own; `None` is unlimited.
    pub retention_bytes: Option<u64>,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `log.segment.delete.delay.ms`, for topics without their own.
    pub file_delete_delay_ms: u64,
    /// `log.message.timestamp.type`, for topics without their own.
    pub timestamp_type: TimestampType,
    /// `log.message.timestamp.before.max.ms`, for topics without their own.
    pub timestamp_before_ms_max: u64,
    /// `log.message.timestamp.after.max.ms`, for topics without their own.
    pub timestamp_after_ms_max: u64,
    /// `message.max.bytes`, for topics without their own.
    pub batch_bytes_max: u32,
    /// `min.insync.replicas`, for topics without their own.
    pub min_insync_replicas: u32,
    /// Whether `log.flush.interval.messages` asks for syncs, for topics without their own.
    pub flush_by_count: bool,
    /// Whether `log.flush.interval.ms` or `log.flush.scheduler.interval.ms` asks for syncs, for topics without their own.
    pub flush_by_time: bool,
    /// `journal.bytes.max`, per shard.
    pub journal_bytes_max: u64,
    /// `journal.file.bytes`.
    pub journal_file_bytes: u64,
    /// `tail.bytes.max`, per shard.
    pub tail_bytes_max: u64,
    /// `waiting.append.bytes.max`, per shard.
    pub waiting_append_bytes_max: u64,
    /// `disk.reserve.bytes`, per shard.
    pub disk_reserve_bytes: u64,
    /// `segment.writeback.bytes`.
    pub segment_writeback_bytes: u32,

    /// `group.min.session.timeout.ms`.
    pub group_session_timeout_ms_min: u32,
    /// `group.max.session.timeout.ms`.
    pub group_session_timeout_ms_max: u32,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.max.size`, in members.
    pub group_members_max: u32,
    /// `groups.max`, per partition of `__consumer_offsets`.
    pub groups_max: u32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: u32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: u64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: u32,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u32,

    /// The values given at the start, as text.
    pub statics: StaticValues,
    /// The values changed since, as text.
    pub dynamic: DynamicBrokerOverrides,
}

/// A configuration and what its reader should hear about it.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// What holds.
    pub config: BrokerConfig,
    /// What was given and changes nothing.
    pub warnings: ConfigWarnings,
    /// Variables of the environment that look like ours and are those of a service manager.
    pub passed_over: Vec<String>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self::from_layers(&StaticValues::default(), &DynamicBrokerOverrides::default())
    }
}

impl BrokerConfig {
    /// Reads, checks and merges all sources; what changes nothing is dropped without a word.
    ///
    /// # Errors
    /// Those of [`Self::load_telling`].
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        Self::load_telling(sources).map(|loaded| loaded.config)
    }

    /// Reads, checks and merges all sources, and tells what there is to say beside it.
    ///
    /// # Errors
    /// Every wrong line of every source and every contradiction at once; with [`Sources::strict`], every warning too.
    pub fn load_telling(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let merged = sources::merge(sources);
        let (mut errors, mut warnings) = (merged.errors, merged.warnings);
        let config = Self::from_layers(&merged.statics, &DynamicBrokerOverrides::default());
        contradictions::find(&config, &mut errors);
        if sources.strict {
            errors.append(&mut warnings);
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        Ok(Loaded {
            config,
            warnings: ConfigWarnings(warnings),
            passed_over: merged.passed_over,
        })
    }

    /// The configuration with other dynamic values on top of what the broker was started with.
    ///
    /// The same values give the same configuration, fields that a test has set included.
    #[must_use]
    pub fn with_dynamic(&self, dynamic: &DynamicBrokerOverrides) -> Self {
        if *dynamic == self.dynamic {
            return self.clone();
        }
        Self::from_layers(&self.statics, dynamic)
    }

    fn from_layers(statics: &StaticValues, dynamic: &DynamicBrokerOverrides) -> Self {
        let values = Effective { statics, dynamic };
        let listeners = client_listeners(values, "listeners").expect("it has a default");
        let advertised = client_listeners(values, "advertised.listeners");
        Self {
            node_id: node_id(values),
            cluster_id: values.text("cluster.id"),
            rack: values.text("broker.rack"),
            advertised_listeners: advertised.unwrap_or_else(|| listeners.clone()),
            listeners,
            data_directory: data_directory(values),
            shards: values.u32("shards"),
            poll_spin_us: values.u32("poll.spin.us"),
            compute_threads: values.u32("compute.threads"),
            partitions_default: values.u32("num.partitions"),
            auto_create_topics: values.boolean("auto.create.topics.enable"),
            delete_topics: values.boolean("delete.topic.enable"),
            partitions_max: values.u32("partitions.max"),
            request_bytes_max: values.u32("socket.request.max.bytes"),
            listen_backlog: values.u32("socket.listen.backlog.size"),
            connections_max: values.u32("max.connections"),
            connections_per_ip_max: values.u32("max.connections.per.ip"),
            connection_idle_ms_max: values.limit("connections.max.idle.ms"),
            connection_output_bytes_max: values.u32("connection.output.bytes.max"),
            connection_stall_timeout_ms: values.u32("connection.stall.timeout.ms"),
            connection_requests_max: values.u32("connection.requests.max"),
            connection_follow_requests: values.u32("connection.follow.requests"),
            request_partitions_max: values.u32("request.partitions.max"),
            memory_bytes_max: values.u64("queued.max.request.bytes"),
            describe_partitions_max: values.u32("max.request.partition.size.limit"),
            decompressed_batch_bytes_max: values.u32("decompressed.batch.bytes.max"),
            shard_messages_max: values.u32("shard.messages.max"),
            delayed_requests_max: values.u32("delayed.requests.max"),
            fetch_bytes_max: values.u32("fetch.max.bytes"),
            fetch_sessions_max: values.u32("max.incremental.fetch.session.cache.slots"),
            fetch_session_partitions_max: values.u32("fetch.session.partitions.max"),
            producer_id_expiration_ms: values.u64("producer.id.expiration.ms"),
            producers_per_partition_max: values.u32("producers.per.partition.max"),
            durability: durability(values),
            segment_bytes: values.u32("log.segment.bytes"),
            segment_ms: segment_ms(values),
            index_interval_bytes: values.u32("log.index.interval.bytes"),
            segment_index_bytes: values.u32("log.index.size.max.bytes"),
            retention_ms: retention_ms(values),
            retention_bytes: values.limit("log.retention.bytes"),
            retention_check_interval_ms: values.u64("log.retention.check.interval.ms"),
            file_delete_delay_ms: values.u64("log.segment.delete.delay.ms"),
            timestamp_type: timestamp_type(values),
            timestamp_before_ms_max: values.u64("log.message.timestamp.before.max.ms"),
            timestamp_after_ms_max: values.u64("log.message.timestamp.after.max.ms"),
            batch_bytes_max: values.u32("message.max.bytes"),
            min_insync_replicas: values.u32("min.insync.replicas"),
            flush_by_count: values.u64("log.flush.interval.messages") < NEVER_FLUSHED,
            flush_by_time: flush_ms(values) < NEVER_FLUSHED,
            journal_bytes_max: values.u64("journal.bytes.max"),
            journal_file_bytes: values.u64("journal.file.bytes"),
            tail_bytes_max: values.u64("tail.bytes.max"),
            waiting_append_bytes_max: values.u64("waiting.append.bytes.max"),
            disk_reserve_bytes: values.u64("disk.reserve.bytes"),
            segment_writeback_bytes: values.u32("segment.writeback.bytes"),
            group_session_timeout_ms_min: values.u32("group.min.session.timeout.ms"),
            group_session_timeout_ms_max: values.u32("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: values.u32("group.initial.rebalance.delay.ms"),
            group_members_max: values.u32("group.max.size"),
            groups_max: values.u32("groups.max"),
            offset_metadata_bytes_max: values.u32("offset.metadata.max.bytes"),
            offsets_retention_ms: values.u64("offsets.retention.minutes") * MS_PER_MINUTE,
            offsets_retention_check_interval_ms: values.u64("offsets.retention.check.interval.ms"),
            offsets_topic_partitions: values.u32("offsets.topic.num.partitions"),
            offsets_topic_segment_bytes: values.u32("offsets.topic.segment.bytes"),
            statics: statics.clone(),
            dynamic: dynamic.clone(),
        }
    }

    pub(crate) fn effective(&self) -> Effective<'_> {
        Effective {
            statics: &self.statics,
            dynamic: &self.dynamic,
        }
    }
}

/// The listeners of a setting that are for clients; `None` when none were given.
fn client_listeners(values: Effective<'_>, name: &str) -> Option<Vec<Listener>> {
    let listeners = listener::parse_list(&values.text(name)?).expect(CHECKED);
    let controllers = controller_listeners(values);
    let is_for_clients = |listener: &Listener| !controllers.contains(&listener.name);
    Some(listeners.into_iter().filter(is_for_clients).collect())
}

/// The names of `controller.listener.names`, in upper case.
pub(crate) fn controller_listeners(values: Effective<'_>) -> Vec<String> {
    let names = values.text("controller.listener.names").unwrap_or_default();
    let upper = |name: &String| name.to_ascii_uppercase();
    value::members(&names).iter().map(upper).collect()
}

fn data_directory(values: Effective<'_>) -> String {
    let directory = values.text("log.dirs").or_else(|| values.text("log.dir"));
    directory.expect("it has a default")
}

fn node_id(values: Effective<'_>) -> i32 {
    let older_name = values
        .integer("broker.id")
        .filter(|id| *id >= 0 && values.given("node.id").is_none());
    let id = older_name
        .or_else(|| values.integer("node.id"))
        .expect("it has a default");
    i32::try_from(id).expect("the setting's type is a 32-bit integer")
}

fn retention_ms(values: Effective<'_>) -> Option<u64> {
    if values.given("log.retention.ms").is_some() {
        values.limit("log.retention.ms")
    } else if values.given("log.retention.minutes").is_some() {
        values
            .limit("log.retention.minutes")
            .map(|minutes| minutes * MS_PER_MINUTE)
    } else {
        values.limit("log.retention.hours").map(|hours| hours * MS_PER_HOUR)
    }
}

fn segment_ms(values: Effective<'_>) -> u64 {
    values
        .limit("log.roll.ms")
        .unwrap_or_else(|| values.u64("log.roll.hours") * MS_PER_HOUR)
}

/// The `flush.ms` of topics without their own.
pub(crate) fn flush_ms(values: Effective<'_>) -> u64 {
    let every = values.limit("log.flush.interval.ms");
    every
        .or_else(|| values.limit("log.flush.scheduler.interval.ms"))
        .unwrap_or(NEVER_FLUSHED)
}

fn durability(values: Effective<'_>) -> Durability {
    Durability::from_word(&values.text("log.durability").expect("it has a default")).expect(CHECKED)
}

fn timestamp_type(values: Effective<'_>) -> TimestampType {
    TimestampType::from_word(&values.text("log.message.timestamp.type").expect("it has a default")).expect(CHECKED)
}
