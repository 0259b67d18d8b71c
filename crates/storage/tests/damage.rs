//! Damage on disk, one class per test: a clear message, and nothing lost that was not damaged.

mod common;

use std::sync::Arc;

use common::disk::{Fault, MemoryDisk};
use common::driver::{Driver, begin, finish, open, recover, split};
use common::{batch, config, identity, partition, settings};
use hallows_storage::{AppendError, Durability, Failure, LogConfig, Recovery, StorageEvent};
use hallows_types::{Offset, PartitionId};

const BATCHES: i64 = 100;

fn written() -> LogConfig {
    LogConfig {
        durability: Durability::Written,
        ..config()
    }
}

fn ids() -> [(PartitionId, LogConfig); 2] {
    [(partition(1, 0), written()), (partition(2, 0), written())]
}

/// Two partitions with a hundred batches each, in several segments, cleanly stopped or killed.
fn filled(clean: bool) -> (MemoryDisk, Vec<u8>) {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    for (id, config) in ids() {
        let key = driver.create(id, &config);
        for number in 0..BATCHES {
            driver
                .append(key, batch(1, &[number.to_le_bytes()[0]; 700], number))
                .expect("room");
            driver.settle();
        }
    }
    let key = driver.key(partition(2, 0));
    let expected = driver.read_all(key, Offset(0));
    let disk = if clean {
        driver.shut_down()
    } else {
        driver.disk.process_kill()
    };
    (disk, expected)
}

/// Recovers both partitions; the first one's failure. The second must be whole.
fn failure_of_first(disk: &MemoryDisk, expected: &[u8]) -> (Driver, Option<Failure>) {
    let mut recovery = begin(disk, &settings());
    let recovered = recover(&mut recovery, &ids(), 5);
    let failure = recovered[0].failure().cloned();
    let mut driver = finish(disk, recovery, recovered, 5);
    let key = driver.key(partition(2, 0));
    assert_eq!(driver.read_all(key, Offset(0)), expected, "the undamaged partition");
    driver
        .append(key, batch(1, b"goes on", 0))
        .expect("the undamaged partition accepts appends");
    driver.settle();
    (driver, failure)
}

/// Segments of the first partition, oldest first: found through its manifest.
fn segments(disk: &MemoryDisk) -> Vec<String> {
    let manifest = hallows_storage::format::Manifest::decode(&disk.bytes(&manifest_path())).expect("valid");
    manifest
        .entries
        .iter()
        .map(|entry| format!("segments/{:02x}/{}.log", entry.id.0[0], entry.id))
        .collect()
}

fn manifest_path() -> String {
    format!("partitions/{}/0.manifest", partition(1, 0).topic)
}

