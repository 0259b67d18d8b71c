//! Reading: from an offset to ranges of segment files and batches in memory, without copying record bytes.
//!
//! Where the place of the first batch is not known, its index or a block of batch heads is read first.

use std::collections::BTreeMap;
use std::io;

use hallows_runtime::{DiskOp, DiskOutcome, FileHandle, OpenMode, Slice};
use hallows_types::Offset;
use smallvec::SmallVec;

use super::Storage;
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::codec::{ENVELOPE_BYTES, to_u64, to_usize};
use crate::error::{Damage, Failure, ReadError};
use crate::event::{ReadOutcome, StorageEvent};
use crate::index::{SegmentIndex, file_bytes};
use crate::manifest::SegmentId;
use crate::operations::Operation;
use crate::partition::Partition;
use crate::settings::PartitionKey;
use crate::tail::Place;

/// Bytes read at once when looking for a batch head.
const LOCATE_BYTES: usize = 16 << 10;
/// Bytes read at once when an index is rebuilt.
const REBUILD_BYTES: usize = 256 << 10;
/// Where an index's entries are taken from when it is rebuilt.
const REBUILD_INTERVAL_BYTES: u32 = 4096;

/// Files and indexes being loaded, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Loading {
    files: BTreeMap<SegmentId, Waiters>,
    indexes: BTreeMap<SegmentId, Waiters>,
    /// Why a file could not be loaded, until the waiting read has seen it.
    failures: BTreeMap<SegmentId, Failure>,
}

type Waiters = SmallVec<[PartitionKey; 2]>;

/// What a read or lookup needs of a segment, or that it must wait, or why it cannot be had.
pub(super) enum Need<T> {
    Ready(T),
    Pending,
    Failed(Failure),
}

/// Where the first batch of a read lies.
struct Start {
    position: u32,
    /// Not known where no head was looked at.
    size_bytes: Option<u32>,
}

/// What a read collects.
struct Collected {
    slices: SmallVec<[Slice; 4]>,
    size_bytes: u32,
    max_bytes: u32,
}

impl Collected {
    const fn room(&self) -> u32 {
        self.max_bytes.saturating_sub(self.size_bytes)
    }

    fn push(&mut self, slice: Slice, len: u32) {
        self.size_bytes += len;
        self.slices.push(slice);
    }
}

