//! The cluster's state: commands in a log, folded into an immutable image.
//!
//! The metadata log owns what exists; nothing else is a source of truth.
//! Only the controller (shard 0) proposes commands; every shard reads its own copy of the image.

mod command;
mod image;

pub(crate) use command::{Command, DynamicResource};
pub use command::{CommandError, topics_deleted_by};
pub(crate) use image::{Image, OFFSETS_TOPIC, Topic};