fn check(failure: Option<Failure>, words: &[&str]) {
    let text = failure.expect("the damage is noticed").to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn a_sealed_segment_that_is_cut_fails_its_partition() {
    let (disk, expected) = filled(true);
    let path = segments(&disk).remove(0);
    disk.edit(&path, |bytes| bytes.truncate(1000));
    let (mut driver, failure) = failure_of_first(&disk, &expected);
    check(
        failure,
        &[&path, "at byte 1000", "sealed with", "Restore it from a copy"],
    );
    let key = driver.key(partition(1, 0));
    let error = driver.append(key, batch(1, b"x", 0)).expect_err("a failed partition");
    assert!(matches!(error, AppendError::Failed(_)));
    assert!(
        segments(&disk).iter().all(|path| disk.paths().contains(path)),
        "its files are kept"
    );
}

#[test]
fn a_missing_segment_fails_its_partition_and_comes_back_when_restored() {
    let (disk, expected) = filled(true);
    let path = segments(&disk).remove(1);
    let bytes = disk.bytes(&path);
    disk.delete(&path);
    let (driver, failure) = failure_of_first(&disk, &expected);
    check(failure, &[&path, "the segment is missing"]);
    let disk = driver.disk.process_kill();
    disk.put(&path, bytes);
    let (mut driver, failure) = failure_of_first_after_append(&disk);
    assert_eq!(failure, None, "restored");
    let key = driver.key(partition(1, 0));
    assert_eq!(split(&driver.read_all(key, Offset(0))).len(), 100);
}

fn failure_of_first_after_append(disk: &MemoryDisk) -> (Driver, Option<Failure>) {
    let mut recovery = begin(disk, &settings());
    let recovered = recover(&mut recovery, &ids(), 9);
    let failure = recovered[0].failure().cloned();
    (finish(disk, recovery, recovered, 9), failure)
}

#[test]
fn a_synced_open_segment_that_is_cut_fails_its_partition() {
    let (disk, expected) = filled(true);
    let path = segments(&disk)
        .into_iter()
        .rfind(|path| !disk.bytes(path).is_empty())
        .expect("the growing segment");
    disk.edit(&path, |bytes| bytes.truncate(10));
    let (_, failure) = failure_of_first(&disk, &expected);
    check(failure, &[&path, "at byte 10", "were synced", "Restore it from a copy"]);
}

#[test]
fn a_torn_tail_above_what_is_synced_is_cut_off() {
    let (disk, expected) = filled(false);
    let path = segments(&disk)
        .into_iter()
        .rfind(|path| !disk.bytes(path).is_empty())
        .expect("the growing segment");
    disk.edit(&path, |bytes| {
        let len = bytes.len();
        bytes.truncate(len - 5);
    });
    let (mut driver, failure) = failure_of_first(&disk, &expected);
    assert_eq!(failure, None);
    let key = driver.key(partition(1, 0));
    assert_eq!(driver.storage.partition(key).log_end(), Offset(BATCHES - 1));
    assert_eq!(split(&driver.read_all(key, Offset(0))).len(), 99);
}

#[test]
fn a_damaged_batch_in_a_sealed_segment_fails_only_the_reads_that_meet_it() {
    let (disk, expected) = filled(true);
    let path = segments(&disk).remove(0);
    // The length of the third batch.
    let one = batch(1, &[0; 700], 0).len();
    disk.edit(&path, |bytes| bytes[2 * one + 8..2 * one + 12].fill(0xff));
    let index = path.replace(".log", ".index");
    disk.edit(&index, |bytes| bytes[30] ^= 1);
    let (mut driver, failure) = failure_of_first(&disk, &expected);
    assert_eq!(failure, None, "sealed segments are not scanned at start");
    let key = driver.key(partition(1, 0));
    let error = driver
        .read(key, Offset(4), 100, true)
        .expect_err("it must walk over the damage");
    let text = error.to_string();
    assert!(text.contains(&path) && text.contains("impossible length"), "{text}");
    let last = driver
        .read(key, Offset(BATCHES - 1), 1 << 20, true)
        .expect("behind the damage");
    assert_eq!(split(&last).len(), 1);
}

#[test]
fn a_damaged_or_missing_index_is_rebuilt() {
    let (disk, expected) = filled(true);
    let paths = segments(&disk);
    let index = |number: usize| paths[number].replace(".log", ".index");
    disk.edit(&index(0), |bytes| bytes[40] ^= 1);
    disk.delete(&index(1));
    let (mut driver, failure) = failure_of_first(&disk, &expected);
    assert_eq!(failure, None);
    let key = driver.key(partition(1, 0));
    for offset in 0..BATCHES {
        let bytes = driver.read(key, Offset(offset), 10, true).expect("readable");
        assert_eq!(common::driver::batch_base(&bytes), Offset(offset));
    }
    assert!(driver.disk.paths().contains(&index(1)), "written again");
}

#[test]
fn a_damaged_manifest_fails_its_partition_and_removes_nothing() {
    let (disk, expected) = filled(true);
    let before = segments(&disk);
    disk.edit(&manifest_path(), |bytes| bytes[50] ^= 1);
    let (driver, failure) = failure_of_first(&disk, &expected);
    check(
        failure,
        &[&manifest_path(), "wrong checksum", "its segments are still there"],
    );
    assert!(before.iter().all(|path| driver.disk.paths().contains(path)));
}

#[test]
fn a_missing_manifest_fails_its_partition_and_removes_nothing() {
    let (disk, expected) = filled(true);
    let before = segments(&disk);
    disk.delete(&manifest_path());
    let (driver, failure) = failure_of_first(&disk, &expected);
    check(failure, &[&manifest_path(), "the manifest is missing"]);
    assert!(before.iter().all(|path| driver.disk.paths().contains(path)));
}

#[test]
fn a_damaged_checkpoint_costs_a_scan_and_nothing_else() {
    let (disk, expected) = filled(true);
    disk.edit("checkpoint-0", |bytes| bytes[60] ^= 1);
    let (mut driver, failure) = failure_of_first(&disk, &expected);
    assert_eq!(failure, None);
    let key = driver.key(partition(1, 0));
    assert_eq!(split(&driver.read_all(key, Offset(0))).len(), 100);
}

fn fsync_ids() -> [(PartitionId, LogConfig); 2] {
    [(partition(1, 0), config()), (partition(2, 0), config())]
}

/// Three journal blocks: first partition, second, first; nothing in segments yet.
fn journalled() -> (MemoryDisk, String) {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let keys = fsync_ids().map(|(id, config)| driver.create(id, &config));
    for key in [keys[0], keys[1], keys[0]] {
        driver.append(key, batch(1, b"journalled", 0)).expect("room");
        driver.settle();
    }
    let disk = driver.disk.process_kill();
    let journal = disk.paths_ending(".journal").remove(0);
    (disk, journal)
}

#[test]
fn a_torn_journal_tail_is_dropped() {
    let (disk, journal) = journalled();
    disk.edit(&journal, |bytes| bytes[2 * 4096 + 150] ^= 1);
    let mut driver = open(&disk, &settings(), &fsync_ids(), 5);
    let [first, second] = fsync_ids().map(|(id, _)| driver.key(id));
    assert_eq!(driver.storage.partition(first).log_end(), Offset(1));
    assert_eq!(
        driver.read_all(second, Offset(0)).len(),
        batch(1, b"journalled", 0).len()
    );
}

#[test]
fn a_damaged_payload_in_the_journals_middle_fails_the_partitions_in_it() {
    let (disk, journal) = journalled();
    disk.edit(&journal, |bytes| bytes[4096 + 150] ^= 1);
    let mut recovery = begin(&disk, &settings());
    let recovered = recover(&mut recovery, &fsync_ids(), 5);
    assert_eq!(recovered[0].failure(), None);
    assert_eq!(recovered[0].log_end(), Offset(2));
    check(
        recovered[1].failure().cloned(),
        &[&journal, "wrong checksum", "Restore the journal"],
    );
    let driver = finish(&disk, recovery, recovered, 5);
    assert!(
        driver.disk.paths().contains(&journal),
        "the journal is kept for its failed partition"
    );
    // Repaired from a copy, the batch is there again.
    let disk = driver.disk.process_kill();
    disk.edit(&journal, |bytes| bytes[4096 + 150] ^= 1);
    let driver = open(&disk, &settings(), &fsync_ids(), 7);
    let key = driver.key(partition(2, 0));
    assert_eq!(driver.storage.partition(key).failure(), None);
    assert_eq!(driver.storage.partition(key).log_end(), Offset(1));
}

#[test]
fn a_damaged_head_in_the_journals_middle_stops_the_start() {
    let (disk, journal) = journalled();
    // A checkpoint says where the journal has to begin.
    disk.edit(&journal, |bytes| bytes[4096 + 10] ^= 1);
    let error = Recovery::begin(Arc::new(disk.clone()), settings(), identity)
        .err()
        .expect("damage");
    let text = error.to_string();
    assert!(
        text.contains(&journal) && text.contains("unreadable") && text.contains("at byte 8192"),
        "{text}"
    );
}

#[test]
fn a_directory_of_a_newer_format_is_refused() {
    let (disk, _) = filled(true);
    disk.edit("hallows.format", |bytes| bytes[8] = 9);
    let error = Recovery::begin(Arc::new(disk), settings(), identity)
        .err()
        .expect("newer");
    assert_eq!(
        error.to_string(),
        "cannot start: the data directory uses format 9, this build reads formats 1 to 1. \
         Run a newer release, or point log.dirs at an empty directory"
    );
}

#[test]
fn data_without_its_format_file_is_refused() {
    let (disk, _) = filled(true);
    disk.delete("hallows.format");
    let error = Recovery::begin(Arc::new(disk), settings(), identity)
        .err()
        .expect("no format");
    let text = error.to_string();
    assert!(
        text.contains("hallows.format") && text.contains("missing although there is data"),
        "{text}"
    );
}

#[test]
fn a_read_only_directory_says_so() {
    let disk = MemoryDisk::new();
    disk.set_read_only(true);
    let error = Recovery::begin(Arc::new(disk), settings(), identity)
        .err()
        .expect("read-only");
    let text = error.to_string();
    assert!(text.contains("must be writable by this user"), "{text}");
}

#[test]
fn a_full_disk_refuses_appends_and_loses_nothing() {
    for class in [Durability::Fsync, Durability::Written, Durability::Memory] {
        let disk = MemoryDisk::new();
        let mut driver = open(&disk, &settings(), &[], 0);
        let config = LogConfig {
            durability: class,
            ..config()
        };
        let id = partition(1, 0);
        let key = driver.create(id, &config);
        disk.set_free_bytes(120_000);
        let mut acknowledged = 0;
        for number in 0..2000_u64 {
            match driver.append(key, batch(1, &[7; 700], 0)) {
                Ok(_) => {}
                Err(AppendError::Full | AppendError::Busy) => break,
                Err(error) => panic!("{class:?}: {error}"),
            }
            driver.settle();
            acknowledged = driver.storage.partition(key).high_watermark().0;
            if number % 10 == 0 {
                driver.pass(1000);
            }
        }
        driver.pass(2000);
        let error = driver.append(key, batch(1, b"x", 0)).expect_err("full");
        assert!(error.to_string().contains("the disk is full"), "{class:?}: {error}");
        assert!(acknowledged > 10, "{class:?}: {acknowledged}");
        let before = driver.read_all(key, Offset(0));
        disk.set_free_bytes(u64::MAX);
        driver.events.clear();
        driver.pass(2000);
        assert!(driver.events.contains(&StorageEvent::Writable), "{class:?}");
        driver.append(key, batch(1, b"x", 0)).expect("room again");
        driver.settle();
        let disk = driver.shut_down();
        let mut driver = open(&disk, &settings(), &[(id, config)], 9);
        let key = driver.key(id);
        assert!(driver.read_all(key, Offset(0)).starts_with(&before), "{class:?}");
        assert!(driver.storage.partition(key).log_end().0 > acknowledged);
    }
}

#[test]
fn without_descriptors_appends_wait_and_nothing_fails() {
    for class in [Durability::Fsync, Durability::Written, Durability::Memory] {
        let disk = MemoryDisk::new();
        let mut driver = open(&disk, &settings(), &[], 0);
        let config = LogConfig {
            durability: class,
            ..config()
        };
        let id = partition(1, 0);
        let key = driver.create(id, &config);
        driver.append(key, batch(1, b"before", 0)).expect("room");
        driver.settle();
        // Journal files, segments, manifests, indexes and the checkpoint.
        disk.fail("", Fault::Descriptors);
        let mut accepted = 1;
        let refused = loop {
            match driver.append(key, batch(1, &[7; 700], 0)) {
                Ok(_) => accepted += 1,
                Err(refused) => break refused,
            }
            driver.settle();
            driver.pass(20);
            assert!(accepted < 10_000, "{class:?}: appends are bounded");
        };
        assert!(matches!(refused, AppendError::Busy), "{class:?}: {refused}");
        assert!(accepted > 50, "{class:?}: {accepted}");
        driver.pass(15_000);
        disk.heal();
        driver.events.clear();
        driver.pass(3000);
        assert_eq!(
            driver.storage.partition(key).high_watermark(),
            Offset(accepted),
            "{class:?}"
        );
        // The next checkpoint frees the journal.
        driver.pass(10_000);
        assert!(driver.events.contains(&StorageEvent::Writable), "{class:?}");
        driver.append(key, batch(1, b"after", 0)).expect("served again");
        driver.settle();
        let disk = driver.shut_down();
        let driver = open(&disk, &settings(), &[(id, config)], 9);
        assert_eq!(driver.storage.partition(driver.key(id)).log_end(), Offset(accepted + 1));
    }
}

#[test]
fn a_failed_journal_write_is_final() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let fsync = driver.create(partition(1, 0), &config());
    let other = driver.create(partition(2, 0), &written());
    driver.append(fsync, batch(1, b"good", 0)).expect("room");
    driver.settle();
    driver.disk.fail(".journal", Fault::Durable);
    driver.append(fsync, batch(1, b"lost", 0)).expect("not known yet");
    driver.settle();
    assert_eq!(driver.storage.partition(fsync).high_watermark(), Offset(1));
    let failed = driver
        .events
        .iter()
        .any(|event| matches!(event, StorageEvent::Failed { key, .. } if *key == fsync));
    assert!(failed);
    let text = driver.append(fsync, batch(1, b"x", 0)).expect_err("final").to_string();
    assert!(
        text.contains("journals/0-0.journal") && text.contains("Check the disk and start again"),
        "{text}"
    );
    driver
        .append(other, batch(1, b"x", 0))
        .expect("does not depend on the journal");
    driver.settle();
    assert_eq!(driver.storage.partition(other).high_watermark(), Offset(1));
}

