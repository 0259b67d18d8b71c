//! Recovering one partition: manifest, segments, the scan from what is known to be synced, then the journal's entries.
//!
//! Writes only what is certain: torn tails are cut, replayed batches are written; neither harms a second attempt.

use std::io;

use bytes::Bytes;
use hallows_runtime::{Disk, DiskOp, DiskOutcome, FileHandle, OpenMode, Random, Shortage};
use hallows_types::{LeaderEpoch, Now, Offset, PartitionId, WallTime};

use super::journals::ReplayEntry;
use super::scan::Window;
use super::{Recovered, Recovery, read_file};
use crate::batch::BatchHeader;
use crate::checkpoint::CheckpointRecord;
use crate::codec::to_u64;
use crate::error::{Damage, Failure};
use crate::index::SegmentIndex;
use crate::journal_block::EntryKind;
use crate::manifest::{self, Manifest, ManifestEntry, ManifestState, SegmentId};
use crate::partition::{Partition, Spare};
use crate::pool::Pool;
use crate::reserve::with_room;
use crate::segment::{Segment, SegmentState};
use crate::settings::LogConfig;
use crate::tail::{Recent, Tail};

/// Recovers one partition; damage becomes its failure.
pub(super) fn recover(recovery: &mut Recovery, id: PartitionId, config: LogConfig, now: Now) -> Recovered {
    let mut recovered = Recovered {
        partition: Partition::new(id, config, LeaderEpoch(0)),
        manifest: None,
        listed: Vec::new(),
        unsynced: false,
    };
    let mut work = Work {
        disk: &*recovery.disk,
        recovery,
        record: recovery.records.get(&id),
        now,
        room: true,
        // Only names come of it, and a name that is taken is noticed.
        random: Random::from_seed(seed_of(id, now) ^ recovery.journals.next_number.rotate_left(20)),
    };
    if let Err(failure) = work.run(&mut recovered) {
        give_up(&mut recovered, failure);
    }
    let keep_orphans = recovered.partition.failure.is_some() && recovered.manifest.is_none();
    recovery.keep_orphans |= keep_orphans;
    recovered
}

/// The partition only stands for its files from now on: they are kept, and go if it is removed.
fn give_up(recovered: &mut Recovered, failure: Failure) {
    let partition = &mut recovered.partition;
    partition.failure = Some(failure);
    partition.spare = Spare::None;
    partition.tail = Tail::default();
    partition.recent = Recent::default();
    partition.size_bytes = 0;
    let listed = recovered.listed.iter();
    partition.segments = listed
        .map(|id| Segment::planned(*id, Offset::ZERO, WallTime::NONE))
        .collect();
}

fn seed_of(id: PartitionId, now: Now) -> u64 {
    let (high, low) = id.topic.0.split_at(8);
    let fold = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let index = u64::from(id.index.unsigned_abs());
    fold(high) ^ fold(low).rotate_left(17) ^ index.rotate_left(40) ^ now.wall.0.unsigned_abs() ^ now.monotonic.0
}

struct Work<'a> {
    disk: &'a dyn Disk,
    recovery: &'a Recovery,
    record: Option<&'a CheckpointRecord>,
    now: Now,
    /// Whether there was room so far for what the journal has; what comes after the first that had none stays in memory.
    room: bool,
    random: Random,
}

