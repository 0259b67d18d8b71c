//! A checkpoint waits for manifests. A partition whose manifest it waits for may fail or be removed meanwhile; the
//! checkpoint goes on without it. One that never ended would never free the journal, and would hold up the end of the
//! shard for ever (found by the simulation of brokers, seeds 1858 and 1892 of their time).

mod common;

use common::disk::{Fault, MemoryDisk};
use common::driver::{Driver, open};
use common::{batch, config, partition, settings};
use hallows_runtime::Random;
use hallows_storage::{Durability, LogConfig, StorageEvent};
use hallows_types::PartitionId;

fn written() -> LogConfig {
    LogConfig {
        durability: Durability::Written,
        segment_bytes: 4 << 10,
        ..config()
    }
}

const GOES: fn() -> PartitionId = || partition(1, 0);
const STAYS: fn() -> PartitionId = || partition(2, 0);

/// A shard somewhere in the middle of a checkpoint, while its partitions need new segments.
fn in_the_middle(random: &mut Random) -> Driver {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    for id in [GOES(), STAYS()] {
        driver.create(id, &written());
    }
    append_to_both(&mut driver, 20);
    driver.settle();
    driver.time_ms += u64::try_from(settings().checkpoint_interval.as_millis()).expect("short") + 1;
    append_to_both(&mut driver, 6);
    let now = driver.now();
    driver.storage.tick(now);
    for _ in 0..random.below(24) {
        driver.flush();
        driver.perform_one(random);
    }
    driver
}

fn append_to_both(driver: &mut Driver, count: usize) {
    for _ in 0..count {
        for id in [GOES(), STAYS()] {
            let key = driver.key(id);
            driver.append(key, batch(1, &[5; 700], 0)).expect("room");
        }
    }
}

/// Whether the shard ends, which takes the end of its checkpoint.
fn ends(driver: &mut Driver) -> bool {
    driver.settle();
    let now = driver.now();
    driver.storage.shut_down(now);
    driver.settle();
    matches!(driver.events.last(), Some(StorageEvent::Stopped { .. }))
}

#[test]
fn a_partition_that_is_removed_does_not_hold_up_the_checkpoint() {
    for seed in 0..400 {
        let mut driver = in_the_middle(&mut Random::from_seed(seed));
        let key = driver.key(GOES());
        driver.storage.remove_partition(key);
        assert!(ends(&mut driver), "seed {seed}");
    }
}

#[test]
fn a_partition_that_fails_does_not_hold_up_the_checkpoint() {
    for seed in 0..400 {
        let mut driver = in_the_middle(&mut Random::from_seed(seed));
        let manifest = format!("partitions/{}/0.manifest", GOES().topic);
        assert!(driver.disk.paths().contains(&manifest), "{manifest}");
        driver.disk.fail(&manifest, Fault::Write);
        assert!(ends(&mut driver), "seed {seed}");
        let stays = driver.key(STAYS());
        assert!(driver.storage.partition(stays).failure().is_none());
    }
}
