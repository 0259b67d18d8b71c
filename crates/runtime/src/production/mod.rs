//! The production pump: drives shards on real sockets, files and clocks.
//!
//! Each shard has one thread with a tokio `LocalRuntime` for sockets and its own disk ring; tokio's timers and file
//! interface are not used. A turn runs on the thread that received the bytes, and cheap effects follow at once, so
//! a request costs four system calls: wait, receive, write, send.
//!
//! [`run`] starts everything. Nothing here knows what shards do.

mod accept;
mod clock;
mod company;
mod connection;
mod files;
mod hand_over;
mod inline;
mod limits;
mod load;
mod mailbox;
mod messages;
#[cfg(all(test, feature = "loom"))]
mod models;
mod output;
mod pool;
mod precedence;
mod pump;
mod readiness;
mod real_disk;
mod receive;
#[cfg_attr(not(target_os = "linux"), path = "no_ring.rs")]
mod ring;
mod running;
mod settings;
mod sync;
mod task;
mod timer;

pub use real_disk::{DiskProbe, RealDisk, RealDiskError};
pub use running::{PumpError, PumpHandle, Running, run};
pub use settings::Settings;
