//! What the tests of storage share: a disk in memory that can lose what was not synced, and a driver that plays the pump.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]

pub mod disk;
pub mod driver;

use bytes::BytesMut;
use hallows_record::Codec;
use hallows_types::{LeaderEpoch, Now, Offset, PartitionId, TopicId, WallTime};

use hallows_storage::{Identity, LogConfig, StorageSettings};

/// Partition `index` of topic number `topic`.
pub fn partition(topic: u8, index: i32) -> PartitionId {
    PartitionId {
        topic: TopicId([topic; 16]),
        index,
    }
}

/// Small sizes, so that tests roll, checkpoint and recycle within a few appends.
pub fn settings() -> StorageSettings {
    StorageSettings {
        journal_bytes_max: 1 << 20,
        journal_file_bytes: 128 << 10,
        journal_first_file_bytes: 32 << 10,
        tail_bytes_max: 1 << 20,
        segment_writeback_bytes: 4 << 10,
        disk_reserve_bytes: 0,
        ..StorageSettings::default()
    }
}

/// Small segments that nothing expires.
pub fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 16 << 10,
        index_interval_bytes: 1024,
        retention_ms: None,
        ..LogConfig::default()
    }
}

pub fn identity() -> Identity {
    Identity {
        cluster_id: [7; 16],
        node_id: 1,
    }
}

/// A batch of `count` records whose values are `value`.
pub fn batch(count: usize, value: &[u8], timestamp: i64) -> BytesMut {
    let times: Vec<_> = (0..count).map(|_| timestamp).collect();
    batch_at(&times, value, Codec::None)
}

/// A batch with one record per timestamp.
pub fn batch_at(timestamps: &[i64], value: &[u8], codec: Codec) -> BytesMut {
    build::batch(timestamps, value, codec, None)
}

/// A batch of an idempotent producer.
pub fn producer_batch(value: &[u8], producer: (i64, i16, i32)) -> BytesMut {
    build::batch(&[1], value, Codec::None, Some(producer))
}

pub fn now(milliseconds: u64) -> Now {
    Now {
        monotonic: hallows_types::Monotonic(milliseconds * 1_000_000),
        wall: WallTime(i64::try_from(milliseconds).expect("small")),
    }
}

pub const EPOCH: LeaderEpoch = LeaderEpoch(3);
pub const START: Offset = Offset(0);

mod build;
