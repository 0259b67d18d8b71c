//! Finding a record by time, exactly, also inside compressed batches.
//!
//! A lookup walks: segments by their largest timestamp, then the index, then batch heads, then one batch.
//! Only offsets from the log start to the high watermark, as they were when the step was taken, are looked at.

use std::io;

use bytes::Bytes;
use hallows_record::{RecordError, Scratch, first_offset_at_or_after_timestamp, max_timestamp_offset, records};
use hallows_runtime::{DiskOp, DiskOutcome};
use hallows_types::{Offset, PartitionId, WallTime};

use super::Storage;
use super::read::{Need, damaged};
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::codec::to_usize;
use crate::error::Failure;
use crate::event::{Lookup, StorageEvent, TimeMatch, TimeTarget};
use crate::manifest::SegmentId;
use crate::operations::Operation;
use crate::partition::Partition;
use crate::settings::PartitionKey;

/// Bytes of batch heads read at once.
const WALK_BYTES: usize = 64 << 10;
/// Bytes a batch may unpack to; beyond it the lookup fails.
const UNPACKED_BYTES_MAX: usize = 256 << 20;
/// Lookups under way at once; further ones fail to find anything only after these have ended.
const SEARCHES_MAX: usize = 4096;

/// A lookup under way.
#[derive(Debug)]
pub(super) struct TimeSearch {
    key: PartitionKey,
    partition: PartitionId,
    request: u64,
    goal: Goal,
    /// Batches that end at or below this have been looked at.
    next: Offset,
    /// Where the batch that begins at `next` lies, once that is known.
    place: Option<(SegmentId, u32)>,
    /// Whether a read is on its way.
    reading: bool,
}

/// What a lookup is after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    /// The first record at or above this time.
    First(WallTime),
    /// The largest timestamp so far, and where its batch begins; every batch is looked at.
    Largest(Option<(WallTime, Offset)>),
    /// The first record with the largest timestamp of the batch that begins here.
    LargestIn(Offset),
}

/// What one step of a lookup gave.
enum Step {
    Done(Option<TimeMatch>),
    Pending,
    Failed(Failure),
    Again,
}

