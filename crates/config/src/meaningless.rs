//! Names of Apache Kafka's that mean nothing here, each with what to do instead.
//!
//! They are refused rather than ignored: whoever wrote them expects an effect that would not come.

use crate::setting::Resource;

/// A name, or all names that begin with something, and why it is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaningless {
    /// The name; with a `*` at its end, all names that begin so.
    pub name: &'static str,
    /// Why it means nothing and what to do, as whole sentences.
    pub advice: &'static str,
}

const ZOOKEEPER: &str = "there is no ZooKeeper; the broker keeps its own metadata log. Remove it.";
const QUORUM: &str =
    "there is no separate controller and no quorum to configure; one node serves everything. Remove it.";
const THREADS: &str = "work is done by shards, one pinned thread each. Remove it, or set `shards`.";
const PURGATORY: &str = "delayed requests need no purging. Remove it, or set `delayed.requests.max`.";
const REPLICATION: &str = "this release runs a single node and replicates nothing. Remove it.";
const TLS: &str = "TLS is not served yet. Remove it, and keep the listener on a network you trust.";
const SASL: &str = "authentication is not served yet. Remove it, and keep the listener on a network you trust.";
const ACL: &str = "authorization is not served yet: every client may do everything. Remove it, and keep the listener on a network you trust.";
const TOKENS: &str = "delegation tokens are not served. Remove it.";
const TRANSACTIONS: &str = "transactions are not served yet. Remove it; idempotent producers work without it.";
const SHARE: &str = "share groups are not served yet. Remove it.";
const STREAMS: &str = "the streams group protocol is not served yet; Kafka Streams uses the classic one. Remove it.";
const CONSUMER: &str = "the newer consumer group protocol is not served yet; clients use the classic one. Remove it.";
const TIERING: &str = "there is no remote storage yet. Remove it.";
const COMPACTION: &str =
    "user topics are not compacted yet, and `__consumer_offsets` is compacted without settings. Remove it.";
const QUOTAS: &str = "quotas are not served yet. Remove it.";
const CLASSES: &str = "Java classes cannot be loaded here. Remove it.";
const METRICS: &str = "metrics are not collected by Java reporters. Remove it.";
const SOCKET_BUFFERS: &str = "the kernel sizes socket buffers by need. Remove it.";
const QUEUES: &str =
    "each connection has one request in its shard's inbox at a time. Remove it, or set `delayed.requests.max`.";
const CHECKPOINTS: &str = "recovery needs no checkpoint files; the journal says what was durable. Remove it.";
const METADATA: &str = "the metadata log looks after itself. Remove it.";
const FORMAT: &str = "records are always stored in batch format 2 and never converted down. Remove it.";

