//! Producers whose batches were deleted before a segment held them: only the journal knows of them after a crash.

mod common;

use common::disk::MemoryDisk;
use common::driver::{Driver, open};
use common::{config, partition, producer_batch, settings};
use hallows_storage::AppendError;
use hallows_types::Offset;

/// Appends the producer's batches with these sequences.
fn append(driver: &mut Driver, sequences: std::ops::Range<i32>) {
    let key = driver.key(partition(1, 0));
    for sequence in sequences {
        driver
            .append(key, producer_batch(b"deleted", (9, 2, sequence)))
            .expect("room");
        driver.settle();
    }
}

/// Deletes everything, kills the process, and starts again.
fn delete_and_crash(mut driver: Driver, end: i64) -> Driver {
    let key = driver.key(partition(1, 0));
    let now = driver.now();
    driver
        .storage
        .delete_records(now, key, Offset(end))
        .expect("the high watermark");
    driver.settle();
    assert_eq!(driver.storage.partition(key).log_start(), Offset(end));
    let after = open(
        &driver.disk.process_kill(),
        &settings(),
        &[(partition(1, 0), config())],
        driver.time_ms + 1000,
    );
    assert_eq!(after.storage.partition(key).log_start(), Offset(end));
    after
}

/// Whether the producer's last sequence, and nothing else, is what the partition remembers.
fn remembers(driver: &mut Driver, last: i32) {
    let key = driver.key(partition(1, 0));
    let gap = driver.append(key, producer_batch(b"gap", (9, 2, last + 2)));
    assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { .. })), "{gap:?}");
    let again = driver.append(key, producer_batch(b"deleted", (9, 2, last)));
    let again = again.expect("a repeat");
    assert_eq!((again.duplicate, again.base_offset), (true, Offset(last.into())));
    let next = driver.append(key, producer_batch(b"next", (9, 2, last + 1)));
    assert_eq!(next.expect("the next one").base_offset, Offset((last + 1).into()));
}

#[test]
fn a_producer_that_only_the_journal_knows_is_remembered() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    driver.create(partition(1, 0), &config());
    append(&mut driver, 0..3);
    assert!(
        driver
            .disk
            .paths_ending(".log")
            .iter()
            .all(|path| driver.disk.bytes(path).is_empty())
    );
    remembers(&mut delete_and_crash(driver, 3), 2);
}

#[test]
fn what_the_journal_knows_goes_on_from_what_the_checkpoint_knows() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    driver.create(partition(1, 0), &config());
    append(&mut driver, 0..2);
    driver.pass(40_000);
    assert!(driver.storage.statistics().checkpoints > 0);
    append(&mut driver, 2..5);
    remembers(&mut delete_and_crash(driver, 5), 4);
}