impl Storage {
    /// Looks a record up by time, exactly, also inside compressed batches; only below the high watermark.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn offset_for_time(&mut self, key: PartitionKey, request: u64, target: TimeTarget) -> Lookup {
        let partition = self.at(key);
        let goal = match target {
            TimeTarget::At(time) => Goal::First(time),
            TimeTarget::Max => Goal::Largest(None),
        };
        let search = TimeSearch {
            key,
            partition: partition.id,
            request,
            goal,
            next: partition.log_start,
            place: None,
            reading: false,
        };
        if self.searches.len() >= SEARCHES_MAX {
            self.events.push_back(StorageEvent::TimeLookup {
                request,
                result: Err(Failure::read(
                    "the log by time",
                    &io::Error::from(io::ErrorKind::ResourceBusy),
                )),
            });
            return Lookup::Pending;
        }
        let slot = self.searches.insert(search);
        match self.drive_search(slot) {
            Some(Ok(found)) => {
                self.searches.remove(slot);
                Lookup::Ready(found)
            }
            Some(Err(failure)) => {
                self.finish_search(slot, Err(failure));
                Lookup::Pending
            }
            None => Lookup::Pending,
        }
    }

    /// Goes on with every lookup that waited for a file or an index.
    pub(super) fn drive_searches(&mut self) {
        let slots: Vec<_> = self.searches.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(result) = self.drive_search(slot) {
                self.finish_search(slot, result);
            }
        }
    }

    fn finish_search(&mut self, slot: usize, result: Result<Option<TimeMatch>, Failure>) {
        let search = self.searches.remove(slot);
        let request = search.request;
        self.events.push_back(StorageEvent::TimeLookup { request, result });
    }

    /// Steps until the lookup ends or must wait.
    fn drive_search(&mut self, slot: usize) -> Option<Result<Option<TimeMatch>, Failure>> {
        if self.searches[slot].reading {
            return None;
        }
        loop {
            match self.step_search(slot) {
                Step::Again => {}
                Step::Pending => return None,
                Step::Done(found) => return Some(Ok(found)),
                Step::Failed(failure) => return Some(Err(failure)),
            }
        }
    }

    fn search_is_alive(&self, slot: usize) -> bool {
        let search = &self.searches[slot];
        let partition = self.partitions.get(super::slot(search.key));
        partition.is_some_and(|partition| partition.id == search.partition && !partition.removed)
    }

    fn step_search(&mut self, slot: usize) -> Step {
        if !self.search_is_alive(slot) {
            return Step::Done(None);
        }
        let search = &mut self.searches[slot];
        let partition = &self.partitions[super::slot(search.key)];
        if let Some(failure) = &partition.failure {
            // Its tail is gone: "no such record" would send a consumer past what is there.
            return Step::Failed(failure.clone());
        }
        if search.next < partition.log_start {
            (search.next, search.place) = (partition.log_start, None);
        }
        if search.next >= partition.high_watermark {
            return end_of_log(search);
        }
        if search.next >= partition.written_end() {
            return search_tail(search, partition);
        }
        if search.place.is_none() {
            return self.enter_segment(slot);
        }
        self.read_search(slot, WALK_BYTES)
    }

    /// Finds where in the segment of `next` to begin, or skips it.
    fn enter_segment(&mut self, slot: usize) -> Step {
        let search = &self.searches[slot];
        let (key, next, goal) = (search.key, search.next, search.goal);
        let partition = &self.partitions[super::slot(key)];
        let index = partition
            .segment_index(next)
            .expect("offsets from the log start on lie in a segment");
        let segment = &partition.segments[index];
        let (id, size, base, end) = (segment.id, segment.size, segment.base, segment.end);
        let threshold = match goal {
            Goal::First(time) => time,
            Goal::Largest(best) => best.map_or(WallTime(i64::MIN), |(time, _)| WallTime(time.0.saturating_add(1))),
            Goal::LargestIn(_) => WallTime(i64::MIN),
        };
        if segment.largest_timestamp < threshold {
            self.searches[slot].next = end;
            return Step::Again;
        }
        let whole = segment.base >= partition.log_start && segment.end <= partition.high_watermark;
        let largest = segment.largest_timestamp;
        let positions = |index: &crate::index::SegmentIndex| {
            // Of a whole segment the largest timestamp is known, so the walk begins near it.
            let wanted = match goal {
                Goal::Largest(_) if whole => largest,
                _ => threshold,
            };
            (index.position_for_time(wanted), index.position_at_or_below(next))
        };
        let (by_time, by_offset) = match &segment.index {
            Some(index) => positions(index),
            None => match self.sealed_index(key, id, size, base) {
                Need::Ready(index) => positions(index),
                Need::Pending => return Step::Pending,
                Need::Failed(failure) => return Step::Failed(failure),
            },
        };
        self.searches[slot].place = Some((id, by_time.max(by_offset)));
        Step::Again
    }

    fn read_search(&mut self, slot: usize, len: usize) -> Step {
        let search = &self.searches[slot];
        let (key, (id, position)) = (search.key, search.place.expect("the caller has checked"));
        let partition = &self.partitions[super::slot(key)];
        let Some(index) = partition.segments.iter().position(|segment| segment.id == id) else {
            self.searches[slot].place = None;
            return Step::Again;
        };
        let segment = &partition.segments[index];
        if position >= segment.written {
            let end = segment.end.min(partition.written_end());
            let search = &mut self.searches[slot];
            (search.next, search.place) = (end.max(search.next), None);
            return Step::Again;
        }
        let len = len.min(to_usize(segment.written - position));
        let file = match self.segment_file(key, index) {
            Need::Ready(file) => file,
            Need::Pending => return Step::Pending,
            Need::Failed(failure) => return Step::Failed(failure),
        };
        self.searches[slot].reading = true;
        let offset = u64::from(position);
        self.operations.issue(
            Operation::TimeLookup { search: slot },
            DiskOp::Read { file, offset, len },
        );
        Step::Pending
    }

    /// Takes a piece of a segment for a lookup.
    pub(super) fn time_read(&mut self, slot: usize, result: io::Result<DiskOutcome>) {
        self.searches[slot].reading = false;
        let (id, _) = self.searches[slot].place.expect("set before the read");
        let step = match result {
            // The partition may have been removed meanwhile, and its slot given to another.
            Ok(_) if !self.search_is_alive(slot) => Step::Done(None),
            Ok(DiskOutcome::Data(data)) => self.walk(slot, &data.freeze()),
            Ok(other) => unreachable!("reading gives data, not {other:?}"),
            Err(error) => Step::Failed(Failure::read(id.log_path(), &error)),
        };
        let ended = match step {
            Step::Again => self.drive_search(slot),
            Step::Pending => None,
            Step::Done(found) => Some(Ok(found)),
            Step::Failed(failure) => Some(Err(failure)),
        };
        if let Some(result) = ended {
            self.finish_search(slot, result);
        }
    }

    /// Looks at the batches in `data`, which begins at the lookup's place.
    fn walk(&mut self, slot: usize, data: &Bytes) -> Step {
        let search = &mut self.searches[slot];
        let partition = &self.partitions[super::slot(search.key)];
        let (id, start) = search.place.expect("set before the read");
        let mut position = start;
        loop {
            let rest = data.get(to_usize(position - start)..).unwrap_or_default();
            if rest.len() < HEADER_BYTES && position > start {
                search.place = Some((id, position));
                return Step::Again;
            }
            let header = match BatchHeader::parse(rest) {
                Ok(header) => header,
                Err(what) => return Step::Failed(damaged(id, position, what)),
            };
            let end = header.end_offset().unwrap_or(Offset(i64::MAX));
            if header.base_offset >= partition.high_watermark {
                search.next = partition.high_watermark;
                return Step::Again;
            }
            if end > partition.log_start && interests(search, &header) {
                let size = to_usize(header.size_bytes);
                if rest.len() < size {
                    search.place = Some((id, position));
                    return self.read_search(slot, size);
                }
                let from = to_usize(position - start);
                let batch = data.slice(from..from + size);
                match look_into(search, &header, &batch, partition.log_start) {
                    Ok(Some(found)) => return Step::Done(Some(found)),
                    Ok(None) => {}
                    Err(what) => return Step::Failed(damaged(id, position, &what)),
                }
            }
            search.next = search.next.max(end);
            position = match position.checked_add(header.size_bytes) {
                Some(next) => next,
                None => return Step::Failed(damaged(id, position, "a batch beyond the segment's end")),
            };
        }
    }
}

