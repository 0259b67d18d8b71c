//! A full disk has a way out: clients are refused, the node itself goes on with what is held for it, whatever frees room
//! works, and the end of the shortage needs nobody.

mod common;

use common::driver::{Driver, open, split};
use common::{batch, config, disk::MemoryDisk, partition, settings};
use hallows_runtime::DiskOp;
use hallows_storage::{
    AppendError, Durability, Failure, LogConfig, Origin, PartitionKey, StorageEvent, StorageSettings,
};
use hallows_types::Offset;

const PIECES: usize = 8;
const PIECE_BYTES: u64 = 32 << 10;
/// What clients may fill in these tests.
const ROOM: u64 = 3 << 20;

fn held() -> StorageSettings {
    StorageSettings {
        disk_reserve_bytes: PIECE_BYTES * PIECES as u64,
        ..settings()
    }
}

fn class(durability: Durability) -> LogConfig {
    LogConfig { durability, ..config() }
}

fn pieces(driver: &Driver) -> usize {
    driver
        .disk
        .paths()
        .iter()
        .filter(|path| path.starts_with("reserve/"))
        .count()
}

/// Lets a time pass in steps of an event loop's size.
fn wait(driver: &mut Driver, milliseconds: u64) {
    for _ in 0..milliseconds / 10 {
        driver.pass(10);
    }
}

/// Appends as a client until the disk is full.
fn fill(driver: &mut Driver, key: PartitionKey) {
    for _ in 0..100_000 {
        match driver.append(key, batch(1, &[7; 900], 0)) {
            Err(AppendError::Full) => return,
            Err(AppendError::Busy) => driver.pass(10),
            appended => drop(appended.expect("only room may be missing")),
        }
        driver.settle();
        driver.pass(1);
    }
    panic!("the disk is never full");
}

/// A broker's storage on a disk that its client has filled.
fn full(durability: Durability) -> (Driver, PartitionKey) {
    let disk = MemoryDisk::new();
    disk.set_free_bytes(ROOM);
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(partition(1, 0), &class(durability));
    // A full disk is given what the journal can spare, so that there may be room again for a while.
    for _ in 0..10 {
        fill(&mut driver, key);
        wait(&mut driver, 3000);
        if driver.append(key, batch(1, b"x", 0)).is_err() {
            return (driver, key);
        }
        driver.settle();
    }
    panic!("room comes from nowhere");
}

fn resumes(driver: &mut Driver, key: PartitionKey) {
    driver.append(key, batch(1, b"again", 0)).expect("there is room again");
    driver.settle();
    assert_eq!(pieces(driver), PIECES, "the reserve is whole before clients append");
}

#[test]
fn clients_are_refused_before_the_reserve_is_touched_and_the_node_goes_on() {
    for durability in [Durability::Fsync, Durability::Written, Durability::Memory] {
        let (mut driver, key) = full(durability);
        assert_eq!(pieces(&driver), PIECES, "{durability:?}");
        let left = driver.disk.free_bytes();
        assert!(left < ROOM / 4, "{durability:?}: {left} of the room is left unused");
        let end = driver.storage.partition(key).log_end();
        let own = driver.create(partition(9, 0), &class(Durability::Fsync));
        for _ in 0..200 {
            driver
                .append_as(Origin::Internal, own, batch(1, &[1; 100], 0))
                .expect("the node itself");
            driver.settle();
            driver.pass(20);
        }
        assert_eq!(
            driver.storage.partition(own).high_watermark(),
            Offset(200),
            "{durability:?}"
        );
        assert_eq!(driver.storage.partition(key).high_watermark(), end, "{durability:?}");
        assert!(!driver.read_all(key, Offset(0)).is_empty());
        fill(&mut driver, key);
        let error = driver.append(key, batch(1, b"x", 0)).expect_err("full").to_string();
        assert!(error.contains("the disk is full"), "{error}");
    }
}

#[test]
fn what_another_process_took_is_made_up_from_the_reserve_and_taken_back_later() {
    let disk = MemoryDisk::new();
    disk.set_free_bytes(4 * ROOM);
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(partition(1, 0), &class(Durability::Fsync));
    for _ in 0..100 {
        driver.append(key, batch(1, &[7; 900], 0)).expect("room");
        driver.settle();
    }
    let own = driver.create(partition(9, 0), &class(Durability::Fsync));
    // More than one journal file takes.
    let mut fewest = PIECES;
    for number in 0..300 {
        if number % 150 == 0 {
            disk.set_free_bytes(0);
        }
        driver
            .append_as(Origin::Internal, own, batch(1, &[1; 100], 0))
            .expect("the node itself");
        driver.settle();
        fewest = fewest.min(pieces(&driver));
        driver.pass(20);
    }
    assert_eq!(driver.storage.partition(own).high_watermark(), Offset(300));
    assert!(fewest < PIECES, "nothing of the reserve was needed");
    disk.set_free_bytes(0);
    wait(&mut driver, 1100);
    fill(&mut driver, key);
    disk.set_free_bytes(ROOM);
    driver.events.clear();
    wait(&mut driver, 2000);
    assert!(driver.events.contains(&StorageEvent::Writable));
    resumes(&mut driver, key);
}

