//! One log from the outside: appending, reading, rolling, restarting, in every durability class.

mod common;

use common::driver::{Driver, batch_base, is_replacement, open, split};
use common::{EPOCH, batch, config, disk::MemoryDisk, partition, settings};
use hallows_storage::{AppendError, Durability, LogConfig, Origin, ReadError, StorageEvent};
use hallows_types::Offset;

const CLASSES: [Durability; 3] = [Durability::Fsync, Durability::Written, Durability::Memory];

fn with_class(durability: Durability) -> LogConfig {
    LogConfig { durability, ..config() }
}

fn fresh() -> Driver {
    open(&MemoryDisk::new(), &settings(), &[], 0)
}

#[test]
fn an_append_is_readable_once_its_class_says_so() {
    for class in CLASSES {
        let mut driver = fresh();
        let key = driver.create(partition(1, 0), &with_class(class));
        let appended = driver.append(key, batch(3, b"value", 5)).expect("room");
        assert_eq!(
            (appended.base_offset, appended.last_offset, appended.end_offset),
            (Offset(0), Offset(2), Offset(3))
        );
        let at_once = driver.storage.partition(key).high_watermark();
        assert_eq!(at_once == Offset(3), class == Durability::Memory, "{class:?}");
        driver.settle();
        assert_eq!(driver.storage.partition(key).high_watermark(), Offset(3), "{class:?}");
        assert!(driver.events.contains(&StorageEvent::HighWatermark { key }));
        let bytes = driver.read_all(key, Offset(1));
        assert_eq!(split(&bytes).len(), 1);
        assert_eq!(
            batch_base(&bytes),
            Offset(0),
            "a read from inside a batch returns it whole"
        );
        assert_eq!(bytes[12..16], EPOCH.0.to_be_bytes());
    }
}

#[test]
fn logs_roll_and_read_the_same_before_and_after_restarts() {
    for class in CLASSES {
        let mut driver = fresh();
        let id = partition(1, 0);
        let key = driver.create(id, &with_class(class));
        for number in 0..200_u64 {
            let value = vec![u8::try_from(number).expect("below 200"); 300];
            driver.append(key, batch(2, &value, 1000)).expect("room");
            if number % 7 == 0 {
                driver.settle();
            }
        }
        driver.settle();
        let expected = driver.read_all(key, Offset(0));
        assert_eq!(split(&expected).len(), 200);
        assert!(driver.storage.statistics().segments_sealed > 5, "{class:?}");
        for from in [0, 1, 50, 199, 398, 399] {
            let bytes = driver.read_all(key, Offset(from));
            assert!(expected.ends_with(&bytes), "{class:?} from {from}");
            assert!(batch_base(&bytes).0 >= from - 1, "{class:?} from {from}");
        }
        let disk = driver.shut_down();
        let mut driver = open(&disk, &settings(), &[(id, with_class(class))], 10);
        let key = driver.key(id);
        assert_eq!(driver.storage.partition(key).log_end(), Offset(400));
        assert_eq!(
            driver.read_all(key, Offset(0)),
            expected,
            "{class:?} after a clean stop"
        );
        driver.append(key, batch(1, b"more", 0)).expect("room");
        driver.settle();
        let expected = driver.read_all(key, Offset(0));
        let disk = driver.disk.process_kill();
        let mut driver = open(&disk, &settings(), &[(id, with_class(class))], 20);
        let key = driver.key(id);
        let bytes = driver.read_all(key, Offset(0));
        match class {
            Durability::Memory => assert!(expected.starts_with(&bytes)),
            _ => assert_eq!(bytes, expected, "{class:?} after a kill"),
        }
    }
}

#[test]
fn reads_keep_to_their_bounds() {
    let mut driver = fresh();
    let key = driver.create(partition(1, 0), &with_class(Durability::Written));
    for _ in 0..10 {
        driver.append(key, batch(1, &[1; 500], 0)).expect("room");
        driver.settle();
    }
    let one = batch(1, &[1; 500], 0).len();
    let size = |max: usize, at_least_one| {
        let max = u32::try_from(max).expect("small");
        driver.read(key, Offset(2), max, at_least_one).expect("readable").len()
    };
    let mut size = size;
    assert_eq!(size(10, true), one, "never cut inside the first batch");
    assert_eq!(size(10, false), 10);
    assert_eq!(size(one * 2 + 5, true), one * 2 + 5, "the last batch may be cut");
    assert_eq!(size(1 << 20, true), one * 8);
    let until = driver
        .read_until(key, Offset(2), 1 << 20, true, Offset(5))
        .expect("readable");
    assert_eq!(until.len(), one * 3);
    assert!(driver.read(key, Offset(10), 1000, true).expect("at the end").is_empty());
    let error = driver.read(key, Offset(11), 1000, true).expect_err("beyond the end");
    assert!(matches!(error, ReadError::OffsetOutOfRange { .. }), "{error}");
}

#[test]
fn too_much_in_memory_is_refused_and_accepted_again() {
    let mut driver = fresh();
    let key = driver.create(partition(1, 0), &config());
    let mut accepted = 0;
    let error = loop {
        match driver.append(key, batch(1, &[0; 60_000], 0)) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Busy), "{error}");
    assert!(accepted >= 16);
    driver.settle();
    assert!(driver.events.contains(&StorageEvent::Writable));
    assert_eq!(driver.storage.partition(key).high_watermark(), Offset(accepted));
    driver.append(key, batch(1, b"again", 0)).expect("room again");
}

