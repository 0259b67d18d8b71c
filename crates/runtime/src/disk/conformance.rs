//! The suite that every [`Disk`] must pass: the real one, and the simulated one while nothing fails.
//!
//! It says what callers rely on. Crash behaviour is not part of it; that is the simulation's subject.

use std::io::ErrorKind;

use bytes::Bytes;

use super::{AlignedBuffer, DirectoryEntry, Disk, DiskOp, DiskOutcome, FileHandle, OpenMode};

/// Runs the suite on an empty data directory.
///
/// # Panics
/// When the disk breaks a promise; the message says which.
pub fn check(disk: &dyn Disk) {
    files_keep_what_is_written(disk);
    modes_open_what_they_should(disk);
    sizes_follow_writes_and_cuts(disk);
    durable_writes_are_readable(disk);
    reserved_files_become_zeros(disk);
    writing_back_changes_nothing(disk);
    directories_list_sorted(disk);
    renames_replace(disk);
    removal_is_idempotent_and_open_files_survive(disk);
    operations_do_what_they_say(disk);
    disk.sync_all().expect("syncing everything");
    let space = disk.space().expect("it can be measured");
    assert!(
        (1..=space.total_bytes).contains(&space.free_bytes) && space.free_files != Some(0),
        "a test needs a disk with space: {space:?}"
    );
}

fn read(file: &FileHandle, offset: u64, len: usize) -> Vec<u8> {
    let mut buffer = vec![0xee; len];
    let count = file.read_at(&mut buffer, offset).expect("reading");
    buffer.truncate(count);
    buffer
}

fn files_keep_what_is_written(disk: &dyn Disk) {
    let file = disk.open("keep", OpenMode::Create).expect("creating a file");
    file.write_all_at(b"hello world", 0).expect("writing");
    file.write_all_at(b"W", 6).expect("overwriting");
    assert_eq!(read(&file, 0, 11), b"hello World", "overwritten in place");
    assert_eq!(read(&file, 6, 100), b"World", "a read ends with the file");
    assert_eq!(read(&file, 11, 10), b"", "nothing at the end");
    assert_eq!(read(&file, 1000, 10), b"", "nothing past the end");
    file.write_all_at(b"far", 10_000).expect("writing past the end");
    assert_eq!(read(&file, 9_998, 5), b"\0\0far", "a gap reads as zeros");
    file.sync().expect("syncing");
    drop(file);
    let again = disk.open("keep", OpenMode::Read).expect("opening again");
    assert_eq!(read(&again, 0, 11), b"hello World", "kept after closing");
}

fn modes_open_what_they_should(disk: &dyn Disk) {
    let kind = |path, mode| disk.open(path, mode).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind("absent", OpenMode::Read), Err(ErrorKind::NotFound));
    assert_eq!(kind("absent", OpenMode::ReadWrite), Err(ErrorKind::NotFound));
    assert_eq!(kind("absent", OpenMode::Direct), Err(ErrorKind::NotFound));
    assert_eq!(kind("no/such/directory", OpenMode::Create), Err(ErrorKind::NotFound));
    assert_eq!(kind("keep", OpenMode::Create), Err(ErrorKind::AlreadyExists));
    assert_eq!(kind("keep", OpenMode::ReadWrite), Ok(()));
}

fn sizes_follow_writes_and_cuts(disk: &dyn Disk) {
    let file = disk.open("sizes", OpenMode::Create).expect("creating a file");
    assert_eq!(file.size().expect("size"), 0);
    file.write_all_at(&[7; 100], 50).expect("writing");
    assert_eq!(file.size().expect("size"), 150);
    file.set_size(60).expect("cutting");
    file.set_size(80).expect("extending");
    assert_eq!(file.size().expect("size"), 80);
    assert_eq!(read(&file, 58, 100)[..4], [7, 7, 0, 0], "cut bytes do not come back");
    file.reserve(0, 1 << 20).expect("reserving");
    assert_eq!(
        file.size().expect("size"),
        80,
        "a reservation does not change the length"
    );
}

