//! A start with fewer shards than before, cut short: what it removed in which order must not look like damage.

mod common;

use common::disk::{Fault, MemoryDisk};
use common::driver::{begin, finish_shards, open, recover};
use common::{batch, config, now, partition, settings};
use hallows_runtime::Random;
use hallows_types::Offset;

/// A directory whose shard 1 has journal files that no checkpoint covers.
fn two_shards() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let recovery = begin(&disk, &settings());
    let mut drivers = finish_shards(&disk, recovery, vec![Vec::new(), Vec::new()], 0);
    let key = drivers[1].create(partition(1, 0), &config());
    for _ in 0..60 {
        drivers[1].append(key, batch(1, &[3; 3000], 0)).expect("room");
        drivers[1].settle();
    }
    disk
}

#[test]
fn a_checkpoint_of_a_shard_that_is_gone_does_not_outlive_its_journals() {
    for seed in 0..64 {
        let mut random = Random::from_seed(seed);
        let disk = two_shards().power_loss(&mut random);
        let journals = disk.paths_ending(".journal");
        let last = journals
            .iter()
            .rfind(|path| path.starts_with("journals/1-"))
            .expect("it was written");
        // The start with one shard dies while it removes the journals of the other.
        disk.fail(last, Fault::Write);
        let mut recovery = begin(&disk, &settings());
        let recovered = recover(&mut recovery, &[(partition(1, 0), config())], 5);
        let ended = recovery.finish(vec![recovered], now(5), &[5]);
        assert!(ended.is_err(), "seed {seed}: {last} could be removed");
        let disk = disk.power_loss(&mut random);
        let mut driver = open(&disk, &settings(), &[(partition(1, 0), config())], 9);
        let key = driver.key(partition(1, 0));
        assert_eq!(
            driver.storage.partition(key).high_watermark(),
            Offset(60),
            "seed {seed}"
        );
        assert!(!driver.read_all(key, Offset(0)).is_empty());
    }
}