#[test]
fn a_removed_partition_makes_room_and_appends_resume() {
    let (mut driver, key) = full(Durability::Written);
    let other = driver.create(partition(2, 0), &class(Durability::Written));
    driver.events.clear();
    driver.storage.remove_partition(key);
    wait(&mut driver, 2000);
    assert!(driver.events.contains(&StorageEvent::Writable));
    resumes(&mut driver, other);
}

#[test]
fn deleted_records_make_room_at_once_whatever_the_delay() {
    let (mut driver, key) = full(Durability::Fsync);
    assert_eq!(driver.storage.partition(key).config().delete_delay_ms, 60_000);
    let end = driver.storage.partition(key).high_watermark();
    assert!(
        !driver
            .storage
            .delete_records(driver.now(), key, end)
            .expect("not refused")
    );
    driver.events.clear();
    wait(&mut driver, 2000);
    assert!(driver.events.contains(&StorageEvent::LogStart { key }));
    assert!(driver.events.contains(&StorageEvent::Writable));
    let logs = driver.disk.paths_ending(".log");
    let left: usize = logs.iter().map(|path| driver.disk.bytes(path).len()).sum();
    assert_eq!(left, 0, "bytes of an empty log");
    resumes(&mut driver, key);
}

#[test]
fn less_retention_makes_room_within_two_seconds() {
    for change in [
        |config: &mut LogConfig| config.retention_bytes = Some(100_000),
        |config: &mut LogConfig| config.retention_ms = Some(1),
    ] {
        let (mut driver, key) = full(Durability::Written);
        let mut config = class(Durability::Written);
        change(&mut config);
        driver.storage.configure(key, config);
        driver.events.clear();
        wait(&mut driver, 2000);
        assert!(driver.storage.partition(key).log_start() > Offset(0));
        assert!(driver.events.contains(&StorageEvent::Writable));
        resumes(&mut driver, key);
    }
}

#[test]
fn what_was_to_be_unlinked_later_goes_when_the_disk_is_full() {
    let disk = MemoryDisk::new();
    disk.set_free_bytes(ROOM);
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(partition(1, 0), &class(Durability::Written));
    for _ in 0..1000 {
        driver.append(key, batch(1, &[7; 900], 0)).expect("room");
        driver.settle();
    }
    driver
        .storage
        .delete_records(driver.now(), key, Offset(990))
        .expect("not refused");
    driver.settle();
    assert!(driver.disk.paths_ending(".log").len() > 50, "they stay for a minute");
    disk.set_free_bytes(0);
    driver.append(key, batch(1, &[7; 900], 0)).expect("not known yet");
    driver.events.clear();
    wait(&mut driver, 2000);
    assert!(driver.disk.paths_ending(".log").len() < 5);
    assert!(driver.events.contains(&StorageEvent::Writable));
    resumes(&mut driver, key);
}

#[test]
fn a_killed_node_starts_on_a_full_disk_again_and_again() {
    let id = partition(1, 0);
    let log = class(Durability::Fsync);
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(id, &log);
    for number in 0..250_u8 {
        driver.append(key, batch(1, &[number; 900], 0)).expect("room");
        driver.settle();
    }
    let bytes = driver.read_all(key, Offset(0));
    let mut disk = driver.disk.process_kill();
    // Somebody else takes all there is, before every one of the starts.
    for start in 1..5 {
        disk.set_free_bytes(0);
        let mut driver = open(&disk, &held(), &[(id, log.clone())], start * 100_000);
        driver.disk.set_free_bytes(0);
        wait(&mut driver, 1100);
        let key = driver.key(id);
        assert_eq!(
            driver.storage.partition(key).high_watermark(),
            Offset(250),
            "start {start}"
        );
        assert_eq!(driver.read_all(key, Offset(0)), bytes, "start {start}");
        let own = driver.create(partition(9, 0), &log);
        driver
            .append_as(Origin::Internal, own, batch(1, b"x", 0))
            .expect("the node itself");
        driver.settle();
        assert_eq!(
            driver.storage.partition(own).high_watermark(),
            Offset(1),
            "start {start}"
        );
        driver.storage.remove_partition(own);
        wait(&mut driver, 500);
        disk = driver.disk.process_kill();
    }
    disk.set_free_bytes(ROOM);
    let mut driver = open(&disk, &held(), &[(id, log.clone())], 900_000);
    let key = driver.key(id);
    wait(&mut driver, 2000);
    resumes(&mut driver, key);
    let disk = driver.shut_down();
    let mut driver = open(&disk, &held(), &[(id, log)], 990_000);
    let key = driver.key(id);
    let read = driver.read_all(key, Offset(0));
    assert!(read.starts_with(&bytes));
    assert_eq!(split(&read).len(), 251);
}

