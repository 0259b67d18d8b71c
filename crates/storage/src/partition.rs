//! One partition's log: its offsets, its segments, the tail in memory, producers and epochs.
//!
//! Order, always: `synced_end <= written_end <= high_watermark <= log_end`, and `log_start <= high_watermark`.
//! [`crate::Storage`] decides when something is written; this file keeps the state consistent.

use std::collections::VecDeque;

use bytes::Bytes;
use hallows_runtime::{FileHandle, Random};
use hallows_types::{LeaderEpoch, Now, Offset, PartitionId, WallTime};
use smallvec::SmallVec;

use crate::batch::BatchHeader;
use crate::epochs::Epochs;
use crate::error::Failure;
use crate::manifest::{Manifest, ManifestEntry, ManifestState, SegmentId};
use crate::pool::Pool;
use crate::producers::Producers;
use crate::segment::{Segment, SegmentState};
use crate::settings::{Durability, LogConfig};
use crate::tail::{Place, Recent, Tail, TailBatch};

/// The log of one partition.
#[derive(Debug)]
pub struct Partition {
    pub(crate) id: PartitionId,
    pub(crate) config: LogConfig,
    /// Durable.
    pub(crate) log_start: Offset,
    /// Where the log will start once that is durable; at or above `log_start`.
    pub(crate) log_start_next: Offset,
    pub(crate) high_watermark: Offset,
    /// The end of what the journal holds durably, or held back when the durability was raised.
    pub(crate) journaled: Offset,
    /// Everything below is synced in segments.
    pub(crate) synced_end: Offset,
    /// Set while the durability is being raised: nothing above is committed before everything below is synced.
    pub(crate) sync_barrier: Option<Offset>,
    pub(crate) log_end: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) size_bytes: u64,
    pub(crate) failure: Option<Failure>,
    /// Oldest first. Sealed ones, then complete ones being sealed, then at most one that grows.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) spare: Spare,
    pub(crate) tail: Tail,
    pub(crate) write: Option<WriteInFlight>,
    pub(crate) recent: Recent,
    pub(crate) producers: Producers,
    pub(crate) epochs: Epochs,
    /// Counts changes to what the manifest says.
    pub(crate) structure: u64,
    /// `structure` as of the manifest on disk; at or below `structure`.
    pub(crate) durable_structure: u64,
    pub(crate) manifest_busy: bool,
    /// What a manifest on its way says of the log start.
    pub(crate) manifest_log_start: Offset,
    /// The segments that it does not list any more: those that were sealed and expired when it was written, not since.
    pub(crate) manifest_omits: Vec<SegmentId>,
    /// The checkpoint under way waits until `written_end` reaches this.
    pub(crate) checkpoint_target: Option<Offset>,
    /// Whether the tail is to be written although it is short.
    pub(crate) write_forced: bool,
    /// Operations on their way that name this partition.
    pub(crate) operations: u32,
    pub(crate) removed: bool,
    /// Whether it is in the list of partitions to look at when the turn ends.
    pub(crate) queued: bool,
    /// Whether an event about its high watermark waits to be fetched.
    pub(crate) watermark_queued: bool,
    pub(crate) reads: Reads,
}

/// A file made ready before the growing segment is full, so that no append waits for one.
#[derive(Debug, Default)]
pub(crate) enum Spare {
    /// There is none.
    #[default]
    None,
    /// Being created and listed.
    Preparing(SegmentId),
    /// Listed in the manifest and empty.
    Ready(SegmentId, FileHandle),
}

/// Batches of the tail that are being written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteInFlight {
    pub(crate) segment: SegmentId,
    pub(crate) batches: usize,
    pub(crate) bytes: u32,
}

/// A segment that the log does not have any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DroppedSegment {
    pub(crate) id: SegmentId,
    pub(crate) size_bytes: u32,
}

/// What reads wait for or have just been told.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Batches being looked for.
    pub(crate) locating: SmallVec<[(SegmentId, Offset); 4]>,
    /// Batches found, latest last: the asked offset and where its batch lies, or why it cannot be read.
    pub(crate) located: VecDeque<(SegmentId, Offset, Result<Place, Failure>)>,
}

/// How many found batches are remembered for reads to come.
const LOCATED_MAX: usize = 64;

impl Reads {
    pub(crate) fn found(&mut self, segment: SegmentId, offset: Offset, result: Result<Place, Failure>) {
        self.locating.retain(|waiting| *waiting != (segment, offset));
        if self.located.len() == LOCATED_MAX {
            self.located.pop_front();
        }
        self.located.push_back((segment, offset, result));
    }
}

