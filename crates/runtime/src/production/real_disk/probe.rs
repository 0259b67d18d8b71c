//! Finding out what the file system under the data directory can do.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::disk::{AlignedBuffer, Shortage};

/// The file written to find out, removed again at once.
const PROBE_FILE: &str = "hallows.probe";
/// The least alignment of durable writes in bytes: a journal block is never smaller than a page.
const ALIGNMENT_MIN: usize = 4096;

/// Why durable writes do not bypass the page cache after a start without room to try it.
const NOT_TRIED: &str = "the disk was too full to try it otherwise";

/// The flags that open a file for writes that bypass the page cache.
#[cfg(target_os = "linux")]
pub(super) const DIRECT_FLAGS: i32 = libc::O_DIRECT;
#[cfg(not(target_os = "linux"))]
pub(super) const DIRECT_FLAGS: i32 = 0;

/// What was found out about the file system under the data directory.
#[derive(Clone, Debug)]
pub struct DiskProbe {
    /// Whether durable writes bypass the page cache (`O_DIRECT`).
    pub direct: bool,
    /// Why they do not, where they do not.
    pub direct_refused: Option<String>,
    /// The alignment of durable writes in bytes.
    pub alignment: usize,
}

impl fmt::Display for DiskProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.direct_refused {
            None => write!(
                f,
                "durable writes bypass the page cache, aligned to {} bytes",
                self.alignment
            ),
            Some(why) => write!(
                f,
                "durable writes go through the page cache and are synced one by one, because {why}"
            ),
        }
    }
}

/// Writes one block the way the journal will and reports how that went. On a full disk, which has no room for that, what
/// the kernel says of `present`, a file that is there already, must do.
///
/// # Errors
/// When not even a plain durable write works: the directory cannot be written.
pub(super) fn probe_direct(root: &Path, present: &fs::File) -> io::Result<DiskProbe> {
    let path = root.join(PROBE_FILE);
    let probe = fs::File::create(&path).and_then(|file| probe_file(&path, &file));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match probe {
        Err(error) if Shortage::of(&error) == Some(Shortage::Room) => Ok(probe_without_room(present)),
        probe => probe,
    }
}

#[cfg(target_os = "linux")]
fn probe_without_room(present: &fs::File) -> DiskProbe {
    match direct_alignment(present) {
        Ok(Some(alignment)) => DiskProbe {
            direct: true,
            direct_refused: None,
            alignment,
        },
        Ok(None) => buffered(NOT_TRIED.to_owned()),
        Err(why) => buffered(why),
    }
}

#[cfg(not(target_os = "linux"))]
fn probe_without_room(_present: &fs::File) -> DiskProbe {
    buffered(NOT_TRIED.to_owned())
}

fn buffered(why: String) -> DiskProbe {
    DiskProbe {
        direct: false,
        direct_refused: Some(why),
        alignment: ALIGNMENT_MIN,
    }
}

#[cfg(target_os = "linux")]
fn probe_file(path: &Path, file: &fs::File) -> io::Result<DiskProbe> {
    use std::os::unix::fs::OpenOptionsExt;

    let alignment = match direct_alignment(file) {
        Ok(alignment) => alignment.unwrap_or(ALIGNMENT_MIN),
        Err(why) => return write_block(file, ALIGNMENT_MIN).map(|()| buffered(why)),
    };
    let direct = fs::OpenOptions::new().write(true).custom_flags(DIRECT_FLAGS).open(path);
    match direct.and_then(|direct| write_block(&direct, alignment)) {
        Ok(()) => Ok(DiskProbe {
            direct: true,
            direct_refused: None,
            alignment,
        }),
        Err(error) if Shortage::of(&error).is_some() => Err(error),
        Err(error) => {
            write_block(file, ALIGNMENT_MIN)?;
            Ok(buffered(format!("the file system refuses O_DIRECT ({error})")))
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn probe_file(_path: &Path, file: &fs::File) -> io::Result<DiskProbe> {
    write_block(file, ALIGNMENT_MIN)?;
    Ok(buffered("this operating system has no O_DIRECT".to_owned()))
}

/// The alignment for direct writes by `STATX_DIOALIGN` (Linux 6.1); `None` where the kernel does not say.
#[cfg(target_os = "linux")]
fn direct_alignment(file: &fs::File) -> Result<Option<usize>, String> {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    let Ok(status) = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) else {
        return Ok(None);
    };
    if status.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
        return Ok(None);
    }
    if status.stx_dio_offset_align == 0 {
        return Err("the file system has no direct writes".to_owned());
    }
    let memory = usize::try_from(status.stx_dio_mem_align).unwrap_or(usize::MAX);
    if memory > ALIGNMENT_MIN {
        return Err(format!("direct writes would need memory aligned to {memory} bytes"));
    }
    let offset = usize::try_from(status.stx_dio_offset_align).unwrap_or(usize::MAX);
    Ok(Some(offset.max(ALIGNMENT_MIN)))
}

fn write_block(file: &fs::File, size_bytes: usize) -> io::Result<()> {
    let mut block = AlignedBuffer::with_capacity(size_bytes);
    block.extend_from_slice(b"probe");
    block.pad_to(size_bytes);
    super::file::write_durable(file, &block, 0)
}