/// Nothing more to look at: the end, or the second half of looking for the largest.
fn end_of_log(search: &mut TimeSearch) -> Step {
    match search.goal {
        Goal::First(_) | Goal::LargestIn(_) | Goal::Largest(None) => Step::Done(None),
        Goal::Largest(Some((_, offset))) => {
            search.goal = Goal::LargestIn(offset);
            (search.next, search.place) = (offset, None);
            Step::Again
        }
    }
}

fn search_tail(search: &mut TimeSearch, partition: &Partition) -> Step {
    let Some(batches) = partition.tail.from(search.next) else {
        return Step::Done(None);
    };
    for batch in batches.take_while(|batch| batch.end <= partition.high_watermark) {
        let header = BatchHeader::parse(&batch.bytes).expect("parsed when it was appended");
        if interests(search, &header) {
            match look_into(search, &header, &batch.bytes, partition.log_start) {
                Ok(Some(found)) => return Step::Done(Some(found)),
                Ok(None) => {}
                Err(what) => return Step::Failed(damaged(batch.segment, batch.position, &what)),
            }
        }
        search.next = batch.end;
    }
    search.next = partition.high_watermark;
    end_of_log(search)
}

/// Whether the records of a batch must be looked at.
fn interests(search: &mut TimeSearch, header: &BatchHeader) -> bool {
    match search.goal {
        Goal::First(time) => header.max_timestamp >= time,
        Goal::LargestIn(offset) => header.base_offset >= offset,
        Goal::Largest(best) => {
            let larger = best.is_none_or(|(time, _)| header.max_timestamp > time);
            if larger && header.max_timestamp > WallTime::NONE {
                search.goal = Goal::Largest(Some((header.max_timestamp, header.base_offset)));
            }
            false
        }
    }
}

/// Looks for the record inside a batch.
fn look_into(
    search: &TimeSearch,
    header: &BatchHeader,
    batch: &[u8],
    log_start: Offset,
) -> Result<Option<TimeMatch>, String> {
    let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
    let found = match search.goal {
        Goal::First(time) if header.base_offset < log_start => first_from(batch, time, log_start, &mut scratch),
        Goal::First(time) => first_offset_at_or_after_timestamp(batch, time, &mut scratch),
        Goal::LargestIn(_) | Goal::Largest(_) => max_timestamp_offset(batch, &mut scratch),
    };
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.map(|(offset, timestamp)| TimeMatch {
        offset: offset.max(log_start),
        timestamp,
        leader_epoch: header.leader_epoch,
    }))
}

/// The first record at or above `time` that does not lie below the log start.
fn first_from(
    batch: &[u8],
    time: WallTime,
    log_start: Offset,
    scratch: &mut Scratch,
) -> Result<Option<(Offset, WallTime)>, RecordError> {
    let header = hallows_record::BatchHeader::parse(batch)?;
    for record in records(batch, scratch)? {
        let record = record?;
        let timestamp = record.timestamp(&header).map_err(|kind| RecordError {
            record_index: None,
            kind,
        })?;
        let offset = record.offset(&header);
        if offset >= log_start && timestamp >= time {
            return Ok(Some((offset, timestamp)));
        }
    }
    Ok(None)
}
