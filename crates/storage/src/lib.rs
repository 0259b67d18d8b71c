//! The commit log: journal, segments, manifests, indexes, recovery, retention.
//!
//! One [`Storage`] per shard: synchronous, fed with disk completions, giving disk operations and [`StorageEvent`]s.
//! [`Recovery`] runs before any shard, blocking, and hands out the [`Storage`]s. [`inspect`] reads all files offline.
//! Nothing acknowledged may be lost: an offset below [`Partition::high_watermark`] keeps its bytes as its
//! [`Durability`] promises. Every byte on disk is drawn in `docs/format.md`.
//!
//! This crate has never heard of the wire protocol, reads no clock and opens no file outside [`Recovery`] and [`inspect`].

mod batch;
mod checkpoint;
mod codec;
mod epochs;
mod error;
mod event;
mod index;
mod journal;
mod journal_block;
mod journal_supply;
mod journal_use;
mod manifest;
mod operations;
mod partition;
mod pool;
mod producers;
mod recovery;
mod reserve;
mod segment;
mod settings;
mod storage;
mod tail;

pub use error::{AppendError, Damage, DeleteRecordsError, Failure, OpenError, ReadError};
pub use event::{
    Appended, Lookup, Origin, ProducerState, ReadOutcome, Statistics, StorageEvent, TimeMatch, TimeTarget,
};
pub use partition::Partition;
pub use recovery::{Batches, DeletedBy, Recovered, Recovery, Seen, inspect};
#[cfg(any(test, feature = "sabotage"))]
pub use settings::SabotageSwitch;
pub use settings::{Durability, Identity, LogConfig, PartitionKey, Sabotage, StorageSettings};
pub use storage::Storage;

/// Decoders of every file, for fuzzing and offline tools.
#[doc(hidden)]
pub mod format {
    pub use crate::checkpoint::Checkpoint;
    pub use crate::codec::FormatError;
    pub use crate::index::SegmentIndex;
    pub use crate::journal_block::{BlockHead, EntryKind, JournalEntry};
    pub use crate::manifest::{Manifest, ManifestEntry, ManifestState, SegmentId};
    pub use crate::recovery::decode_identity;
}
