//! What changes the set of a partition's segments: creating, preparing, sealing, manifests, removal.
//!
//! A segment takes its first byte only after a durable manifest names it; it is called sealed only once it is synced.
//! One manifest write of a partition is on its way at most.

use std::io;

use bytes::Bytes;
use hallows_runtime::{DiskOp, DiskOutcome, Shortage};
use hallows_types::PartitionId;

use super::Storage;
use super::retention::note_held;
use super::space::Draw;
use crate::error::Failure;
use crate::manifest::{self, SegmentId};
use crate::operations::Operation;
use crate::partition::{Partition, Spare};
use crate::segment::{Segment, SegmentState};
use crate::settings::PartitionKey;

impl Storage {
    /// Starts what the partition's segments need next.
    pub(super) fn drive_structure(&mut self, key: PartitionKey) {
        self.seal_complete(key);
        let partition = self.at(key);
        if partition.manifest_busy {
            return;
        }
        if wants_spare(partition) {
            self.prepare_spare(key);
        } else if partition.structure > partition.durable_structure {
            self.write_manifest(key);
        }
    }

    /// Creates the file of a planned segment and lists it.
    pub(super) fn create_segment(&mut self, key: PartitionKey, id: SegmentId) {
        let partition = self.at_mut(key);
        if partition.manifest_busy {
            return;
        }
        let segment = partition.segment_mut(id).expect("the caller has just seen it");
        segment.state = SegmentState::Creating;
        self.create_and_list(key, id);
    }

    fn prepare_spare(&mut self, key: PartitionKey) {
        let id = self.fresh_segment_id();
        self.pool.refer(id);
        self.at_mut(key).spare = Spare::Preparing(id);
        self.create_and_list(key, id);
    }

    fn create_and_list(&mut self, key: PartitionKey, id: SegmentId) {
        self.at_mut(key).structure += 1;
        let (replace, structure) = self.manifest_op(key);
        let create = DiskOp::Create {
            path: id.log_path(),
            data: Bytes::new(),
            durable: true,
        };
        let operation = Operation::SegmentCreate { key, id, structure };
        self.issue_for(key, operation, DiskOp::Sequence(vec![create, replace]));
    }

    fn write_manifest(&mut self, key: PartitionKey) {
        let (replace, structure) = self.manifest_op(key);
        self.issue_for(key, Operation::Manifest { key, structure }, replace);
    }

    fn manifest_op(&mut self, key: PartitionKey) -> (DiskOp, u64) {
        let partition = self.at_mut(key);
        let manifest = partition.manifest();
        partition.manifest_busy = true;
        partition.manifest_log_start = manifest.log_start;
        partition.manifest_omits = partition.expired();
        let op = DiskOp::Replace {
            path: manifest::path(partition.id),
            data: Bytes::from(manifest.encode()),
        };
        (op, partition.structure)
    }

    /// Takes the end of creating a segment or a spare.
    pub(super) fn segment_created(
        &mut self,
        key: PartitionKey,
        id: SegmentId,
        structure: u64,
        result: io::Result<DiskOutcome>,
    ) {
        let file = match result {
            Ok(DiskOutcome::Sequence(outcomes)) => outcomes.into_iter().find_map(|outcome| match outcome {
                DiskOutcome::Opened(file) => Some(file),
                _ => None,
            }),
            Ok(_) => None,
            Err(error) => return self.segment_not_created(key, id, &error),
        };
        let file = file.expect("the sequence began with creating a file");
        let partition = self.at_mut(key);
        if matches!(partition.spare, Spare::Preparing(spare) if spare == id) {
            partition.spare = Spare::Ready(id, file);
        } else if let Some(segment) = partition.segment_mut(id) {
            segment.state = SegmentState::Open { file };
        }
        self.manifest_written(key, structure, Ok(DiskOutcome::Done));
    }

