//! Appending: offsets, producer checks, a place in the segment, an entry in the journal.

use bytes::{Bytes, BytesMut};
use hallows_types::{Now, Offset, PartitionId, WallTime};

use super::{Shutdown, Storage};
use crate::batch::{BatchHeader, assign};
use crate::codec::{to_u64, to_usize};
use crate::error::{AppendError, DeleteRecordsError};
use crate::event::{Appended, Origin};
use crate::journal::no_payload;
use crate::journal_block::{EntryKind, GROUP_LOCAL, JournalEntry, Proposed};
use crate::partition::Partition;
use crate::producers::Verdict;
use crate::settings::{Durability, PartitionKey};

/// A batch up to this size is copied when it is to wait in the tail: as it came, it is a part of a much larger piece of
/// receive memory, which it would keep for as long as it waits. Larger ones are not worth a copy.
const COPIED_BYTES_MAX: usize = 32 << 10;

impl Storage {
    /// Appends one record batch v2, already validated (checksum, counts, records), and assigns its offsets:
    /// base offset and leader epoch are patched in place.
    /// It is acknowledged, and readable, once the high watermark reaches `end_offset`.
    ///
    /// # Errors
    /// [`AppendError`]; the log is unchanged.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn append(
        &mut self,
        now: Now,
        key: PartitionKey,
        mut batch: BytesMut,
        origin: Origin,
    ) -> Result<Appended, AppendError> {
        let header = self.append_admit(key, &batch, origin)?;
        let partition = self.at(key);
        if let Verdict::Duplicate {
            base_offset,
            last_offset,
            max_timestamp,
        } = partition.producers.check(&header)?
        {
            return Ok(Appended {
                base_offset,
                last_offset,
                end_offset: Offset(last_offset.0 + 1),
                log_append_time: header.is_log_append_time().then_some(max_timestamp),
                duplicate: true,
            });
        }
        let header = BatchHeader {
            base_offset: partition.log_end,
            leader_epoch: partition.leader_epoch,
            ..header
        };
        let end_offset = header.end_offset().ok_or(AppendError::OffsetsExhausted)?;
        assign(&mut batch, header.base_offset, header.leader_epoch);
        self.append_place(now, key, &header, batch);
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: Offset(end_offset.0 - 1),
            end_offset,
            log_append_time: header.is_log_append_time().then_some(header.max_timestamp),
            duplicate: false,
        })
    }

    /// Whether the batch may be appended at all; its head if so.
    fn append_admit(&mut self, key: PartitionKey, batch: &[u8], origin: Origin) -> Result<BatchHeader, AppendError> {
        let partition = self.at(key);
        if let Some(failure) = &partition.failure {
            return Err(AppendError::Failed(failure.clone()));
        }
        if let Some(failure) = self.journal_failure_for(partition) {
            return Err(AppendError::Failed(failure));
        }
        let header = BatchHeader::parse(batch).map_err(|reason| AppendError::Invalid { reason })?;
        if to_usize(header.size_bytes) != batch.len() {
            let reason = "its length field differs from its size";
            return Err(AppendError::Invalid { reason });
        }
        let max_bytes = partition.config.max_batch_bytes;
        if header.size_bytes > max_bytes && origin == Origin::Client {
            let size_bytes = batch.len();
            return Err(AppendError::TooLarge { size_bytes, max_bytes });
        }
        let needs_journal = partition.config.durability == Durability::Fsync;
        let never_written = needs_journal && self.journal.is_starved() && self.space.is_used_up();
        if never_written || (self.space.full && origin == Origin::Client) {
            self.note_refused(header.size_u64());
            return Err(AppendError::Full);
        }
        let stopping = self.shutdown != Shutdown::No;
        if stopping || !self.has_room(key, header.size_u64(), origin) {
            return Err(AppendError::Busy);
        }
        Ok(header)
    }

    /// Whether a client's batch of this size would be refused as [`AppendError::Busy`] now, although the partition
    /// works and the disk has room. Then [`crate::StorageEvent::Writable`] says when to ask again.
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn is_busy(&mut self, key: PartitionKey, size_bytes: u64) -> bool {
        let partition = self.at(key);
        let failed = partition.failure.is_some() || self.journal_failure_for(partition).is_some();
        if failed || self.space.full {
            return false;
        }
        !self.has_room(key, size_bytes, Origin::Client)
    }

    /// Whether the journal, if the partition needs it, the tails and what is known of the disk take a batch; if not, that
    /// is noted.
    fn has_room(&mut self, key: PartitionKey, size_bytes: u64, origin: Origin) -> bool {
        let needs_journal = self.at(key).config.durability == Durability::Fsync;
        let room = self.fits(size_bytes, origin) && !(needs_journal && self.journal.is_over_bound(origin));
        let allowed = origin != Origin::Client || self.space.allows(size_bytes);
        if !room || !allowed {
            self.note_refused(size_bytes);
        }
        if !allowed {
            self.space.look_again(self.clock);
        }
        room && allowed
    }

    /// Whether tails have room for a batch; a single one always fits.
    pub(super) const fn fits(&self, size_bytes: u64, origin: Origin) -> bool {
        let bound = origin.bound(self.settings.tail_bytes_max);
        self.tail_bytes == 0 || self.tail_bytes.saturating_add(size_bytes) <= bound
    }

    fn note_refused(&mut self, size_bytes: u64) {
        self.refused = Some(self.refused.unwrap_or(0).max(size_bytes));
    }

    fn journal_failure_for(&self, partition: &Partition) -> Option<crate::error::Failure> {
        let failure = self.journal.failure()?;
        (partition.config.durability == Durability::Fsync).then(|| failure.clone())
    }

    fn append_place(&mut self, now: Now, key: PartitionKey, header: &BatchHeader, batch: BytesMut) {
        let waits = self.at(key).config.durability != Durability::Written;
        let bytes = if waits && batch.len() <= COPIED_BYTES_MAX {
            Bytes::copy_from_slice(&batch)
        } else {
            batch.freeze()
        };
        let producers_max = self.settings.producers_per_partition_max;
        let early = self.settings.sabotage.acknowledge_before_sync();
        let partition = &mut self.partitions[super::slot(key)];
        partition.producers.apply(header, now.wall, producers_max);
        partition.place(now, header, bytes.clone(), &mut self.random, &mut self.pool);
        let size = to_u64(bytes.len());
        self.tail_bytes += size;
        self.statistics.appends += 1;
        self.statistics.append_bytes += size;
        self.space.spend(size, now.monotonic);
        self.checkpoint.note_change(now, self.settings.checkpoint_interval);
        // While the durability is being raised, batches wait: a journal that began above unsynced bytes would have a
        // hole below it after a power cut.
        if partition.config.durability == Durability::Fsync && partition.sync_barrier.is_none() {
            if early {
                partition.journaled = partition.log_end;
            }
            let entry = batch_entry(partition.id, header, now.wall);
            let payload = bytes;
            self.journal.append(Proposed { key, entry, payload });
        }
        self.advance(key);
        self.enqueue(key);
    }

    /// Everything below the barrier is synced: what was appended above it meanwhile goes into the journal.
    pub(super) fn lift_barrier(&mut self, key: PartitionKey) {
        let partition = &mut self.partitions[super::slot(key)];
        let Some(barrier) = partition.sync_barrier.take() else {
            return;
        };
        partition.journaled = partition.journaled.max(barrier);
        for batch in partition.tail.iter().filter(|batch| batch.base >= barrier) {
            let header = BatchHeader::parse(&batch.bytes).expect("parsed when it was appended");
            let entry = batch_entry(partition.id, &header, header.max_timestamp);
            let payload = batch.bytes.clone();
            self.journal.append(Proposed { key, entry, payload });
        }
    }

    /// Moves the log start to `before`. `true` if it is there already; otherwise it is durable, and may be answered,
    /// once [`crate::StorageEvent::LogStart`] comes and [`Partition::log_start`] is at or above `before`.
    ///
    /// # Errors
    /// [`DeleteRecordsError`].
    ///
    /// # Panics
    /// When `key` names no partition.
    pub fn delete_records(&mut self, now: Now, key: PartitionKey, before: Offset) -> Result<bool, DeleteRecordsError> {
        // The next start after an orderly end reads no journal.
        let stopping = self.shutdown != Shutdown::No;
        let partition = self.at_mut(key);
        if let Some(failure) = &partition.failure {
            return Err(DeleteRecordsError::Failed(failure.clone()));
        }
        if stopping {
            return Err(DeleteRecordsError::Stopping);
        }
        if before > partition.high_watermark || before.0 < 0 {
            return Err(DeleteRecordsError::OffsetOutOfRange {
                offset: before,
                high_watermark: partition.high_watermark,
            });
        }
        if before <= partition.log_start {
            return Ok(true);
        }
        let entry = JournalEntry {
            partition: partition.id,
            group: GROUP_LOCAL,
            index: 0,
            epoch: partition.leader_epoch,
            kind: EntryKind::LogStart,
            time: now.wall,
            base_offset: before,
            end_offset: before,
            length: 0,
        };
        if let Some(failure) = self.journal.failure() {
            return Err(DeleteRecordsError::Failed(failure.clone()));
        }
        let partition = self.at_mut(key);
        partition.log_start_next = partition.log_start_next.max(before);
        self.checkpoint.note_change(now, self.settings.checkpoint_interval);
        self.journal.append(Proposed {
            key,
            entry,
            payload: no_payload(),
        });
        if self.settings.sabotage.lower_log_start() {
            self.move_log_start(key, before);
            return Ok(true);
        }
        Ok(false)
    }

    /// The log starts at `to` from now on; what lies below is let go of once the manifest says so.
    pub(super) fn move_log_start(&mut self, key: PartitionKey, to: Offset) {
        let full = self.space.full;
        let partition = self.at_mut(key);
        if to <= partition.log_start {
            return;
        }
        partition.log_start = to;
        partition.log_start_next = partition.log_start_next.max(to);
        partition.epochs.trim(to);
        let first_goes = partition
            .segments
            .front()
            .is_some_and(|first| first.is_sealed() && first.end <= to);
        if first_goes {
            partition.structure += 1;
        }
        let log_is_empty = to == partition.log_end;
        let growing = partition
            .segments
            .back_mut()
            .filter(|last| !last.closed && last.size > 0);
        if let Some(growing) = growing.filter(|_| full && log_is_empty) {
            // Its room is wanted, so it does not wait for more records.
            growing.closed = true;
        }
        self.events.push_back(crate::event::StorageEvent::LogStart { key });
        self.enqueue(key);
    }
}

fn batch_entry(partition: PartitionId, header: &BatchHeader, time: WallTime) -> JournalEntry {
    JournalEntry {
        partition,
        group: GROUP_LOCAL,
        index: 0,
        epoch: header.leader_epoch,
        kind: EntryKind::Batch,
        time,
        base_offset: header.base_offset,
        end_offset: header.end_offset().expect("checked before the offset was assigned"),
        length: header.size_bytes,
    }
}