#[test]
fn starts_without_room_that_are_killed_at_once_lose_nothing() {
    let id = partition(1, 0);
    let log = class(Durability::Fsync);
    let mut driver = open(&MemoryDisk::new(), &held(), &[], 0);
    let key = driver.create(id, &log);
    for number in 0..150_u8 {
        driver.append(key, batch(1, &[number; 900], 0)).expect("room");
        driver.settle();
    }
    let bytes = driver.read_all(key, Offset(0));
    let mut disk = driver.disk.process_kill();
    for start in 1..4 {
        disk.set_free_bytes(0);
        let mut driver = open(&disk, &held(), &[(id, log.clone())], start * 100_000);
        // Nothing is written any more, and whatever goes is gone.
        driver.settle_without(|op| !matches!(op, DiskOp::Remove { .. }));
        let partition = driver.storage.partition(driver.key(id));
        assert_eq!(partition.high_watermark(), Offset(150), "start {start}");
        disk = driver.disk.process_kill();
    }
    disk.set_free_bytes(u64::MAX);
    let mut driver = open(&disk, &held(), &[(id, log)], 900_000);
    let key = driver.key(id);
    assert_eq!(driver.read_all(key, Offset(0)), bytes);
}

#[test]
fn records_leave_half_of_the_reserve_to_what_leads_out() {
    let disk = MemoryDisk::new();
    let mut driver = open(&disk, &held(), &[], 0);
    // Much waits in memory: neither a full segment nor the length of a tail has it written.
    let lazy = LogConfig {
        segment_bytes: 1 << 20,
        ..class(Durability::Memory)
    };
    let keys: Vec<_> = (0..5).map(|index| driver.create(partition(1, index), &lazy)).collect();
    for key in keys.iter().cycle().take(5 * 100) {
        driver.append(*key, batch(1, &[7; 900], 0)).expect("room");
        driver.settle();
    }
    disk.set_free_bytes(0);
    for key in &keys {
        driver.append(*key, batch(1, &[7; 900], 0)).expect("not known yet");
    }
    for _ in 0..300 {
        driver.pass(10);
        // Another process takes what is given back.
        disk.set_free_bytes(0);
    }
    assert!(pieces(&driver) > 1, "{} pieces are left", pieces(&driver));
    driver.storage.remove_partition(keys[0]);
    wait(&mut driver, 2000);
    for key in &keys[1..] {
        assert_eq!(driver.storage.partition(*key).high_watermark(), Offset(101));
    }
}

#[test]
fn a_start_without_room_gives_its_journals_back_once_there_is_room() {
    let id = partition(1, 0);
    let log = class(Durability::Fsync);
    let mut driver = open(&MemoryDisk::new(), &held(), &[], 0);
    let key = driver.create(id, &log);
    for number in 0..150_u8 {
        driver.append(key, batch(1, &[number; 900], 0)).expect("room");
        driver.settle();
    }
    let bytes = driver.read_all(key, Offset(0));
    let disk = driver.disk.process_kill();
    let before = disk.paths_ending(".journal");
    disk.set_free_bytes(0);
    let mut driver = open(&disk, &held(), &[(id, log.clone())], 100_000);
    let kept = |disk: &MemoryDisk| {
        disk.paths_ending(".journal")
            .iter()
            .filter(|path| before.contains(path))
            .count()
    };
    assert!(kept(&driver.disk) > 0, "they hold the only copy");
    driver.disk.set_free_bytes(u64::MAX);
    wait(&mut driver, 3000);
    assert_eq!(kept(&driver.disk), 0);
    let disk = driver.disk.process_kill();
    let mut driver = open(&disk, &held(), &[(id, log)], 200_000);
    let key = driver.key(id);
    assert_eq!(driver.read_all(key, Offset(0)), bytes);
}

#[test]
fn a_stop_on_a_full_disk_is_clean_and_so_is_the_start_after_it() {
    for durability in [Durability::Fsync, Durability::Written] {
        let (mut driver, key) = full(durability);
        let bytes = driver.read_all(key, Offset(0));
        driver.disk.set_free_bytes(0);
        let disk = driver.shut_down();
        disk.set_free_bytes(0);
        let mut driver = open(&disk, &held(), &[(partition(1, 0), class(durability))], 900_000);
        let key = driver.key(partition(1, 0));
        assert_eq!(driver.read_all(key, Offset(0)), bytes, "{durability:?}");
    }
}

