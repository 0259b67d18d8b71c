//! Descriptors that tokio watches for us.
#![expect(
    unsafe_code,
    reason = "tokio wants a promise about descriptors that Rust's types do not express"
)]

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An owner of a descriptor.
///
/// # Safety
/// `as_raw_fd` returns the same open descriptor as long as the value lives.
pub(super) unsafe trait KeepsDescriptor: AsRawFd {}

// SAFETY: it owns its descriptor and offers no way to exchange it through a shared reference.
unsafe impl KeepsDescriptor for TcpListener {}
// SAFETY: as above.
#[cfg(target_os = "linux")]
unsafe impl KeepsDescriptor for rustix::fd::OwnedFd {}

/// Watches a descriptor for readability; inside a runtime.
pub(super) fn watch<T: KeepsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: the trait's promise is the one tokio asks for, and no owner is exchanged through `get_mut`:
    // the ring's methods neither close nor replace its descriptor.
    unsafe { AsyncFd::register_with_interest(owner, Interest::READABLE) }.map_err(Into::into)
}