/// The names refused for the broker. An exact name stands before a prefix that would cover it.
pub const MEANINGLESS: &[Meaningless] = &[
    new("process.roles", QUORUM),
    new("controller.quota.*", QUOTAS),
    new("controller.*", QUORUM),
    new("zookeeper.*", ZOOKEEPER),
    new(
        "broker.id.generation.enable",
        "node ids are always given, never generated. Remove it, and set `node.id`.",
    ),
    new(
        "reserved.broker.max.id",
        "node ids are always given, never generated. Remove it, and set `node.id`.",
    ),
    new("broker.heartbeat.interval.ms", QUORUM),
    new("broker.session.timeout.ms", QUORUM),
    new("initial.broker.registration.timeout.ms", QUORUM),
    new("server.max.startup.time.ms", QUORUM),
    new("controlled.shutdown.*", REPLICATION),
    new(
        "early.start.listeners",
        "all listeners open together, once everything acknowledged can be read again. Remove it.",
    ),
    new("inter.broker.listener.name", REPLICATION),
    new("inter.broker.protocol.version", REPLICATION),
    new("security.inter.broker.protocol", REPLICATION),
    new(
        "host.name",
        "it is not a setting since Kafka 3. Remove it, and set `listeners`.",
    ),
    new(
        "port",
        "it is not a setting since Kafka 3. Remove it, and set `listeners`.",
    ),
    new(
        "advertised.host.name",
        "it is not a setting since Kafka 3. Remove it, and set `advertised.listeners`.",
    ),
    new(
        "advertised.port",
        "it is not a setting since Kafka 3. Remove it, and set `advertised.listeners`.",
    ),
    new(
        "listener.name.*",
        "all listeners share one set of settings. Remove it, and set the name after the listener's.",
    ),
    new("num.network.threads", THREADS),
    new("num.io.threads", THREADS),
    new("background.threads", THREADS),
    new(
        "num.recovery.threads.per.data.dir",
        "recovery uses every shard. Remove it, or set `shards`.",
    ),
    new("group.coordinator.threads", THREADS),
    new("group.coordinator.background.threads", THREADS),
    new(
        "group.coordinator.append.linger.ms",
        "group changes join the shard's next group commit. Remove it.",
    ),
    new(
        "group.coordinator.cached.buffer.max.bytes",
        "buffers are recycled by the shard. Remove it.",
    ),
    new(
        "offsets.commit.timeout.ms",
        "a commit is answered after its group commit, with no timeout of its own. Remove it.",
    ),
    new(
        "offsets.load.buffer.size",
        "groups are loaded through the log's own buffers. Remove it.",
    ),
    new("group.consumer.*", CONSUMER),
    new("group.streams.*", STREAMS),
    new("group.share.*", SHARE),
    new("share.*", SHARE),
    new("producer.purgatory.purge.interval.requests", PURGATORY),
    new("fetch.purgatory.purge.interval.requests", PURGATORY),
    new("delete.records.purgatory.purge.interval.requests", PURGATORY),
    new("queued.max.requests", QUEUES),
    new("socket.send.buffer.bytes", SOCKET_BUFFERS),
    new("socket.receive.buffer.bytes", SOCKET_BUFFERS),
    new("socket.connection.setup.*", REPLICATION),
    new("request.timeout.ms", REPLICATION),
    new(
        "max.connection.creation.rate",
        "connections are bounded in number, not in rate. Remove it, or set `max.connections`.",
    ),
    new(
        "max.connections.per.ip.overrides",
        "one bound holds for all addresses. Remove it, or set `max.connections.per.ip`.",
    ),
    new("connection.failed.authentication.delay.ms", SASL),
    new("connections.max.reauth.ms", SASL),
    new("auto.leader.rebalance.enable", REPLICATION),
    new("leader.imbalance.*", REPLICATION),
    new("num.replica.*", REPLICATION),
    new("replica.*", REPLICATION),
    new("follower.fetch.last.tiered.offset.enable", TIERING),
    new("replication.quota.*", QUOTAS),
    new(
        "alter.log.dirs.*",
        "there is one data directory, so nothing moves between directories. Remove it.",
    ),
    new("cordoned.log.dirs", "there is one data directory. Remove it."),
    new(
        "log.dir.failure.timeout.ms",
        "there is one data directory; a failed sync stops its journal at once. Remove it.",
    ),
    new("quota.*", QUOTAS),
    new("client.quota.*", QUOTAS),
    new("ssl.*", TLS),
    new("sasl.*", SASL),
    new("security.providers", TLS),
    new("principal.builder.class", SASL),
    new("authorizer.class.name", ACL),
    new("super.users", ACL),
    new("allow.everyone.if.no.acl.found", ACL),
    new("delegation.token.*", TOKENS),
    new("transaction.*", TRANSACTIONS),
    new("transactional.id.expiration.ms", TRANSACTIONS),
    new("add.partitions.to.txn.*", TRANSACTIONS),
    new("remote.*", TIERING),
    new("log.cleaner.*", COMPACTION),
    new("log.flush.offset.checkpoint.interval.ms", CHECKPOINTS),
    new("log.flush.start.offset.checkpoint.interval.ms", CHECKPOINTS),
    new("log.message.format.version", FORMAT),
    new("log.message.downconversion.enable", FORMAT),
    new(
        "log.message.timestamp.difference.max.ms",
        "it is not a setting since Kafka 4. Remove it, and set `log.message.timestamp.before.max.ms` and `log.message.timestamp.after.max.ms`.",
    ),
    new("metadata.*", METADATA),
    new("alter.config.policy.class.name", CLASSES),
    new("create.topic.policy.class.name", CLASSES),
    new("config.providers*", CLASSES),
    new("metric.reporters", METRICS),
    new("metrics.*", METRICS),
    new("kafka.metrics.*", METRICS),
    new("auto.include.jmx.reporter", METRICS),
    new("telemetry.max.bytes", "client telemetry is not collected. Remove it."),
    new("unstable.*", "unstable versions are never served. Remove it."),
];

/// The names refused for a topic: Kafka had them once.
pub const MEANINGLESS_FOR_TOPICS: &[Meaningless] = &[
    new("message.format.version", FORMAT),
    new("message.downconversion.enable", FORMAT),
    new(
        "message.timestamp.difference.max.ms",
        "it is not a setting since Kafka 4. Remove it, and set `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.",
    ),
];

const fn new(name: &'static str, advice: &'static str) -> Meaningless {
    Meaningless { name, advice }
}

impl Meaningless {
    /// Whether this line covers `name`.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        }
    }
}

/// The advice for a name that is Kafka's but means nothing here.
#[must_use]
pub fn advice(resource: Resource, name: &str) -> Option<&'static str> {
    let table = match resource {
        Resource::Broker => MEANINGLESS,
        Resource::Topic => MEANINGLESS_FOR_TOPICS,
        Resource::Group => &[],
    };
    table.iter().find(|line| line.covers(name)).map(|line| line.advice)
}