#[test]
fn a_quota_that_the_file_system_does_not_tell_is_a_full_disk_too() {
    let disk = MemoryDisk::new();
    disk.set_quota(ROOM);
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(partition(1, 0), &class(Durability::Written));
    fill(&mut driver, key);
    let own = driver.create(partition(9, 0), &class(Durability::Fsync));
    for _ in 0..100 {
        driver
            .append_as(Origin::Internal, own, batch(1, &[1; 100], 0))
            .expect("the node itself");
        driver.settle();
        driver.pass(100);
    }
    assert_eq!(driver.storage.partition(own).high_watermark(), Offset(100));
    driver
        .append(key, batch(1, b"x", 0))
        .expect_err("still full: nothing was freed");
    let missing = PIECE_BYTES * (PIECES - pieces(&driver)) as u64;
    disk.set_quota(missing + PIECE_BYTES / 2);
    driver.events.clear();
    wait(&mut driver, 3000);
    assert!(!driver.events.contains(&StorageEvent::Writable));
    assert_eq!(pieces(&driver), PIECES, "the reserve comes first");
    driver
        .append(key, batch(1, b"x", 0))
        .expect_err("still full: there is no room beyond the reserve");
    driver.events.clear();
    disk.set_quota(ROOM);
    wait(&mut driver, 3000);
    assert!(driver.events.contains(&StorageEvent::Writable));
    resumes(&mut driver, key);
}

#[test]
fn without_inodes_clients_are_refused_until_there_are_some() {
    let disk = MemoryDisk::new();
    disk.set_free_files(1000);
    let mut driver = open(&disk, &held(), &[], 0);
    let key = driver.create(partition(1, 0), &class(Durability::Written));
    driver.append(key, batch(1, b"x", 0)).expect("room");
    disk.set_free_files(10);
    wait(&mut driver, 2000);
    driver.append(key, batch(1, b"x", 0)).expect_err("no inode");
    disk.set_free_files(1000);
    wait(&mut driver, 2000);
    resumes(&mut driver, key);
}

#[test]
fn journals_keep_to_their_part_of_a_small_file_system() {
    let disk = MemoryDisk::new();
    disk.set_total_bytes(80 << 20);
    let big = StorageSettings {
        journal_bytes_max: 1 << 30,
        journal_file_bytes: 64 << 20,
        journal_first_file_bytes: 4 << 20,
        ..held()
    };
    let mut driver = open(&disk, &big, &[], 0);
    let key = driver.create(partition(1, 0), &class(Durability::Fsync));
    let size = |disk: &MemoryDisk| -> usize {
        disk.paths_ending(".journal")
            .iter()
            .map(|path| disk.bytes(path).len())
            .sum()
    };
    let mut largest = 0;
    for _ in 0..400 {
        match driver.append(key, batch(1, &[7; 100_000], 0)) {
            Err(AppendError::Busy) => {}
            appended => drop(appended.expect("room")),
        }
        driver.settle();
        driver.pass(1);
        largest = largest.max(size(&driver.disk));
    }
    assert!(largest <= 10 << 20, "the journal took {largest} bytes of 80 MiB");
    // What it does not need goes when the disk is full, and all of it at a clean stop.
    driver.disk.set_free_bytes(0);
    driver.append(key, batch(1, &[7; 900], 0)).expect("not known yet");
    wait(&mut driver, 12_000);
    let short = size(&driver.disk);
    assert!(
        short <= 2 * (largest / 3),
        "the journal keeps {short} of {largest} bytes"
    );
    let disk = driver.shut_down();
    assert_eq!(disk.paths_ending(".journal"), [""; 0]);
}

#[test]
fn a_data_directory_that_disappears_ends_everything_in_words() {
    let mut driver = open(&MemoryDisk::new(), &held(), &[], 0);
    let keys = [Durability::Fsync, Durability::Written, Durability::Memory]
        .map(|durability| driver.create(partition(1, durability as i32), &class(durability)));
    driver.disk.disappear();
    for key in keys {
        driver.append(key, batch(1, b"x", 0)).expect("not known yet");
    }
    wait(&mut driver, 1100);
    for key in keys {
        let error = driver.append(key, batch(1, b"x", 0)).expect_err("gone");
        assert!(matches!(error, AppendError::Failed(Failure::Gone { .. })), "{error}");
        assert!(error.to_string().contains("the data directory is gone"), "{error}");
    }
}
