//! One segment as a partition sees it: a run of record batches, growing in memory, then in a file, then sealed.
//!
//! Invariant: `synced <= written <= size`. Only the last segment of a partition grows.

use hallows_runtime::FileHandle;
use hallows_types::{Offset, WallTime};

use crate::index::SegmentIndex;
use crate::manifest::{ManifestEntry, ManifestState, SegmentId};

/// How far a segment is.
#[derive(Debug)]
pub(crate) enum SegmentState {
    /// No file yet: batches wait in the tail.
    Planned,
    /// The file is being created and listed in the manifest; no byte may be written before.
    Creating,
    /// Being written.
    Open { file: FileHandle },
    /// Complete and synced. The file is opened when a read needs it.
    Sealed,
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) base: Offset,
    /// Exclusive; of what is in memory and in the file.
    pub(crate) end: Offset,
    /// Bytes in memory and in the file.
    pub(crate) size: u32,
    /// Bytes in the file.
    pub(crate) written: u32,
    /// Bytes in the file that the kernel was asked to write to the disk already.
    pub(crate) written_back: u32,
    /// Whether it is being asked now.
    pub(crate) writing_back: bool,
    /// Bytes in the file that survive power loss.
    pub(crate) synced: u32,
    /// When its first batch was appended.
    pub(crate) created: WallTime,
    pub(crate) largest_timestamp: WallTime,
    pub(crate) largest_batch_bytes: u32,
    pub(crate) state: SegmentState,
    /// Until it is sealed.
    pub(crate) index: Option<SegmentIndex>,
    /// The range the index file on disk covers.
    pub(crate) index_saved_bytes: u32,
    /// Whether nothing more is appended to it.
    pub(crate) closed: bool,
    /// Whether its last sync and index write are under way.
    pub(crate) sealing: bool,
}

impl Segment {
    /// A segment without a file.
    pub(crate) fn planned(id: SegmentId, base: Offset, created: WallTime) -> Self {
        Self {
            id,
            base,
            end: base,
            size: 0,
            written: 0,
            written_back: 0,
            writing_back: false,
            synced: 0,
            created,
            largest_timestamp: WallTime(i64::MIN),
            largest_batch_bytes: 0,
            state: SegmentState::Planned,
            index: Some(SegmentIndex::new(base)),
            index_saved_bytes: 0,
            closed: false,
            sealing: false,
        }
    }

    /// A sealed segment of a manifest; `None` for any other entry.
    pub(crate) fn sealed(entry: &ManifestEntry) -> Option<Self> {
        let ManifestState::Sealed {
            end_offset,
            size_bytes,
            largest_timestamp,
            largest_batch_bytes,
        } = entry.state
        else {
            return None;
        };
        Some(Self {
            end: end_offset,
            size: size_bytes,
            written: size_bytes,
            synced: size_bytes,
            largest_timestamp,
            largest_batch_bytes,
            state: SegmentState::Sealed,
            closed: true,
            index: None,
            ..Self::planned(entry.id, entry.base_offset, entry.created)
        })
    }

    pub(crate) const fn file(&self) -> Option<&FileHandle> {
        match &self.state {
            SegmentState::Open { file } => Some(file),
            SegmentState::Planned | SegmentState::Creating | SegmentState::Sealed => None,
        }
    }

    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self.state, SegmentState::Sealed)
    }

    /// How far it has grown since its index was last saved.
    pub(crate) const fn grown_bytes(&self) -> u32 {
        self.size - self.index_saved_bytes
    }

    pub(crate) const fn is_planned(&self) -> bool {
        matches!(self.state, SegmentState::Planned)
    }

    /// Whether bytes in the file may not survive power loss.
    pub(crate) const fn is_unsynced(&self) -> bool {
        self.synced < self.written
    }

    /// What the manifest says of it.
    pub(crate) const fn manifest_entry(&self) -> ManifestEntry {
        let state = if self.is_sealed() {
            ManifestState::Sealed {
                end_offset: self.end,
                size_bytes: self.size,
                largest_timestamp: self.largest_timestamp,
                largest_batch_bytes: self.largest_batch_bytes,
            }
        } else {
            ManifestState::Open
        };
        ManifestEntry {
            id: self.id,
            base_offset: self.base,
            created: self.created,
            state,
        }
    }
}