    /// Forgets the attempt, whose file may or may not exist; on a full disk it is made again under another name.
    fn segment_not_created(&mut self, key: PartitionKey, id: SegmentId, error: &io::Error) {
        let fresh = self.fresh_segment_id();
        let partition = &mut self.partitions[super::slot(key)];
        partition.manifest_busy = false;
        if matches!(partition.spare, Spare::Preparing(spare) if spare == id) {
            partition.spare = Spare::None;
            self.pool.release(id);
        } else {
            partition.rename_segment(id, fresh);
            self.pool.release(id);
            self.pool.refer(fresh);
        }
        if error.kind() == io::ErrorKind::AlreadyExists {
            // Another segment has that name: its file is not ours to remove.
            self.enqueue(key);
            return;
        }
        let op = DiskOp::Remove {
            paths: vec![id.log_path()],
            directories: Vec::new(),
        };
        self.operations.issue(
            Operation::Cleanup {
                what: "an unfinished segment",
            },
            op,
        );
        match Shortage::of(error) {
            Some(shortage) => self.note_exhausted("creating a segment", shortage, Draw::Structure),
            None => self.fail(key, Failure::write(id.log_path(), error)),
        }
    }

    /// Takes the end of a manifest write: segments it no longer lists may go, the log start it names is durable.
    pub(super) fn manifest_written(&mut self, key: PartitionKey, structure: u64, result: io::Result<DiskOutcome>) {
        let partition = self.at_mut(key);
        partition.manifest_busy = false;
        if partition.removed {
            return;
        }
        if let Err(error) = result {
            if let Some(shortage) = Shortage::of(&error) {
                self.note_exhausted("a manifest", shortage, Draw::Structure);
            } else {
                let path = manifest::path(partition.id);
                self.fail(key, Failure::write(path, &error));
            }
            return;
        }
        partition.durable_structure = structure;
        let log_start = partition.manifest_log_start;
        let omitted = std::mem::take(&mut partition.manifest_omits);
        let dropped = partition.drop_first(&omitted);
        self.move_log_start(key, log_start);
        self.expire_segments(key, &dropped);
        self.checkpoint_manifest_done();
        self.enqueue(key);
    }

    /// Syncs complete segments for the last time.
    fn seal_complete(&mut self, key: PartitionKey) {
        let skip_sync = self.settings.sabotage.skip_segment_sync();
        let ready = |segment: &&mut Segment| {
            segment.closed && !segment.sealing && segment.written == segment.size && segment.file().is_some()
        };
        // The oldest first and one at a time, so that sealed segments are always a prefix.
        let unsealed = self.at_mut(key).segments.iter_mut().rev();
        let oldest = unsealed.take_while(|segment| !segment.is_sealed()).last();
        let Some(segment) = oldest.filter(ready) else { return };
        segment.sealing = true;
        let id = segment.id;
        let file = segment.file().expect("checked above").clone();
        let files = if skip_sync { Vec::new() } else { vec![file] };
        self.issue_for(key, Operation::SegmentSeal { key, id }, DiskOp::Sync { files });
    }

    /// Takes the end of a segment's last sync: it never changes again, and its index is written.
    pub(super) fn segment_sealed(&mut self, key: PartitionKey, id: SegmentId, result: io::Result<DiskOutcome>) {
        let partition = &mut self.partitions[super::slot(key)];
        let segment = partition
            .segment_mut(id)
            .expect("segments go only once they are sealed");
        segment.sealing = false;
        if let Err(error) = result {
            self.sync_failed(key, &Failure::write(id.log_path(), &error));
            return;
        }
        segment.synced = segment.size;
        let file = match std::mem::replace(&mut segment.state, SegmentState::Sealed) {
            SegmentState::Open { file } => file,
            other => unreachable!("only an open segment is sealed, not {other:?}"),
        };
        let index = segment.index.take();
        partition.structure += 1;
        self.statistics.segments_sealed += 1;
        if let Some(index) = index {
            // If this write fails, the index is rebuilt when it is needed.
            let op = DiskOp::Replace {
                path: id.index_path(),
                data: Bytes::from(index.encode(id.0)),
            };
            self.operations.issue(Operation::Cleanup { what: "an index" }, op);
            self.pool.keep_index(id, index);
        }
        let surplus = self.pool.keep_file(id, file);
        self.close(surplus);
        self.enqueue(key);
    }

