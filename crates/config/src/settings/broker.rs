//! The broker's settings of the process: who it is, where it listens, what one client may cost.

use super::topic::NO_REPLICATION;
use crate::setting::Kind::{Boolean, Int, List, Long, String};
use crate::setting::Unit::{Bytes, Count, Microseconds, Milliseconds};
use crate::setting::{Bounds, Setting};

const NODE: &[&str] = &["node.id", "broker.id"];
const DIRECTORY: &[&str] = &["log.dirs", "log.dir"];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::broker("node.id", Int, "The number clients know this node by; kept in the data directory, and another one than the directory's is refused.")
        .default("1").at_least(0).synonyms(NODE),
    Setting::broker("broker.id", Int, "The older name of `node.id`; -1 means that `node.id` holds.")
        .default("-1").at_least(-1).synonyms(NODE),
    Setting::broker("cluster.id", String, "The cluster's id, kept in the data directory when it is created; unset, a random one is made. Another one than the directory's is refused.")
        .bounds(Bounds::ClusterId).own(),
    Setting::broker("broker.rack", String, "The rack or zone of this node, told to clients in Metadata."),
    Setting::broker("listeners", List, "Where to listen, as `NAME://host:port`, separated by commas. An empty host means every interface, port 0 any free port.")
        .default("PLAINTEXT://127.0.0.1:9092").bounds(Bounds::Listeners),
    Setting::broker("advertised.listeners", List, "What clients are told to connect to; unset, the same as `listeners`.")
        .bounds(Bounds::Listeners),
    Setting::broker("controller.listener.names", List, "Listeners for controllers, as Kafka's files name them: they are not opened and not told to clients, since this node needs no separate controller."),
    Setting::broker("listener.security.protocol.map", String, "Which security protocol each listener name stands for, as `NAME:PROTOCOL`, separated by commas.")
        .default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT").bounds(Bounds::ProtocolMap),
    Setting::broker("log.dirs", List, "The data directory; exactly one. Unset, `log.dir` holds.")
        .bounds(Bounds::OnePath).synonyms(DIRECTORY),
    Setting::broker("log.dir", List, "The data directory when `log.dirs` is not given.")
        .default("./hallows-data").bounds(Bounds::OnePath).synonyms(DIRECTORY),
    Setting::broker("shards", Int, "How many shards, each a thread pinned to a core, own the partitions; 0 is one per core.")
        .default("0").unit(Count).between(0, 1024).own(),
    Setting::broker("poll.spin.us", Int, "How long an idle shard keeps polling before it sleeps: lower latency for more processor time.")
        .default("0").unit(Microseconds).between(0, 1_000_000).own(),
    Setting::broker("compute.threads", Int, "How many threads validate very large compressed batches and do other work that must not hold up a shard.")
        .default("1").unit(Count).between(1, 256).own(),
    Setting::broker("num.partitions", Int, "How many partitions a topic gets when nobody says.")
        .default("1").unit(Count).at_least(1),
    Setting::broker("default.replication.factor", Int, "How many replicas a topic gets when nobody says.")
        .default("1").unit(Count).at_least(1).fixed(NO_REPLICATION),
    Setting::broker("auto.create.topics.enable", Boolean, "Whether asking for the metadata of a missing topic creates it, if the client allows that too.")
        .default("true"),
    Setting::broker("delete.topic.enable", Boolean, "Whether topics may be deleted.")
        .default("true"),
    Setting::broker("partitions.max", Int, "How many partitions all topics together may have on this node.")
        .default("200000").unit(Count).between(1, 1_000_000).own(),
    Setting::broker("socket.request.max.bytes", Int, "The largest request; a longer one closes its connection before anything is allocated for it.")
        .default("104857600").unit(Bytes).at_least(1),
    Setting::broker("socket.listen.backlog.size", Int, "How many connections the kernel holds until they are accepted.")
        .default("50").unit(Count).at_least(1),
    Setting::broker("max.connections", Int, "How many connections may be open at once; further ones wait to be accepted.")
        .default("2147483647").unit(Count).at_least(0).dynamic(),
    Setting::broker("max.connections.per.ip", Int, "How many connections one address may have open; further ones are closed.")
        .default("2147483647").unit(Count).at_least(0).dynamic(),
    Setting::broker("connections.max.idle.ms", Long, "How long a connection may be idle before it is closed; -1 is forever.")
        .default("600000").unit(Milliseconds).bounds(Bounds::UnlimitedOrPositive),
    Setting::broker("connection.output.bytes.max", Int, "How many bytes of answers one connection may leave unread before no further request of it is read.")
        .default("8388608").unit(Bytes).at_least(65_536).own(),
    Setting::broker("connection.stall.timeout.ms", Int, "How long a client may take no byte of a waiting answer before its connection is closed.")
        .default("30000").unit(Milliseconds).at_least(1).own(),
    Setting::broker("connection.requests.max", Int, "How many requests of one connection may wait for their answers at once.")
        .default("128").unit(Count).between(1, 65_536).own(),
    Setting::broker("connection.follow.requests", Int, "How many requests in a row for partitions of one other shard have a connection move to that shard; 0 for never.")
        .default("16").unit(Count).at_least(0).own(),
    Setting::broker("request.partitions.max", Int, "How many partitions, topics, groups or other entries one request may name; one that names more closes its connection. All its lists together may have twice as many.")
        .default("100000").unit(Count).at_least(1).own(),
    Setting::broker("queued.max.request.bytes", Long, "How many bytes the node may hold in fetch sessions of its clients; one that finds no room is not kept, and its client asks in full. Requests, answers and members of groups are not counted yet.")
        .default("536870912").unit(Bytes).at_least(16_777_216),
    Setting::broker("max.request.partition.size.limit", Int, "How many partitions one answer to DescribeTopicPartitions holds; the rest follows by cursor.")
        .default("2000").unit(Count).at_least(1),
    Setting::broker("decompressed.batch.bytes.max", Int, "The largest size a compressed batch may unpack to; a larger one is refused.")
        .default("134217728").unit(Bytes).at_least(1_048_576).own(),
    Setting::broker("shard.messages.max", Int, "How many messages one shard may have on their way to another.")
        .default("1024").unit(Count).between(16, 1_048_576).own(),
    Setting::broker("delayed.requests.max", Int, "How many requests of one shard may wait for data, a group, a sync or another shard; above it, a connection that fetches or joins a group is closed, above twice as many any that asks for something.")
        .default("100000").unit(Count).at_least(1).own(),
    Setting::broker("fetch.max.bytes", Int, "The largest answer to one fetch, whatever the client asks for, except that its first batch always fits.")
        .default("57671680").unit(Bytes).at_least(1024),
    Setting::broker("max.incremental.fetch.session.cache.slots", Int, "How many fetch sessions are kept; above it, fetches work without a session.")
        .default("1000").unit(Count).at_least(0),
    Setting::broker("fetch.session.partitions.max", Int, "How many partitions all fetch sessions together may have; above it, fetches work without a session.")
        .default("500000").unit(Count).at_least(0).own(),
    Setting::broker("producer.id.expiration.ms", Int, "How long a partition remembers a producer that sends nothing.")
        .default("86400000").unit(Milliseconds).at_least(1).dynamic(),
    Setting::broker("producer.id.expiration.check.interval.ms", Int, "How often partitions look for producers to forget.")
        .default("600000").unit(Milliseconds).at_least(1).inert("producers are looked at together with retention, every `log.retention.check.interval.ms`"),
    Setting::broker("producers.per.partition.max", Int, "How many producers one partition remembers; above it, the one idle for longest is forgotten.")
        .default("100000").unit(Count).at_least(1).own(),
];
