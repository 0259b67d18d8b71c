//! Settings of consumer groups: the broker's, and those of one group.
//!
//! The settings of one group belong to the newer group protocols, which are not served yet; they are described
//! with Kafka's defaults, and nothing else is accepted.

use super::topic::NO_REPLICATION;
use crate::setting::Kind::{Boolean, Int, List, Long, Short, String};
use crate::setting::Unit::{Bytes, Count, Milliseconds, Minutes};
use crate::setting::{Bounds, Setting};

const CLASSIC_ONLY: &str = "only the classic group protocol is served yet";

pub(super) const BROKER_SETTINGS: &[Setting] = &[
    Setting::broker(
        "group.coordinator.rebalance.protocols",
        List,
        "Which group protocols are served.",
    )
    .default("classic")
    .bounds(Bounds::EachOf(&["classic", "consumer", "streams", "share"]))
    .fixed(CLASSIC_ONLY),
    Setting::broker(
        "group.min.session.timeout.ms",
        Int,
        "The shortest session timeout a member may ask for.",
    )
    .default("6000")
    .unit(Milliseconds)
    .at_least(0),
    Setting::broker(
        "group.max.session.timeout.ms",
        Int,
        "The longest session timeout a member may ask for.",
    )
    .default("1800000")
    .unit(Milliseconds)
    .at_least(0),
    Setting::broker(
        "group.initial.rebalance.delay.ms",
        Int,
        "How long an empty group waits for further members before its first rebalance.",
    )
    .default("3000")
    .unit(Milliseconds)
    .at_least(0),
    Setting::broker("group.max.size", Int, "How many members one group may have.")
        .default("2147483647")
        .unit(Count)
        .at_least(1),
    Setting::broker(
        "groups.max",
        Int,
        "How many groups one partition of `__consumer_offsets` keeps; a further one is refused.",
    )
    .default("100000")
    .unit(Count)
    .at_least(1)
    .own(),
    Setting::broker(
        "offset.metadata.max.bytes",
        Int,
        "The longest text a client may commit beside an offset.",
    )
    .default("4096")
    .unit(Bytes)
    .at_least(0),
    Setting::broker(
        "offsets.retention.minutes",
        Int,
        "How long committed offsets outlive their group's last member.",
    )
    .default("10080")
    .unit(Minutes)
    .at_least(1),
    Setting::broker(
        "offsets.retention.check.interval.ms",
        Long,
        "How often committed offsets are looked through for expired ones.",
    )
    .default("600000")
    .unit(Milliseconds)
    .at_least(1),
    Setting::broker(
        "offsets.topic.num.partitions",
        Int,
        "How many partitions `__consumer_offsets` gets when it is created; never changed later.",
    )
    .default("50")
    .unit(Count)
    .at_least(1),
    Setting::broker(
        "offsets.topic.replication.factor",
        Short,
        "How many replicas `__consumer_offsets` has.",
    )
    .default("1")
    .unit(Count)
    .at_least(1)
    .fixed(NO_REPLICATION),
    Setting::broker(
        "offsets.topic.segment.bytes",
        Int,
        "The `segment.bytes` of `__consumer_offsets`; small, so that compaction keeps up.",
    )
    .default("104857600")
    .unit(Bytes)
    .at_least(1_048_576),
    Setting::broker(
        "offsets.topic.compression.codec",
        Int,
        "The codec of batches in `__consumer_offsets`; 0 is none.",
    )
    .default("0")
    .inert("batches of `__consumer_offsets` are written without compression"),
    inert_int(
        "group.consumer.assignment.interval.ms",
        "1000",
        0,
        "The default of `consumer.assignment.interval.ms`.",
    )
    .dynamic(),
    inert_int(
        "group.consumer.heartbeat.interval.ms",
        "5000",
        1,
        "The default of `consumer.heartbeat.interval.ms`.",
    ),
    inert_int(
        "group.consumer.session.timeout.ms",
        "45000",
        1,
        "The default of `consumer.session.timeout.ms`.",
    ),
    inert_int(
        "group.share.assignment.interval.ms",
        "1000",
        0,
        "The default of `share.assignment.interval.ms`.",
    )
    .dynamic(),
    inert_int(
        "group.share.delivery.count.limit",
        "5",
        2,
        "The default of `share.delivery.count.limit`.",
    )
    .unit(Count),
    inert_int(
        "group.share.heartbeat.interval.ms",
        "5000",
        1,
        "The default of `share.heartbeat.interval.ms`.",
    ),
    inert_int(
        "group.share.partition.max.record.locks",
        "2000",
        100,
        "The default of `share.partition.max.record.locks`.",
    )
    .unit(Count),
    inert_int(
        "group.share.record.lock.duration.ms",
        "30000",
        1000,
        "The default of `share.record.lock.duration.ms`.",
    ),
    inert_int(
        "group.share.session.timeout.ms",
        "45000",
        1,
        "The default of `share.session.timeout.ms`.",
    ),
    inert_int(
        "group.streams.assignment.interval.ms",
        "1000",
        0,
        "The default of `streams.assignment.interval.ms`.",
    )
    .dynamic(),
    inert_int(
        "group.streams.heartbeat.interval.ms",
        "5000",
        1,
        "The default of `streams.heartbeat.interval.ms`.",
    ),
    inert_int(
        "group.streams.initial.rebalance.delay.ms",
        "3000",
        0,
        "The default of `streams.initial.rebalance.delay.ms`.",
    ),
    inert_int(
        "group.streams.num.standby.replicas",
        "0",
        0,
        "The default of `streams.num.standby.replicas`.",
    )
    .unit(Count),
    inert_int(
        "group.streams.session.timeout.ms",
        "45000",
        1,
        "The default of `streams.session.timeout.ms`.",
    ),
];

