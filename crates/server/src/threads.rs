//! Threads besides those of the shards and their pool.
//!
//! A process that lost one of its threads to a panic must not live on without it: it is asked to stop in good order.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};

/// Whether one of these threads has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Starts a thread that ends the process, in good order, if it panics.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            PANICKED.store(true, Ordering::Release);
            // The same way as from outside: whoever waits for signals stops the shards, or the default ends it all.
            let _ = kill_process(getpid(), Signal::TERM);
        }
    })?;
    drop(thread);
    Ok(())
}

/// Whether the process ends because one of its threads panicked.
pub(crate) fn have_panicked() -> bool {
    PANICKED.load(Ordering::Acquire)
}
