//! An open file of the real disk.
//!
//! Positions are always named, so that one handle serves several threads at once.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use crate::disk::{AlignedBuffer, File};

/// A file below the data directory.
pub(super) struct RealFile {
    /// As it was opened; bypasses the page cache for [`crate::OpenMode::Direct`].
    file: fs::File,
    /// The same file through the page cache, where `file` bypasses it: only aligned bytes pass there.
    cached: Option<fs::File>,
}

impl RealFile {
    pub(super) const fn new(file: fs::File, cached: Option<fs::File>) -> Self {
        Self { file, cached }
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

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
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
