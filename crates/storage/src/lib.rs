//! The commit log: journal, segments, manifests, indexes, recovery, retention.
//!
//! One [`Storage`] per shard: synchronous, fed with disk completions, giving disk operations and [`StorageEvent`]s.
//! [`Recovery`] runs before any shard, blocking, and hands out the [`Storage`]s.
//! Nothing acknowledged may be lost: an offset below [`Partition::high_watermark`] keeps its bytes as its
//! [`Durability`] promises. Every byte on disk is drawn in `docs/format.md`.
//!
//! This crate has never heard of the wire protocol, reads no clock and opens no file outside [`Recovery`].

mod error;
mod event;
mod partition;
mod recovery;
mod settings;
mod storage;

pub use error::{AppendError, Damage, DeleteRecordsError, Failure, OpenError, ReadError};
pub use event::{
    Appended, Lookup, Origin, ProducerState, ReadOutcome, Statistics, StorageEvent, TimeMatch, TimeTarget,
};
pub use partition::Partition;
pub use recovery::{Batches, Recovered, Recovery};
pub use settings::{Durability, Identity, LogConfig, PartitionKey, Sabotage, StorageSettings};
pub use storage::Storage;
