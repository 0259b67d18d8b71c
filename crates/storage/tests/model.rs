//! One partition against a plain list of batches: any sequence of appends, deletions, restarts, reads and lookups.

mod common;

use common::driver::{Driver, batch_base, batch_end, open, split};
use common::{batch_at, config, disk::MemoryDisk, partition, settings};
use hallows_record::Codec;
use hallows_storage::{Durability, LogConfig, TimeTarget};
use hallows_types::{Offset, WallTime};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append { times: Vec<i64>, size: usize, codec: u8 },
    Settle,
    Checkpoint,
    DeleteRecords(u8),
    Read { at: u8, max: u32, whole: bool },
    FindTime(i64),
    FindLargest,
    Restart { clean: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let append = (prop::collection::vec(0..1000_i64, 1..4), 0..1500_usize, 0..5_u8);
    prop_oneof![
        8 => append.prop_map(|(times, size, codec)| Step::Append { times, size, codec }),
        3 => Just(Step::Settle),
        1 => Just(Step::Checkpoint),
        1 => any::<u8>().prop_map(Step::DeleteRecords),
        4 => (any::<u8>(), 0..4000_u32, any::<bool>()).prop_map(|(at, max, whole)| Step::Read { at, max, whole }),
        3 => (0..1100_i64).prop_map(Step::FindTime),
        1 => Just(Step::FindLargest),
        1 => any::<bool>().prop_map(|clean| Step::Restart { clean }),
    ]
}

struct Model {
    /// Base offset, end offset, times of the records.
    batches: Vec<(i64, i64, Vec<i64>)>,
    log_start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(_, end, _)| *end)
    }

    fn records(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        let all = self
            .batches
            .iter()
            .flat_map(|(base, _, times)| (*base..).zip(times.iter().copied()));
        // Batches that reach beyond the log start are whole, but records below it are gone.
        all.filter(|(offset, _)| *offset >= self.log_start)
    }
}

fn offset_in(driver: &Driver, at: u8) -> Offset {
    let log = driver.storage.partition(driver.key(partition(1, 0)));
    let span = log.high_watermark().0 - log.log_start().0;
    Offset(log.log_start().0 + span * i64::from(at) / 255)
}

fn run(class: Durability, steps: Vec<Step>) {
    let config = LogConfig {
        durability: class,
        segment_bytes: 4000,
        ..config()
    };
    let id = partition(1, 0);
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    let mut key = driver.create(id, &config);
    let mut model = Model {
        batches: Vec::new(),
        log_start: 0,
    };
    for step in steps {
        match step {
            Step::Append { times, size, codec } => {
                let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][usize::from(codec)];
                let appended = driver
                    .append(key, batch_at(&times, &vec![3; size], codec))
                    .expect("room");
                assert_eq!(appended.base_offset, Offset(model.end()));
                model
                    .batches
                    .push((appended.base_offset.0, appended.end_offset.0, times));
            }
            Step::Settle => driver.settle(),
            Step::Checkpoint => driver.pass(60_000),
            Step::DeleteRecords(at) => {
                driver.settle();
                let before = offset_in(&driver, at);
                let now = driver.now();
                driver.storage.delete_records(now, key, before).expect("within the log");
                driver.settle();
                model.log_start = model.log_start.max(before.0);
            }
            Step::Read { at, max, whole } => check_read(&mut driver, &model, at, max, whole),
            Step::FindTime(time) => {
                driver.settle();
                let expected = model.records().find(|(_, timestamp)| *timestamp >= time);
                let found = driver.find_time(key, TimeTarget::At(WallTime(time)));
                assert_eq!(
                    found.map(|found| (found.offset.0, found.timestamp.0)),
                    expected,
                    "time {time}"
                );
            }
            Step::FindLargest => {
                driver.settle();
                let largest = model.records().map(|(_, timestamp)| timestamp).max();
                let found = driver.find_time(key, TimeTarget::Max).map(|found| found.timestamp.0);
                // A batch that reaches below the log start is looked at as a whole, as in Kafka.
                assert!(found >= largest, "{found:?} {largest:?}");
            }
            Step::Restart { clean } => {
                driver.settle();
                let disk = if clean {
                    driver.shut_down()
                } else {
                    // What a checkpoint covers survives in every class.
                    driver.pass(60_000);
                    driver.disk.process_kill()
                };
                driver = open(&disk, &settings(), &[(id, config.clone())], 100_000);
                key = driver.key(id);
                assert_eq!(driver.storage.partition(key).log_end(), Offset(model.end()));
                assert_eq!(driver.storage.partition(key).log_start(), Offset(model.log_start));
            }
        }
    }
}

fn check_read(driver: &mut Driver, model: &Model, at: u8, max: u32, whole: bool) {
    let key = driver.key(partition(1, 0));
    let from = offset_in(driver, at);
    let high = driver.storage.partition(key).high_watermark();
    let bytes = driver.read(key, from, max, whole).expect("within the log");
    let batches = split(&bytes);
    if from == high {
        assert!(bytes.is_empty());
        return;
    }
    let first = model
        .batches
        .iter()
        .position(|(_, end, _)| *end > from.0)
        .expect("within the log");
    for (batch, (base, end, _)) in batches.iter().zip(&model.batches[first..]) {
        assert_eq!((batch_base(batch).0, batch_end(batch).0), (*base, *end));
        assert!(batch_end(batch) <= high);
    }
    assert!(!whole || !batches.is_empty(), "the first batch is whole");
    if batches.len() > 1 || !whole {
        assert!(bytes.len() <= max as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list_of_batches(
        class in prop_oneof![Just(Durability::Fsync), Just(Durability::Written), Just(Durability::Memory)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        run(class, steps);
    }
}