/// Tails below half their bound were left as they are until the next checkpoint, and a batch that wants more than the
/// other half was refused all that time.
#[test]
fn a_batch_of_nearly_the_bound_is_given_room_at_once() {
    let mut driver = fresh();
    let key = driver.create(partition(1, 0), &config());
    driver.append(key, batch(1, &[0; 200_000], 0)).expect("room");
    driver.settle();
    let large = || batch(1, &[0; 900_000], 0);
    let error = driver.append(key, large()).expect_err("too much together");
    assert!(matches!(error, AppendError::Busy), "{error}");
    driver.settle();
    assert!(driver.events.contains(&StorageEvent::Writable));
    driver.append(key, large()).expect("there is room now");
}

#[test]
fn the_node_itself_gets_an_eighth_more_memory_than_clients_and_a_rewrite_all_it_needs() {
    let mut driver = fresh();
    let key = driver.create(partition(1, 0), &config());
    let taken = |driver: &mut Driver, origin| {
        let appends = std::iter::repeat_with(|| driver.append_as(origin, key, batch(1, &[0; 10_000], 0)));
        appends.take(500).take_while(Result::is_ok).count()
    };
    assert!((100..=104).contains(&taken(&mut driver, Origin::Client)));
    assert!((12..=14).contains(&taken(&mut driver, Origin::Internal)));
    assert_eq!(taken(&mut driver, Origin::Rewrite), 500);
    driver.settle();
    driver.append(key, batch(1, b"again", 0)).expect("room again");
}

/// A checkpoint waited for a slow disk, and the commits of groups filled the journal without end (simulation).
#[test]
fn the_journal_takes_no_more_of_the_node_itself_while_its_checkpoint_waits() {
    let mut driver = fresh();
    let key = driver.create(partition(1, 0), &config());
    let append_until_refused = |driver: &mut Driver, origin| {
        for count in 0..1000 {
            if let Err(error) = driver.append_as(origin, key, batch(1, b"a commit", 0)) {
                assert!(matches!(error, AppendError::Busy), "{error}");
                return count;
            }
            driver.settle_without(is_replacement);
        }
        panic!("nothing bounds what {origin:?} appends");
    };
    assert!(append_until_refused(&mut driver, Origin::Client) > 0);
    assert!(append_until_refused(&mut driver, Origin::Internal) > 0);
    let journals = driver.disk.paths_ending(".journal");
    let bytes: usize = journals.iter().map(|path| driver.disk.bytes(path).len()).sum();
    assert!(
        bytes <= (1 << 20) / 8 * 9 + (256 << 10),
        "{bytes} bytes in {journals:?}"
    );
    driver.settle();
    driver.append(key, batch(1, b"again", 0)).expect("room again");
}

#[test]
fn the_journal_is_recycled_and_stays_within_its_bound() {
    let mut driver = fresh();
    let id = partition(1, 0);
    let key = driver.create(id, &config());
    for _ in 0..600 {
        driver.append(key, batch(1, &[3; 3000], 0)).expect("room");
        driver.settle();
    }
    let statistics = driver.storage.statistics();
    assert!(statistics.journal_bytes > 2 << 20);
    assert!(statistics.checkpoints > 2);
    let journals = driver.disk.paths_ending(".journal");
    let bytes: usize = journals.iter().map(|path| driver.disk.bytes(path).len()).sum();
    assert!(bytes <= 1 << 20, "{bytes} bytes in {journals:?}");
    let expected = driver.read_all(key, Offset(0));
    let disk = driver.disk.power_loss(&mut hallows_runtime::Random::from_seed(4));
    let mut driver = open(&disk, &settings(), &[(id, config())], 9);
    let key = driver.key(id);
    assert_eq!(driver.read_all(key, Offset(0)), expected);
}

#[test]
fn a_batch_larger_than_a_journal_file_is_committed() {
    let mut driver = fresh();
    let large = LogConfig {
        max_batch_bytes: 1 << 20,
        ..config()
    };
    let key = driver.create(partition(1, 0), &large);
    driver.append(key, batch(1, &[9; 200_000], 0)).expect("room");
    driver.settle();
    assert_eq!(driver.storage.partition(key).high_watermark(), Offset(1));
    let error = driver
        .append(key, batch(1, &vec![9; 2 << 20], 0))
        .expect_err("too large");
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
}

#[test]
fn one_commit_carries_the_appends_of_many_partitions() {
    let mut driver = fresh();
    let keys: Vec<_> = (0..50)
        .map(|index| driver.create(partition(1, index), &config()))
        .collect();
    for key in &keys {
        driver.append(*key, batch(1, b"x", 0)).expect("room");
    }
    driver.settle();
    let statistics = driver.storage.statistics();
    assert_eq!((statistics.journal_writes, statistics.journal_entries), (1, 50));
    assert!(
        keys.iter()
            .all(|key| driver.storage.partition(*key).high_watermark() == Offset(1))
    );
}

#[test]
fn an_empty_partition_has_no_file() {
    let mut driver = fresh();
    driver.create(partition(1, 0), &config());
    driver.settle();
    let paths = driver.disk.paths();
    assert!(
        paths
            .iter()
            .all(|path| !path.starts_with("segments") && !path.starts_with("partitions")),
        "{paths:?}"
    );
}
