//! An open file of the real disk.
//!
//! Positions are always named, so that one handle serves several threads at once.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::disk::{AlignedBuffer, File};

/// Zeros are written in pieces of this size: a durable write beside them waits for one at most.
const ZEROS_BYTES: usize = 256 << 10;

static ZEROS: LazyLock<AlignedBuffer> = LazyLock::new(|| {
    let mut zeros = AlignedBuffer::with_capacity(ZEROS_BYTES);
    zeros.extend_from_slice(&[0]);
    zeros.pad_to(ZEROS_BYTES);
    zeros
});

/// A file below the data directory.
pub(super) struct RealFile {
    /// As it was opened; bypasses the page cache for [`crate::OpenMode::Direct`].
    file: fs::File,
    /// The same file through the page cache, where `file` bypasses it: only aligned bytes pass there.
    cached: Option<fs::File>,
    syncs: Syncs,
}

/// The syncs of one open file: one after the other, and none after one that failed.
///
/// The kernel reports a failed write of a page once per open file and takes the page for written from then on: a second
/// sync, even one that ran beside the first, would call bytes durable that are not there.
#[derive(Default)]
struct Syncs {
    failed: Mutex<Option<(io::ErrorKind, String)>>,
}

impl Syncs {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        // A panic inside leaves what is known of failures whole.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kind, why)) = &*failed {
            return Err(io::Error::new(
                *kind,
                format!("an earlier sync of this file failed: {why}"),
            ));
        }
        sync().inspect_err(|error| *failed = Some((error.kind(), error.to_string())))
    }
}

impl RealFile {
    pub(super) fn new(file: fs::File, cached: Option<fs::File>) -> Self {
        Self {
            file,
            cached,
            syncs: Syncs::default(),
        }
    }

    fn cached(&self) -> &fs::File {
        self.cached.as_ref().unwrap_or(&self.file)
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.cached().read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.cached().write_all_at(data, offset)
    }

    fn write_durable(&self, data: &AlignedBuffer, offset: u64) -> io::Result<()> {
        write_durable(&self.file, data, offset)
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut written = 0;
        while written < len {
            let piece = usize::try_from(len - written).map_or(ZEROS_BYTES, |rest| rest.min(ZEROS_BYTES));
            self.file.write_all_at(&ZEROS[..piece], offset + written)?;
            written += piece as u64;
        }
        Ok(())
    }

    fn write_back(&self, offset: u64, len: u64) -> io::Result<()> {
        write_back(self.cached(), offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.sync(|| self.file.sync_data())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        reserve(&self.file, offset, len)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

#[cfg(target_os = "linux")]
pub(super) fn write_durable(file: &fs::File, data: &[u8], offset: u64) -> io::Result<()> {
    use rustix::io::{Errno, ReadWriteFlags, pwritev2};

    let mut written = 0;
    while written < data.len() {
        let rest = [io::IoSlice::new(&data[written..])];
        match pwritev2(file, &rest, offset + written as u64, ReadWriteFlags::DSYNC) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                file.write_all_at(&data[written..], offset + written as u64)?;
                return file.sync_data();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn write_durable(file: &fs::File, data: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(data, offset)?;
    file.sync_data()
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call that rustix does not offer")]
fn write_back(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let offset = i64::try_from(offset).map_err(too_far)?;
    let len = i64::try_from(len).map_err(too_far)?;
    // SAFETY: the call takes no pointer, and the descriptor is open as long as `file` is borrowed.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Not every file system writes back ranges.
        error if matches!(error.raw_os_error(), Some(libc::ESPIPE | libc::ENOSYS | libc::EINVAL)) => Ok(()),
        error => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn write_back(_file: &fs::File, _offset: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn reserve(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    if len == 0 {
        return Ok(());
    }
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &fs::File, _offset: u64, _len: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failed_sync_none_succeeds() {
        let syncs = Syncs::default();
        syncs.sync(|| Ok(())).expect("nothing failed yet");
        let failed = syncs.sync(|| Err(io::Error::from_raw_os_error(5)));
        assert!(failed.is_err());
        let after = syncs.sync(|| Ok(())).expect_err("its bytes may be gone");
        assert!(
            after.to_string().starts_with("an earlier sync of this file failed: "),
            "{after}"
        );
    }
}