pub(super) const SETTINGS: &[Setting] = &[
    group_int(
        "consumer.assignment.interval.ms",
        "1000",
        0,
        &["group.consumer.assignment.interval.ms"],
        "The shortest time between two assignments of a consumer group.",
    ),
    group_int(
        "consumer.heartbeat.interval.ms",
        "5000",
        1,
        &["group.consumer.heartbeat.interval.ms"],
        "How often a member of a consumer group reports.",
    ),
    group_int(
        "consumer.session.timeout.ms",
        "45000",
        1,
        &["group.consumer.session.timeout.ms"],
        "When a silent member of a consumer group is given up.",
    ),
    group_int(
        "share.assignment.interval.ms",
        "1000",
        0,
        &["group.share.assignment.interval.ms"],
        "The shortest time between two assignments of a share group.",
    ),
    Setting::group(
        "share.auto.offset.reset",
        String,
        "Where a share group without a position begins.",
    )
    .default("latest")
    .synonyms(&["share.auto.offset.reset"])
    .fixed(CLASSIC_ONLY),
    group_int(
        "share.delivery.count.limit",
        "5",
        2,
        &["group.share.delivery.count.limit"],
        "How often a share group delivers a record before giving up.",
    )
    .unit(Count),
    group_int(
        "share.heartbeat.interval.ms",
        "5000",
        1,
        &["group.share.heartbeat.interval.ms"],
        "How often a member of a share group reports.",
    ),
    Setting::group("share.isolation.level", String, "Which records a share group reads.")
        .default("read_uncommitted")
        .one_of(&["read_committed", "read_uncommitted"])
        .synonyms(&["share.isolation.level"])
        .fixed(CLASSIC_ONLY),
    group_int(
        "share.partition.max.record.locks",
        "2000",
        100,
        &["group.share.partition.max.record.locks"],
        "How many records of a partition a share group may hold at once.",
    )
    .unit(Count),
    group_int(
        "share.record.lock.duration.ms",
        "30000",
        1000,
        &["group.share.record.lock.duration.ms"],
        "How long a member of a share group holds a record.",
    ),
    Setting::group(
        "share.renew.acknowledge.enable",
        Boolean,
        "Whether a member of a share group may prolong its hold on a record.",
    )
    .default("true")
    .synonyms(&["share.renew.acknowledge.enable"])
    .fixed(CLASSIC_ONLY),
    group_int(
        "share.session.timeout.ms",
        "45000",
        1,
        &["group.share.session.timeout.ms"],
        "When a silent member of a share group is given up.",
    ),
    group_int(
        "streams.assignment.interval.ms",
        "1000",
        0,
        &["group.streams.assignment.interval.ms"],
        "The shortest time between two assignments of a streams group.",
    ),
    group_int(
        "streams.heartbeat.interval.ms",
        "5000",
        1,
        &["group.streams.heartbeat.interval.ms"],
        "How often a member of a streams group reports.",
    ),
    group_int(
        "streams.initial.rebalance.delay.ms",
        "3000",
        0,
        &["group.streams.initial.rebalance.delay.ms"],
        "How long an empty streams group waits for further members.",
    ),
    group_int(
        "streams.num.standby.replicas",
        "0",
        0,
        &["group.streams.num.standby.replicas"],
        "How many standby replicas each task of a streams group has.",
    )
    .unit(Count),
    group_int(
        "streams.session.timeout.ms",
        "45000",
        1,
        &["group.streams.session.timeout.ms"],
        "When a silent member of a streams group is given up.",
    ),
];

const fn inert_int(name: &'static str, default: &'static str, min: i64, doc: &'static str) -> Setting {
    Setting::broker(name, Int, doc)
        .default(default)
        .unit(Milliseconds)
        .at_least(min)
        .inert(CLASSIC_ONLY)
}

const fn group_int(
    name: &'static str,
    default: &'static str,
    min: i64,
    synonyms: &'static [&'static str],
    doc: &'static str,
) -> Setting {
    Setting::group(name, Int, doc)
        .default(default)
        .unit(Milliseconds)
        .at_least(min)
        .synonyms(synonyms)
        .fixed(CLASSIC_ONLY)
}
