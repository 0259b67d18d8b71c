//! A disk that is full, read-only or gone, under the real program. Needs a file system of its own, so it takes root.

mod process;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use process::{Broker, directory};
use tempfile::TempDir;

/// Small enough to be filled within a second, large enough for what the parts of a file system are named for.
const SIZE_BYTES: u64 = 96 << 20;
/// What a condition may take to become true before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

const SKIPPED: &str = "skipped: this user or machine cannot mount a file system of its own";

/// A mounted file system; dropping it unmounts.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts ext4 in a file; `None` where that is not possible.
    fn mount() -> Option<Self> {
        Self::mount_with(&[])
    }

    /// The same with further options of `mkfs`.
    fn mount_with(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let disk = Self { folder };
        let image = File::create(disk.image());
        image.and_then(|image| image.set_len(SIZE_BYTES)).expect("an image");
        fs::create_dir(disk.mount_point()).expect("a mount point");
        // No blocks are kept for root, who the broker is.
        let mkfs = ["-q", "-F", "-m", "0"];
        let mut make = Command::new("mkfs.ext4");
        let make = make.args(mkfs).args(options).arg(disk.image()).output();
        if make.is_ok_and(|output| output.status.success()) && disk.attach() {
            return Some(disk);
        }
        None
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn attach(&self) -> bool {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", "loop,errors=remount-ro"])
            .arg(self.image())
            .arg(self.mount_point());
        mount.output().is_ok_and(|output| output.status.success())
    }

    fn detach(&self) -> bool {
        let output = Command::new("umount").arg(self.mount_point()).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    fn data(&self) -> PathBuf {
        self.mount_point().join("data")
    }

    /// Another process takes all that is left.
    fn fill(&self) {
        let path = self.mount_point().join("ballast");
        let mut ballast = File::options().create(true).append(true).open(path).expect("a ballast");
        for piece in [1 << 20, 4096] {
            let piece = vec![1; piece];
            let error = std::iter::repeat_with(|| ballast.write_all(&piece)).find_map(Result::err);
            assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::StorageFull));
            ballast.sync_all().expect("what was written has its room");
        }
    }

    /// Another process makes files until there can be no more.
    fn use_up_inodes(&self) {
        fs::create_dir(self.mount_point().join("files")).expect("a folder");
        let path = |number: u32| self.mount_point().join("files").join(number.to_string());
        let error = (0..).map(|number| File::create(path(number))).find_map(Result::err);
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::StorageFull));
    }

    fn give_inodes_back(&self) {
        fs::remove_dir_all(self.mount_point().join("files")).expect("they can be removed");
    }

    /// The kernel finds an error of the file system, as it does on a failing disk.
    fn become_read_only(&self) -> bool {
        let mounts = fs::read_to_string("/proc/mounts").expect("Linux has it");
        let mount_point = self.mount_point().to_string_lossy().into_owned();
        let line = mounts
            .lines()
            .find(|line| line.contains(&mount_point))
            .expect("it is mounted");
        let device = line
            .split(' ')
            .next()
            .and_then(|path| path.strip_prefix("/dev/"))
            .expect("a device");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").is_ok()
    }

    fn used_by(&self, part: &str) -> u64 {
        size(&self.data().join(part))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A killed broker may hold its files a little longer than it lives: the kernel takes its ring down later.
        until("the file system is not used any more", || self.detach());
    }
}

fn size(path: &Path) -> u64 {
    let Ok(state) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !state.is_dir() {
        return state.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path())).sum()
}

