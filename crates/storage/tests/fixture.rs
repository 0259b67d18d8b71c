//! A data directory of format 1 as the storage layer of its first release left it after a kill: every later build must
//! read it. One that a whole broker wrote is in `tests/end-to-end/testdata`.
//!
//! The directory lies in `testdata/format-1`. It was written once, by `WRITE_FIXTURE=1 cargo test -p hallows-storage
//! --test fixture`, and must never be written anew while this format is promised to be read.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::disk::MemoryDisk;
use common::driver::{begin, open};
use common::{batch_at, config, partition, producer_batch};
use hallows_record::{Codec, Scratch, records};
use hallows_storage::{Durability, LogConfig, Seen, StorageSettings, inspect};
use hallows_types::{Offset, PartitionId};

/// Batches of each partition.
const BATCHES: u8 = 24;
/// Records of each batch, but those of the idempotent producer, which have one.
const RECORDS: usize = 2;

fn small() -> StorageSettings {
    StorageSettings {
        journal_first_file_bytes: 16 << 10,
        journal_file_bytes: 32 << 10,
        ..common::settings()
    }
}

/// The partitions: every durability, every codec, idempotent batches, a moved log start.
fn partitions() -> Vec<(PartitionId, LogConfig, Codec)> {
    let log = |durability| LogConfig {
        durability,
        segment_bytes: 2048,
        ..config()
    };
    vec![
        (partition(1, 0), log(Durability::Fsync), Codec::None),
        (partition(1, 1), log(Durability::Fsync), Codec::Zstd),
        (partition(2, 0), log(Durability::Written), Codec::Lz4),
        (partition(3, 0), log(Durability::Fsync), Codec::Gzip),
        (partition(4, 0), log(Durability::Written), Codec::Snappy),
        (partition(5, 0), log(Durability::Fsync), Codec::None),
    ]
}

/// The partition of the idempotent producer, and that whose log start was moved.
const OF_PRODUCER: usize = 5;
const DELETED_BEFORE: (usize, i64) = (0, 7);

fn value(number: u8) -> Vec<u8> {
    (0..100_u8).map(|byte| byte ^ number).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fixture lies in the repository, not in a data directory"
)]
fn write(folder: &Path) {
    let mut driver = open(&MemoryDisk::new(), &small(), &[], 0);
    for (index, (id, config, codec)) in partitions().into_iter().enumerate() {
        let key = driver.create(id, &config);
        for number in 0..BATCHES {
            let time = i64::from(number);
            let batch = if index == OF_PRODUCER {
                producer_batch(&value(number), (77, 0, i32::from(number)))
            } else {
                batch_at(&[time, time + 1], &value(number), codec)
            };
            driver.append(key, batch).expect("room");
            driver.settle();
            if number == BATCHES / 2 {
                driver.pass(15_000);
            }
        }
        if index == DELETED_BEFORE.0 {
            driver
                .storage
                .delete_records(driver.now(), key, Offset(DELETED_BEFORE.1))
                .expect("below the end");
            driver.settle();
        }
    }
    let disk = driver.disk.process_kill();
    for path in disk.paths() {
        let file = folder.join(&path);
        fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a writable folder");
        fs::write(file, disk.bytes(&path)).expect("a writable folder");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fixture lies in the repository, not in a data directory"
)]
fn load(folder: &Path) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("the fixture is in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path
                .strip_prefix(folder)
                .expect("below the folder")
                .to_string_lossy()
                .into_owned();
            disk.put(&name, fs::read(&path).expect("a readable file"));
        }
    }
    disk
}

#[test]
fn the_first_format_is_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/format-1");
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        write(&folder);
    }
    let disk = load(&folder);
    let mut damaged = Vec::new();
    inspect(&disk, &|_| Vec::new(), &mut |seen| {
        if let Seen::Finding { is_damage: true, .. } = seen {
            damaged.push(seen);
        }
    })
    .expect("a readable directory");
    assert!(damaged.is_empty(), "{damaged:?}");

    let mut recovery = begin(&disk, &small());
    assert!(!recovery.was_clean());
    for (index, (id, config, _)) in partitions().into_iter().enumerate() {
        let recovered = recovery.recover(id, config, common::now(100_000));
        assert_eq!(recovered.failure(), None, "{id}");
        let per_batch = if index == OF_PRODUCER { 1 } else { RECORDS };
        let end = i64::from(BATCHES) * i64::try_from(per_batch).expect("small");
        let start = if index == DELETED_BEFORE.0 { DELETED_BEFORE.1 } else { 0 };
        assert_eq!(
            (recovered.log_start(), recovered.log_end()),
            (Offset(start), Offset(end)),
            "{id}"
        );
        let mut scratch = Scratch::new(1 << 20);
        let mut values = Vec::new();
        for batch in recovered.batches(&disk) {
            let batch = batch.expect("whole batches");
            for record in records(&batch, &mut scratch).expect("readable records") {
                values.push(record.expect("a readable record").value.expect("a value").to_vec());
            }
        }
        let all = (0..BATCHES).flat_map(|number| vec![value(number); per_batch]);
        // The batch that holds the log start is given as a whole.
        let first = usize::try_from(start).expect("small") / per_batch * per_batch;
        let expected: Vec<_> = all.skip(first).collect();
        assert!(
            values == expected,
            "{id}: {} values where {} were written",
            values.len(),
            expected.len()
        );
    }
}
