//! What can be set for one topic.
//!
//! All names that Apache Kafka 4.3 describes for a topic are here, honoured or not, so that tools which read all
//! settings and write them back meet nothing they do not know.

use crate::setting::Kind::{Boolean, Double, Int, List, Long, String};
use crate::setting::Unit::{Bytes, Count, Milliseconds};
use crate::setting::{Bounds, Setting};

/// The three promises an acknowledgement can make.
pub(crate) const DURABILITY: &[&str] = &["fsync", "written", "memory"];
/// Where a record's timestamp comes from.
pub(crate) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
/// Kafka's codecs, and `producer` for "leave it as it came".
pub(crate) const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
/// Kafka's clean-up policies.
pub(crate) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];

pub(crate) const NO_COMPACTION: &str = "user topics are not compacted yet";
pub(crate) const NO_RECOMPRESSION: &str = "batches are stored exactly as the producer compressed them";
pub(crate) const NO_REPLICATION: &str = "this release runs a single node, so every partition has one replica";
pub(crate) const NO_TIERING: &str = "there is no remote storage yet";
pub(crate) const NOT_RECOMPRESSED: &str = "batches are stored exactly as the producer compressed them, at its level";
pub(crate) const NOT_COMPACTED: &str = "it concerns compacted topics, and user topics are not compacted yet";
pub(crate) const NOT_TIERED: &str = "it concerns topics with remote storage, and there is none yet";
pub(crate) const ONE_REPLICA: &str = "every partition has one replica, so that none follows and none is elected";
pub(crate) const NO_JITTER: &str = "segments roll exactly when they are due";
pub(crate) const OWN_PREALLOCATION: &str = "room is taken beforehand for the journal, which is what an acknowledgement waits for; segments grow as they are written";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::topic("durability", String, "What an acknowledgement promises. `fsync`: the records are on stable storage. `written`: they are in the operating system's cache and survive the death of the process, not of the machine. `memory`: they are in memory only and may be lost. `flush.messages` and `flush.ms` make it `fsync`.")
        .default("fsync").one_of(DURABILITY).synonyms(&["log.durability"]).own(),
    Setting::topic("cleanup.policy", List, "What happens to old records: `delete` removes whole segments by time or size.")
        .default("delete").bounds(Bounds::EachOf(CLEANUP_POLICIES)).synonyms(&["log.cleanup.policy"]).fixed(NO_COMPACTION),
    Setting::topic("compression.type", String, "How batches are compressed on disk; `producer` keeps what the producer chose.")
        .default("producer").one_of(COMPRESSION_TYPES).synonyms(&["compression.type"]).fixed(NO_RECOMPRESSION),
    Setting::topic("compression.gzip.level", Int, "The level for recompression to gzip.")
        .default("-1").between(-1, 9).synonyms(&["compression.gzip.level"]).inert(NOT_RECOMPRESSED),
    Setting::topic("compression.lz4.level", Int, "The level for recompression to lz4.")
        .default("9").between(1, 17).synonyms(&["compression.lz4.level"]).inert(NOT_RECOMPRESSED),
    Setting::topic("compression.zstd.level", Int, "The level for recompression to zstd.")
        .default("3").between(-131_072, 22).synonyms(&["compression.zstd.level"]).inert(NOT_RECOMPRESSED),
    Setting::topic("delete.retention.ms", Long, "How long a compacted topic keeps tombstones.")
        .default("86400000").unit(Milliseconds).at_least(0).synonyms(&["log.cleaner.delete.retention.ms"]).inert(NOT_COMPACTED),
    Setting::topic("file.delete.delay.ms", Long, "How long the files of removed segments stay on disk after nothing refers to them.")
        .default("60000").unit(Milliseconds).at_least(0).synonyms(&["log.segment.delete.delay.ms"]),
    Setting::topic("flush.messages", Long, "Syncs after so many records; any value but the default makes the topic `durability=fsync`, which syncs before every acknowledgement.")
        .default("9223372036854775807").unit(Count).at_least(1).synonyms(&["log.flush.interval.messages"]),
    Setting::topic("flush.ms", Long, "Syncs after so much time; any value but the default makes the topic `durability=fsync`, which syncs before every acknowledgement.")
        .default("9223372036854775807").unit(Milliseconds).at_least(0).synonyms(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]),
    Setting::topic("follower.replication.throttled.replicas", List, "Replicas whose followers are throttled.")
        .default("").bounds(Bounds::Replicas).inert(ONE_REPLICA),
    Setting::topic("leader.replication.throttled.replicas", List, "Replicas whose leaders are throttled.")
        .default("").bounds(Bounds::Replicas).inert(ONE_REPLICA),
    Setting::topic("index.interval.bytes", Int, "How many bytes of records lie between two entries of the offset index.")
        .default("4096").unit(Bytes).at_least(0).synonyms(&["log.index.interval.bytes"]),
    Setting::topic("local.retention.bytes", Long, "How much of a tiered partition stays on the local disk; -2 means as much as `retention.bytes`.")
        .default("-2").unit(Bytes).at_least(-2).synonyms(&["log.local.retention.bytes"]).inert(NOT_TIERED),
    Setting::topic("local.retention.ms", Long, "How long a tiered segment stays on the local disk; -2 means as long as `retention.ms`.")
        .default("-2").unit(Milliseconds).at_least(-2).synonyms(&["log.local.retention.ms"]).inert(NOT_TIERED),
    Setting::topic("max.compaction.lag.ms", Long, "The longest time a record may stay uncompacted.")
        .default("9223372036854775807").unit(Milliseconds).at_least(1).synonyms(&["log.cleaner.max.compaction.lag.ms"]).inert(NOT_COMPACTED),
    Setting::topic("max.message.bytes", Int, "The largest record batch accepted, counted as it arrives, that is compressed.")
        .default("1048588").unit(Bytes).at_least(0).synonyms(&["message.max.bytes"]),
    Setting::topic("message.timestamp.after.max.ms", Long, "How far a record's timestamp may lie ahead of the broker's clock when the producer sets it.")
        .default("3600000").unit(Milliseconds).at_least(0).synonyms(&["log.message.timestamp.after.max.ms"]),
    Setting::topic("message.timestamp.before.max.ms", Long, "How far a record's timestamp may lie behind the broker's clock when the producer sets it.")
        .default("9223372036854775807").unit(Milliseconds).at_least(0).synonyms(&["log.message.timestamp.before.max.ms"]),
    Setting::topic("message.timestamp.type", String, "Whether records keep the producer's time (`CreateTime`) or get the broker's on arrival (`LogAppendTime`).")
        .default("CreateTime").one_of(TIMESTAMP_TYPES).synonyms(&["log.message.timestamp.type"]),
    Setting::topic("min.cleanable.dirty.ratio", Double, "The share of uncompacted bytes that starts a compaction.")
        .default("0.5").bounds(Bounds::Fraction { min: 0.0, max: 1.0 }).synonyms(&["log.cleaner.min.cleanable.ratio"]).inert(NOT_COMPACTED),
    Setting::topic("min.compaction.lag.ms", Long, "The shortest time a record stays uncompacted.")
        .default("0").unit(Milliseconds).at_least(0).synonyms(&["log.cleaner.min.compaction.lag.ms"]).inert(NOT_COMPACTED),
    Setting::topic("min.insync.replicas", Int, "How many replicas must have a batch before acks=all is answered; a node alone has one, so that above 1 every batch with acks=all is refused with NOT_ENOUGH_REPLICAS.")
        .default("1").unit(Count).at_least(1).synonyms(&["min.insync.replicas"]),
    Setting::topic("preallocate", Boolean, "Whether a segment's file gets its full size at creation.")
        .default("false").synonyms(&["log.preallocate"]).inert(OWN_PREALLOCATION),
    Setting::topic("remote.log.copy.disable", Boolean, "Whether a tiered topic stops copying to remote storage.")
        .default("false").inert(NOT_TIERED),
    Setting::topic("remote.log.delete.on.disable", Boolean, "Whether disabling tiering deletes what remote storage holds.")
        .default("false").inert(NOT_TIERED),
    Setting::topic("remote.storage.enable", Boolean, "Whether the topic is tiered to remote storage.")
        .default("false").fixed(NO_TIERING),
    Setting::topic("retention.bytes", Long, "How many bytes a partition keeps before its oldest segments are removed; -1 is unlimited.")
        .default("-1").unit(Bytes).synonyms(&["log.retention.bytes"]),
    Setting::topic("retention.ms", Long, "How long records are kept before their segment is removed; -1 is forever.")
        .default("604800000").unit(Milliseconds).at_least(-1).synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"]),
    Setting::topic("segment.bytes", Int, "The size at which a segment is closed and the next one begins.")
        .default("1073741824").unit(Bytes).at_least(1_048_576).synonyms(&["log.segment.bytes"]),
    Setting::topic("segment.index.bytes", Int, "The largest index of a segment; a full index closes its segment.")
        .default("10485760").unit(Bytes).at_least(4).synonyms(&["log.index.size.max.bytes"]),
    Setting::topic("segment.jitter.ms", Long, "A random time subtracted from `segment.ms`, so that segments do not roll together.")
        .default("0").unit(Milliseconds).at_least(0).synonyms(&["log.roll.jitter.ms", "log.roll.jitter.hours"]).inert(NO_JITTER),
    Setting::topic("segment.ms", Long, "The age at which a segment is closed, even when it is not full, so that retention can remove it.")
        .default("604800000").unit(Milliseconds).at_least(1).synonyms(&["log.roll.ms", "log.roll.hours"]),
    Setting::topic("unclean.leader.election.enable", Boolean, "Whether a replica that misses records may become leader.")
        .default("false").synonyms(&["unclean.leader.election.enable"]).inert(ONE_REPLICA),
];
