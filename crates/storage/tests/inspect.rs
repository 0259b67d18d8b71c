//! The inspection of a data directory: a whole one has no findings, and each kind of file is told when it is damaged.

mod common;

use common::disk::MemoryDisk;
use common::driver::open;
use common::{batch_at, config, partition, settings};
use hallows_record::Codec;
use hallows_storage::format::Manifest;
use hallows_storage::{DeletedBy, LogConfig, Seen, inspect};
use hallows_types::{PartitionId, TopicId};

/// Two partitions in several segments, one of them compressed, after a clean stop with its mark or after a kill.
fn filled(clean: bool) -> MemoryDisk {
    let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
    for (topic, codec) in [(1, Codec::None), (2, Codec::Zstd)] {
        let config = LogConfig {
            segment_bytes: 4096,
            ..config()
        };
        let key = driver.create(partition(topic, 0), &config);
        for number in 0..40_u8 {
            let value: Vec<u8> = (0..200).map(|byte: u8| byte.wrapping_mul(number)).collect();
            driver
                .append(key, batch_at(&[i64::from(number)], &value, codec))
                .expect("room");
            driver.settle();
            if number == 30 {
                driver.pass(15_000);
            }
        }
    }
    if clean {
        driver.shut_down()
    } else {
        driver.disk.process_kill()
    }
}

/// Everything an inspection says.
fn seen(disk: &MemoryDisk) -> Vec<Seen> {
    seen_with(disk, &|_| Vec::new())
}

fn seen_with(disk: &MemoryDisk, deleted_by: &DeletedBy) -> Vec<Seen> {
    let mut all = Vec::new();
    inspect(disk, deleted_by, &mut |seen| all.push(seen)).expect("a readable directory");
    all
}

/// The damaged files and what is wrong with them.
fn damage(disk: &MemoryDisk) -> Vec<(String, String)> {
    damage_of(seen(disk))
}

fn damage_of(seen: Vec<Seen>) -> Vec<(String, String)> {
    let damaged = seen.into_iter().filter_map(|seen| match seen {
        Seen::Finding {
            path,
            what,
            is_damage: true,
            ..
        } => Some((path, what)),
        _ => None,
    });
    damaged.collect()
}

#[test]
fn whole_directories_have_no_findings_and_every_file_is_seen() {
    for clean in [true, false] {
        let disk = filled(clean);
        let all = seen(&disk);
        let damaged = damage(&disk);
        assert!(damaged.is_empty(), "clean: {clean}: {damaged:?}");
        let files: Vec<_> = all
            .iter()
            .filter_map(|seen| match seen {
                Seen::File { path, .. } => Some(path.clone()),
                _ => None,
            })
            .collect();
        for path in disk.paths() {
            assert!(files.contains(&path), "{path} is not looked at: {files:?}");
        }
        let batches = all
            .iter()
            .filter(|seen| matches!(seen, Seen::Item { text, .. } if text.starts_with("offsets ")));
        assert!(batches.count() >= 60, "the batches in segments are told");
    }
}

/// The sealed segment with the first offsets of the first partition; the same in every directory that is filled.
fn oldest_segment(disk: &MemoryDisk) -> String {
    let manifest = Manifest::decode(&disk.bytes(&first(disk, ".manifest"))).expect("a whole manifest");
    let id = manifest.entries.first().expect("a segment").id;
    format!("segments/{:02x}/{id}.log", id.0[0])
}

/// The first file whose path contains `part` and that is no empty spare.
fn first(disk: &MemoryDisk, part: &str) -> String {
    let mut paths = disk.paths().into_iter();
    paths
        .find(|path| path.contains(part) && disk.bytes(path).len() > 40)
        .expect("such a file")
}

/// Damages the first file whose path contains `part`, and expects `words` of that file.
fn check(part: &str, change: impl FnOnce(&mut Vec<u8>), words: &str) {
    let disk = filled(true);
    let path = first(&disk, part);
    disk.edit(&path, change);
    let found = damage(&disk);
    let told = found.iter().any(|(file, what)| *file == path && what.contains(words));
    assert!(told, "{words:?} of {path} is not in {found:?}");
}

fn flip(at: usize) -> impl FnOnce(&mut Vec<u8>) {
    move |file| file[at] ^= 1
}

