//! Names of Apache Kafka's that mean nothing here, each with what to do instead.
//!
//! Most are passed over with a warning, all of them at once: they tune machinery that is not here, and a stock file of
//! Kafka's starts a broker. Those from whose value somebody expects a protection or a place that would not come are
//! refused. A request over the wire that names one is always refused.

use crate::setting::Resource;
use crate::value;

/// What becomes of a name that means nothing here when a broker is started with it.
#[derive(Clone, Copy, Debug)]
pub enum AtStart {
    /// It is passed over with a warning.
    Warned,
    /// Values of which the function says so are refused, others are passed over with a warning.
    Refused {
        /// Whether somebody expects something of this value.
        when: fn(&str) -> bool,
        /// Which values those are; completes "refused ...".
        words: &'static str,
    },
}

/// A name, or all names that begin with something, and why it means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Meaningless {
    /// The name; with a `*` at its end, all names that begin so.
    pub name: &'static str,
    /// What becomes of it at the start.
    pub at_start: AtStart,
    /// Why it means nothing and what to do, as whole sentences.
    pub advice: &'static str,
}

const ZOOKEEPER: &str = "there is no ZooKeeper; the broker keeps its own metadata log. Remove it.";
const QUORUM: &str =
    "there is no separate controller and no quorum to configure; one node serves everything. Remove it.";
const ONE_NODE: &str =
    "this release runs a single node and joins no other. Remove it, and start each node with clients of its own.";
const POLICY: &str = "Java classes cannot be loaded here, so nothing would be checked. Remove it.";
const PASSWORDS: &str = "no password is kept. Remove it.";
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

const ALWAYS: AtStart = AtStart::Refused {
    when: |_| true,
    words: "always",
};
const WHEN_GIVEN: AtStart = AtStart::Refused {
    when: |value| !value.trim().is_empty(),
    words: "unless it is empty",
};
const WHEN_SEVERAL: AtStart = AtStart::Refused {
    when: |value| value::members(value).len() > 1,
    words: "when it names several",
};
const WHEN_TRUE: AtStart = AtStart::Refused {
    when: |value| value.trim().eq_ignore_ascii_case("true"),
    words: "when it is `true`",
};
const WITHOUT_BROKER: AtStart = AtStart::Refused {
    when: |value| !value::members(value).iter().any(|role| role == "broker"),
    words: "unless `broker` is in it",
};
const WHEN_LIMITED: AtStart = AtStart::Refused {
    when: |value| !matches!(value.trim(), "2147483647" | "9223372036854775807"),
    words: "unless it is unlimited",
};

