//! Durable writes by io_uring: submitted and completed on the shard's own thread, without a hop.
//!
//! The kernel reads a buffer until its completion, so buffers in flight belong to the ring, and a ring is not
//! dropped before they have come back.
#![expect(
    unsafe_code,
    reason = "the kernel reads buffers asynchronously; their lifetime is kept here"
)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};

use io_uring::{IoUring, opcode, types};
use slab::Slab;
use tokio::io::unix::AsyncFd;

use super::readiness::{self, KeepsDescriptor};
use crate::{AlignedBuffer, DiskCompletion, DiskOutcome, DiskToken, FileHandle};

/// Durable writes in flight at once; more go to the pool. A shard has one journal write in flight per journal.
const ENTRIES: u32 = 64;

/// The most bytes of one entry: a whole number of blocks below 2 GiB, which is all a write can do.
const WRITE_BYTES_MAX: u32 = 1 << 30;

/// A write in flight: what the kernel still uses, and how far it is.
struct Write {
    token: DiskToken,
    file: FileHandle,
    data: AlignedBuffer,
    offset: u64,
    written: usize,
}

/// The ring of one shard.
pub(super) struct Ring {
    ring: AsyncFd<Registered>,
    writes: Slab<Write>,
    /// Writes pushed and not yet submitted.
    unsubmitted: bool,
}

/// The ring with its descriptor as tokio wants to see it.
struct Registered(IoUring);

impl AsRawFd for Registered {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

// SAFETY: a ring keeps its descriptor until it is dropped; the wrapper is only ever lent to the ring's own methods.
unsafe impl KeepsDescriptor for Registered {}

/// Whether this process may use io_uring at all, with the reason if not.
pub(super) fn probe() -> Result<(), String> {
    IoUring::new(2).map(|_| ()).map_err(|error| error.to_string())
}

impl Ring {
    /// A ring for the calling thread, polled by its runtime.
    pub(super) fn new() -> io::Result<Self> {
        // One thread submits, and completions need not interrupt it: it looks before it sleeps and is woken when asleep.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .build(ENTRIES);
        let ring = ring.or_else(|_older_kernel| IoUring::new(ENTRIES))?;
        Ok(Self {
            ring: readiness::watch(Registered(ring))?,
            writes: Slab::with_capacity(ENTRIES as usize),
            unsubmitted: false,
        })
    }

    /// Takes a durable write; gives it back when the ring is full or the file has no descriptor.
    pub(super) fn write(
        &mut self,
        token: DiskToken,
        file: FileHandle,
        offset: u64,
        data: AlignedBuffer,
    ) -> Result<(), (FileHandle, AlignedBuffer)> {
        if self.writes.len() == ENTRIES as usize || file.descriptor().is_none() || data.is_empty() {
            return Err((file, data));
        }
        let key = self.writes.insert(Write {
            token,
            file,
            data,
            offset,
            written: 0,
        });
        self.push(key);
        Ok(())
    }

    fn push(&mut self, key: usize) {
        let write = &self.writes[key];
        let rest = &write.data[write.written..];
        let descriptor = write
            .file
            .descriptor()
            .expect("checked when the write was taken")
            .as_raw_fd();
        // A longer rest follows with the next completion.
        let len = u32::try_from(rest.len()).map_or(WRITE_BYTES_MAX, |len| len.min(WRITE_BYTES_MAX));
        let entry = opcode::Write::new(types::Fd(descriptor), rest.as_ptr(), len)
            .offset(write.offset + write.written as u64)
            .rw_flags(libc::RWF_DSYNC)
            .build()
            .user_data(key as u64);
        // SAFETY: the entry points into `write.data`, an allocation that does not move with its owner, and names
        // `write.file`'s descriptor. Both stay in `self.writes` until the completion is seen, also on drop.
        let pushed = unsafe { self.ring.get_mut().0.submission().push(&entry) };
        pushed.expect("no more entries than writes, which are bounded by the ring's size");
        self.unsubmitted = true;
    }

    /// Hands pushed writes to the kernel.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        while self.unsubmitted {
            match self.ring.get_ref().0.submit() {
                Ok(_) => self.unsubmitted = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the kernel still works on writes.
    pub(super) fn is_busy(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Registers the loop's task for the next completion.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut ready = false;
        while let Poll::Ready(guard) = self.ring.poll_read_ready(cx) {
            guard?.clear_ready();
            ready = true;
        }
        Ok(ready)
    }

    /// Takes what has completed; costs two loads when nothing has.
    pub(super) fn complete(&mut self, mut each: impl FnMut(DiskCompletion)) {
        while let Some((key, result)) = self.next_completion() {
            if let Some(completion) = self.advance(key, result) {
                each(completion);
            }
        }
    }

    fn next_completion(&mut self) -> Option<(usize, i32)> {
        let entry = self.ring.get_mut().0.completion().next()?;
        let key = usize::try_from(entry.user_data()).expect("a key of the slab, as it was given");
        Some((key, entry.result()))
    }

    /// Ends a write, or pushes its rest where the kernel wrote a part.
    fn advance(&mut self, key: usize, result: i32) -> Option<DiskCompletion> {
        let write = &mut self.writes[key];
        let result = match usize::try_from(result) {
            Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => None,
            Err(_) => Some(Err(io::Error::from_raw_os_error(-result))),
            Ok(0) => Some(Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                write.written += count;
                (write.written >= write.data.len()).then_some(Ok(()))
            }
        };
        let Some(result) = result else {
            self.push(key);
            return None;
        };
        let Write { token, data, .. } = self.writes.remove(key);
        Some(DiskCompletion {
            token,
            result: result.map(|()| DiskOutcome::Buffer(data)),
        })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        while self.is_busy() {
            match self.ring.get_ref().0.submit_and_wait(1) {
                Ok(_) => self.complete(drop),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::error!(%error, writes = self.writes.len(), "the disk ring cannot be waited for");
                    // The kernel may still read these buffers: they stay allocated.
                    std::mem::forget(std::mem::take(&mut self.writes));
                    return;
                }
            }
        }
    }
}