/// Waits until something becomes true, and says how long that took.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Starts a broker whose producers fill the disk, and says what the last of them was told.
fn filled(disk: &SmallDisk) -> (Broker, String) {
    let broker = Broker::start_with(
        &disk.data(),
        &["--shards", "2", "--group.initial.rebalance.delay.ms", "0"],
    );
    for topic in ["old", "new"] {
        broker.succeed(&[
            "topic",
            "create",
            topic,
            "--partitions",
            "2",
            "--config",
            "segment.bytes=1048576",
        ]);
    }
    let lines = format!("{}\n", "x".repeat(999)).repeat(60_000);
    for topic in ["old", "new", "old", "new"] {
        let output = broker.run_with_input(&["produce", topic, "--timeout", "3"], lines.as_bytes());
        if !output.status.success() {
            return (broker, String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    panic!("the disk is never full");
}

fn produces(broker: &Broker) -> bool {
    broker
        .run_with_input(&["produce", "new", "--timeout", "1"], b"again\n")
        .status
        .success()
}

const READ_FIVE: [&str; 5] = ["consume", "new", "--from-beginning", "--num", "5"];

#[test]
fn a_disk_that_producers_filled_has_the_documented_way_out() {
    let Some(disk) = SmallDisk::mount() else {
        return println!("{SKIPPED}");
    };
    let (broker, told) = filled(&disk);
    assert!(told.contains("the disk is full: delete topics or records"), "{told}");
    let (journals, reserve) = (disk.used_by("journals"), disk.used_by("reserve"));
    assert!(
        journals <= SIZE_BYTES / 8 && reserve > SIZE_BYTES / 20,
        "journals {journals}, reserve {reserve}"
    );
    disk.fill();
    assert_eq!(broker.succeed(&READ_FIVE).lines().count(), 5);
    for group in ["first", "second"] {
        let read = broker.succeed(&[&READ_FIVE[..], &["--group", group]].concat());
        assert_eq!(read.lines().count(), 5, "{group}");
    }
    let before = disk.used_by("segments");
    broker.succeed(&["topic", "alter", "old", "--config", "retention.bytes=2000000"]);
    let took = until("less retention frees room", || {
        disk.used_by("segments") < before * 9 / 10
    });
    let resumed = until("appends resume", || produces(&broker));
    println!("less retention: room after {took:?}, appends {resumed:?} later");
    disk.fill();
    until("the disk is full again", || !produces(&broker));
    broker.succeed(&["topic", "delete", "old"]);
    let resumed = until("appends resume", || produces(&broker));
    println!("deletion: appends {resumed:?} later");
    assert_eq!(broker.stop().code(), Some(0));
    assert_eq!(disk.used_by("journals"), 0, "a clean stop gives them back");
}

#[test]
fn a_killed_broker_starts_on_a_full_disk_and_serves() {
    let Some(disk) = SmallDisk::mount() else {
        return println!("{SKIPPED}");
    };
    let (broker, _) = filled(&disk);
    broker.kill();
    disk.fill();
    for _ in 0..3 {
        let broker = Broker::start_with(&disk.data(), &["--shards", "2"]);
        assert_eq!(broker.succeed(&READ_FIVE).lines().count(), 5);
        broker.succeed(&["topic", "describe", "new"]);
        broker.kill();
        disk.fill();
    }
    let broker = Broker::start_with(&disk.data(), &["--shards", "2"]);
    broker.succeed(&["topic", "delete", "old"]);
    until("appends resume", || produces(&broker));
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn a_first_start_on_a_full_disk_says_that_it_is_full() {
    let Some(disk) = SmallDisk::mount() else {
        return println!("{SKIPPED}");
    };
    disk.fill();
    let mut command = process::hallows();
    command
        .args(["serve", "--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
        .arg(disk.data());
    let output = process::run(command, b"");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(
        told.contains("full: free some space or inodes") && !told.contains("this user may read"),
        "{told}"
    );
}

#[test]
fn a_file_system_that_becomes_read_only_is_told_and_has_lost_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        return println!("{SKIPPED}");
    };
    let broker = Broker::start_with(&disk.data(), &["--shards", "1"]);
    broker.succeed_with_input(&["produce", "greetings"], b"before\n");
    if !disk.become_read_only() {
        return println!("skipped: this kernel lets no error be triggered");
    }
    let mut told = String::new();
    until("a write fails", || {
        let output = broker.run_with_input(&["produce", "greetings", "--timeout", "1"], b"after\n");
        told = String::from_utf8_lossy(&output.stderr).into_owned();
        !output.status.success()
    });
    assert!(
        told.contains("Nothing more is accepted") && told.contains("Check the disk"),
        "{told}"
    );
    broker.kill();
    until("the file system is not used any more", || disk.detach());
    assert!(disk.attach());
    let broker = Broker::start_with(&disk.data(), &["--shards", "1"]);
    let read = broker.succeed(&["consume", "greetings", "--from-beginning", "--exit-at-end"]);
    assert_eq!(read, "before\n");
}

#[test]
fn a_data_directory_that_is_removed_under_a_broker_ends_in_words() {
    let (_guard, data) = directory();
    let broker = Broker::start_with(&data, &["--shards", "1"]);
    broker.succeed_with_input(&["produce", "greetings"], b"before\n");
    fs::remove_dir_all(&data).expect("it can be removed");
    let mut told = String::new();
    until("nothing is acknowledged any more", || {
        let output = broker.run_with_input(&["produce", "greetings", "--timeout", "1"], b"after\n");
        told = String::from_utf8_lossy(&output.stderr).into_owned();
        !output.status.success()
    });
    assert!(told.contains("the data directory is gone while it is used"), "{told}");
    assert_eq!(broker.stop().code(), Some(1), "not everything could be written");
}

#[test]
fn a_file_system_without_inodes_has_the_same_way_out() {
    let Some(disk) = SmallDisk::mount_with(&["-N", "512"]) else {
        return println!("{SKIPPED}");
    };
    let broker = Broker::start_with(&disk.data(), &["--shards", "2"]);
    for topic in ["old", "new"] {
        broker.succeed(&["topic", "create", topic, "--partitions", "64"]);
        broker.succeed_with_input(&["produce", topic, "--partition", "0"], b"x\n");
    }
    disk.use_up_inodes();
    let mut told = String::new();
    until("appends are refused", || {
        let output = broker.run_with_input(&["produce", "new", "--timeout", "1"], b"x\n");
        told = String::from_utf8_lossy(&output.stderr).into_owned();
        !output.status.success()
    });
    assert!(told.contains("the disk is full"), "{told}");
    let broker = {
        broker.kill();
        Broker::start_with(&disk.data(), &["--shards", "2"])
    };
    broker.succeed(&["consume", "old", "--from-beginning", "--num", "1"]);
    broker.succeed(&["topic", "alter", "new", "--config", "retention.ms=1000000"]);
    disk.give_inodes_back();
    until("appends resume", || produces(&broker));
    assert_eq!(broker.stop().code(), Some(0));
}
