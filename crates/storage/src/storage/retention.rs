//! Retention by time and size, expiry of producers, and unlinking what no manifest refers to any more.
//!
//! A log start moves first and durably; only then do segments leave the manifest's memory, and their files go
//! `delete_delay_ms` later, so that answers being sent keep their bytes.

use std::time::Duration;

use hallows_runtime::DiskOp;
use hallows_types::{Monotonic, Now, Offset, PartitionId, WallTime};

use super::{Storage, key_of};
use crate::manifest::SegmentId;
use crate::operations::Operation;
use crate::partition::{DroppedSegment, Partition};
use crate::settings::PartitionKey;

/// Segments whose files go at a certain time.
#[derive(Debug)]
pub(super) struct Expired {
    pub(super) due: Monotonic,
    ids: Vec<SegmentId>,
}

impl Storage {
    /// Looks at every log: what is too old or too much begins to go.
    pub(super) fn apply_retention(&mut self, now: Now) {
        let keys: Vec<_> = self.partitions.iter().map(|(slot, _)| key_of(slot)).collect();
        for key in keys {
            let Some(partition) = self.get_mut(key).filter(|partition| partition.failure.is_none()) else {
                continue;
            };
            expire_producers(partition, now.wall);
            let mut changed = close_old(partition, now.wall);
            let start = retained_start(partition, now.wall);
            if start > partition.log_start_next {
                tracing::info!(partition = %partition.id, log_start = %start, "retention moves the log start");
                partition.log_start_next = start;
                partition.structure += 1;
                changed = true;
            }
            if changed {
                self.enqueue(key);
            }
        }
    }

    /// Files of segments that a partition no longer lists go after its delay, or at once while the disk is full: whoever
    /// reads one has it open.
    pub(super) fn expire_segments(&mut self, key: PartitionKey, dropped: &[DroppedSegment]) {
        let sent = dropped.iter().filter(|segment| self.pool.is_shared(segment.id));
        note_held(self.at(key).id, sent.map(|segment| u64::from(segment.size_bytes)).sum());
        let ids = dropped.iter().map(|segment| segment.id);
        let unreferred: Vec<_> = ids.filter(|id| self.pool.release(*id)).collect();
        if unreferred.is_empty() {
            return;
        }
        let delay = Duration::from_millis(self.at(key).config.delete_delay_ms);
        let due = self.clock.after(delay);
        self.expired.push_back(Expired { due, ids: unreferred });
        self.expired.make_contiguous().sort_by_key(|expired| expired.due);
    }

    /// Unlinks what is due.
    pub(super) fn unlink_expired(&mut self, now: Now) {
        let full = self.space.full;
        while self
            .expired
            .front()
            .is_some_and(|expired| full || expired.due <= now.monotonic)
        {
            let expired = self.expired.pop_front().expect("just seen");
            self.statistics.segments_removed += crate::codec::to_u64(expired.ids.len());
            let paths = expired
                .ids
                .iter()
                .flat_map(|id| [id.log_path(), id.index_path()])
                .collect();
            let directories = Vec::new();
            let what = "expired segments";
            self.operations
                .issue(Operation::Cleanup { what }, DiskOp::Remove { paths, directories });
        }
    }
}

/// Says what deleted records still take: the room of a file that is being read is free once the reader has it.
pub(super) fn note_held(partition: PartitionId, size_bytes: u64) {
    if size_bytes > 0 {
        tracing::info!(%partition, size_bytes, "readers still hold deleted segments: their room is free once what is being \
            sent to them has left, at the latest when connection.stall.timeout.ms closes their connections");
    }
}

fn expire_producers(partition: &mut Partition, now: WallTime) {
    let expiration = i64::try_from(partition.config.producer_id_expiration_ms).unwrap_or(i64::MAX);
    let expired = partition.producers.expire(WallTime(now.0.saturating_sub(expiration)));
    if expired > 0 {
        tracing::debug!(partition = %partition.id, expired, "producers forgotten");
    }
}

/// A growing segment whose age is up is closed, so that its records can expire too. Whether that was so.
fn close_old(partition: &mut Partition, now: WallTime) -> bool {
    let retention_ms = partition.config.retention_ms.unwrap_or(u64::MAX);
    let segment_ms = partition.config.segment_ms;
    let committed = partition.high_watermark == partition.log_end;
    let Some(last) = partition.segments.back_mut() else {
        return false;
    };
    let age = u64::try_from(now.0.saturating_sub(last.created.0)).unwrap_or(0);
    let record_age = u64::try_from(now.0.saturating_sub(last.largest_timestamp.0)).unwrap_or(0);
    let closes = !last.closed && last.size > 0 && committed && (age >= segment_ms || record_age > retention_ms);
    if closes {
        last.closed = true;
        partition.write_forced = true;
    }
    closes
}

/// The first offset that retention leaves.
fn retained_start(partition: &Partition, now: WallTime) -> Offset {
    let mut start = partition.log_start_next;
    let mut size = partition.size_bytes;
    for segment in partition.segments.iter().take_while(|segment| segment.is_sealed()) {
        let age = u64::try_from(now.0.saturating_sub(segment.largest_timestamp.0)).unwrap_or(0);
        let too_old = partition.config.retention_ms.is_some_and(|limit| age > limit);
        let rest = size - u64::from(segment.size);
        let too_much = partition.config.retention_bytes.is_some_and(|limit| rest >= limit);
        if segment.end > partition.high_watermark || !(too_old || too_much) {
            break;
        }
        size = rest;
        start = start.max(segment.end);
    }
    start
}
