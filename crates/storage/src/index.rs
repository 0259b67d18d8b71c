//! The sparse index of one segment: from offset or time to a position in the file.
//!
//! One entry per `index.interval.bytes` of batches, in memory while the segment grows, in `<segment id>.index` once it
//! is sealed (and now and then before, so that a start need not walk the whole segment). It can always be rebuilt.

use hallows_types::{Offset, WallTime};

use crate::batch::BatchHeader;
use crate::codec::{FormatError, Kind, Reader, Writer, seal, to_usize, unseal};

const KIND: Kind = Kind {
    what: "a segment index",
    magic: *b"HALINDEX",
    version: 1,
};

/// Bytes of one entry on disk.
pub(crate) const ENTRY_BYTES: usize = 16;
const _: () = assert!(ENTRY_BYTES == 4 + 4 + 8);
/// Bytes before the entries, inside the envelope.
const BODY_HEAD_BYTES: usize = 16 + 8 + 4 + 4 + 8 + 4;

/// One batch whose position is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IndexEntry {
    /// Base offset of the batch, relative to the segment's.
    pub(crate) relative_offset: u32,
    /// Where the batch starts.
    pub(crate) position: u32,
    /// The largest timestamp of all batches before it; `i64::MIN` for none.
    pub(crate) largest_timestamp_before: WallTime,
}

/// What is known of the batches in `0..covered_bytes` of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentIndex {
    base_offset: Offset,
    entries: Vec<IndexEntry>,
    /// The range that entries describe ends here, at a batch boundary.
    covered_bytes: u32,
    /// The largest batch so far.
    largest_batch_bytes: u32,
    /// The largest timestamp so far; `i64::MIN` for none.
    largest_timestamp: WallTime,
    /// The offset after the last batch covered.
    covered_end: Offset,
}

