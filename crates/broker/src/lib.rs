//! The broker: shards, routing, one handler per request, metadata, coordinator hosting.
//!
//! A [`Shard`] is a synchronous state machine; [`boot`] makes the shards of a data directory, a pump runs them.
//! Nothing here blocks, reads a clock, opens a file or names a thread.

mod backlog;
mod base64;
mod boot;
mod connection;
mod context;
mod controller;
mod coordinator;
mod errors;
mod fetch;
mod follow;
#[doc(hidden)]
pub mod format;
mod gather;
mod handlers;
mod held;
mod limits;
mod message;
mod metadata;
mod op;
mod partitions;
mod producer_ids;
mod response;
mod router;
mod rows;
mod settings;
mod shard;
mod statistics;
mod view;

pub use boot::{BootError, BootOptions, Booted, boot, boot_with};
pub use held::Held;
pub use message::Message;
pub use metadata::{CommandError, topics_deleted_by};
pub use shard::{Advertised, NodeIdentity, Shard};

/// A pump moves each shard into its thread.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Shard>();
};