    /// A sync failed: nothing is known of this partition's unsynced bytes, and a journalled partition takes its
    /// journal with it, since its blocks can no longer be freed truthfully.
    pub(super) fn sync_failed(&mut self, key: PartitionKey, failure: &Failure) {
        if self.at(key).config.durability == crate::settings::Durability::Fsync {
            self.fail_journal(failure);
        }
        self.fail(key, failure.clone());
    }

    /// Unlinks what a removed partition had, once no operation names it any more.
    pub(super) fn finish_removal(&mut self, key: PartitionKey) {
        if self.at(key).operations > 0 {
            return;
        }
        let partition = self.partitions.remove(super::slot(key));
        let mut ids: Vec<_> = partition.segments.iter().map(|segment| segment.id).collect();
        if let Spare::Preparing(id) | Spare::Ready(id, _) = partition.spare {
            ids.push(id);
        }
        let mut paths = vec![manifest::path(partition.id)];
        let open = partition
            .segments
            .iter()
            .filter_map(|segment| Some((segment.file()?, segment.written)));
        let sent: u64 = open
            .filter(|(file, _)| file.is_shared())
            .map(|(_, written)| u64::from(written))
            .sum();
        let sealed = partition
            .segments
            .iter()
            .filter(|segment| self.pool.is_shared(segment.id));
        let sent = sent + sealed.map(|segment| u64::from(segment.size)).sum::<u64>();
        note_held(partition.id, sent);
        for id in ids {
            if self.pool.release(id) {
                self.statistics.segments_removed += 1;
                paths.extend([id.log_path(), id.index_path()]);
            }
        }
        let op = DiskOp::Remove {
            paths,
            directories: vec![manifest::directory(partition.id.topic)],
        };
        self.operations.issue(
            Operation::Cleanup {
                what: "a removed partition",
            },
            op,
        );
    }

    /// A new partition whose log is the sealed part of another's: both manifests name the same segments.
    /// The groundwork of forks; not yet reachable by clients.
    #[doc(hidden)]
    pub fn fork_sealed(&mut self, from: PartitionKey, id: PartitionId) -> PartitionKey {
        let parent = self.at(from);
        let mut fork = Partition::new(id, parent.config.clone(), parent.leader_epoch);
        fork.log_start = parent.log_start;
        fork.log_start_next = parent.log_start;
        fork.epochs = parent.epochs.clone();
        let sealed = parent.segments.iter().map(Segment::manifest_entry);
        fork.segments = sealed.filter_map(|entry| Segment::sealed(&entry)).collect();
        let end = fork.segments.back().map_or(fork.log_start, |last| last.end);
        fork.epochs.cut(end);
        fork.size_bytes = fork.segments.iter().map(|segment| u64::from(segment.size)).sum();
        (fork.log_end, fork.high_watermark, fork.journaled, fork.synced_end) = (end, end, end, end);
        fork.structure = 1;
        fork.segments.iter().for_each(|segment| self.pool.refer(segment.id));
        let key = self.insert(fork);
        self.enqueue(key);
        key
    }

    /// Closes a file off the shard.
    pub(super) fn close(&mut self, file: Option<hallows_runtime::FileHandle>) {
        if let Some(file) = file {
            let op = DiskOp::Close { files: vec![file] };
            self.operations.issue(Operation::Cleanup { what: "an open file" }, op);
        }
    }
}

/// Whether the growing segment is half full and nothing is ready to follow it.
fn wants_spare(partition: &Partition) -> bool {
    matches!(partition.spare, Spare::None)
        && partition
            .segments
            .back()
            .is_some_and(|last| !last.closed && last.file().is_some() && last.size > partition.config.segment_bytes / 2)
}
