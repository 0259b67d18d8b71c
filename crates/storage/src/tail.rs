//! Batches of one partition that are not yet in a segment file, and where the latest batches lie.

use std::collections::VecDeque;

use bytes::Bytes;
use hallows_types::Offset;

use crate::codec::to_u64;
use crate::manifest::SegmentId;

/// A batch in memory, with its place in a segment.
#[derive(Clone, Debug)]
pub(crate) struct TailBatch {
    pub(crate) base: Offset,
    /// Exclusive.
    pub(crate) end: Offset,
    pub(crate) segment: SegmentId,
    pub(crate) position: u32,
    pub(crate) bytes: Bytes,
}

/// Batches from the end of what is written to the end of the log, without a gap.
#[derive(Default, Debug)]
pub(crate) struct Tail {
    batches: VecDeque<TailBatch>,
    bytes: u64,
}

impl Tail {
    pub(crate) fn push(&mut self, batch: TailBatch) {
        debug_assert!(self.batches.back().is_none_or(|last| last.end == batch.base));
        self.bytes += to_u64(batch.bytes.len());
        self.batches.push_back(batch);
    }

    /// Lets go of the oldest `count` batches; returns their bytes.
    pub(crate) fn release(&mut self, count: usize) -> u64 {
        let released = self.batches.drain(..count).map(|batch| to_u64(batch.bytes.len())).sum();
        self.bytes -= released;
        released
    }

    /// Lets go of everything but the oldest `count` batches; returns the bytes.
    pub(crate) fn release_behind(&mut self, count: usize) -> u64 {
        let released = self.batches.drain(count..).map(|batch| to_u64(batch.bytes.len())).sum();
        self.bytes -= released;
        released
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn front(&self) -> Option<&TailBatch> {
        self.batches.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &TailBatch> {
        self.batches.iter()
    }

    pub(crate) fn rename_segment(&mut self, from: SegmentId, to: SegmentId) {
        let named = self.batches.iter_mut().filter(|batch| batch.segment == from);
        named.for_each(|batch| batch.segment = to);
    }

    /// The batches from the one that contains `offset` on; `None` if `offset` lies before the tail.
    pub(crate) fn from(&self, offset: Offset) -> Option<impl Iterator<Item = &TailBatch>> {
        if self.batches.front().is_none_or(|first| offset < first.base) {
            return None;
        }
        let start = self.batches.partition_point(|batch| batch.end <= offset);
        Some(self.batches.range(start..))
    }
}

/// How many of the latest batches can be found without an index.
const RECENT_BATCHES: usize = 64;

/// Where one batch lies in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) base: Offset,
    /// Exclusive.
    pub(crate) end: Offset,
    pub(crate) segment: SegmentId,
    pub(crate) position: u32,
    pub(crate) size_bytes: u32,
}

/// The places of the latest batches: consumers at the end of the log need no index.
#[derive(Default, Debug)]
pub(crate) struct Recent(VecDeque<Place>);

impl Recent {
    pub(crate) fn push(&mut self, place: Place) {
        if self.0.len() == RECENT_BATCHES {
            self.0.pop_front();
        }
        self.0.push_back(place);
    }

    pub(crate) fn rename_segment(&mut self, from: SegmentId, to: SegmentId) {
        let named = self.0.iter_mut().filter(|place| place.segment == from);
        named.for_each(|place| place.segment = to);
    }

    /// The batch that contains `offset`.
    pub(crate) fn find(&self, offset: Offset) -> Option<Place> {
        let index = self.0.partition_point(|place| place.end <= offset);
        self.0.get(index).filter(|place| place.base <= offset).copied()
    }
}
