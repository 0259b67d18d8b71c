//! What storage is told: settings of the whole node, settings of one log, and the identity of a data directory.

use std::time::Duration;

/// The slot of a partition in its shard's table. Reused only after [`crate::Storage::remove_partition`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionKey(pub u32);

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Durability {
    /// Survives power loss: acknowledged after a durable journal write.
    #[default]
    Fsync,
    /// Survives a killed process: acknowledged after the write to the segment in the page cache.
    Written,
    /// May lose what is not yet in the segment: acknowledged at once.
    Memory,
}

/// Settings of one log. The names are Kafka's topic settings where one exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// A segment is sealed before it would exceed this size.
    pub segment_bytes: u32,
    /// A segment is sealed once its first record is this old.
    pub segment_ms: u64,
    /// One index entry per this many bytes of batches.
    pub index_interval_bytes: u32,
    /// Sealed segments whose newest record is older are removed; `None` keeps them.
    pub retention_ms: Option<u64>,
    /// The oldest sealed segments are removed while the log stays at or above this size; `None` keeps them.
    pub retention_bytes: Option<u64>,
    /// Files of removed segments are unlinked this much later.
    pub delete_delay_ms: u64,
    /// Producers silent for longer are forgotten.
    pub producer_id_expiration_ms: u64,
    /// Larger batches are refused with [`crate::AppendError::TooLarge`].
    pub max_batch_bytes: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            index_interval_bytes: 4096,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            delete_delay_ms: 60_000,
            producer_id_expiration_ms: 24 * 3_600_000,
            max_batch_bytes: 1 << 20,
        }
    }
}

/// Settings of the storage of one node; each bound applies to every shard on its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageSettings {
    /// Appends of clients are refused with [`crate::AppendError::Busy`] while the journal's files would exceed this; those
    /// of the node itself while they would exceed it by an eighth.
    pub journal_bytes_max: u64,
    /// The size of every journal file but the first.
    pub journal_file_bytes: u64,
    /// The size of the journal file made at start; small, so that a first start is quick.
    pub journal_first_file_bytes: u64,
    /// Bytes of batches held in memory until their segment write; at half of it segment writes are forced, at the whole
    /// of it appends of clients are refused with [`crate::AppendError::Busy`], an eighth above it those of the node.
    pub tail_bytes_max: u64,
    /// While the journal is written to, the kernel is asked to write a segment to the disk each time this much was added
    /// to it; 0 leaves the time to the kernel and to checkpoints.
    pub segment_writeback_bytes: u32,
    /// A checkpoint at least this often while there is anything to record.
    pub checkpoint_interval: Duration,
    /// How often retention looks at every log.
    pub retention_check_interval: Duration,
    /// Room held on the disk for the node itself, as files; appends of clients are refused with
    /// [`crate::AppendError::Full`] rather than touch it.
    pub disk_reserve_bytes: u64,
    /// Producers remembered per partition; beyond it the one silent for longest is forgotten.
    pub producers_per_partition_max: usize,
    /// Promises to break, for the harness that proves it notices.
    pub sabotage: Sabotage,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            journal_bytes_max: 1 << 30,
            journal_file_bytes: 64 << 20,
            journal_first_file_bytes: 4 << 20,
            tail_bytes_max: 128 << 20,
            segment_writeback_bytes: 1 << 20,
            checkpoint_interval: Duration::from_secs(10),
            retention_check_interval: Duration::from_secs(300),
            disk_reserve_bytes: 64 << 20,
            producers_per_partition_max: 100_000,
            sabotage: Sabotage::none(),
        }
    }
}

/// The journals of all shards together take at most this part of their file system.
const JOURNALS_PART: u64 = 8;
/// The reserves of all shards together take at most this part, and so does what all of them keep in memory, since it has
/// to find room in the end.
const RESERVES_PART: u64 = 16;
/// A journal has room for so many files at least.
const JOURNAL_FILES_MIN: u64 = 4;
/// What a shard gets of the journal and of memory on however small a file system.
const SHARD_BYTES_MIN: u64 = 1 << 20;

