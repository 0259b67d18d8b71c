//! Retention, DeleteRecords, removal, and segments that two manifests share.

mod common;

use common::driver::{Driver, is_replacement, open, split};
use common::{batch, config, disk::MemoryDisk, partition, producer_batch, settings};
use hallows_runtime::Random;
use hallows_storage::{Durability, LogConfig, Recovery, StorageEvent, StorageSettings};
use hallows_types::Offset;
use std::{cell::Cell, time::Duration};

fn quick() -> StorageSettings {
    StorageSettings {
        retention_check_interval: Duration::from_secs(10),
        ..settings()
    }
}

fn config_for(change: impl FnOnce(&mut LogConfig)) -> LogConfig {
    let mut config = LogConfig {
        durability: Durability::Written,
        delete_delay_ms: 5000,
        ..config()
    };
    change(&mut config);
    config
}

fn fill(driver: &mut Driver, config: &LogConfig, batches: i64) -> hallows_storage::PartitionKey {
    let key = driver.create(partition(1, 0), config);
    for number in 0..batches {
        driver.append(key, batch(1, &[1; 1000], number)).expect("room");
        driver.settle();
    }
    key
}

fn logs(driver: &Driver) -> usize {
    driver.disk.paths_ending(".log").len()
}

#[test]
fn old_segments_go_after_their_delay() {
    let mut driver = open(&MemoryDisk::new(), &quick(), &[], 0);
    let config = config_for(|config| config.retention_ms = Some(60_000));
    let key = fill(&mut driver, &config, 50);
    let before = logs(&driver);
    driver.pass(30_000);
    assert_eq!(driver.storage.partition(key).log_start(), Offset(0));
    driver.pass(40_000);
    assert!(driver.events.contains(&StorageEvent::LogStart { key }));
    assert_eq!(logs(&driver), before, "files stay for a while");
    driver.pass(10_001);
    assert_eq!(
        driver.storage.partition(key).log_start(),
        Offset(50),
        "the growing segment expires too"
    );
    driver.pass(6_000);
    assert_eq!(logs(&driver), 0);
    driver.append(key, batch(1, b"next", 80_000)).expect("room");
    driver.settle();
    let bytes = driver.read_all(key, Offset(50));
    assert_eq!(common::driver::batch_base(&bytes), Offset(50), "offsets go on");
    let disk = driver.disk.process_kill();
    let driver = open(&disk, &quick(), &[(partition(1, 0), config)], 90_000);
    let partition = driver.storage.partition(driver.key(partition(1, 0)));
    assert_eq!((partition.log_start(), partition.log_end()), (Offset(50), Offset(51)));
}

#[test]
fn the_oldest_segments_go_while_the_rest_is_large_enough() {
    let mut driver = open(&MemoryDisk::new(), &quick(), &[], 0);
    let config = config_for(|config| config.retention_bytes = Some(20_000));
    let key = fill(&mut driver, &config, 100);
    driver.pass(10_001);
    let partition = driver.storage.partition(key);
    assert!(partition.log_start() > Offset(0));
    assert!(partition.size_bytes() >= 20_000, "{}", partition.size_bytes());
    assert!(partition.size_bytes() < 20_000 + 16_384, "{}", partition.size_bytes());
}

#[test]
fn delete_records_is_durable_before_it_is_answered_in_every_class() {
    for durability in [Durability::Fsync, Durability::Written, Durability::Memory] {
        let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
        let config = config_for(|config| config.durability = durability);
        let key = fill(&mut driver, &config, 50);
        let now = driver.now();
        assert!(
            driver.storage.delete_records(now, key, Offset(51)).is_err(),
            "above the high watermark"
        );
        assert!(
            !driver
                .storage
                .delete_records(now, key, Offset(45))
                .expect("within the log")
        );
        assert_eq!(
            driver.storage.partition(key).log_start(),
            Offset(0),
            "not before it is durable"
        );
        driver.settle();
        assert!(driver.events.contains(&StorageEvent::LogStart { key }));
        assert_eq!(driver.storage.partition(key).log_start(), Offset(45));
        assert!(
            driver
                .storage
                .delete_records(now, key, Offset(45))
                .expect("already there")
        );
        for seed in 0..10 {
            let disk = driver.disk.power_loss(&mut hallows_runtime::Random::from_seed(seed));
            let after = open(&disk, &settings(), &[(partition(1, 0), config.clone())], 9);
            let found = after.storage.partition(after.key(partition(1, 0)));
            assert_eq!(found.log_start(), Offset(45), "{durability:?}");
            assert!(found.log_end() >= Offset(45));
        }
    }
}

/// Found by the simulation of brokers, seed 983 of its time: the last checkpoint had noted the old log start, and the start
/// after an orderly end reads no journal.
#[test]
fn records_deleted_while_storage_ends_stay_deleted_or_are_refused() {
    for steps in 0..12 {
        let mut driver = open(&MemoryDisk::new(), &quick(), &[], 0);
        let config = config_for(|config| config.durability = Durability::Fsync);
        let key = fill(&mut driver, &config, 50);
        let now = driver.now();
        driver.storage.shut_down(now);
        for _ in 0..steps {
            driver.flush();
            driver.perform_one(&mut Random::from_seed(1));
        }
        // No segment goes with them, so no manifest tells the log start.
        let _ = driver.storage.delete_records(now, key, Offset(5));
        driver.settle();
        let told = driver.storage.partition(key).log_start();
        assert!(driver.events.contains(&StorageEvent::Stopped { clean: true }));
        Recovery::mark_clean(&driver.disk).expect("writable");
        let driver = open(&driver.disk, &quick(), &[(partition(1, 0), config)], 9);
        let found = driver.storage.partition(driver.key(partition(1, 0))).log_start();
        assert_eq!(found, told, "deleted after {steps} steps of the end");
    }
}

