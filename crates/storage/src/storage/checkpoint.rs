//! Checkpoints: everything appended so far becomes synced in segments, is recorded, and frees the journal.
//!
//! At the beginning the state of every partition at its log end is noted; then the tails up to there are written, their
//! segments synced, manifests brought up to date, and only then the record replaced and the journal purged.
//! Of a partition that fails on the way the record says again what it said before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use hallows_runtime::{DiskOp, DiskOutcome, FileHandle, Shortage};
use hallows_types::{Monotonic, Now, Offset, PartitionId};

use super::space::Draw;
use super::{Shutdown, Storage, key_of};
use crate::checkpoint::{encode, encode_record, path, with_log_start};
use crate::codec::Writer;
use crate::error::Failure;
use crate::manifest::SegmentId;
use crate::operations::Operation;
use crate::settings::PartitionKey;

/// The index of a growing segment is saved again once the segment has grown by this much.
const INDEX_SAVE_BYTES: u32 = 64 << 20;
/// At an orderly end a shorter growth is worth it.
const INDEX_SAVE_BYTES_AT_END: u32 = 4 << 20;
/// After a failed attempt the next one waits this long, and after each further one twice as long as before, up to
/// so many times.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// The checkpoint under way, if one is.
#[derive(Debug)]
pub(super) struct CheckpointRun {
    phase: Phase,
    due: Monotonic,
    began: Monotonic,
    /// Whether one should begin as soon as none is under way.
    requested: bool,
    /// Whether anything has changed since the last one began.
    changed: bool,
    /// Whether the last one was recorded.
    succeeded: bool,
    /// Attempts in a row that were not.
    failures: u32,
    marks: Vec<Mark>,
    records: Vec<u8>,
    /// What the checkpoint file says of each partition: it stays true, and is said again, once a partition has failed.
    recorded: BTreeMap<PartitionId, Bytes>,
    /// What the file being written says.
    recording: BTreeMap<PartitionId, Bytes>,
    /// Journal blocks up to this one are covered.
    sequence: u64,
    synced: Vec<SyncedSegment>,
    indexes: Vec<SavedIndex>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    /// So many partitions still have to write their tail.
    Writing(usize),
    /// Ready to sync.
    Written,
    Syncing,
    /// So many partitions still have to replace their manifest.
    Manifests(usize),
    /// Ready to record.
    Listed,
    Recording,
}

