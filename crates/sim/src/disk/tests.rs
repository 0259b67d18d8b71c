//! What the disk keeps and loses at a crash.

use bytes::Bytes;
use hallows_runtime::{AlignedBuffer, DiskOp};
use hallows_storage::{Identity, Recovery, StorageSettings};
use hallows_types::{Monotonic, Now, WallTime};

use super::*;

const MIB: u64 = 1 << 20;

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(seed, 64 * MIB)
}

fn block(byte: u8) -> AlignedBuffer {
    let mut block = AlignedBuffer::with_capacity(ALIGNMENT);
    block.extend_from_slice(&[byte; ALIGNMENT]);
    block
}

#[test]
fn passes_the_suite_of_every_disk() {
    hallows_runtime::disk::conformance::check(&disk(1));
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = disk(seed);
        disk.open("kept", OpenMode::Create).expect("creating");
        disk.sync_directory("").expect("syncing");
        disk.open("risked", OpenMode::Create)
            .expect("creating")
            .sync()
            .expect("a file's sync");
        let disk = disk.lose_power();
        disk.open("kept", OpenMode::Read).expect("its name was synced");
        lost += u64::from(disk.open("risked", OpenMode::Read).is_err());
    }
    assert!((20..80).contains(&lost), "{lost} of 100");
}

#[test]
fn replacing_a_file_gives_the_old_or_the_new_contents() {
    let mut outcomes = [0; 2];
    for seed in 0..300 {
        let disk = disk(seed);
        let replace = |data: &'static [u8]| DiskOp::Replace {
            path: "file".to_owned(),
            data: Bytes::from_static(data),
        };
        replace(b"old").perform(&disk).expect("replacing");
        disk.die_after(seed % 8);
        let done = replace(b"new").perform(&disk).is_ok();
        let disk = disk.lose_power();
        match disk.peek("file").expect("one of them is always there").as_slice() {
            b"old" if !done => outcomes[0] += 1,
            b"new" => outcomes[1] += 1,
            other => panic!("seed {seed} gave {other:?}"),
        }
    }
    assert!(outcomes.iter().all(|count| *count > 20), "{outcomes:?}");
}

#[test]
fn handles_of_a_dead_machine_fail() {
    let disk = disk(1);
    let file = disk.open("file", OpenMode::Create).expect("creating");
    disk.sync_all().expect("syncing");
    let next = disk.kill();
    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(disk.list("").is_err());
    assert_eq!(next.peek("file"), Some(Vec::new()));
    drop(file);
    next.open("file", OpenMode::ReadWrite)
        .expect("opening")
        .write_all_at(b"y", 0)
        .expect("writing");
}

#[test]
fn a_killed_process_keeps_its_page_cache() {
    let disk = disk(1);
    let file = disk.open("file", OpenMode::Create).expect("creating");
    file.write_all_at(b"unsynced", 0).expect("writing");
    assert_eq!(disk.kill().peek("file").as_deref(), Some(&b"unsynced"[..]));
}

#[test]
fn durable_writes_survive_and_interrupted_ones_stay_whole() {
    for seed in 0..100 {
        let disk = disk(seed);
        let op = DiskOp::CreateZeroed {
            path: "a/journal".to_owned(),
            len: 4 * ALIGNMENT as u64,
        };
        op.perform(&disk).expect("creating");
        let file = disk.open("a/journal", OpenMode::Direct).expect("opening");
        file.write_durable(&block(1), 0).expect("writing");
        disk.die_after(0);
        file.write_durable(&block(2), ALIGNMENT as u64)
            .expect_err("the machine dies");
        assert!(disk.is_dead());
        let bytes = disk.lose_power().peek("a/journal").expect("it was created durably");
        assert_eq!(bytes[..ALIGNMENT], [1; ALIGNMENT]);
        let second = &bytes[ALIGNMENT..2 * ALIGNMENT];
        assert!(second.iter().all(|byte| *byte == second[0]), "a torn block");
    }
}