/// The names that mean nothing for the broker. An exact name stands before a prefix that would cover it.
pub const MEANINGLESS: &[Meaningless] = &[
    refused(
        "process.roles",
        WITHOUT_BROKER,
        "there is no separate controller; one node is a broker and keeps its own metadata log. Remove it, or start brokers only.",
    ),
    refused("controller.quorum.voters", WHEN_SEVERAL, ONE_NODE),
    refused("controller.quorum.bootstrap.servers", WHEN_SEVERAL, ONE_NODE),
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
    new("control.plane.listener.name", REPLICATION),
    new("eligible.leader.replicas.enable", REPLICATION),
    new("inter.broker.protocol.version", REPLICATION),
    new("security.inter.broker.protocol", REPLICATION),
    refused(
        "host.name",
        ALWAYS,
        "it is not a setting since Kafka 3. Remove it, and set `listeners`.",
    ),
    refused(
        "port",
        ALWAYS,
        "it is not a setting since Kafka 3. Remove it, and set `listeners`.",
    ),
    refused(
        "advertised.host.name",
        ALWAYS,
        "it is not a setting since Kafka 3. Remove it, and set `advertised.listeners`.",
    ),
    refused(
        "advertised.port",
        ALWAYS,
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
        "offsets.commit.required.acks",
        "a commit is answered when it is durable. Remove it.",
    ),
    new("password.encoder.*", PASSWORDS),
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
    refused(
        "max.connection.creation.rate",
        WHEN_LIMITED,
        "connections are bounded in number, not in rate. Remove it, or set `max.connections`.",
    ),
    refused(
        "max.connections.per.ip.overrides",
        WHEN_GIVEN,
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
    refused(
        "cordoned.log.dirs",
        WHEN_GIVEN,
        "there is one data directory. Remove it.",
    ),
    new(
        "log.dir.failure.timeout.ms",
        "there is one data directory; a failed sync stops its journal at once. Remove it.",
    ),
    new("quota.*", QUOTAS),
    refused("client.quota.callback.class", WHEN_GIVEN, QUOTAS),
    new("ssl.*", TLS),
    new("sasl.*", SASL),
    new("security.providers", TLS),
    new("principal.builder.class", SASL),
    refused("authorizer.class.name", WHEN_GIVEN, ACL),
    new("super.users", ACL),
    new("allow.everyone.if.no.acl.found", ACL),
    new("delegation.token.*", TOKENS),
    new("transaction.*", TRANSACTIONS),
    new("transactional.id.expiration.ms", TRANSACTIONS),
    new("add.partitions.to.txn.*", TRANSACTIONS),
    refused("remote.log.storage.system.enable", WHEN_TRUE, TIERING),
    new("remote.*", TIERING),
    new("log.cleaner.*", COMPACTION),
    new("log.flush.offset.checkpoint.interval.ms", CHECKPOINTS),
    new("log.flush.start.offset.checkpoint.interval.ms", CHECKPOINTS),
    new("log.message.format.version", FORMAT),
    new("log.message.downconversion.enable", FORMAT),
    refused(
        "log.message.timestamp.difference.max.ms",
        WHEN_LIMITED,
        "it is not a setting since Kafka 4. Remove it, and set `log.message.timestamp.before.max.ms` and `log.message.timestamp.after.max.ms`.",
    ),
    new("metadata.*", METADATA),
    refused("alter.config.policy.class.name", WHEN_GIVEN, POLICY),
    refused("create.topic.policy.class.name", WHEN_GIVEN, POLICY),
    refused(
        "config.providers",
        WHEN_GIVEN,
        "values are taken as they stand, and no class is asked for them. Remove it, and write the values themselves.",
    ),
    new("config.providers.*", CLASSES),
    new("metric.reporters", METRICS),
    new("metrics.*", METRICS),
    new("kafka.metrics.*", METRICS),
    new("auto.include.jmx.reporter", METRICS),
    new("telemetry.max.bytes", "client telemetry is not collected. Remove it."),
    new("unstable.*", "unstable versions are never served. Remove it."),
];

/// The names that mean nothing for a topic: Kafka had them once. All of them are refused.
pub const MEANINGLESS_FOR_TOPICS: &[Meaningless] = &[
    new("message.format.version", FORMAT),
    new("message.downconversion.enable", FORMAT),
    new(
        "message.timestamp.difference.max.ms",
        "it is not a setting since Kafka 4. Remove it, and set `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.",
    ),
];

const fn new(name: &'static str, advice: &'static str) -> Meaningless {
    refused(name, AtStart::Warned, advice)
}

const fn refused(name: &'static str, at_start: AtStart, advice: &'static str) -> Meaningless {
    Meaningless { name, at_start, advice }
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

    /// Whether a broker that is started with this value is better not started.
    #[must_use]
    pub fn refuses(&self, value: &str) -> bool {
        match self.at_start {
            AtStart::Warned => false,
            AtStart::Refused { when, .. } => when(value),
        }
    }
}

/// What is known of a name that is Kafka's but means nothing here.
#[must_use]
pub fn find(resource: Resource, name: &str) -> Option<&'static Meaningless> {
    let table = match resource {
        Resource::Broker => MEANINGLESS,
        Resource::Topic => MEANINGLESS_FOR_TOPICS,
        Resource::Group => &[],
    };
    table.iter().find(|line| line.covers(name))
}
