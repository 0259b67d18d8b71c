//! A file system of its own for the data, small enough to be filled: ext4 in a file, or memory where there is no loop
//! device; for a power loss ext4 on a [`ForgetfulDisk`]. All take root.

mod forgetful;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use crate::clients::quiet;
use forgetful::ForgetfulDisk;
use hallows_testkit::Random;

/// What the file system holds.
const SIZE_BYTES: u64 = 1 << 30;
/// Where filling it stops to try smaller pieces.
const PIECE_BYTES_MIN: u64 = 4096;

/// How long a file system may stay in use after its last user was killed.
const UNMOUNT_TIMEOUT: Duration = Duration::from_secs(20);
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);

/// How long a power loss waits for a sync to strike.
const POWER_LOSS_TIMEOUT: Duration = Duration::from_secs(3);
const POWER_LOSS_PAUSE: Duration = Duration::from_millis(1);

/// A mounted file system; dropping it unmounts.
pub(super) struct Disk {
    /// What the image lies on when it can lose power; unmounted before the folder is removed.
    below: Option<ForgetfulDisk>,
    folder: tempfile::TempDir,
}

impl Disk {
    /// Makes and mounts one that can be filled.
    ///
    /// # Errors
    /// When this user or this machine cannot; the message is a reason to leave the fault out.
    pub(super) fn mount() -> Result<Self> {
        let disk = Self::below_nothing()?;
        let image = disk.image();
        let made = File::create(&image).and_then(|image| image.set_len(SIZE_BYTES));
        made.context("no image")?;
        disk.make_image().or_else(|loop_error| {
            let size = format!("size={SIZE_BYTES}");
            let mut mount = Command::new("mount");
            mount
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(disk.mount_point());
            quiet(&mut mount).with_context(|| format!("{loop_error:#}"))
        })?;
        disk.make_data()?;
        Ok(disk)
    }

    /// The same on a disk that forgets.
    ///
    /// # Errors
    /// When there is no `/dev/fuse` or no loop device for this user.
    pub(super) fn mount_forgetful() -> Result<Self> {
        let mut disk = Self::below_nothing()?;
        let below = ForgetfulDisk::mount(&disk.below(), SIZE_BYTES).context("no FUSE")?;
        disk.below = Some(below);
        disk.make_image()?;
        disk.make_data()?;
        Ok(disk)
    }

    fn below_nothing() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hallows-disk-").tempdir()?;
        let disk = Self { folder, below: None };
        std::fs::create_dir(disk.mount_point())?;
        std::fs::create_dir(disk.below())?;
        Ok(disk)
    }

    fn make_image(&self) -> Result<()> {
        let mut make = Command::new("mkfs.ext4");
        // No blocks are kept for root, who the broker may be.
        quiet(make.args(["-q", "-F", "-m", "0", "-E", "nodiscard"]).arg(self.image()))?;
        self.mount_image()
    }

    fn mount_image(&self) -> Result<()> {
        let mut mount = Command::new("mount");
        quiet(
            mount
                .args(["-t", "ext4", "-o", "loop"])
                .arg(self.image())
                .arg(self.mount_point()),
        )
    }

    fn make_data(&self) -> Result<()> {
        std::fs::create_dir(self.mount_point().join("data"))?;
        File::open(self.mount_point())?.sync_all()?;
        // Through a link, so that what the broker logs lies beside it and not on the disk that gets full.
        std::os::unix::fs::symlink(self.mount_point().join("data"), self.data())?;
        Ok(())
    }

    /// Loses power in the middle of the next sync, or after a while without one. Nothing is durable from then on.
    ///
    /// # Errors
    /// When the disk has no power to lose.
    pub(super) fn lose_power(&self, random: &mut Random) -> Result<()> {
        let below = self.below.as_ref().context("the disk cannot lose power")?;
        below.arm(Random::from_seed(random.next_u64()));
        let deadline = Instant::now() + POWER_LOSS_TIMEOUT;
        while below.has_power() && Instant::now() < deadline {
            thread::sleep(POWER_LOSS_PAUSE);
        }
        below.lose_power(random);
        Ok(())
    }

    /// Gets power back; nobody may use the disk. Returns how many blocks were forgotten.
    ///
    /// # Errors
    /// When the file system cannot be mounted again.
    pub(super) fn restore_power(&self) -> Result<u64> {
        let below = self.below.as_ref().context("the disk cannot lose power")?;
        // What the kernel still wants to write goes nowhere.
        unmount(&self.mount_point())?;
        let forgotten = below.restore_power();
        self.mount_image()?;
        Ok(forgotten)
    }

    /// A mount point lies on another device than its folder.
    fn is_mounted(&self) -> bool {
        let device = |path: &Path| std::fs::metadata(path).map(|state| state.dev()).ok();
        device(&self.mount_point()) != device(self.folder.path())
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn below(&self) -> PathBuf {
        self.folder.path().join("below")
    }

    fn image(&self) -> PathBuf {
        self.below().join(forgetful::FILE)
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point().join("ballast")
    }

    /// Where the broker keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Takes all room that is left; again, what was freed meanwhile.
    pub(super) fn fill(&self) -> Result<()> {
        let file = File::options().create(true).append(true).open(self.ballast())?;
        let mut piece = SIZE_BYTES;
        while piece >= PIECE_BYTES_MIN {
            let end = file.metadata()?.len();
            match fallocate(&file, FallocateFlags::empty(), end, piece) {
                Ok(()) => {}
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("cannot fill the disk"),
            }
        }
        Ok(())
    }

    /// Whether there is no room.
    pub(super) fn is_full(&self) -> Result<bool> {
        let state = statvfs(self.mount_point())?;
        Ok(state.f_bavail.saturating_mul(state.f_frsize) < 16 * PIECE_BYTES_MIN)
    }

    /// Gives the room back.
    pub(super) fn free(&self) -> Result<()> {
        match std::fs::remove_file(self.ballast()) {
            Err(error) if error.kind() != ErrorKind::NotFound => bail!(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !self.is_mounted() {
            return;
        }
        // Before the disk below goes.
        if let Err(error) = unmount(&self.mount_point()) {
            println!("{} stays mounted: {error:#}", self.mount_point().display());
        }
    }
}

/// A killed process may hold its files a little longer than it lives: the kernel takes its rings down later.
fn unmount(mount_point: &Path) -> Result<()> {
    let deadline = Instant::now() + UNMOUNT_TIMEOUT;
    loop {
        match quiet(Command::new("umount").arg(mount_point)) {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(UNMOUNT_PAUSE),
            Ok(()) => return Ok(()),
        }
    }
}