impl Storage {
    /// Batches from the one that contains `from`, up to `until` (exclusive: high watermark or last stable offset).
    /// At most `max_bytes`, cut inside the last batch, but with `at_least_one_batch` never inside the first.
    /// Copies no record bytes.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn read(
        &mut self,
        key: PartitionKey,
        from: Offset,
        max_bytes: u32,
        at_least_one_batch: bool,
        until: Offset,
    ) -> Result<ReadOutcome, ReadError> {
        let partition = self.at(key);
        if let Some(failure) = &partition.failure {
            return Err(ReadError::Failed(failure.clone()));
        }
        if from < partition.log_start || from > partition.log_end {
            return Err(ReadError::OffsetOutOfRange {
                offset: from,
                log_start: partition.log_start,
                log_end: partition.log_end,
            });
        }
        let until = if self.settings.sabotage.read_above_high_watermark() {
            until
        } else {
            until.min(partition.high_watermark)
        };
        let mut collected = Collected {
            slices: SmallVec::new(),
            size_bytes: 0,
            max_bytes,
        };
        let needed = if from >= until {
            Need::Ready(())
        } else if from < partition.written_end() {
            self.read_files(key, from, at_least_one_batch, until, &mut collected)
        } else {
            read_tail(partition, from, at_least_one_batch, until, &mut collected);
            Need::Ready(())
        };
        match needed {
            Need::Ready(()) => Ok(ReadOutcome::Ready {
                slices: collected.slices,
                size_bytes: collected.size_bytes,
            }),
            Need::Pending => Ok(ReadOutcome::Pending),
            Need::Failed(failure) => Err(ReadError::Failed(failure)),
        }
    }

    fn read_files(
        &mut self,
        key: PartitionKey,
        from: Offset,
        at_least_one_batch: bool,
        until: Offset,
        collected: &mut Collected,
    ) -> Need<()> {
        let mut index = self
            .at(key)
            .segment_index(from)
            .expect("offsets at or above the log start lie in a segment");
        let size_needed = at_least_one_batch && collected.max_bytes < self.at(key).segments[index].largest_batch_bytes;
        let start = match self.locate(key, index, from, size_needed) {
            Need::Ready(start) => start,
            Need::Pending => return Need::Pending,
            Need::Failed(failure) => return Need::Failed(failure),
        };
        let mut position = start.position;
        let mut least = if size_needed { start.size_bytes.unwrap_or(0) } else { 0 };
        loop {
            let end = match self.readable_bytes(key, index, until) {
                Need::Ready(end) => end,
                Need::Pending => return Need::Pending,
                Need::Failed(failure) => return Need::Failed(failure),
            };
            let available = end.saturating_sub(position);
            let len = available.min(collected.room().max(least));
            if len > 0 {
                let file = match self.segment_file(key, index) {
                    Need::Ready(file) => file,
                    // What was collected before is an answer; the rest is loaded meanwhile.
                    Need::Pending if collected.size_bytes > 0 => return Need::Ready(()),
                    Need::Pending => return Need::Pending,
                    Need::Failed(failure) => return Need::Failed(failure),
                };
                let offset = u64::from(position);
                collected.push(Slice::File { file, offset, len }, len);
            }
            let partition = self.at(key);
            let segment = &partition.segments[index];
            if len < available || collected.room() == 0 || segment.end >= until && end < segment.size {
                return Need::Ready(());
            }
            if end < segment.size || index + 1 == partition.segments.len() {
                let next = partition.written_end();
                if next < until && collected.room() > 0 {
                    read_tail(partition, next, false, until, collected);
                }
                return Need::Ready(());
            }
            if segment.end >= until {
                return Need::Ready(());
            }
            (index, position, least) = (index + 1, 0, 0);
        }
    }

    /// The end of what may be read of a segment's file.
    fn readable_bytes(&mut self, key: PartitionKey, index: usize, until: Offset) -> Need<u32> {
        let partition = self.at(key);
        let segment = &partition.segments[index];
        if until >= segment.end || until >= partition.written_end() {
            return Need::Ready(segment.written);
        }
        match self.locate(key, index, until, false) {
            Need::Ready(start) => Need::Ready(start.position),
            Need::Pending => Need::Pending,
            Need::Failed(failure) => Need::Failed(failure),
        }
    }

    /// Where the batch that contains `offset` lies in the segment; it is in the file.
    fn locate(&mut self, key: PartitionKey, index: usize, offset: Offset, size_needed: bool) -> Need<Start> {
        let partition = self.at_mut(key);
        let segment = &partition.segments[index];
        let (id, base) = (segment.id, segment.base);
        if offset == base && !size_needed {
            return Need::Ready(Start {
                position: 0,
                size_bytes: None,
            });
        }
        if let Some(known) = known_place(partition, id, offset) {
            return match known {
                Ok(place) => Need::Ready(Start {
                    position: place.position,
                    size_bytes: Some(place.size_bytes),
                }),
                Err(failure) => Need::Failed(failure),
            };
        }
        if partition.reads.locating.contains(&(id, offset)) {
            return Need::Pending;
        }
        let position = match self.indexed_position(key, index, offset) {
            Need::Ready(position) => position,
            Need::Pending => return Need::Pending,
            Need::Failed(failure) => return Need::Failed(failure),
        };
        let file = match self.segment_file(key, index) {
            Need::Ready(file) => file,
            Need::Pending => return Need::Pending,
            Need::Failed(failure) => return Need::Failed(failure),
        };
        self.at_mut(key).reads.locating.push((id, offset));
        self.read_heads(key, (id, offset), position, file);
        Need::Pending
    }

    /// The position of an indexed batch at or below `offset`.
    fn indexed_position(&mut self, key: PartitionKey, index: usize, offset: Offset) -> Need<u32> {
        let partition = &self.partitions[super::slot(key)];
        let segment = &partition.segments[index];
        if let Some(index) = &segment.index {
            return Need::Ready(index.position_at_or_below(offset));
        }
        let (id, size, base) = (segment.id, segment.size, segment.base);
        match self.sealed_index(key, id, size, base) {
            Need::Ready(index) => Need::Ready(index.position_at_or_below(offset)),
            Need::Pending => Need::Pending,
            Need::Failed(failure) => Need::Failed(failure),
        }
    }

    /// The index of a sealed segment.
    pub(super) fn sealed_index(
        &mut self,
        key: PartitionKey,
        id: SegmentId,
        size: u32,
        base: Offset,
    ) -> Need<&SegmentIndex> {
        if let Some(failure) = self.loading.failures.remove(&id) {
            return Need::Failed(failure);
        }
        if self.pool.index(id).is_some() {
            return Need::Ready(self.pool.index(id).expect("just seen"));
        }
        if let Some(waiters) = self.loading.indexes.get_mut(&id) {
            waiters.push(key);
            return Need::Pending;
        }
        self.loading.indexes.insert(id, SmallVec::from_slice(&[key]));
        let open = DiskOp::Open {
            path: id.index_path(),
            mode: OpenMode::Read,
        };
        let operation = Operation::IndexRead {
            id,
            size,
            base,
            head_of: None,
        };
        self.operations.issue(operation, open);
        Need::Pending
    }

    /// An open file of a segment; a sealed one may have to be opened.
    pub(super) fn segment_file(&mut self, key: PartitionKey, index: usize) -> Need<FileHandle> {
        let segment = &self.partitions[super::slot(key)].segments[index];
        let id = segment.id;
        if let Some(file) = segment.file() {
            return Need::Ready(file.clone());
        }
        if let Some(failure) = self.loading.failures.remove(&id) {
            return Need::Failed(failure);
        }
        if let Some(file) = self.pool.file(id) {
            return Need::Ready(file);
        }
        if let Some(waiters) = self.loading.files.get_mut(&id) {
            waiters.push(key);
            return Need::Pending;
        }
        self.loading.files.insert(id, SmallVec::from_slice(&[key]));
        let open = DiskOp::Open {
            path: id.log_path(),
            mode: OpenMode::Read,
        };
        self.operations.issue(Operation::SegmentOpen { id }, open);
        Need::Pending
    }

    /// Takes an opened segment.
    pub(super) fn segment_opened(&mut self, id: SegmentId, result: io::Result<DiskOutcome>) {
        match result {
            Ok(DiskOutcome::Opened(file)) => {
                let surplus = self.pool.keep_file(id, file);
                self.close(surplus);
            }
            Ok(other) => unreachable!("opening gives a file, not {other:?}"),
            Err(error) if self.pool.is_referred(id) => {
                let failure = missing_or_unreadable(id, &error);
                self.loading.failures.insert(id, failure);
            }
            // It was deleted meanwhile, and whoever asks again is told so.
            Err(_) => {}
        }
        let waiters = self.loading.files.remove(&id).unwrap_or_default();
        self.wake(waiters);
    }

    /// Takes a step of reading a sealed segment's index: its file was opened, its head read, or all of it.
    pub(super) fn index_read(
        &mut self,
        id: SegmentId,
        (size, base): (u32, Offset),
        head_of: Option<FileHandle>,
        result: io::Result<DiskOutcome>,
    ) {
        let decoded = match (result, head_of) {
            (Ok(DiskOutcome::Opened(file)), _) => {
                let head_of = Some(file.clone());
                return self.issue_index_read((id, size, base), file, ENVELOPE_BYTES, head_of);
            }
            (Ok(DiskOutcome::Data(head)), Some(file)) => match index_file_bytes(&head, size) {
                Some(len) => return self.issue_index_read((id, size, base), file, len, None),
                None => None,
            },
            (Ok(DiskOutcome::Data(data)), None) => SegmentIndex::decode(&data, id.0).ok(),
            (Ok(other), _) => unreachable!("opening and reading give a file and data, not {other:?}"),
            (Err(_), _) => None,
        };
        match decoded.filter(|index| index.covered_bytes() == size) {
            Some(index) => self.index_loaded(id, index),
            None => {
                tracing::warn!(segment = %id, "the index is missing or damaged; it is rebuilt from the segment");
                self.rebuild_index(id, size, base);
            }
        }
    }

    fn issue_index_read(
        &mut self,
        (id, size, base): (SegmentId, u32, Offset),
        file: FileHandle,
        len: usize,
        head_of: Option<FileHandle>,
    ) {
        let operation = Operation::IndexRead {
            id,
            size,
            base,
            head_of,
        };
        self.operations.issue(operation, DiskOp::Read { file, offset: 0, len });
    }

    fn rebuild_index(&mut self, id: SegmentId, size: u32, base: Offset) {
        let Some(file) = self.pool.file(id) else {
            // The file is opened first; the read that waits asks for the index again afterwards.
            let waiters = self.loading.indexes.remove(&id).unwrap_or_default();
            self.loading.files.entry(id).or_default().extend(waiters);
            let path = id.log_path();
            let mode = OpenMode::Read;
            self.operations
                .issue(Operation::SegmentOpen { id }, DiskOp::Open { path, mode });
            return;
        };
        let index = SegmentIndex::new(base);
        self.read_for_index(id, size, file, index);
    }

    fn read_for_index(&mut self, id: SegmentId, size: u32, file: FileHandle, index: SegmentIndex) {
        let offset = u64::from(index.covered_bytes());
        let left = to_usize(size - index.covered_bytes());
        let op = DiskOp::Read {
            file: file.clone(),
            offset,
            len: left.min(REBUILD_BYTES),
        };
        self.operations
            .issue(Operation::IndexRebuild { id, size, file, index }, op);
    }

    /// Takes a piece of a segment whose index is rebuilt.
    pub(super) fn index_rebuilt(
        &mut self,
        id: SegmentId,
        size: u32,
        file: FileHandle,
        mut index: SegmentIndex,
        result: io::Result<DiskOutcome>,
    ) {
        let data = match result {
            Ok(DiskOutcome::Data(data)) => data,
            Ok(other) => unreachable!("reading gives data, not {other:?}"),
            Err(error) => return self.index_failed(id, Failure::read(id.log_path(), &error)),
        };
        let start = index.covered_bytes();
        while let Some(rest) = data.get(to_usize(index.covered_bytes() - start)..) {
            if index.covered_bytes() == size || (rest.len() < HEADER_BYTES && data.len() == REBUILD_BYTES) {
                break;
            }
            match BatchHeader::parse(rest) {
                Ok(header) if index.accepts(&header, u64::from(size)) => index.push(&header, REBUILD_INTERVAL_BYTES),
                Ok(_) => return self.index_failed(id, damaged(id, index.covered_bytes(), "an impossible batch")),
                Err(what) => return self.index_failed(id, damaged(id, index.covered_bytes(), what)),
            }
        }
        if index.covered_bytes() == size {
            let data = bytes::Bytes::from(index.encode(id.0));
            let path = id.index_path();
            let what = "a rebuilt index";
            self.operations
                .issue(Operation::Cleanup { what }, DiskOp::Replace { path, data });
            self.index_loaded(id, index);
        } else {
            self.read_for_index(id, size, file, index);
        }
    }

    fn index_loaded(&mut self, id: SegmentId, index: SegmentIndex) {
        self.pool.keep_index(id, index);
        let waiters = self.loading.indexes.remove(&id).unwrap_or_default();
        self.wake(waiters);
    }

    fn index_failed(&mut self, id: SegmentId, failure: Failure) {
        // One that was deleted meanwhile is no failure; whoever asks again is told so.
        if self.pool.is_referred(id) {
            tracing::error!(segment = %id, %failure, "a segment cannot be read");
            self.loading.failures.insert(id, failure);
        }
        let waiters = self.loading.indexes.remove(&id).unwrap_or_default();
        self.wake(waiters);
    }

    fn read_heads(&mut self, key: PartitionKey, (id, offset): (SegmentId, Offset), position: u32, file: FileHandle) {
        let op = DiskOp::Read {
            file: file.clone(),
            offset: u64::from(position),
            len: LOCATE_BYTES,
        };
        let operation = Operation::Locate {
            key,
            id,
            offset,
            position,
            file,
        };
        self.issue_for(key, operation, op);
    }

    /// Takes a block of batch heads.
    pub(super) fn located(
        &mut self,
        key: PartitionKey,
        (id, offset): (SegmentId, Offset),
        position: u32,
        file: FileHandle,
        result: io::Result<DiskOutcome>,
    ) {
        let found = match result {
            Ok(DiskOutcome::Data(data)) => match find_in_heads(&data, id, position, offset) {
                Found::Place(place) => Ok(place),
                Found::Further(next) => return self.read_heads(key, (id, offset), next, file),
                Found::Damage(position, what) => Err(damaged(id, position, what)),
            },
            Ok(other) => unreachable!("reading gives data, not {other:?}"),
            Err(error) => Err(Failure::read(id.log_path(), &error)),
        };
        let Some(partition) = self.get_mut(key) else { return };
        partition.reads.found(id, offset, found);
        self.events.push_back(StorageEvent::ReadReady { key });
    }

    fn wake(&mut self, mut waiters: Waiters) {
        waiters.sort_unstable();
        waiters.dedup();
        for key in waiters {
            if self.get_mut(key).is_some() {
                self.events.push_back(StorageEvent::ReadReady { key });
            }
        }
        self.drive_searches();
    }
}