#[test]
fn a_failed_segment_write_fails_its_partition_only() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let keys = [0, 1].map(|index| driver.create(partition(1, index), &written()));
    for key in keys {
        driver.append(key, batch(1, b"good", 0)).expect("room");
        driver.settle();
    }
    let first = segments(&driver.disk).remove(0);
    driver.disk.fail(&first, Fault::Write);
    for key in keys {
        driver.append(key, batch(1, b"more", 0)).expect("not known yet");
        driver.settle();
    }
    assert_eq!(driver.storage.partition(keys[0]).high_watermark(), Offset(1));
    assert!(driver.storage.partition(keys[0]).failure().is_some());
    assert_eq!(driver.storage.partition(keys[1]).high_watermark(), Offset(2));
}

#[test]
fn a_failed_sync_of_a_journalled_segment_ends_the_journal() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let key = driver.create(partition(1, 0), &config());
    driver.append(key, batch(1, b"good", 0)).expect("room");
    driver.settle();
    driver.disk.fail(".log", Fault::Sync);
    // The file is created and synced before it fails only if the fault comes later; either way it is final.
    driver.pass(60_000);
    driver.pass(60_000);
    assert!(driver.storage.partition(key).failure().is_some());
    let disk = driver.disk.process_kill();
    let mut driver = open(&disk, &settings(), &[(partition(1, 0), config())], 9);
    let key = driver.key(partition(1, 0));
    assert_eq!(
        split(&driver.read_all(key, Offset(0))).len(),
        1,
        "the journal still has it"
    );
}
