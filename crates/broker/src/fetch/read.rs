//! The owner's side of a fetch: one read on one partition.

use hallows_storage::{PartitionKey, ReadError, ReadOutcome};
use hallows_types::{LeaderEpoch, Offset};
use smallvec::SmallVec;

use crate::message::{Body, Message};
use crate::op::{OpAnswer, PartitionFailure, ReplyTo};
use crate::shard::Shard;

use super::{ReadAnswer, ReadData, ReadOp, Watcher};

impl Shard {
    /// Reads for a fetch and arms its watch; answers later if an index must be read first.
    pub(crate) fn read(&mut self, reply: Option<ReplyTo>, key: PartitionKey, read: ReadOp) {
        match self.read_now(key, &read) {
            Some(answer) => self.tell(reply, OpAnswer::Read(answer)),
            None => self.read_later(reply, key, read),
        }
    }

    /// As [`Shard::read`], for a session on this shard; `None` if an index must be read first.
    pub(crate) fn read_now(&mut self, key: PartitionKey, read: &ReadOp) -> Option<ReadAnswer> {
        self.watch(key, read.watcher);
        if let Err(failure) = self.check_epoch(key, read.current_epoch) {
            return Some(Err(failure));
        }
        let diverging = match self.diverging(key, read) {
            Ok(diverging) => diverging,
            Err(failure) => return Some(Err(failure)),
        };
        let partition = self.storage.partition(key);
        if let Some(failure) = partition.failure() {
            return Some(Err(PartitionFailure::Failed(failure.clone())));
        }
        let (high_watermark, last_stable_offset) = (partition.high_watermark(), partition.last_stable_offset());
        let (log_start, log_end) = (partition.log_start(), partition.log_end());
        let (high_watermark, last_stable_offset) = if self.storage.sabotage().read_above_high_watermark() {
            (log_end, log_end)
        } else {
            (high_watermark, last_stable_offset)
        };
        // Whoever must go back learns where to, even from above the end.
        if diverging.is_none() && (read.from < log_start || read.from > log_end) {
            return Some(Err(PartitionFailure::OffsetOutOfRange));
        }
        let mut data = ReadData {
            slices: SmallVec::new(),
            size_bytes: 0,
            high_watermark,
            last_stable_offset,
            log_start,
            diverging,
        };
        let until = if read.read_committed {
            last_stable_offset
        } else {
            high_watermark
        };
        if data.diverging.is_some() || read.from >= until {
            return Some(Ok(data));
        }
        match self
            .storage
            .read(key, read.from, read.max_bytes, read.at_least_one_batch, until)
        {
            Ok(ReadOutcome::Ready { slices, size_bytes }) => {
                data.slices = slices;
                data.size_bytes = size_bytes;
                Some(Ok(data))
            }
            Ok(ReadOutcome::Pending) => None,
            Err(ReadError::OffsetOutOfRange { .. }) => Some(Err(PartitionFailure::OffsetOutOfRange)),
            Err(ReadError::Failed(failure)) => Some(Err(PartitionFailure::Failed(failure))),
        }
    }

    /// KIP-595: the client says in which epoch it last read; if ours ended earlier, it must go back.
    ///
    /// An epoch that never was here is out of range, as in Kafka: nothing tells where to go back to.
    fn diverging(&self, key: PartitionKey, read: &ReadOp) -> Result<Option<(LeaderEpoch, Offset)>, PartitionFailure> {
        if read.last_fetched_epoch == LeaderEpoch::UNKNOWN {
            return Ok(None);
        }
        let (epoch, end) = self.storage.end_offset_for_epoch(key, read.last_fetched_epoch);
        if epoch == LeaderEpoch::UNKNOWN {
            return Err(PartitionFailure::OffsetOutOfRange);
        }
        let diverges = epoch < read.last_fetched_epoch || end < read.from;
        Ok(diverges.then_some((epoch, end)))
    }

    /// Tells a session, wherever it lives, that one of its partitions has something new.
    pub(crate) fn notify(&mut self, watcher: Watcher) {
        if watcher.shard == self.id {
            self.session_dirty(watcher);
        } else {
            self.effects.message(watcher.shard, Message(Body::Dirty(watcher)));
        }
    }
}