/// The place of a batch that was appended or looked for lately. A failure is told once.
fn known_place(partition: &mut Partition, id: SegmentId, offset: Offset) -> Option<Result<Place, Failure>> {
    if let Some(place) = partition.recent.find(offset).filter(|place| place.segment == id) {
        return Some(Ok(place));
    }
    let located = &mut partition.reads.located;
    let index = located
        .iter()
        .rposition(|(segment, asked, _)| *segment == id && *asked == offset)?;
    match &located[index].2 {
        Ok(place) => Some(Ok(*place)),
        Err(_) => located.remove(index).map(|(_, _, result)| result),
    }
}

/// Batches in memory from the one that contains `from` on.
fn read_tail(partition: &Partition, from: Offset, at_least_one: bool, until: Offset, collected: &mut Collected) {
    let Some(batches) = partition.tail.from(from) else {
        return;
    };
    for batch in batches.take_while(|batch| batch.end <= until) {
        let size = u32::try_from(batch.bytes.len()).expect("batches are below 2 GiB");
        let first = at_least_one && collected.slices.is_empty();
        if size > collected.room() && !first {
            return;
        }
        collected.push(Slice::Memory(batch.bytes.clone()), size);
    }
}

enum Found {
    Place(Place),
    /// Go on reading at this position.
    Further(u32),
    Damage(u32, &'static str),
}

fn find_in_heads(data: &[u8], id: SegmentId, start: u32, offset: Offset) -> Found {
    let mut position = start;
    loop {
        let at = to_usize(position - start);
        let whole = data.len().checked_sub(at).is_some_and(|left| left >= HEADER_BYTES);
        if !whole && position > start {
            return Found::Further(position);
        }
        let header = match BatchHeader::parse(&data[at..]) {
            Ok(header) => header,
            Err(what) => return Found::Damage(position, what),
        };
        let Some(end) = header.end_offset().filter(|_| header.base_offset <= offset) else {
            return Found::Damage(position, "a batch with impossible offsets");
        };
        if offset < end {
            return Found::Place(Place {
                base: header.base_offset,
                end,
                segment: id,
                position,
                size_bytes: header.size_bytes,
            });
        }
        position = match position.checked_add(header.size_bytes) {
            Some(next) => next,
            None => return Found::Damage(position, "a batch beyond the segment's end"),
        };
    }
}

/// Damage inside a segment.
pub(crate) fn damaged(id: SegmentId, position: u32, what: &str) -> Failure {
    Failure::Damaged(Damage {
        path: id.log_path(),
        position: u64::from(position),
        what: what.to_owned(),
        advice: "Restore the file from a copy, or delete the records below the damage",
        partition: None,
    })
}

fn missing_or_unreadable(id: SegmentId, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return damaged(id, 0, "the file is missing");
    }
    Failure::read(id.log_path(), error)
}

const _: () = assert!(LOCATE_BYTES >= 2 * HEADER_BYTES);
const _: () = assert!(REBUILD_BYTES >= 2 * HEADER_BYTES);

/// The length of an index file by its head, if it can belong to a segment of `size` bytes.
fn index_file_bytes(head: &[u8], size: u32) -> Option<usize> {
    // Every entry stands for at least one batch head.
    let entries_max = size / u32::try_from(HEADER_BYTES).expect("61") + 1;
    let body = u64::from_le_bytes(head.get(16..ENVELOPE_BYTES)?.try_into().ok()?);
    let len = usize::try_from(body).ok()?.checked_add(ENVELOPE_BYTES)?;
    (len <= file_bytes(entries_max)).then_some(len)
}

const _: () = assert!(to_u64(LOCATE_BYTES) <= u32::MAX as u64);
