//! What the page cache holds, and sending from it.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "cachestat has no safe wrapper yet")
)]

use std::io::{self, IoSlice};

use tokio::net::TcpStream;

use crate::FileHandle;

/// Whether file ranges are sent without a copy; if not they are read and sent.
pub(super) const CAN_SEND_FILE: bool = cfg!(target_os = "linux");

/// Sends gathered pieces; `more` says that a file range follows at once, so that the kernel may wait for it.
#[cfg(target_os = "linux")]
pub(super) fn send_gathered(stream: &TcpStream, pieces: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, more);
    let sent = match pieces {
        [piece] => send(stream, piece, flags)?,
        _ => sendmsg(stream, pieces, &mut SendAncillaryBuffer::default(), flags)?,
    };
    Ok(sent)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send_gathered(stream: &TcpStream, pieces: &[IoSlice<'_>], _more: bool) -> io::Result<usize> {
    stream.try_write_vectored(pieces)
}

/// Sends a file range without a copy; returns how many bytes left.
#[cfg(target_os = "linux")]
pub(super) fn send_file(stream: &TcpStream, file: &FileHandle, offset: u64, len: u32) -> io::Result<usize> {
    let Some(descriptor) = file.descriptor() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let mut position = offset;
    Ok(rustix::fs::sendfile(
        stream,
        descriptor,
        Some(&mut position),
        len as usize,
    )?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send_file(_stream: &TcpStream, _file: &FileHandle, _offset: u64, _len: u32) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fills `buffer` from `offset` if all of it is in the page cache; `false` if the disk would be waited for.
///
/// # Errors
/// `UnexpectedEof` when the file ends before; what the operating system reports.
pub(super) fn read_resident(file: &FileHandle, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match read_resident_up_to(file, buffer, offset)? {
        None => Ok(false),
        Some(count) if count == buffer.len() => Ok(true),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// As [`read_resident`], but the file may end before: returns how many bytes there are, or `None` if the disk would be waited for.
#[cfg(target_os = "linux")]
pub(super) fn read_resident_up_to(file: &FileHandle, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let Some(descriptor) = file.descriptor() else {
        return file.read_at(buffer, offset).map(Some);
    };
    let mut filled = 0;
    while filled < buffer.len() {
        let mut rest = [io::IoSliceMut::new(&mut buffer[filled..])];
        match preadv2(descriptor, &mut rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            // What cannot tell counts as cold: correct, only slower. Files that bypass the page cache say INVAL.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(filled))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_resident_up_to(file: &FileHandle, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
    if file.descriptor().is_some() {
        return Ok(None);
    }
    file.read_at(buffer, offset).map(Some)
}

/// Has the kernel read no more of a file than it is asked for.
///
/// By itself it reads ahead in megabytes where the disk is set up so, all of which a durable write would wait behind.
#[cfg(target_os = "linux")]
pub(super) fn read_only_what_is_asked_for(file: &FileHandle) {
    if let Some(descriptor) = file.descriptor() {
        // It is advice: where it is not taken, reading is right all the same.
        let _ = rustix::fs::fadvise(descriptor, 0, None, rustix::fs::Advice::Random);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_only_what_is_asked_for(_file: &FileHandle) {}

/// Whether a range can be sent without waiting for the disk.
#[cfg(target_os = "linux")]
pub(super) fn is_resident(file: &FileHandle, offset: u64, len: u32) -> bool {
    use std::os::fd::AsRawFd;

    let Some(descriptor) = file.descriptor() else {
        return true;
    };
    match cached_pages(descriptor.as_raw_fd(), offset, u64::from(len)) {
        Some(pages) => pages >= pages_spanned(offset, len),
        None => ends_resident(file, offset, len),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_resident(file: &FileHandle, _offset: u64, _len: u32) -> bool {
    file.descriptor().is_none()
}

#[cfg(target_os = "linux")]
fn pages_spanned(offset: u64, len: u32) -> u64 {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    if len == 0 {
        return 0;
    }
    (offset + u64::from(len) - 1) / page - offset / page + 1
}

/// How many pages of a range are in the page cache; `None` where the kernel cannot tell (before Linux 6.5).
#[cfg(target_os = "linux")]
fn cached_pages(descriptor: std::os::fd::RawFd, offset: u64, len: u64) -> Option<u64> {
    /// The number of the call is the same on every architecture.
    const SYS_CACHESTAT: libc::c_long = 451;
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Statistics {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    let range = Range { offset, len };
    let mut statistics = Statistics::default();
    // SAFETY: both pointers refer to live values of the layout that cachestat(2) documents, for the time of the call;
    // it reads the first and writes the second.
    let status = unsafe { libc::syscall(SYS_CACHESTAT, descriptor, &raw const range, &raw mut statistics, 0_u32) };
    (status == 0).then_some(statistics.cached)
}

/// The answer of older kernels: reads one byte of the first and of the last page without waiting.
#[cfg(target_os = "linux")]
fn ends_resident(file: &FileHandle, offset: u64, len: u32) -> bool {
    let last = offset + u64::from(len.saturating_sub(1));
    [offset, last]
        .into_iter()
        .all(|position| matches!(read_resident(file, &mut [0], position), Ok(true)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::production::RealDisk;
    use crate::{Disk, OpenMode};

    #[test]
    fn residency_is_told_apart() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let disk = RealDisk::open(directory.path()).expect("a fresh directory opens");
        let file = disk.open("file", OpenMode::Create).expect("creating");
        file.write_all_at(&[1; 100_000], 0).expect("writing");
        file.sync().expect("syncing");
        assert!(is_resident(&file, 5, 99_995), "just written");
        assert!(ends_resident(&file, 5, 99_995));
        let descriptor = file.descriptor().expect("a real file");
        rustix::fs::fadvise(descriptor, 0, None, rustix::fs::Advice::DontNeed).expect("dropping cached pages");
        if is_resident(&file, 0, 4096) {
            return; // A file system in memory has nowhere to drop pages to.
        }
        // A read without waiting may have the kernel fetch what it did not find, so only the first answer is certain.
        assert!(!read_resident(&file, &mut [0; 100], 50).expect("a cold read is no error"));
        file.read_at(&mut [0; 100_000], 0).expect("reading");
        assert!(is_resident(&file, 0, 100_000), "just read");
        assert_eq!(
            read_resident_up_to(&file, &mut [0; 100], 99_950).expect("reading"),
            Some(50),
            "up to the end"
        );
        read_resident(&file, &mut [0; 100], 99_950).expect_err("a range past the end is an error");
    }

    #[test]
    fn spans_count_pages_touched() {
        let page = u64::try_from(rustix::param::page_size()).expect("64 bits");
        assert_eq!(pages_spanned(0, 1), 1);
        assert_eq!(pages_spanned(page - 1, 2), 2);
        assert_eq!(pages_spanned(page, u32::try_from(page).expect("small")), 1);
        assert_eq!(pages_spanned(3, 0), 0);
    }
}