impl StorageSettings {
    /// The settings of one of `shards` shards on a file system of `total_bytes`.
    pub(crate) fn bounded(&self, total_bytes: u64, shards: u64) -> Self {
        let share = total_bytes / shards.max(1);
        let journal_bytes_max = self.journal_bytes_max.min((share / JOURNALS_PART).max(SHARD_BYTES_MIN));
        let bounds_files = journal_bytes_max < self.journal_bytes_max;
        let file_bytes_max = if bounds_files {
            journal_bytes_max / JOURNAL_FILES_MIN
        } else {
            u64::MAX
        };
        Self {
            journal_bytes_max,
            journal_file_bytes: self.journal_file_bytes.min(file_bytes_max),
            journal_first_file_bytes: self.journal_first_file_bytes.min(file_bytes_max),
            tail_bytes_max: self.tail_bytes_max.min((share / RESERVES_PART).max(SHARD_BYTES_MIN)),
            disk_reserve_bytes: self.disk_reserve_bytes.min(share / RESERVES_PART),
            ..self.clone()
        }
    }
}

/// Promises to break on purpose. Programs that serve can only construct [`Sabotage::none`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sabotage {
    switches: Switches,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Switches {
    acknowledge_before_sync: bool,
    skip_segment_sync: bool,
    forget_producers: bool,
    recycle_segments: bool,
    lower_log_start: bool,
    keep_leader_epochs: bool,
    read_above_high_watermark: bool,
    lose_group_offset: bool,
}

/// One promise to break.
#[cfg(any(test, feature = "sabotage"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SabotageSwitch {
    /// The high watermark of `fsync` partitions moves at once.
    AcknowledgeBeforeSync,
    /// Checkpoints free journal files without syncing the segments.
    SkipSegmentSync,
    /// Producer state is empty after every start.
    ForgetProducers,
    /// Truncated bytes of a torn tail are left in the segment file and appends overwrite them.
    RecycleSegments,
    /// A moved log start is answered before it is durable.
    LowerLogStart,
    /// Leader epochs do not rise at an unclean start.
    KeepLeaderEpochs,
    /// Fetches give what is not yet committed.
    ReadAboveHighWatermark,
    /// The last committed offset of each group log is forgotten at a start.
    LoseGroupOffset,
}

impl Sabotage {
    /// Every promise is kept.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            switches: Switches {
                acknowledge_before_sync: false,
                skip_segment_sync: false,
                forget_producers: false,
                recycle_segments: false,
                lower_log_start: false,
                keep_leader_epochs: false,
                read_above_high_watermark: false,
                lose_group_offset: false,
            },
        }
    }

    /// Breaks one more promise.
    #[cfg(any(test, feature = "sabotage"))]
    #[must_use]
    pub const fn with(mut self, switch: SabotageSwitch) -> Self {
        match switch {
            SabotageSwitch::AcknowledgeBeforeSync => self.switches.acknowledge_before_sync = true,
            SabotageSwitch::SkipSegmentSync => self.switches.skip_segment_sync = true,
            SabotageSwitch::ForgetProducers => self.switches.forget_producers = true,
            SabotageSwitch::RecycleSegments => self.switches.recycle_segments = true,
            SabotageSwitch::LowerLogStart => self.switches.lower_log_start = true,
            SabotageSwitch::KeepLeaderEpochs => self.switches.keep_leader_epochs = true,
            SabotageSwitch::ReadAboveHighWatermark => self.switches.read_above_high_watermark = true,
            SabotageSwitch::LoseGroupOffset => self.switches.lose_group_offset = true,
        }
        self
    }

    pub(crate) const fn acknowledge_before_sync(self) -> bool {
        self.switches.acknowledge_before_sync
    }

    pub(crate) const fn skip_segment_sync(self) -> bool {
        self.switches.skip_segment_sync
    }

    pub(crate) const fn forget_producers(self) -> bool {
        self.switches.forget_producers
    }

    pub(crate) const fn recycle_segments(self) -> bool {
        self.switches.recycle_segments
    }

    pub(crate) const fn lower_log_start(self) -> bool {
        self.switches.lower_log_start
    }

    /// Whether leader epochs stay at an unclean start.
    #[must_use]
    pub const fn keep_leader_epochs(self) -> bool {
        self.switches.keep_leader_epochs
    }

    /// Whether fetches give what is not yet committed.
    #[must_use]
    pub const fn read_above_high_watermark(self) -> bool {
        self.switches.read_above_high_watermark
    }

    /// Whether a committed offset is forgotten at a start.
    #[must_use]
    pub const fn lose_group_offset(self) -> bool {
        self.switches.lose_group_offset
    }
}

/// Who a data directory belongs to; written once, when the directory is first used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The cluster's id.
    pub cluster_id: [u8; 16],
    /// The node's id.
    pub node_id: i32,
}