fn durable_writes_are_readable(disk: &dyn Disk) {
    let alignment = disk.alignment();
    assert!(alignment >= 4096, "an alignment of at least 4096, not {alignment}");
    assert!(alignment.is_power_of_two(), "a power of two, not {alignment}");
    let outcome = DiskOp::CreateZeroed {
        path: "journal/a".to_owned(),
        len: 4 * alignment as u64,
    }
    .perform(disk);
    let Ok(DiskOutcome::Opened(file)) = outcome else {
        panic!("creating zeros gave {outcome:?}")
    };
    let mut block = AlignedBuffer::with_capacity(alignment);
    block.extend_from_slice(b"block");
    block.pad_to(alignment);
    file.write_durable(&block, alignment as u64).expect("a durable write");
    let cached = disk.open("journal/a", OpenMode::Read).expect("opening the same file");
    assert_eq!(cached.size().expect("size"), 4 * alignment as u64);
    assert_eq!(
        read(&cached, alignment as u64, 6),
        b"block\0",
        "seen through the page cache"
    );
    assert_eq!(read(&cached, 0, 4), [0; 4], "its neighbours are untouched");
    assert_eq!(
        read(&file, alignment as u64 + 1, 3),
        b"loc",
        "the same handle reads any position"
    );
    file.write_durable(&block, 0).expect("a second durable write");
    assert_eq!(read(&cached, 0, 6), b"block\0", "no stale page is read");
}

fn reserved_files_become_zeros(disk: &dyn Disk) {
    let alignment = disk.alignment() as u64;
    let len = 300 * alignment;
    let create = || DiskOp::CreateReserved {
        path: "journal/reserved".to_owned(),
        len,
    };
    let outcome = create().perform(disk);
    let Ok(DiskOutcome::Opened(file)) = outcome else {
        panic!("creating a reserved file gave {outcome:?}")
    };
    create().perform(disk).expect_err("it exists");
    assert_eq!(file.size().expect("size"), len);
    let mut block = AlignedBuffer::with_capacity(disk.alignment());
    block.extend_from_slice(b"block");
    block.pad_to(disk.alignment());
    file.write_durable(&block, 0).expect("a durable write");
    file.write_durable(&block, 299 * alignment).expect("a durable write");
    for (offset, len) in [(0, 100 * alignment), (100 * alignment, 199 * alignment)] {
        let file = file.clone();
        DiskOp::WriteZeros { file, offset, len }
            .perform(disk)
            .expect("writing zeros");
    }
    file.sync().expect("syncing");
    assert_eq!(read(&file, 0, 6), [0; 6], "overwritten");
    assert_eq!(read(&file, 298 * alignment + 1, 10), [0; 10]);
    assert_eq!(read(&file, 299 * alignment, 6), b"block\0", "not beyond the range");
    assert_eq!(file.size().expect("size"), len);
}

fn writing_back_changes_nothing(disk: &dyn Disk) {
    let file = disk.open("back", OpenMode::Create).expect("creating a file");
    file.write_all_at(&[5; 10_000], 0).expect("writing");
    let op = DiskOp::WriteBack {
        file: file.clone(),
        offset: 100,
        len: 9_000,
    };
    op.perform(disk).expect("writing back");
    assert_eq!(read(&file, 0, 20_000), [5; 10_000]);
    file.sync().expect("syncing");
}

fn directories_list_sorted(disk: &dyn Disk) {
    assert_eq!(disk.list("list").expect("listing"), [], "an absent directory is empty");
    disk.create_directory("list/inner").expect("creating a directory");
    disk.create_directory("list/inner").expect("creating it again");
    disk.create_directory("").expect("the data directory is there");
    for name in ["list/b", "list/a"] {
        disk.open(name, OpenMode::Create).expect("creating a file");
    }
    disk.sync_directory("list").expect("syncing a directory");
    disk.sync_directory("").expect("syncing the data directory");
    let entry = |name: &str, is_directory| DirectoryEntry {
        name: name.to_owned(),
        is_directory,
    };
    let expected = [entry("a", false), entry("b", false), entry("inner", true)];
    assert_eq!(disk.list("list").expect("listing"), expected);
    assert!(
        disk.list("").expect("listing").contains(&entry("list", true)),
        "the data directory lists too"
    );
}