/// A segment that was sealed while a manifest listing it was on its way, and lay below the log start by then, was
/// removed when that manifest had arrived (simulation, then seed 259).
#[test]
fn a_power_loss_between_two_manifests_finds_every_segment_that_the_first_one_lists() {
    let mut driver = open(&MemoryDisk::new(), &quick(), &[], 0);
    let config = config_for(|config| config.delete_delay_ms = 0);
    let id = partition(1, 0);
    let key = fill(&mut driver, &config, 1);
    for round in 0..60 {
        // A checkpoint knows a part of the segment that is filled next, so it has to be there.
        driver.append(key, batch(1, &[1; 1000], 0)).expect("room");
        driver.pass(11_000);
        for number in 0..16 {
            driver.append(key, batch(1, &[1; 1000], number)).expect("room");
        }
        driver.settle_without(is_replacement);
        let (now, end) = (driver.now(), driver.storage.partition(key).high_watermark());
        driver.storage.delete_records(now, key, end).expect("within the log");
        driver.settle_without(is_replacement);
        let released = Cell::new(false);
        driver.settle_without(|op| is_replacement(op) && released.replace(true));
        let now = driver.now();
        driver.storage.tick(now);
        driver.settle_without(is_replacement);
        let disk = driver.disk.power_loss(&mut Random::from_seed(round));
        let found = open(&disk, &quick(), &[(id, config.clone())], 1);
        let failure = found.storage.partition(found.key(id)).failure();
        assert!(failure.is_none(), "round {round}: {failure:?}");
    }
    assert!(driver.storage.statistics().segments_removed > 5);
}

#[test]
fn producers_survive_restart_roll_and_delete_records_and_expire() {
    let mut driver = open(&MemoryDisk::new(), &quick(), &[], 0);
    let id = partition(1, 0);
    let config = config_for(|config| config.producer_id_expiration_ms = 100_000);
    let key = driver.create(id, &config);
    driver.append(key, producer_batch(b"first", (9, 2, 0))).expect("room");
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
    let disk = driver.disk.process_kill();
    let mut driver = open(&disk, &quick(), &[(id, config)], 50_000);
    let key = driver.key(id);
    let again = driver
        .append(key, producer_batch(b"first", (9, 2, 0)))
        .expect("a repeat");
    assert!(again.duplicate);
    assert_eq!(again.base_offset, Offset(0));
    assert_eq!(driver.storage.producers(key).count(), 1);
    driver.pass(150_000);
    assert_eq!(driver.storage.producers(key).count(), 0);
}

#[test]
fn a_removed_partition_leaves_no_file() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let config = config_for(|_| {});
    let key = fill(&mut driver, &config, 60);
    driver.append(key, batch(1, b"in flight", 0)).expect("room");
    driver.storage.remove_partition(key);
    assert_eq!(driver.storage.find(partition(1, 0)), None);
    driver.settle();
    let paths = driver.disk.paths();
    assert!(
        !paths
            .iter()
            .any(|path| path.starts_with("segments") || path.starts_with("partitions")),
        "{paths:?}"
    );
}

#[test]
fn a_topic_that_is_not_recovered_leaves_no_file() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    fill(&mut driver, &config_for(|_| {}), 60);
    let disk = driver.disk.process_kill();
    let driver = open(&disk, &settings(), &[], 9);
    let paths = driver.disk.paths();
    assert!(
        !paths
            .iter()
            .any(|path| path.starts_with("segments") || path.starts_with("partitions")),
        "{paths:?}"
    );
}

#[test]
fn two_manifests_share_segments_and_either_may_go() {
    for parent_goes in [true, false] {
        for restarted in [false, true] {
            let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
            let config = config_for(|_| {});
            let (parent, fork) = (partition(1, 0), partition(2, 0));
            let key = fill(&mut driver, &config, 60);
            let fork_key = driver.storage.fork_sealed(key, fork);
            driver.settle();
            let shared = driver.read_all(fork_key, Offset(0));
            assert!(split(&shared).len() > 30);
            assert!(driver.read_all(key, Offset(0)).starts_with(&shared));
            driver
                .append(fork_key, batch(1, b"only here", 0))
                .expect("a fork is writable");
            driver.settle();
            if restarted {
                let disk = driver.disk.process_kill();
                driver = open(
                    &disk,
                    &settings(),
                    &[(parent, config.clone()), (fork, config.clone())],
                    9,
                );
            }
            let [gone, left] = if parent_goes { [parent, fork] } else { [fork, parent] };
            let left_key = driver.key(left);
            let before = driver.read_all(left_key, Offset(0));
            let gone_key = driver.key(gone);
            driver.storage.remove_partition(gone_key);
            driver.settle();
            assert_eq!(
                driver.read_all(left_key, Offset(0)),
                before,
                "the other reads identical bytes"
            );
            driver.storage.remove_partition(left_key);
            driver.settle();
            let paths = driver.disk.paths();
            assert!(
                !paths.iter().any(|path| path.starts_with("segments")),
                "nothing leaks: {paths:?}"
            );
        }
    }
}