impl Work<'_> {
    fn run(&mut self, recovered: &mut Recovered) -> Result<(), Failure> {
        let manifest = self.read_manifest(recovered)?;
        let partition = &mut recovered.partition;
        partition.log_start = manifest.log_start;
        if let Some(record) = self.record {
            partition.log_start = partition.log_start.max(record.log_start);
            partition.epochs = record.epochs.clone();
            if !self.recovery.settings.sabotage.forget_producers() {
                partition.producers = record.producers.clone();
            }
        }
        let entries = self.recovery.journals.entries(partition.id);
        for replay in entries.iter().filter(|replay| replay.entry.kind == EntryKind::LogStart) {
            partition.log_start = partition.log_start.max(replay.entry.base_offset);
        }
        self.load_segments(recovered, &manifest)?;
        let noted = recovered.partition.log_end.max(self.recorded_end());
        Self::reach_log_start(&mut recovered.partition)?;
        self.replay(recovered, &entries, noted)?;
        settle(&mut recovered.partition);
        Ok(())
    }

    fn read_manifest(&self, recovered: &mut Recovered) -> Result<Manifest, Failure> {
        let id = recovered.partition.id;
        let path = manifest::path(id);
        let data = match read_file(self.disk, &path) {
            Ok(data) => data,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.record.is_some_and(|record| record.segment_base.is_some()) {
                    let advice = "Restore it from a copy; its segments are still there";
                    return Err(damage(path, 0, "the manifest is missing".into(), advice, id));
                }
                return Ok(Manifest {
                    partition: id,
                    log_start: Offset::ZERO,
                    entries: Vec::new(),
                });
            }
            Err(error) => return Err(Failure::read(path, &error)),
        };
        let manifest = Manifest::decode(&data).map_err(|error| {
            let advice = "Restore it from a copy; its segments are still there";
            damage(path.clone(), 0, format!("the manifest {error}"), advice, id)
        })?;
        if manifest.partition != id {
            let advice = "Put each manifest back under its own topic";
            return Err(damage(
                path,
                0,
                format!("the manifest belongs to {}", manifest.partition),
                advice,
                id,
            ));
        }
        recovered.listed = manifest.entries.iter().map(|entry| entry.id).collect();
        recovered.manifest = Some(data);
        Ok(manifest)
    }

    /// Sealed segments are taken as they are, others are walked to their end.
    fn load_segments(&mut self, recovered: &mut Recovered, manifest: &Manifest) -> Result<(), Failure> {
        let synced = self.record.map_or(Offset::ZERO, |record| record.offset);
        for entry in &manifest.entries {
            match entry.state {
                ManifestState::Sealed { .. } => self.load_sealed(&mut recovered.partition, entry)?,
                ManifestState::Open | ManifestState::Spare => {
                    if !self.load_open(recovered, entry)? {
                        break;
                    }
                }
            }
        }
        let partition = &recovered.partition;
        let end = partition.log_end;
        if end < synced && partition.log_start < synced {
            let path = manifest::path(partition.id);
            let what = format!("the segments end at offset {end} although everything below {synced} was synced");
            let advice = "Restore the missing segment files from a copy";
            return Err(damage(path, 0, what, advice, partition.id));
        }
        Ok(())
    }

    fn load_sealed(&self, partition: &mut Partition, entry: &ManifestEntry) -> Result<(), Failure> {
        let segment = Segment::sealed(entry).expect("the caller has looked at the state");
        let path = entry.id.log_path();
        let file = self.open(partition.id, &path, OpenMode::Read)?;
        let size = file.size().map_err(|error| Failure::read(&path, &error))?;
        if size < u64::from(segment.size) {
            let what = format!(
                "the segment ends here although it was sealed with {} bytes",
                segment.size
            );
            let advice = "Restore it from a copy, or delete the records in it";
            return Err(damage(path, size, what, advice, partition.id));
        }
        if segment.end > self.recorded_end() {
            // Producers and epochs that no checkpoint knows come from the batches themselves.
            let mut window = Window::new(&file, u64::from(segment.size));
            let mut index = SegmentIndex::new(segment.base);
            self.walk_heads(partition, entry.id, &mut window, &mut index, segment.size)?;
        }
        partition.size_bytes += u64::from(segment.size);
        partition.log_end = segment.end;
        partition.segments.push_back(segment);
        Ok(())
    }

    /// Whether the segment goes on where the log ended; if not, neither it nor what follows is part of the log.
    fn load_open(&mut self, recovered: &mut Recovered, entry: &ManifestEntry) -> Result<bool, Failure> {
        let partition = &mut recovered.partition;
        let path = entry.id.log_path();
        let synced_end = self.record.map_or(Offset::ZERO, |record| record.offset);
        let spare = entry.state == ManifestState::Spare;
        let first = partition.segments.is_empty() && !spare;
        let base = if first { entry.base_offset } else { partition.log_end };
        let trusted = !spare && entry.base_offset < synced_end;
        if !spare && entry.base_offset != base {
            if trusted {
                let what = format!(
                    "the log ends at offset {base} before this segment begins at {}",
                    entry.base_offset
                );
                let advice = "Restore the segment before it from a copy";
                return Err(damage(path, 0, what, advice, partition.id));
            }
            tracing::warn!(partition = %partition.id, segment = %entry.id, expected = %base,
                found = %entry.base_offset, "a segment behind a torn tail is dropped; it was not synced");
            return Ok(false);
        }
        let file = match self.disk.open(&path, OpenMode::ReadWrite) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !trusted => return Ok(false),
            Err(_) => self.open(partition.id, &path, OpenMode::ReadWrite)?,
        };
        let size = file.size().map_err(|error| Failure::read(&path, &error))?;
        if spare && size == 0 {
            partition.spare = Spare::Ready(entry.id, file);
            return Ok(true);
        }
        let trusted_bytes = self.trusted_bytes(entry, trusted, size);
        if u64::from(trusted_bytes) > size {
            let what = format!("the segment ends here although {trusted_bytes} bytes of it were synced");
            let advice = "Restore it from a copy";
            return Err(damage(path, size, what, advice, partition.id));
        }
        let created = if spare { self.now.wall } else { entry.created };
        let segment = self.walk(recovered, entry.id, base, created, (file, size, trusted_bytes))?;
        let whole = u64::from(segment.size) == size;
        let partition = &mut recovered.partition;
        if segment.size == 0 && !partition.segments.is_empty() {
            // Nothing of it is left, or nothing was ever in it: the segment before goes on growing.
            return Ok(false);
        }
        if let Some(previous) = partition.segments.back_mut() {
            previous.closed = true;
        }
        partition.size_bytes += u64::from(segment.size);
        partition.log_end = segment.end;
        partition.segments.push_back(segment);
        Ok(whole)
    }

    /// How much of an open segment is known to be synced.
    fn trusted_bytes(&self, entry: &ManifestEntry, trusted: bool, size: u64) -> u32 {
        match self.record {
            Some(record) if trusted && record.segment_base == Some(entry.base_offset) => record.position,
            // It lies wholly before the segment in which the synced part ends.
            Some(_) if trusted => u32::try_from(size).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Walks an open segment: heads up to what is synced, checksums beyond; cuts off what is torn.
    fn walk(
        &self,
        recovered: &mut Recovered,
        id: SegmentId,
        base: Offset,
        created: WallTime,
        (file, size, trusted): (FileHandle, u64, u32),
    ) -> Result<Segment, Failure> {
        let partition = &mut recovered.partition;
        let mut window = Window::new(&file, size);
        let mut index = self.saved_index(id, base, trusted);
        let index_saved_bytes = index.covered_bytes();
        self.walk_heads(partition, id, &mut window, &mut index, trusted)?;
        let io = |error| Failure::read(id.log_path(), &error);
        let reason = loop {
            let position = u64::from(index.covered_bytes());
            if position == size {
                break None;
            }
            let (header, batch) = match window.batch(position).map_err(io)? {
                Ok(found) => found,
                Err(what) => break Some(what),
            };
            if header.base_offset != index.covered_end() || !index.accepts(&header, size) {
                break Some("with an offset that does not follow");
            }
            // After a failed sync the page cache holds bytes that the disk does not, and no later sync writes them:
            // only writing them again makes the sync at the end of recovery mean something.
            with_room(self.disk, || file.write_all_at(batch, position))
                .map_err(|error| Failure::write(id.log_path(), &error))?;
            self.note(partition, &header);
            index.push(&header, partition.config.index_interval_bytes);
        };
        let kept = index.covered_bytes();
        recovered.unsynced |= size != u64::from(trusted);
        if let Some(what) = reason {
            let cut_bytes = size - u64::from(kept);
            tracing::warn!(partition = %partition.id, segment = %id, position = kept, cut_bytes, what,
                "the tail of a segment is cut off: a batch there is torn, and was not synced");
            if !self.recovery.settings.sabotage.recycle_segments() {
                file.set_size(u64::from(kept))
                    .map_err(|error| Failure::write(id.log_path(), &error))?;
            }
        }
        Ok(Segment {
            end: index.covered_end(),
            size: kept,
            written: kept,
            synced: trusted,
            largest_timestamp: index.largest_timestamp(),
            largest_batch_bytes: index.largest_batch_bytes(),
            state: SegmentState::Open { file },
            index: Some(index),
            index_saved_bytes,
            ..Segment::planned(id, base, created)
        })
    }

    /// The index file of an open segment, if it describes nothing but synced bytes.
    fn saved_index(&self, id: SegmentId, base: Offset, trusted: u32) -> SegmentIndex {
        if trusted == 0 || self.record.is_none() {
            return SegmentIndex::new(base);
        }
        let data = read_file(self.disk, &id.index_path()).unwrap_or_default();
        SegmentIndex::decode(&data, id.0)
            .ok()
            .filter(|index| index.covered_bytes() <= trusted && index.base_offset() == base)
            .unwrap_or_else(|| SegmentIndex::new(base))
    }

    /// Adds synced batches to an index by their heads.
    fn walk_heads(
        &self,
        partition: &mut Partition,
        id: SegmentId,
        window: &mut Window<'_>,
        index: &mut SegmentIndex,
        until: u32,
    ) -> Result<(), Failure> {
        while index.covered_bytes() < until {
            let position = index.covered_bytes();
            let head = window.head(u64::from(position));
            let head = head.map_err(|error| Failure::read(id.log_path(), &error))?;
            let header = match head {
                Ok(header) if index.accepts(&header, u64::from(until)) => header,
                Ok(_) => {
                    return Err(synced_damage(
                        partition.id,
                        id,
                        position,
                        "with an impossible offset or length",
                    ));
                }
                Err(what) => return Err(synced_damage(partition.id, id, position, what)),
            };
            if header.base_offset >= self.recorded_end() {
                self.note(partition, &header);
            }
            index.push(&header, partition.config.index_interval_bytes);
        }
        Ok(())
    }

    /// Batches from here on are not part of the state that the checkpoint recorded.
    fn recorded_end(&self) -> Offset {
        self.record.map_or(Offset::ZERO, |record| record.offset)
    }

    /// Notes what a batch says of epochs and producers.
    fn note(&self, partition: &mut Partition, header: &BatchHeader) {
        partition.epochs.note(header.leader_epoch, header.base_offset);
        let settings = &self.recovery.settings;
        if !settings.sabotage.forget_producers() {
            partition
                .producers
                .apply(header, self.now.wall, settings.producers_per_partition_max);
        }
    }

    /// A log start beyond the end: everything below was deleted, durably, before what it deleted was synced.
    fn reach_log_start(partition: &mut Partition) -> Result<(), Failure> {
        if let Some(first) = partition
            .segments
            .front()
            .filter(|first| first.base > partition.log_start)
        {
            let what = format!(
                "the first segment begins at offset {} behind the log start {}",
                first.base, partition.log_start
            );
            let advice = "Restore the manifest and the segments before from a copy";
            return Err(damage(manifest::path(partition.id), 0, what, advice, partition.id));
        }
        if partition.log_end >= partition.log_start {
            return Ok(());
        }
        partition.segments.clear();
        partition.spare = Spare::None;
        partition.size_bytes = 0;
        partition.log_end = partition.log_start;
        Ok(())
    }

    /// Appends the journal's entries above the end of the segments. What batches below `noted` say of producers is known.
    fn replay(&mut self, recovered: &mut Recovered, entries: &[ReplayEntry], noted: Offset) -> Result<(), Failure> {
        let mut replayed = 0_u64;
        for replay in entries.iter().filter(|replay| replay.entry.kind == EntryKind::Batch) {
            let mut end = recovered.partition.log_end;
            if replay.entry.end_offset <= end {
                if replay.entry.base_offset >= noted {
                    // Deleted before any segment held it; its producer is remembered all the same.
                    let (header, _) = self.read_entry(recovered.partition.id, replay)?;
                    self.note(&mut recovered.partition, &header);
                }
                continue;
            }
            if replay.entry.base_offset < end && recovered.partition.segments.is_empty() {
                // The log start was moved into this batch before any segment held it.
                end = replay.entry.base_offset;
                recovered.partition.log_end = end;
            }
            if replay.entry.base_offset != end {
                let what = format!(
                    "the journal goes on at offset {} where the segments end at {end}; what lies between is lost",
                    replay.entry.base_offset
                );
                return Err(self.journal_damage(recovered.partition.id, replay, what));
            }
            let (header, payload) = self.read_entry(recovered.partition.id, replay)?;
            self.note(&mut recovered.partition, &header);
            self.write(&mut recovered.partition, &header, payload)?;
            recovered.unsynced = true;
            replayed += 1;
        }
        let partition = &mut recovered.partition;
        let waiting_bytes = partition.tail.bytes();
        if waiting_bytes > 0 {
            partition.write_forced = true;
            tracing::warn!(partition = %partition.id, replayed, waiting_bytes, log_end = %partition.log_end,
                "the disk is full: what the journal has for this partition stays in memory until there is room");
        } else if replayed > 0 {
            tracing::info!(partition = %partition.id, replayed, log_end = %partition.log_end,
                "batches of the journal are in their segments again");
        }
        Ok(())
    }

    /// The batch of a journal's entry.
    fn read_entry(&self, id: PartitionId, replay: &ReplayEntry) -> Result<(BatchHeader, Vec<u8>), Failure> {
        let base = replay.entry.base_offset;
        if replay.damaged {
            let what = format!("the block with offset {base} has a wrong checksum");
            return Err(self.journal_damage(id, replay, what));
        }
        let journals = &self.recovery.journals;
        let payload = journals.payload(replay);
        let payload = payload.map_err(|error| Failure::read(journals.path_of(replay).0, &error))?;
        match BatchHeader::parse(&payload) {
            Ok(header) if header.checksum_matches(&payload) && follows(&header, base) => Ok((header, payload)),
            _ => {
                let what = format!("the entry with offset {base} holds no valid batch");
                Err(self.journal_damage(id, replay, what))
            }
        }
    }

    fn journal_damage(&self, id: PartitionId, replay: &ReplayEntry, what: String) -> Failure {
        let (path, position) = self.recovery.journals.path_of(replay);
        let advice = "Restore the journal or the segments from a copy";
        damage(path.to_owned(), position, what, advice, id)
    }

    /// Puts one replayed batch at the end of the log: into its segment, or where there is no room for that, in memory.
    fn write(&mut self, partition: &mut Partition, header: &BatchHeader, payload: Vec<u8>) -> Result<(), Failure> {
        let bytes = Bytes::from(payload);
        partition.place(self.now, header, bytes.clone(), &mut self.random, &mut Pool::default());
        if !self.room {
            return Ok(());
        }
        match self.write_placed(partition, &bytes) {
            Ok(()) => Ok(()),
            Err((_, error)) if Shortage::of(&error) == Some(Shortage::Room) => {
                self.room = false;
                Ok(())
            }
            Err((id, error)) => Err(Failure::write(id.log_path(), &error)),
        }
    }

    /// Writes the batch placed last to its segment.
    fn write_placed(&mut self, partition: &mut Partition, bytes: &[u8]) -> Result<(), (SegmentId, io::Error)> {
        let id = partition.segments.back().expect("just placed").id;
        if partition.segments.back().is_some_and(Segment::is_planned) {
            self.create(partition, id)?;
        }
        let segment = partition.segments.back_mut().expect("just placed");
        let offset = u64::from(segment.written);
        let file = segment.file().expect("created above");
        file.write_all_at(bytes, offset).map_err(|error| (segment.id, error))?;
        segment.written = segment.size;
        partition.tail.release(1);
        Ok(())
    }

    fn create(&mut self, partition: &mut Partition, mut id: SegmentId) -> Result<(), (SegmentId, io::Error)> {
        loop {
            let op = DiskOp::Create {
                path: id.log_path(),
                data: Bytes::new(),
                durable: true,
            };
            match op.perform(self.disk) {
                Ok(DiskOutcome::Opened(file)) => {
                    let segment = partition.segment_mut(id).expect("named by the caller");
                    segment.state = SegmentState::Open { file };
                    return Ok(());
                }
                Ok(other) => unreachable!("creating gives a file, not {other:?}"),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    let other = SegmentId(self.random.uuid());
                    partition.rename_segment(id, other);
                    id = other;
                }
                Err(error) => return Err((id, error)),
            }
        }
    }

    fn open(&self, partition: PartitionId, path: &str, mode: OpenMode) -> Result<FileHandle, Failure> {
        self.disk.open(path, mode).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                let what = "the segment is missing".to_owned();
                let advice = "Restore it from a copy, or delete the topic";
                return damage(path.to_owned(), 0, what, advice, partition);
            }
            Failure::read(path, &error)
        })
    }
}