impl Partition {
    pub(crate) fn new(id: PartitionId, config: LogConfig, leader_epoch: LeaderEpoch) -> Self {
        Self {
            id,
            config,
            log_start: Offset::ZERO,
            log_start_next: Offset::ZERO,
            high_watermark: Offset::ZERO,
            journaled: Offset::ZERO,
            synced_end: Offset::ZERO,
            sync_barrier: None,
            log_end: Offset::ZERO,
            leader_epoch,
            size_bytes: 0,
            failure: None,
            segments: VecDeque::new(),
            spare: Spare::None,
            tail: Tail::default(),
            write: None,
            recent: Recent::default(),
            producers: Producers::default(),
            epochs: Epochs::default(),
            structure: 0,
            durable_structure: 0,
            manifest_busy: false,
            manifest_log_start: Offset::ZERO,
            manifest_omits: Vec::new(),
            checkpoint_target: None,
            write_forced: false,
            operations: 0,
            removed: false,
            queued: false,
            watermark_queued: false,
            reads: Reads::default(),
        }
    }

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
    /// Transactions do not exist yet, so this is the high watermark.
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

    /// The end of what is in segment files, exclusive.
    pub(crate) fn written_end(&self) -> Offset {
        self.tail.front().map_or(self.log_end, |first| first.base)
    }

    /// Puts a batch with assigned offsets at the end: into the growing segment, or a new one named at random.
    /// Returns whether a new one was begun.
    pub(crate) fn place(
        &mut self,
        now: Now,
        header: &BatchHeader,
        bytes: Bytes,
        random: &mut Random,
        pool: &mut Pool,
    ) -> bool {
        let end = header.end_offset().expect("checked before the offset was assigned");
        let rolled = self.needs_new_segment(now.wall, header, end);
        if rolled {
            self.begin_segment(now.wall, header.base_offset, random, pool);
        }
        let interval = self.config.index_interval_bytes;
        let segment = self.segments.back_mut().expect("begun above if there was none");
        let position = segment.size;
        segment.size += header.size_bytes;
        segment.end = end;
        segment.largest_timestamp = segment.largest_timestamp.max(header.max_timestamp);
        segment.largest_batch_bytes = segment.largest_batch_bytes.max(header.size_bytes);
        segment
            .index
            .as_mut()
            .expect("kept until the segment is sealed")
            .push(header, interval);
        let place = Place {
            base: header.base_offset,
            end,
            segment: segment.id,
            position,
            size_bytes: header.size_bytes,
        };
        self.size_bytes += header.size_u64();
        self.log_end = end;
        self.epochs.note(header.leader_epoch, header.base_offset);
        self.recent.push(place);
        self.tail.push(TailBatch {
            base: place.base,
            end,
            segment: place.segment,
            position,
            bytes,
        });
        rolled
    }

    fn needs_new_segment(&self, now: WallTime, header: &BatchHeader, end: Offset) -> bool {
        let Some(segment) = self.segments.back().filter(|segment| !segment.closed) else {
            return true;
        };
        if segment.size == 0 {
            return false;
        }
        let too_large = segment
            .size
            .checked_add(header.size_bytes)
            .is_none_or(|size| size > self.config.segment_bytes);
        let age_ms = now.0.saturating_sub(segment.created.0);
        let too_old = u64::try_from(age_ms).is_ok_and(|age| age >= self.config.segment_ms);
        let too_wide = end.0 - segment.base.0 > i64::from(i32::MAX);
        too_large || too_old || too_wide
    }

    fn begin_segment(&mut self, now: WallTime, base: Offset, random: &mut Random, pool: &mut Pool) {
        self.close_segment();
        let segment = match std::mem::take(&mut self.spare) {
            Spare::Ready(id, file) => {
                self.structure += 1;
                Segment {
                    state: SegmentState::Open { file },
                    ..Segment::planned(id, base, now)
                }
            }
            other => {
                self.spare = other;
                // Seeds may repeat, names may not.
                let fresh = loop {
                    let id = SegmentId(random.uuid());
                    if !pool.is_referred(id) && self.segment(id).is_none() {
                        break id;
                    }
                };
                pool.refer(fresh);
                Segment::planned(fresh, base, now)
            }
        };
        self.segments.push_back(segment);
    }

    /// Gives a segment without a file another name.
    pub(crate) fn rename_segment(&mut self, from: SegmentId, to: SegmentId) {
        if let Some(segment) = self.segment_mut(from) {
            segment.id = to;
            segment.state = SegmentState::Planned;
        }
        self.tail.rename_segment(from, to);
        self.recent.rename_segment(from, to);
    }

    /// Lets nothing more be appended to the growing segment; it is sealed once it is written.
    pub(crate) fn close_segment(&mut self) {
        if let Some(last) = self.segments.back_mut() {
            last.closed = true;
        }
    }

    /// How far the log is committed, by its durability.
    pub(crate) fn commit_point(&self) -> Offset {
        if self.sync_barrier.is_some() {
            return self.high_watermark;
        }
        match self.config.durability {
            Durability::Fsync => self.journaled,
            Durability::Written => self.written_end(),
            Durability::Memory => self.log_end,
        }
    }

    /// The end of what may be written to segments.
    pub(crate) fn write_limit(&self) -> Offset {
        match self.config.durability {
            Durability::Fsync => self.high_watermark.max(self.sync_barrier.unwrap_or(Offset::ZERO)),
            Durability::Written | Durability::Memory => self.log_end,
        }
    }