fn renames_replace(disk: &dyn Disk) {
    for (name, data) in [("from", b"new"), ("to", b"old")] {
        let file = disk.open(name, OpenMode::Create).expect("creating a file");
        file.write_all_at(data, 0).expect("writing");
    }
    disk.rename("from", "to").expect("renaming");
    assert_eq!(read(&disk.open("to", OpenMode::Read).expect("opening"), 0, 9), b"new");
    let gone = disk
        .open("from", OpenMode::Read)
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(gone, Err(ErrorKind::NotFound));
    let absent = disk.rename("from", "to").map_err(|error| error.kind());
    assert_eq!(absent, Err(ErrorKind::NotFound), "a rename needs its source");
}

fn removal_is_idempotent_and_open_files_survive(disk: &dyn Disk) {
    let file = disk.open("remove", OpenMode::Create).expect("creating a file");
    file.write_all_at(b"still here", 0).expect("writing");
    disk.remove("remove").expect("removing");
    disk.remove("remove").expect("removing again");
    assert_eq!(read(&file, 0, 20), b"still here", "an open file outlives its name");
    disk.create_directory("empty").expect("creating a directory");
    disk.remove_directory("empty").expect("removing a directory");
    disk.remove_directory("empty").expect("removing it again");
    disk.remove_directory("list")
        .expect_err("a directory with entries stays");
}

fn operations_do_what_they_say(disk: &dyn Disk) {
    let data = Bytes::from_static(b"contents");
    let path = "ops/file".to_owned();
    let created = DiskOp::Create {
        path: path.clone(),
        data: data.clone(),
        durable: true,
    }
    .perform(disk);
    let Ok(DiskOutcome::Opened(file)) = created else {
        panic!("creating gave {created:?}")
    };
    DiskOp::Create {
        path: path.clone(),
        data,
        durable: false,
    }
    .perform(disk)
    .expect_err("it exists");

    let pieces = vec![Bytes::from_static(b"one "), Bytes::from_static(b"two")];
    DiskOp::Write {
        file: file.clone(),
        offset: 9,
        data: pieces,
    }
    .perform(disk)
    .expect("writing pieces");
    let bytes = DiskOp::Read {
        file: file.clone(),
        offset: 0,
        len: 100,
    }
    .perform(disk);
    let Ok(DiskOutcome::Data(bytes)) = bytes else {
        panic!("reading gave {bytes:?}")
    };
    assert_eq!(&bytes[..], b"contents\0one two");

    let replaced = DiskOp::Replace {
        path: path.clone(),
        data: Bytes::from_static(b"replaced"),
    };
    let steps = vec![DiskOp::Sync { files: vec![file] }, replaced, DiskOp::MeasureSpace];
    let outcome = DiskOp::Sequence(steps).perform(disk).expect("a sequence");
    let DiskOutcome::Sequence(outcomes) = outcome else {
        panic!("a sequence gave {outcome:?}")
    };
    assert!(matches!(
        outcomes[..],
        [DiskOutcome::Done, DiskOutcome::Done, DiskOutcome::Space(_)]
    ));
    assert_eq!(
        read(&disk.open(&path, OpenMode::Read).expect("opening"), 0, 100),
        b"replaced"
    );

    let failing = vec![
        DiskOp::Open {
            path: "absent".to_owned(),
            mode: OpenMode::Read,
        },
        DiskOp::MeasureSpace,
    ];
    DiskOp::Sequence(failing)
        .perform(disk)
        .expect_err("a sequence stops at its first error");
    let remove = DiskOp::Remove {
        paths: vec![path, "ops/absent".to_owned()],
        directories: vec!["ops".to_owned()],
    };
    remove.perform(disk).expect("removing");
    assert_eq!(disk.list("ops").expect("listing"), []);
}