/// Whether a batch begins where the log ends.
fn follows(header: &BatchHeader, end: Offset) -> bool {
    header.base_offset == end && header.end_offset().is_some()
}

/// Everything that is there is committed; what follows from that.
fn settle(partition: &mut Partition) {
    let end = partition.log_end;
    partition.high_watermark = end;
    partition.journaled = end;
    partition.log_start_next = partition.log_start;
    partition.manifest_log_start = partition.log_start;
    partition.epochs.trim(partition.log_start);
    partition.leader_epoch = partition.epochs.latest().unwrap_or(LeaderEpoch(0));
    partition.drop_first(&partition.expired());
    // Only the last segment grows; one without a byte is as good as none.
    if partition
        .segments
        .back()
        .is_some_and(|last| last.size == 0 && partition.segments.len() > 1)
    {
        partition.segments.pop_back();
        if let Some(last) = partition.segments.back_mut().filter(|last| !last.is_sealed()) {
            last.closed = false;
        }
    }
}

fn damage(path: String, position: u64, what: String, advice: &'static str, id: PartitionId) -> Failure {
    Failure::Damaged(Damage {
        path,
        position,
        what,
        advice,
        partition: Some(id),
    })
}

fn synced_damage(partition: PartitionId, id: SegmentId, position: u32, what: &str) -> Failure {
    let advice = "It was synced, so the disk lost or changed it: restore the segment from a copy";
    let what = format!("a batch {what}");
    damage(
        id.log_path(),
        to_u64(crate::codec::to_usize(position)),
        what,
        advice,
        partition,
    )
}