/// One partition in the checkpoint.
#[derive(Clone, Debug)]
struct Mark {
    key: PartitionKey,
    id: PartitionId,
    /// The log end when the checkpoint began.
    end: Offset,
    /// The end of what was written when its segments were synced.
    written: Offset,
    /// `structure` when its segments were synced: what a manifest must be as new as.
    structure: Option<u64>,
    record: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
struct SyncedSegment {
    key: PartitionKey,
    id: SegmentId,
    bytes: u32,
}

/// The index of a growing segment, as it was when the checkpoint began.
#[derive(Clone, Debug)]
struct SavedIndex {
    key: PartitionKey,
    id: SegmentId,
    bytes: u32,
    data: Bytes,
}

impl CheckpointRun {
    pub(super) fn new(due: Monotonic, recorded: BTreeMap<PartitionId, Bytes>) -> Self {
        Self {
            phase: Phase::Idle,
            due,
            began: Monotonic::default(),
            requested: false,
            changed: false,
            succeeded: true,
            failures: 0,
            marks: Vec::new(),
            records: Vec::new(),
            recorded,
            recording: BTreeMap::new(),
            sequence: 0,
            synced: Vec::new(),
            indexes: Vec::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether the checkpoint file says something of a partition.
    pub(super) fn has_record(&self, id: PartitionId) -> bool {
        self.recorded.contains_key(&id)
    }

    pub(super) const fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// Asks for one as soon as possible.
    pub(super) const fn request(&mut self) {
        self.requested = true;
        self.changed = true;
    }

    /// What may have made the last one fail is over.
    pub(super) fn retry_at(&mut self, now: Monotonic) {
        if !self.succeeded {
            self.failures = 0;
            self.due = self.due.min(now);
        }
    }

    /// Notes that there is something to record; the first change after a checkpoint sets the time of the next.
    pub(super) fn note_change(&mut self, now: Now, interval: Duration) {
        if !self.changed {
            self.changed = true;
            self.due = now.monotonic.after(interval);
        }
    }

    pub(super) fn due(&self) -> Monotonic {
        if self.changed && self.phase == Phase::Idle {
            self.due
        } else {
            Monotonic::NEVER
        }
    }
}

impl Storage {
    pub(super) fn tick_checkpoint(&mut self, now: Now) {
        if self.checkpoint.due() <= now.monotonic {
            self.checkpoint.requested = true;
        }
    }

    /// Begins a checkpoint if one is wanted, and takes the next step of the one under way.
    pub(super) fn drive_checkpoint(&mut self, now: Now) {
        let wanted = self.checkpoint.requested || self.journal.wants_checkpoint();
        let ending = matches!(
            self.shutdown,
            Shutdown::Checkpointing | Shutdown::Retiring | Shutdown::Done
        );
        let failed_lately = !self.checkpoint.succeeded && self.checkpoint.due > now.monotonic;
        let held = ending || failed_lately;
        if self.checkpoint.phase == Phase::Idle && wanted && !held {
            self.begin_checkpoint(now);
        }
        if self.checkpoint.phase == Phase::Written {
            self.sync_checkpoint();
        }
        if self.checkpoint.phase == Phase::Listed {
            self.record_checkpoint();
        }
    }

    /// Notes the state of every partition and has the tails written.
    pub(super) fn begin_checkpoint(&mut self, now: Now) {
        self.checkpoint.requested = false;
        self.checkpoint.changed = false;
        self.checkpoint.began = now.monotonic;
        self.checkpoint.due = now.monotonic.after(self.settings.checkpoint_interval);
        self.checkpoint.sequence = self.journal.sequence();
        self.checkpoint.marks.clear();
        let mut writer = Writer(std::mem::take(&mut self.checkpoint.records));
        writer.0.clear();
        self.checkpoint.indexes.clear();
        let save_bytes = match self.shutdown {
            Shutdown::No => INDEX_SAVE_BYTES,
            _ => INDEX_SAVE_BYTES_AT_END,
        };
        let mut waiting = Vec::new();
        for (slot, partition) in &mut self.partitions {
            if partition.removed || partition.failure.is_some() {
                continue;
            }
            let key = key_of(slot);
            let start = writer.0.len();
            encode_record(
                &mut writer,
                partition.id,
                partition.log_end,
                partition.log_start_next,
                partition.end_place(),
                &partition.epochs,
                &partition.producers,
            );
            self.checkpoint.marks.push(Mark {
                key,
                id: partition.id,
                end: partition.log_end,
                written: Offset::ZERO,
                structure: None,
                record: start..writer.0.len(),
            });
            let growing = partition
                .segments
                .back()
                .filter(|last| last.grown_bytes() >= save_bytes);
            if let Some((segment, index)) = growing.and_then(|last| Some((last, last.index.as_ref()?))) {
                self.checkpoint.indexes.push(SavedIndex {
                    key,
                    id: segment.id,
                    bytes: segment.size,
                    data: Bytes::from(index.encode(segment.id.0)),
                });
            }
            if partition.sync_barrier.is_some() {
                // Everything up to here is written and synced now; what comes later waits for the journal.
                partition.sync_barrier = Some(partition.log_end);
            }
            if partition.written_end() < partition.log_end {
                partition.checkpoint_target = Some(partition.log_end);
                waiting.push(key);
            }
        }
        self.checkpoint.records = writer.0;
        self.checkpoint.phase = match waiting.len() {
            0 => Phase::Written,
            count => Phase::Writing(count),
        };
        // They are looked at when the next turn ends, which the first completion or deadline brings;
        // to lose no time their writes begin now.
        for key in waiting {
            self.flush_partition(now, key);
        }
    }

    /// One partition less to wait for, because its tail is written or because it failed.
    pub(super) fn checkpoint_partition_done(&mut self) {
        if let Phase::Writing(count) = self.checkpoint.phase {
            self.checkpoint.phase = match count - 1 {
                0 => Phase::Written,
                rest => Phase::Writing(rest),
            };
        }
    }

    /// Syncs every segment with unsynced bytes, and saves indexes that have grown.
    fn sync_checkpoint(&mut self) {
        let mut files: Vec<FileHandle> = Vec::new();
        self.checkpoint.synced.clear();
        for mark in &mut self.checkpoint.marks {
            let Some(partition) = self.partitions.get(super::slot(mark.key)) else {
                continue;
            };
            if partition.id != mark.id || partition.failure.is_some() {
                continue;
            }
            mark.written = partition.written_end();
            mark.structure = Some(partition.structure);
            for segment in partition
                .segments
                .iter()
                .rev()
                .take_while(|segment| !segment.is_sealed())
            {
                let Some(file) = segment.file().filter(|_| segment.is_unsynced()) else {
                    continue;
                };
                files.push(file.clone());
                self.checkpoint.synced.push(SyncedSegment {
                    key: mark.key,
                    id: segment.id,
                    bytes: segment.written,
                });
            }
        }
        self.checkpoint.phase = Phase::Syncing;
        if files.is_empty() || self.settings.sabotage.skip_segment_sync() {
            self.checkpoint_synced(Ok(DiskOutcome::Done));
        } else {
            self.operations.issue(Operation::CheckpointSync, DiskOp::Sync { files });
        }
    }

    /// Takes the end of the syncs.
    pub(super) fn checkpoint_synced(&mut self, result: std::io::Result<DiskOutcome>) {
        let synced = std::mem::take(&mut self.checkpoint.synced);
        if let Err(error) = result {
            // Final even on a full disk: the kernel may have dropped the pages it had no room for.
            let failure = Failure::write("segments (sync)", &error);
            for segment in &synced {
                if self.get_mut(segment.key).is_some() {
                    self.sync_failed(segment.key, &failure);
                }
            }
            return self.abandon_checkpoint();
        }
        for entry in &synced {
            let Some(partition) = self.get_mut(entry.key) else {
                continue;
            };
            if let Some(segment) = partition.segment_mut(entry.id) {
                segment.synced = segment.synced.max(entry.bytes);
            }
        }
        self.save_indexes();
        self.checkpoint.synced = synced;
        let mut waiting = 0;
        for mark in std::mem::take(&mut self.checkpoint.marks) {
            waiting += usize::from(self.checkpoint_mark_synced(&mark));
            self.checkpoint.marks.push(mark);
        }
        self.checkpoint.phase = match waiting {
            0 => Phase::Listed,
            count => Phase::Manifests(count),
        };
    }

    /// Writes the indexes noted at the beginning, which describe nothing but synced bytes by now. They only save time
    /// at the next start, so nothing waits for them.
    fn save_indexes(&mut self) {
        for saved in std::mem::take(&mut self.checkpoint.indexes) {
            let Some(partition) = self.get_mut(saved.key) else {
                continue;
            };
            let Some(segment) = partition.segment_mut(saved.id).filter(|segment| !segment.closed) else {
                continue;
            };
            segment.index_saved_bytes = saved.bytes;
            let path = saved.id.index_path();
            let data = saved.data;
            self.operations
                .issue(Operation::Cleanup { what: "an index" }, DiskOp::Replace { path, data });
        }
    }

    /// Notes that a partition is synced; whether its manifest must be waited for.
    fn checkpoint_mark_synced(&mut self, mark: &Mark) -> bool {
        let Some(partition) = self.get_mut(mark.key).filter(|partition| partition.id == mark.id) else {
            return false;
        };
        if partition.failure.is_some() {
            return false;
        }
        partition.synced_end = partition.synced_end.max(mark.written);
        let lifted = partition
            .sync_barrier
            .is_some_and(|barrier| partition.synced_end >= barrier);
        let stale = mark
            .structure
            .is_some_and(|structure| partition.durable_structure < structure);
        if lifted {
            self.lift_barrier(mark.key);
        }
        self.advance(mark.key);
        self.enqueue(mark.key);
        stale
    }

    /// A partition has failed or was removed: the checkpoint goes on without it, whether it waited for its tail or for
    /// its manifest.
    pub(super) fn checkpoint_goes_on(&mut self, waited_for_tail: bool) {
        if waited_for_tail {
            self.checkpoint_partition_done();
        }
        self.checkpoint_manifest_done();
    }

    /// A manifest was written, or is not waited for any more.
    pub(super) fn checkpoint_manifest_done(&mut self) {
        if matches!(self.checkpoint.phase, Phase::Manifests(_)) {
            self.recount_manifests();
        }
    }

    fn recount_manifests(&mut self) {
        let stale = |mark: &&Mark| {
            self.partitions.get(super::slot(mark.key)).is_some_and(|partition| {
                partition.id == mark.id
                    && partition.failure.is_none()
                    && !partition.removed
                    && mark
                        .structure
                        .is_some_and(|structure| partition.durable_structure < structure)
            })
        };
        self.checkpoint.phase = match self.checkpoint.marks.iter().filter(stale).count() {
            0 => Phase::Listed,
            count => Phase::Manifests(count),
        };
    }

    /// Replaces the record with the state noted at the beginning. Of a partition that failed the old record is kept:
    /// without it the next start would not know how much of the log must be there.
    fn record_checkpoint(&mut self) {
        let noted = Bytes::from(std::mem::take(&mut self.checkpoint.records));
        let mut recording = BTreeMap::new();
        for mark in &self.checkpoint.marks {
            let alive = self
                .partitions
                .get(super::slot(mark.key))
                .is_some_and(|p| p.id == mark.id && p.failure.is_none() && !p.removed);
            if alive {
                debug_assert!(mark.written >= mark.end);
                recording.insert(mark.id, noted.slice(mark.record.clone()));
            }
        }
        for (_, partition) in &self.partitions {
            if partition.failure.is_some()
                && !partition.removed
                && let Some(old) = self.checkpoint.recorded.get(&partition.id)
            {
                recording.insert(partition.id, with_log_start(old, partition.log_start));
            }
        }
        let records: Vec<u8> = recording.values().flatten().copied().collect();
        self.checkpoint.recording = recording;
        self.checkpoint.phase = Phase::Recording;
        let op = DiskOp::Replace {
            path: path(self.shard),
            data: Bytes::from(encode(self.checkpoint.sequence, &records)),
        };
        self.operations.issue(Operation::CheckpointRecord, op);
    }

    /// Takes the end of the record's replacement.
    pub(super) fn checkpoint_recorded(&mut self, result: std::io::Result<DiskOutcome>) {
        match result {
            Ok(_) => {
                self.checkpoint.phase = Phase::Idle;
                self.checkpoint.recorded = std::mem::take(&mut self.checkpoint.recording);
                self.checkpoint.succeeded = true;
                self.checkpoint.failures = 0;
                self.statistics.checkpoints += 1;
                self.journal.purge_to(self.checkpoint.sequence);
                self.remove_inherited();
            }
            Err(error) => {
                tracing::warn!(%error, "a checkpoint could not be recorded; it is tried again");
                if let Some(shortage) = Shortage::of(&error) {
                    self.note_exhausted("a checkpoint", shortage, Draw::Structure);
                }
                self.abandon_checkpoint();
            }
        }
    }

    /// What a start had no room for is in segments now.
    fn remove_inherited(&mut self) {
        if self.inherited.is_empty() {
            return;
        }
        let (paths, directories) = (std::mem::take(&mut self.inherited), Vec::new());
        let what = "journal files of the last life";
        self.operations
            .issue(Operation::Cleanup { what }, DiskOp::Remove { paths, directories });
    }

    pub(super) fn abandon_checkpoint(&mut self) {
        self.checkpoint.phase = Phase::Idle;
        self.checkpoint.succeeded = false;
        self.checkpoint.changed = true;
        self.checkpoint.requested = self.shutdown == Shutdown::No;
        let doublings = self.checkpoint.failures.min(RETRY_DOUBLINGS_MAX);
        self.checkpoint.due = self.checkpoint.began.after(RETRY_INTERVAL * (1 << doublings));
        self.checkpoint.failures += 1;
    }
}
