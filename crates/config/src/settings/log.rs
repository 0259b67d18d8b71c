//! The broker's settings of the log: what topics inherit, and the journal.

use super::topic::{
    CLEANUP_POLICIES, COMPRESSION_TYPES, DURABILITY, NO_COMPACTION, NO_JITTER, NO_RECOMPRESSION, NOT_COMPACTED,
    NOT_RECOMPRESSED, NOT_TIERED, ONE_REPLICA, OWN_PREALLOCATION, TIMESTAMP_TYPES,
};
use crate::setting::Kind::{Boolean, Double, Int, List, Long, String};
use crate::setting::Unit::{Bytes, Count, Hours, Milliseconds, Minutes};
use crate::setting::{Bounds, Setting};

const RETENTION: &[&str] = &["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
const ROLL_JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::broker("log.durability", String, "The `durability` of topics that do not set their own.")
        .default("fsync").one_of(DURABILITY).dynamic().own(),
    Setting::broker("log.segment.bytes", Int, "The `segment.bytes` of topics that do not set their own.")
        .default("1073741824").unit(Bytes).at_least(1_048_576).dynamic(),
    Setting::broker("log.roll.ms", Long, "The `segment.ms` of topics that do not set their own; unset, `log.roll.hours` holds.")
        .unit(Milliseconds).at_least(1).synonyms(ROLL).dynamic(),
    Setting::broker("log.roll.hours", Int, "The `segment.ms` of topics that do not set their own, in hours.")
        .default("168").unit(Hours).at_least(1).synonyms(ROLL),
    Setting::broker("log.roll.jitter.ms", Long, "The `segment.jitter.ms` of topics that do not set their own.")
        .unit(Milliseconds).at_least(0).synonyms(ROLL_JITTER).dynamic().inert(NO_JITTER),
    Setting::broker("log.roll.jitter.hours", Int, "The `segment.jitter.ms` of topics that do not set their own, in hours.")
        .default("0").unit(Hours).at_least(0).synonyms(ROLL_JITTER).inert(NO_JITTER),
    Setting::broker("log.index.interval.bytes", Int, "The `index.interval.bytes` of topics that do not set their own.")
        .default("4096").unit(Bytes).at_least(0).dynamic(),
    Setting::broker("log.index.size.max.bytes", Int, "The `segment.index.bytes` of topics that do not set their own.")
        .default("10485760").unit(Bytes).at_least(4).dynamic(),
    Setting::broker("log.retention.ms", Long, "The `retention.ms` of topics that do not set their own; unset, `log.retention.minutes` holds.")
        .unit(Milliseconds).bounds(Bounds::UnlimitedOrPositive).synonyms(RETENTION).dynamic(),
    Setting::broker("log.retention.minutes", Int, "The `retention.ms` of topics that do not set their own, in minutes; unset, `log.retention.hours` holds.")
        .unit(Minutes).bounds(Bounds::UnlimitedOrPositive).synonyms(RETENTION),
    Setting::broker("log.retention.hours", Int, "The `retention.ms` of topics that do not set their own, in hours.")
        .default("168").unit(Hours).bounds(Bounds::UnlimitedOrPositive).synonyms(RETENTION),
    Setting::broker("log.retention.bytes", Long, "The `retention.bytes` of topics that do not set their own.")
        .default("-1").unit(Bytes).dynamic(),
    Setting::broker("log.retention.check.interval.ms", Long, "How often the log looks for segments whose time has come.")
        .default("300000").unit(Milliseconds).at_least(1),
    Setting::broker("log.segment.delete.delay.ms", Long, "The `file.delete.delay.ms` of topics that do not set their own.")
        .default("60000").unit(Milliseconds).at_least(0).dynamic(),
    Setting::broker("log.message.timestamp.type", String, "The `message.timestamp.type` of topics that do not set their own.")
        .default("CreateTime").one_of(TIMESTAMP_TYPES).dynamic(),
    Setting::broker("log.message.timestamp.before.max.ms", Long, "The `message.timestamp.before.max.ms` of topics that do not set their own.")
        .default("9223372036854775807").unit(Milliseconds).at_least(0).dynamic(),
    Setting::broker("log.message.timestamp.after.max.ms", Long, "The `message.timestamp.after.max.ms` of topics that do not set their own.")
        .default("3600000").unit(Milliseconds).at_least(0).dynamic(),
    Setting::broker("message.max.bytes", Int, "The `max.message.bytes` of topics that do not set their own.")
        .default("1048588").unit(Bytes).at_least(0).dynamic(),
    Setting::broker("min.insync.replicas", Int, "The `min.insync.replicas` of topics that do not set their own.")
        .default("1").unit(Count).at_least(1).dynamic(),
    Setting::broker("unclean.leader.election.enable", Boolean, "The `unclean.leader.election.enable` of topics that do not set their own.")
        .default("false").dynamic().inert(ONE_REPLICA),
    Setting::broker("log.cleanup.policy", List, "The `cleanup.policy` of topics that do not set their own.")
        .default("delete").bounds(Bounds::EachOf(CLEANUP_POLICIES)).dynamic().fixed(NO_COMPACTION),
    Setting::broker("compression.type", String, "The `compression.type` of topics that do not set their own.")
        .default("producer").one_of(COMPRESSION_TYPES).dynamic().fixed(NO_RECOMPRESSION),
    Setting::broker("compression.gzip.level", Int, "The level for recompression to gzip.")
        .default("-1").between(-1, 9).dynamic().inert(NOT_RECOMPRESSED),
    Setting::broker("compression.lz4.level", Int, "The level for recompression to lz4.")
        .default("9").between(1, 17).dynamic().inert(NOT_RECOMPRESSED),
    Setting::broker("compression.zstd.level", Int, "The level for recompression to zstd.")
        .default("3").between(-131_072, 22).dynamic().inert(NOT_RECOMPRESSED),
    Setting::broker("log.cleaner.delete.retention.ms", Long, "The `delete.retention.ms` of topics that do not set their own.")
        .default("86400000").unit(Milliseconds).at_least(0).dynamic().inert(NOT_COMPACTED),
    Setting::broker("log.cleaner.min.compaction.lag.ms", Long, "The `min.compaction.lag.ms` of topics that do not set their own.")
        .default("0").unit(Milliseconds).at_least(0).dynamic().inert(NOT_COMPACTED),
    Setting::broker("log.cleaner.max.compaction.lag.ms", Long, "The `max.compaction.lag.ms` of topics that do not set their own.")
        .default("9223372036854775807").unit(Milliseconds).at_least(1).dynamic().inert(NOT_COMPACTED),
    Setting::broker("log.cleaner.min.cleanable.ratio", Double, "The `min.cleanable.dirty.ratio` of topics that do not set their own.")
        .default("0.5").bounds(Bounds::Fraction { min: 0.0, max: 1.0 }).dynamic().inert(NOT_COMPACTED),
    Setting::broker("log.preallocate", Boolean, "The `preallocate` of topics that do not set their own.")
        .default("false").dynamic().inert(OWN_PREALLOCATION),
    Setting::broker("log.flush.interval.messages", Long, "The `flush.messages` of topics that do not set their own.")
        .default("9223372036854775807").unit(Count).at_least(1).dynamic(),
    Setting::broker("log.flush.interval.ms", Long, "The `flush.ms` of topics that do not set their own; unset, `log.flush.scheduler.interval.ms` holds.")
        .unit(Milliseconds).at_least(0).synonyms(FLUSH).dynamic(),
    Setting::broker("log.flush.scheduler.interval.ms", Long, "How often the log looks for data to sync: the `flush.ms` of topics that do not set their own.")
        .default("9223372036854775807").unit(Milliseconds).synonyms(FLUSH),
    Setting::broker("log.local.retention.ms", Long, "The `local.retention.ms` of topics that do not set their own.")
        .default("-2").unit(Milliseconds).at_least(-2).dynamic().inert(NOT_TIERED),
    Setting::broker("log.local.retention.bytes", Long, "The `local.retention.bytes` of topics that do not set their own.")
        .default("-2").unit(Bytes).at_least(-2).dynamic().inert(NOT_TIERED),
    Setting::broker("journal.bytes.max", Long, "How large the journal of one shard may grow before appends wait for a checkpoint; metadata and groups get an eighth more; files that a checkpoint has freed are kept for reuse and count. All shards together take at most an eighth of the file system, and what they can spare is given back when the disk is full and at a clean stop.")
        .default("536870912").unit(Bytes).at_least(8_388_608).own(),
    Setting::broker("journal.file.bytes", Long, "The size of one journal file after the first, small one.")
        .default("67108864").unit(Bytes).between(4_194_304, 1_073_741_824).own(),
    Setting::broker("tail.bytes.max", Long, "How many bytes of records one shard keeps in memory only until their segment is written; at the bound the write is forced; metadata and groups get an eighth more. All shards together take at most a sixteenth of the size of the file system.")
        .default("67108864").unit(Bytes).at_least(1_048_576).own(),
    Setting::broker("waiting.append.bytes.max", Long, "How many bytes of batches one shard lets wait, until their requests time out, for room in memory (`tail.bytes.max`) or in the journal (`journal.bytes.max`), in the order they came, while their connections are not read; above it, batches are refused at once with REQUEST_TIMED_OUT.")
        .default("536870912").unit(Bytes).at_least(0).own(),
    Setting::broker("disk.reserve.bytes", Long, "Room held on the disk for each shard's own needs when the disk is full (metadata, groups, deletions, a start), as files in `reserve`; records of clients never get it. All shards together hold at most a sixteenth of the file system. 0 holds nothing: then a full disk has no way out but to make room by other means.")
        .default("67108864").unit(Bytes).at_least(0).own(),
    Setting::broker("segment.writeback.bytes", Int, "While the shard's journal is written to, the kernel is asked to write a segment to the disk each time this much was added to it, so that checkpoints find little left to sync; 0 leaves it to the kernel.")
        .default("1048576").unit(Bytes).between(0, 1_073_741_824).own(),
];
