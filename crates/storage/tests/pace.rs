//! What storage does beside durable writes comes in small steps, or not at all.

mod common;

use common::driver::{Driver, open};
use common::{batch, config, disk::MemoryDisk, partition, settings};
use hallows_storage::{LogConfig, PartitionKey, StorageSettings};
use hallows_types::Offset;

const KIB: u64 = 1 << 10;

/// Settings that hand every 16 KiB of a segment to the disk.
fn writing_back() -> StorageSettings {
    StorageSettings {
        segment_writeback_bytes: 16 << 10,
        ..settings()
    }
}

/// A topic whose appends do not touch the journal.
fn written() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 20,
        durability: hallows_storage::Durability::Written,
        ..config()
    }
}

/// As many journal blocks as make a journal one in use.
fn wait_for_durable_writes(driver: &mut Driver, durable: PartitionKey) {
    for _ in 0..8 {
        driver.append(durable, batch(1, &[3; 10], 0)).expect("room");
        driver.settle();
    }
}

#[test]
fn freed_journal_files_are_used_again() {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let key = driver.create(partition(1, 0), &config());
    let mut files = Vec::new();
    for round in 0..4 {
        for _ in 0..600 {
            driver.append(key, batch(1, &[3; 3000], 0)).expect("room");
            driver.settle();
        }
        let found = driver.disk.paths_ending(".journal");
        let bytes: usize = found.iter().map(|path| driver.disk.bytes(path).len()).sum();
        assert!(bytes <= 1 << 20, "{bytes} bytes in {found:?}");
        if round > 0 {
            assert_eq!(found, files, "round {round}: none made, none removed");
        }
        files = found;
    }
    assert!(driver.storage.statistics().checkpoints > 8);
}

#[test]
fn the_next_journal_file_is_made_a_little_per_block() {
    let settings = StorageSettings {
        journal_bytes_max: 8 << 20,
        journal_file_bytes: 1 << 20,
        journal_first_file_bytes: 64 * KIB,
        ..settings()
    };
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &settings, &[], 0);
    let key = driver.create(partition(1, 0), &config());
    assert_eq!(disk.zeros(), [64 * KIB], "the first file");
    // 16 blocks fill the first file; the second is begun at an eighth and ready at three quarters.
    let mut zeroed = Vec::new();
    for number in 1..=16 {
        driver.append(key, batch(1, &[3; 3000], 0)).expect("room");
        driver.settle();
        assert_eq!(driver.storage.partition(key).high_watermark(), Offset(number));
        zeroed.push(disk.zeros()[1..].iter().sum::<u64>() / KIB);
    }
    assert_eq!(zeroed[1], 0, "not begun before it is likely to be needed");
    assert!(zeroed[3] > 0 && zeroed[5] < 80 && zeroed[7] < 100, "{zeroed:?}");
    assert_eq!(zeroed[11], 128, "{zeroed:?}");
    let largest = disk.zeros()[1..].iter().copied().max();
    assert!(largest <= Some(48 * KIB), "{largest:?}");
}

#[test]
fn segments_are_written_back_as_they_grow_beside_durable_writes() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &writing_back(), &[], 0);
    let bulk = driver.create(partition(1, 0), &written());
    let durable = driver.create(partition(1, 1), &config());
    let grow = |driver: &mut Driver| {
        for _ in 0..100 {
            driver.append(bulk, batch(1, &[3; 3000], 0)).expect("room");
            driver.settle();
        }
    };
    wait_for_durable_writes(&mut driver, durable);
    grow(&mut driver);
    let ranges = disk.written_back();
    let mut end = 0;
    for (start, len) in &ranges {
        assert_eq!(*start, end, "each byte once: {ranges:?}");
        assert!((16 * KIB..20 * KIB).contains(len), "{ranges:?}");
        end = start + len;
    }
    let size = disk.bytes(&disk.paths_ending(".log")[0]).len() as u64;
    assert!(size - end < 16 * KIB, "{end} of {size}");

    driver.time_ms += 1000;
    grow(&mut driver);
    assert_eq!(disk.written_back(), ranges, "no durable write within a second");

    wait_for_durable_writes(&mut driver, durable);
    grow(&mut driver);
    assert!(disk.written_back().len() > ranges.len(), "they are back");
}

#[test]
fn segments_are_left_to_the_kernel_without_durable_writes() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &writing_back(), &[], 0);
    let key = driver.create(partition(1, 0), &written());
    for _ in 0..100 {
        driver.append(key, batch(1, &[3; 3000], 0)).expect("room");
        driver.settle();
    }
    assert_eq!(disk.written_back(), []);
}

#[test]
fn early_writing_back_can_be_left_to_the_kernel() {
    let settings = StorageSettings {
        segment_writeback_bytes: 0,
        ..settings()
    };
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &settings, &[], 0);
    let key = driver.create(partition(1, 0), &config());
    for _ in 0..100 {
        driver.append(key, batch(1, &[3; 3000], 0)).expect("room");
        driver.settle();
    }
    assert_eq!(disk.written_back(), []);
}