impl SegmentIndex {
    /// The index of an empty segment.
    pub(crate) const fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            entries: Vec::new(),
            covered_bytes: 0,
            largest_batch_bytes: 0,
            largest_timestamp: WallTime(i64::MIN),
            covered_end: base_offset,
        }
    }

    /// Whether a batch may be the next one, judged by its head; to be asked before [`SegmentIndex::push`] of anything
    /// that was read from a disk.
    pub(crate) fn accepts(&self, header: &BatchHeader, until_bytes: u64) -> bool {
        let end = u64::from(self.covered_bytes) + header.size_u64();
        let span = header.base_offset.0.saturating_sub(self.base_offset.0);
        header.base_offset >= self.covered_end
            && header.end_offset().is_some()
            && end <= until_bytes.min(u64::from(u32::MAX))
            && span <= i64::from(i32::MAX)
    }

    /// Notes the next batch of the segment.
    pub(crate) fn push(&mut self, header: &BatchHeader, interval_bytes: u32) {
        let due = self
            .entries
            .last()
            .is_none_or(|last| self.covered_bytes - last.position >= interval_bytes);
        if due {
            self.entries.push(IndexEntry {
                relative_offset: u32::try_from(header.base_offset.0 - self.base_offset.0)
                    .expect("a segment is sealed before its offsets span 2^31"),
                position: self.covered_bytes,
                largest_timestamp_before: self.largest_timestamp,
            });
        }
        self.covered_bytes += header.size_bytes;
        self.largest_batch_bytes = self.largest_batch_bytes.max(header.size_bytes);
        self.largest_timestamp = self.largest_timestamp.max(header.max_timestamp);
        self.covered_end = header
            .end_offset()
            .expect("checked when the offset was assigned or read");
    }

    pub(crate) const fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub(crate) const fn covered_bytes(&self) -> u32 {
        self.covered_bytes
    }

    pub(crate) const fn covered_end(&self) -> Offset {
        self.covered_end
    }

    pub(crate) const fn largest_timestamp(&self) -> WallTime {
        self.largest_timestamp
    }

    pub(crate) const fn largest_batch_bytes(&self) -> u32 {
        self.largest_batch_bytes
    }

    /// The offset and position of every batch that has an entry, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Offset, u64)> {
        self.entries.iter().map(|entry| {
            let offset = self.base_offset.0.saturating_add(i64::from(entry.relative_offset));
            (Offset(offset), u64::from(entry.position))
        })
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<IndexEntry>()
    }

    /// The start of the last indexed batch at or below `offset`.
    pub(crate) fn position_at_or_below(&self, offset: Offset) -> u32 {
        let relative = offset.0 - self.base_offset.0;
        let after = self
            .entries
            .partition_point(|entry| i64::from(entry.relative_offset) <= relative);
        after.checked_sub(1).map_or(0, |index| self.entries[index].position)
    }

    /// Where to start looking for the first batch whose largest timestamp is at or above `target`.
    pub(crate) fn position_for_time(&self, target: WallTime) -> u32 {
        let after = self
            .entries
            .partition_point(|entry| entry.largest_timestamp_before < target);
        after.checked_sub(1).map_or(0, |index| self.entries[index].position)
    }

    /// The file's bytes.
    pub(crate) fn encode(&self, segment: [u8; 16]) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(BODY_HEAD_BYTES + self.entries.len() * ENTRY_BYTES));
        writer.bytes(&segment);
        writer.i64(self.base_offset.0);
        writer.u32(self.covered_bytes);
        writer.u32(self.largest_batch_bytes);
        writer.i64(self.covered_end.0);
        writer.count(self.entries.len());
        for entry in &self.entries {
            writer.u32(entry.relative_offset);
            writer.u32(entry.position);
            writer.i64(entry.largest_timestamp_before.0);
        }
        writer.i64(self.largest_timestamp.0);
        seal(&KIND, &writer.0)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`]; the index is then rebuilt from the segment.
    pub fn decode(data: &[u8], segment: [u8; 16]) -> Result<Self, FormatError> {
        let mut reader = Reader(unseal(&KIND, data)?);
        if reader.array::<16>()? != segment {
            return Err(FormatError::Invalid { what: "segment id" });
        }
        let mut index = Self::new(Offset(reader.i64()?));
        index.covered_bytes = reader.u32()?;
        index.largest_batch_bytes = reader.u32()?;
        index.covered_end = Offset(reader.i64()?);
        let count = reader.count(ENTRY_BYTES)?;
        index.entries.reserve_exact(count);
        for _ in 0..count {
            index.entries.push(IndexEntry {
                relative_offset: reader.u32()?,
                position: reader.u32()?,
                largest_timestamp_before: WallTime(reader.i64()?),
            });
        }
        index.largest_timestamp = WallTime(reader.i64()?);
        if !reader.is_empty() {
            return Err(FormatError::Invalid { what: "length" });
        }
        index.validate()?;
        Ok(index)
    }

    fn validate(&self) -> Result<(), FormatError> {
        let ordered = self
            .entries
            .windows(2)
            .all(|pair| pair[0].relative_offset < pair[1].relative_offset && pair[0].position < pair[1].position);
        let inside = self
            .entries
            .last()
            .is_none_or(|last| last.position < self.covered_bytes);
        let starts_at_zero = self.entries.first().is_none_or(|first| first.position == 0);
        if ordered && inside && starts_at_zero && self.covered_end >= self.base_offset {
            Ok(())
        } else {
            Err(FormatError::Invalid {
                what: "order of entries",
            })
        }
    }
}

const _: () = assert!(size_of::<IndexEntry>() == ENTRY_BYTES);
const _: () = assert!(BODY_HEAD_BYTES == 44);

/// The size in bytes of an index file with `entries` entries.
pub(crate) fn file_bytes(entries: u32) -> usize {
    crate::codec::ENVELOPE_BYTES + BODY_HEAD_BYTES + 8 + to_usize(entries) * ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{assign, fixtures};
    use hallows_types::LeaderEpoch;

    fn index(timestamps: &[i64]) -> SegmentIndex {
        let mut index = SegmentIndex::new(Offset(100));
        let mut next = Offset(100);
        for timestamp in timestamps {
            let mut batch = fixtures::batch(2, &[0; 39], *timestamp);
            assign(&mut batch, next, LeaderEpoch(0));
            let header = BatchHeader::parse(&batch).expect("valid");
            index.push(&header, 150);
            next = header.end_offset().expect("small");
        }
        index
    }

    #[test]
    fn finds_the_batch_at_or_below_an_offset() {
        let index = index(&[1, 2, 3, 4, 5]);
        for (offset, position) in [(100, 0), (103, 0), (104, 200), (107, 200), (108, 400), (500, 400)] {
            assert_eq!(index.position_at_or_below(Offset(offset)), position, "offset {offset}");
        }
    }

    #[test]
    fn finds_where_a_time_may_begin_although_times_go_back() {
        let index = index(&[10, 50, 20, 30, 60]);
        for (time, position) in [(5, 0), (50, 0), (51, 400), (60, 400), (70, 400)] {
            assert_eq!(index.position_for_time(WallTime(time)), position, "time {time}");
        }
    }

    #[test]
    fn round_trips_and_refuses_another_segment() {
        let index = index(&[10, 50, 20]);
        let data = index.encode([7; 16]);
        assert_eq!(data.len(), file_bytes(2));
        assert_eq!(SegmentIndex::decode(&data, [7; 16]), Ok(index));
        assert!(SegmentIndex::decode(&data, [8; 16]).is_err());
    }
}