#[test]
fn damage_of_each_small_file_is_told() {
    check("hallows.format", flip(30), "wrong checksum");
    check("checkpoint-0", flip(40), "wrong checksum");
    check(".manifest", flip(60), "wrong checksum");
    check(".index", flip(50), "wrong checksum");
}

#[test]
fn damage_of_a_sealed_segment_is_told_with_its_place() {
    let path = oldest_segment(&filled(true));
    check(&path, flip(100), "wrong checksum");
    check(&path, |file| file.truncate(file.len() - 10), "the segment ends here");
    check(&path, |file| file[7] ^= 1, "a batch begins at offset");
}

#[test]
fn a_missing_segment_and_a_missing_manifest_are_told() {
    let segment = oldest_segment(&filled(true));
    for part in [segment.as_str(), ".manifest", "hallows.format"] {
        let disk = filled(true);
        let path = first(&disk, part);
        disk.delete(&path);
        let found = damage(&disk);
        assert!(
            found
                .iter()
                .any(|(file, what)| *file == path && what.contains("missing")),
            "{path}: {found:?}"
        );
    }
}

#[test]
fn a_manifest_that_is_missing_because_its_topic_was_deleted_is_no_damage() {
    const COMMAND: &[u8] = b"delete the first topic";
    let log = PartitionId {
        topic: TopicId::METADATA,
        index: 0,
    };
    let first = partition(1, 0);
    let deletes = move |batch: &[u8]| {
        let found = batch.windows(COMMAND.len()).any(|part| part == COMMAND);
        found.then_some(first.topic).into_iter().collect()
    };
    // In the journal only after a kill, in a segment only after a clean stop.
    for clean in [false, true] {
        let mut driver = open(&MemoryDisk::new(), &settings(), &[], 0);
        let of_topic = driver.create(first, &config());
        driver
            .append(of_topic, batch_at(&[1], b"record", Codec::None))
            .expect("room");
        driver.settle();
        driver.pass(15_000);
        let of_log = driver.create(log, &config());
        driver
            .append(of_log, batch_at(&[1], COMMAND, Codec::None))
            .expect("room");
        driver.settle();
        let disk = if clean {
            driver.shut_down()
        } else {
            driver.disk.process_kill()
        };
        let of_topic = disk.paths_ending(".manifest").into_iter().find(|path| {
            let manifest = Manifest::decode(&disk.bytes(path)).expect("a whole manifest");
            manifest.partition == first
        });
        let path = of_topic.expect("the topic has a manifest");
        disk.delete(&path);
        let found = damage(&disk);
        assert!(found.iter().any(|(file, _)| *file == path), "clean: {clean}: {found:?}");
        let found = damage_of(seen_with(&disk, &deletes));
        assert!(found.is_empty(), "clean: {clean}: {found:?}");
    }
}

/// Every block of the journals, in the order of their sequence: file and position.
fn blocks(disk: &MemoryDisk) -> Vec<(String, usize)> {
    let mut file = String::new();
    let mut blocks = Vec::new();
    for seen in seen(disk) {
        match seen {
            Seen::File { path, .. } => file = path,
            Seen::Item { position, text } => {
                let sequence = text.strip_prefix("block ").and_then(|rest| rest.split(':').next());
                if let Some(sequence) = sequence.and_then(|number| number.parse::<u64>().ok()) {
                    blocks.push((sequence, file.clone(), usize::try_from(position).expect("small")));
                }
            }
            Seen::Finding { .. } => {}
        }
    }
    blocks.sort();
    blocks.into_iter().map(|(_, path, position)| (path, position)).collect()
}

#[test]
fn a_block_in_the_middle_of_the_journal_is_damage_and_a_torn_last_one_is_not() {
    // Behind the head and the one entry of a block stands its payload.
    const INSIDE: usize = 200;
    let disk = filled(false);
    let found = blocks(&disk);
    let (path, position) = &found[found.len() - 1];
    disk.edit(path, flip(position + INSIDE));
    let damaged = damage(&disk);
    assert!(
        damaged.is_empty(),
        "a torn last block was never acknowledged: {damaged:?}"
    );
    let (path, position) = &found[found.len() - 2];
    disk.edit(path, flip(position + INSIDE));
    let damaged = damage(&disk);
    assert!(
        damaged
            .iter()
            .any(|(file, what)| file == path && what.contains("block")),
        "{damaged:?}"
    );
}
