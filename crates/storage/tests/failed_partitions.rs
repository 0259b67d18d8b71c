//! What a failed partition leaves behind: nothing that others pay for.

mod common;

use common::disk::{Fault, MemoryDisk};
use common::driver::open;
use common::{batch, config, partition, settings};
use hallows_storage::{Durability, LogConfig, Lookup, StorageEvent, TimeTarget};
use hallows_types::{Offset, WallTime};

fn written() -> LogConfig {
    LogConfig {
        durability: Durability::Written,
        ..config()
    }
}

/// Found by the simulation of brokers, seed 2429 of its time: what was replayed and could not be written stayed in the
/// partition's tail and was never counted, so that removing the partition let the count of all tails wrap around.
#[test]
fn one_that_fails_during_replay_can_be_removed() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &settings(), &[], 0);
    let id = partition(1, 0);
    let key = driver.create(id, &config());
    driver.append(key, batch(1, &[3; 700], 0)).expect("room");
    driver.settle();
    let disk = driver.disk.process_kill();
    disk.fail(".log", Fault::Write);
    let mut driver = open(&disk, &settings(), &[(id, config())], 5);
    let key = driver.key(id);
    assert!(
        driver.storage.partition(key).failure().is_some(),
        "nothing was replayed"
    );
    driver.flush();
    driver.storage.remove_partition(key);
    driver.settle();
    assert_eq!(driver.storage.statistics().tail_bytes, 0);
}

#[test]
fn one_that_fails_while_it_serves_keeps_no_batches_in_memory() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &settings(), &[], 0);
    let [fails, serves] = [0, 1].map(|index| driver.create(partition(1, index), &written()));
    driver.append(fails, batch(1, b"good", 0)).expect("room");
    driver.settle();
    driver.disk.fail(&disk.paths_ending(".log")[0], Fault::Write);
    for _ in 0..3 {
        // The first one's write is on its way while the others come.
        driver.append(fails, batch(1, &[3; 700], 0)).expect("not known yet");
        driver.flush();
    }
    driver.settle();
    assert!(driver.storage.partition(fails).failure().is_some());
    assert_eq!(driver.storage.statistics().tail_bytes, 0);
    driver.append(serves, batch(1, b"good", 0)).expect("room");
    driver.settle();
    assert_eq!(driver.storage.partition(serves).high_watermark(), Offset(1));
}

/// The end of the journal fails a partition whose segment write is still on its way.
#[test]
fn one_that_fails_during_a_write_keeps_no_batches_in_memory() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let key = driver.create(partition(1, 0), &config());
    for _ in 0..5 {
        driver.append(key, batch(1, &[3; 700], 0)).expect("room");
        driver.settle();
    }
    driver.append(key, batch(1, &[3; 700], 0)).expect("room");
    driver.disk.fail(".journal", Fault::Durable);
    // A checkpoint writes the tail while the journal's block is on its way.
    driver.time_ms += 120_000;
    let now = driver.now();
    driver.storage.tick(now);
    driver.settle();
    assert!(driver.storage.partition(key).failure().is_some());
    assert_eq!(driver.storage.statistics().tail_bytes, 0);
}

/// Found by the simulation of storage, seed 47: the lookup took the missing tail for the end of the log.
#[test]
fn one_that_fails_does_not_say_that_no_record_is_late_enough() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &settings(), &[], 0);
    let key = driver.create(partition(1, 0), &config());
    driver.append(key, batch(1, &[3; 700], 50)).expect("room");
    driver.settle();
    assert_eq!(driver.storage.partition(key).high_watermark(), Offset(1));
    driver.disk.fail(".journal", Fault::Durable);
    driver.append(key, batch(1, &[3; 700], 60)).expect("not known yet");
    driver.settle();
    assert!(driver.storage.partition(key).failure().is_some());
    driver.events.clear();
    let found = driver.storage.offset_for_time(key, 7, TimeTarget::At(WallTime(40)));
    assert!(matches!(found, Lookup::Pending), "{found:?}");
    driver.settle();
    let told = driver.events.iter().find_map(|event| match event {
        StorageEvent::TimeLookup { request: 7, result } => Some(result),
        _ => None,
    });
    assert!(matches!(told, Some(Err(_))), "{told:?}");
}
