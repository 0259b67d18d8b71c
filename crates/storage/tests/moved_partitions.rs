//! A start that deals partitions out to other shards, cut short: what checkpoints know of them is not lost.

mod common;

use std::time::Duration;

use common::disk::MemoryDisk;
use common::driver::{begin, finish_shards, recover};
use common::{batch, config, now, partition, producer_batch, settings};
use hallows_runtime::Random;
use hallows_storage::{Durability, LogConfig, StorageSettings};
use hallows_types::{Offset, PartitionId};

const SHARDS: usize = 3;
/// The producer whose only batch is deleted.
const PRODUCER: (i64, i16, i32) = (9, 2, 0);

fn quick() -> StorageSettings {
    StorageSettings {
        retention_check_interval: Duration::from_secs(10),
        ..settings()
    }
}

fn written() -> LogConfig {
    LogConfig {
        durability: Durability::Written,
        delete_delay_ms: 0,
        ..config()
    }
}

fn id(shard: usize) -> PartitionId {
    partition(1, i32::try_from(shard).expect("few shards"))
}

/// A directory with one partition per shard, each with a producer that only its checkpoint knows: no batch is left of
/// it.
fn producers_in_checkpoints_only() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let recovery = begin(&disk, &quick());
    let mut drivers = finish_shards(&disk, recovery, (0..SHARDS).map(|_| Vec::new()).collect(), 0);
    for (shard, driver) in drivers.iter_mut().enumerate() {
        let key = driver.create(id(shard), &written());
        driver.append(key, producer_batch(b"deleted", PRODUCER)).expect("room");
        for _ in 0..40 {
            driver.append(key, batch(1, &[1; 1000], 0)).expect("room");
            driver.settle();
        }
        let now = driver.now();
        driver
            .storage
            .delete_records(now, key, Offset(41))
            .expect("the high watermark");
        driver.settle();
        driver.pass(40_000);
        driver.stop();
    }
    disk
}

#[test]
fn producers_of_moved_partitions_survive_a_start_that_is_cut_off() {
    let before = producers_in_checkpoints_only();
    let mut random = Random::from_seed(7);
    let mut cut = 0;
    loop {
        let disk = before.process_kill();
        let ended = start_with_moved_partitions(&disk, cut);
        let disk = disk.power_loss(&mut random);
        let mut recovery = begin(&disk, &quick());
        let recovered = recover(
            &mut recovery,
            &(0..SHARDS).map(|shard| (id(shard), written())).collect::<Vec<_>>(),
            50_000,
        );
        let mut driver = finish_shards(&disk, recovery, vec![recovered], 50_000).remove(0);
        for shard in 0..SHARDS {
            let key = driver.key(id(shard));
            let again = driver
                .append(key, producer_batch(b"deleted", PRODUCER))
                .expect("a repeat");
            assert!(
                again.duplicate,
                "{} forgot its producer, cut off after {cut} changes",
                id(shard)
            );
        }
        if ended {
            break;
        }
        cut += 1;
    }
    assert!(cut > 10, "the start was never cut off between checkpoints");
}

/// Every partition goes to the next shard. Whether the start ended before its disk took no more.
fn start_with_moved_partitions(disk: &MemoryDisk, changes: u64) -> bool {
    let mut recovery = begin(disk, &quick());
    let moved = (0..SHARDS)
        .map(|shard| {
            let from = (shard + SHARDS - 1) % SHARDS;
            recover(&mut recovery, &[(id(from), written())], 45_000)
        })
        .collect();
    disk.cut_off_after(changes);
    recovery.finish(moved, now(45_000), &[1, 2, 3]).is_ok()
}