    /// Whether every byte is synced.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced_end == self.log_end
    }

    pub(crate) fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.iter_mut().rev().find(|segment| segment.id == id)
    }

    pub(crate) fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.iter().rev().find(|segment| segment.id == id)
    }

    /// The position in `segments` of the one that contains `offset`, or of the last if it lies at the end.
    pub(crate) fn segment_index(&self, offset: Offset) -> Option<usize> {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        after.checked_sub(1)
    }

    /// What the manifest should say now. Segments that end at or below the log start to come are left out.
    pub(crate) fn manifest(&self) -> Manifest {
        // Behind a segment without a file nothing has a byte yet; listing it would tell of a gap.
        let listed = self.segments.iter().take_while(|segment| !segment.is_planned());
        let mut entries: Vec<_> = listed
            .filter(|segment| !self.is_expired(segment))
            .map(Segment::manifest_entry)
            .collect();
        if let Spare::Preparing(id) | Spare::Ready(id, _) = &self.spare {
            entries.push(ManifestEntry {
                id: *id,
                base_offset: Offset::ZERO,
                created: WallTime::NONE,
                state: ManifestState::Spare,
            });
        }
        Manifest {
            partition: self.id,
            log_start: self.log_start_next,
            entries,
        }
    }

    /// The segments that [`Partition::manifest`] leaves out.
    pub(crate) fn expired(&self) -> Vec<SegmentId> {
        let expired = self.segments.iter().filter(|segment| self.is_expired(segment));
        expired.map(|segment| segment.id).collect()
    }

    fn is_expired(&self, segment: &Segment) -> bool {
        segment.is_sealed() && segment.end <= self.log_start_next
    }

    /// Lets go of these segments, which the manifest on disk no longer lists, as far as they are the first ones.
    pub(crate) fn drop_first(&mut self, ids: &[SegmentId]) -> Vec<DroppedSegment> {
        let mut dropped = Vec::new();
        while self.segments.front().is_some_and(|segment| ids.contains(&segment.id)) {
            let segment = self.segments.pop_front().expect("just seen");
            self.size_bytes -= u64::from(segment.size);
            dropped.push(DroppedSegment {
                id: segment.id,
                size_bytes: segment.size,
            });
        }
        dropped
    }

    /// Where the log ends in segments: the base offset of the last one, and its size.
    pub(crate) fn end_place(&self) -> (Option<Offset>, u32) {
        self.segments
            .back()
            .map_or((None, 0), |last| (Some(last.base), last.size))
    }

    pub(crate) fn check_invariants(&self) {
        if self.failure.is_some() {
            return;
        }
        let written = self.written_end();
        assert!(self.synced_end <= written, "{}: synced past what is written", self.id);
        assert!(
            written <= self.high_watermark.max(self.sync_barrier.unwrap_or_default())
                || self.config.durability != Durability::Fsync,
            "{}: written past what is committed",
            self.id
        );
        assert!(
            self.high_watermark <= self.log_end,
            "{}: committed past the end",
            self.id
        );
        assert!(
            self.log_start <= self.log_start_next,
            "{}: log start went back",
            self.id
        );
        assert!(
            self.log_start <= self.high_watermark,
            "{}: starts past what is committed",
            self.id
        );
        let mut expected = self.segments.front().map(|first| first.base);
        let mut size = 0;
        for segment in &self.segments {
            assert_eq!(
                Some(segment.base),
                expected,
                "{}: a gap before segment {}",
                self.id,
                segment.id
            );
            assert!(segment.synced <= segment.written, "{}: {} synced", self.id, segment.id);
            assert!(segment.written <= segment.size, "{}: {} written", self.id, segment.id);
            expected = Some(segment.end);
            size += u64::from(segment.size);
        }
        assert_eq!(size, self.size_bytes, "{}: size", self.id);
        assert!(expected.is_none_or(|end| end == self.log_end), "{}: log end", self.id);
        assert!(self.structure >= self.durable_structure, "{}: manifest", self.id);
    }
}

#[cfg(test)]
mod tests {
    use hallows_types::TopicId;

    use super::*;

    #[test]
    fn a_segment_that_is_sealed_while_a_manifest_lists_it_stays_until_the_next_one() {
        let id = PartitionId {
            topic: TopicId::ZERO,
            index: 0,
        };
        let mut partition = Partition::new(id, LogConfig::default(), LeaderEpoch(0));
        let mut segment = Segment::planned(SegmentId([7; 16]), Offset(0), WallTime(0));
        segment.state = SegmentState::Creating;
        segment.end = Offset(61);
        partition.segments.push_back(segment);
        partition.log_start_next = Offset(61);

        let omitted = partition.expired();
        assert_eq!(
            partition.manifest().entries.len(),
            1,
            "it is not sealed, so it is listed"
        );
        partition.segments[0].state = SegmentState::Sealed;
        assert!(partition.drop_first(&omitted).is_empty(), "the manifest lists it");

        let omitted = partition.expired();
        assert!(partition.manifest().entries.is_empty());
        let dropped = partition.drop_first(&omitted);
        assert_eq!(
            dropped.iter().map(|segment| segment.id).collect::<Vec<_>>(),
            [SegmentId([7; 16])]
        );
    }
}
