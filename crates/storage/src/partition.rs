//! One partition's log.

use hallows_types::{LeaderEpoch, Offset, PartitionId};

use crate::error::Failure;
use crate::settings::LogConfig;

/// The log of one partition.
pub struct Partition {
    id: PartitionId,
    config: LogConfig,
    log_start: Offset,
    high_watermark: Offset,
    log_end: Offset,
    leader_epoch: LeaderEpoch,
    size_bytes: u64,
    failure: Option<Failure>,
}

impl Partition {
    /// The partition's id.
    #[must_use]
    pub const fn id(&self) -> PartitionId {
        self.id
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &LogConfig {
        &self.config
    }

    /// The first readable offset.
    #[must_use]
    pub const fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The end of what is acknowledged, exclusive; nothing at or above it may be read.
    #[must_use]
    pub const fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// The end of what readers of committed transactions may see, exclusive.
    #[must_use]
    pub const fn last_stable_offset(&self) -> Offset {
        self.high_watermark
    }

    /// The next offset to assign.
    #[must_use]
    pub const fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The epoch written into appended batches.
    #[must_use]
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Bytes of batches in the log.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Why the partition accepts nothing more.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}
