//! The group coordinators of this shard: one per partition of `__consumer_offsets` that it owns.
//!
//! A group changes only by that partition's committed records: the coordinator gives rows, they are appended here,
//! and it learns how that ended.

mod hosting;
mod partitioning;
mod rewrite;
mod rows;

pub(crate) use hosting::{Coordinators, GroupAnswer, GroupOp, ListGroupsOp};
pub(crate) use partitioning::partition_of;
pub(crate) use rows::{decode as decode_row, encode as encode_rows};