#[test]
fn a_full_disk_refuses_and_reserved_space_is_kept() {
    let disk = SimDisk::new(1, 10_000);
    let first = disk.open("first", OpenMode::Create).expect("creating");
    first.reserve(0, 6000).expect("there is room");
    let second = disk.open("second", OpenMode::Create).expect("creating");
    let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
    assert_eq!(kind(second.write_all_at(&[1; 5000], 0)), Err(ErrorKind::StorageFull));
    assert_eq!(kind(second.reserve(0, 5000)), Err(ErrorKind::StorageFull));
    assert_eq!(disk.space().expect("alive").free_bytes, 0, "what fits was written");
    first.write_all_at(&[2; 6000], 0).expect("reserved");
    disk.remove("second").expect("removing");
    drop(second);
    disk.sync_directory("").expect("syncing");
    disk.write_back();
    assert_eq!(disk.space().expect("alive").free_bytes, 4000);
}

#[test]
fn faults_strike_and_are_counted() {
    let disk = disk(7);
    let all = 1_000_000;
    let file = disk.open("file", OpenMode::Create).expect("creating");
    file.write_all_at(&[0; 100], 0).expect("writing");
    disk.set_rates(FaultRates {
        sync_fails: all,
        write_fails: all,
        read_fails: all,
        ..FaultRates::default()
    });
    file.sync().expect_err("an injected failure");
    file.write_all_at(b"x", 0).expect_err("an injected failure");
    file.read_at(&mut [0; 4], 0).expect_err("an injected failure");
    disk.set_rates(FaultRates {
        read_flips: all,
        read_short: all,
        ..FaultRates::default()
    });
    let mut buffer = [0; 100];
    let count = file.read_at(&mut buffer, 0).expect("reading");
    assert!(count < 100);
    assert_eq!(buffer.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    let counts = disk.counts();
    let struck = [
        counts.syncs_failed,
        counts.writes_failed,
        counts.reads_failed,
        counts.reads_short,
        counts.reads_flipped,
    ];
    assert_eq!(struck, [1; 5], "{counts}");
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let mut disk = disk(seed);
        for round in 0..20_u8 {
            let name = format!("file{}", round % 3);
            let file = disk
                .open(&name, OpenMode::Create)
                .or_else(|_| disk.open(&name, OpenMode::ReadWrite));
            let file = file.expect("one of them works");
            file.write_all_at(&[round; 3000], u64::from(round) * 1000)
                .expect("writing");
            drop(file);
            disk = disk.lose_power();
        }
        (
            disk.files(""),
            disk.files("").iter().map(|path| disk.peek(path)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn recovery_makes_directories_durable_that_a_killed_process_left() {
    let start = |disk: &SimDisk| {
        let now = Now {
            wall: WallTime(0),
            monotonic: Monotonic::default(),
        };
        let identity = || Identity {
            cluster_id: [7; 16],
            node_id: 1,
        };
        let recovery = Recovery::begin(Arc::new(disk.clone()), StorageSettings::default(), identity);
        let recovery = recovery.expect("a usable directory");
        recovery.finish(vec![Vec::new()], now, &[1]).expect("a writable disk");
    };
    for (seed, outer) in (0..40).flat_map(|seed| [(seed, "partitions"), (seed, "segments")]) {
        let disk = disk(seed);
        start(&disk);
        let inner = format!("{outer}/ab");
        disk.create_directory(outer).expect("creating");
        disk.die_after(0);
        disk.create_directory(&inner).expect_err("the machine dies");
        let disk = disk.kill();
        start(&disk);
        disk.create_directory(&inner).expect("creating, or finding");
        let path = format!("{inner}/file");
        disk.open(&path, OpenMode::Create)
            .expect("creating")
            .sync()
            .expect("syncing");
        disk.sync_directory(&inner).expect("syncing");
        let disk = disk.lose_power();
        disk.open(&path, OpenMode::Read)
            .unwrap_or_else(|error| panic!("seed {seed}: {path} was made durable: {error}"));
    }
}
