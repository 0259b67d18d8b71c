//! The seam between the pure shard and the world: clock, disk, network, random numbers.
//!
//! A shard is a synchronous state machine ([`Turn`]).
//! Everything that happens to it is an [`Event`] in its [`Inbox`]; everything it wants is in its [`Effects`].
//! Only a pump performs effects: the production pump, or the simulated world of crate `sim`.
//! Crates above this one never name tokio, a clock, a thread or `std::fs`.

pub mod disk;
mod effects;
mod event;
mod inbox;
mod memory;
pub mod production;
mod random;
mod turn;

pub use disk::{
    AlignedBuffer, DirectoryEntry, Disk, DiskCompletion, DiskOp, DiskOutcome, DiskSpace, DiskToken, File, FileHandle,
    OpenMode, Shortage,
};
pub use effects::{Effects, Job, Output, Slice};
pub use event::{CloseReason, ConnectionId, Event, ListenerId};
pub use inbox::{Inbox, Item};
pub use memory::{Charge, MemoryBudget};
pub use random::Random;
pub use turn::Turn;
