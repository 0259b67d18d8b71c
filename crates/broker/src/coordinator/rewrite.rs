//! Keeps `__consumer_offsets` short: when it has grown far beyond what its groups need, the live rows are written
//! again at its end, and once they are durable the log starts there.
//!
//! The effect is compaction's: the newest value per key stays, older ones go, and loading stays bounded.
//! Rows that are on their way when a rewrite begins lie before it and are newer than what it copies, so it repeats
//! them behind the copies; whatever is appended later lies behind the rewrite anyway.

use hallows_group_coordinator::Row;
use hallows_storage::{AppendError, Origin, PartitionKey};
use hallows_types::Offset;

use super::hosting::Append;
use super::rows;
use crate::op::{AppendDone, AppendFailure};
use crate::partitions::AppendWaiter;
use crate::shard::Shard;

/// A log below this is never rewritten.
const REWRITE_BYTES_MIN: u64 = 8 << 20;
/// A log is rewritten when it is this many times as long as the rows that were live at the last rewrite.
const REWRITE_GROWTH: u64 = 4;
/// Bytes per batch of a rewritten log, unless the broker allows less.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A rewrite on its way into the log.
pub(super) struct Rewrite {
    /// Distinguishes it from an earlier one that failed while parts of it were on their way.
    number: u64,
    /// Where the rewritten rows begin.
    start: Offset,
    /// Batches that are not durable yet.
    missing: usize,
    /// What all its batches take.
    size_bytes: u64,
    /// What lies before it.
    bytes_before: u64,
}

impl Shard {
    pub(super) fn rewrite_if_long(&mut self, index: i32) {
        let Some(hosted) = self.coordinators.hosted.get(&index) else {
            return;
        };
        let bound = REWRITE_BYTES_MIN.max(hosted.live_bytes.saturating_mul(REWRITE_GROWTH));
        let long = hosted.log_bytes > bound;
        if long && hosted.rewrite.is_none() {
            let (key, mut rows) = (hosted.key, hosted.coordinator.rows());
            rows.extend(self.rows_on_their_way(index));
            if let Err(reason) = self.rewrite(index, key, &rows) {
                // The old rows stay, so nothing is lost; the next commit tries again.
                tracing::warn!(partition = index, reason, "__consumer_offsets was not rewritten");
            }
        }
    }

    /// Rows that were appended and are not known to be durable, oldest first.
    fn rows_on_their_way(&self, index: i32) -> Vec<Row> {
        let waiting = self.coordinators.appends.values().filter_map(|append| match append {
            Append::Rows { index: of, rows, .. } if *of == index => Some(rows),
            _ => None,
        });
        waiting.flatten().cloned().collect()
    }

    fn rewrite(&mut self, index: i32, key: PartitionKey, rows: &[Row]) -> Result<(), String> {
        let bytes_max =
            usize::try_from(self.config.batch_bytes_max).map_or(BATCH_BYTES_MAX, |max| max.min(BATCH_BYTES_MAX));
        let batches = rows::encode_all(rows.iter(), bytes_max, self.now.wall).map_err(|error| error.to_string())?;
        let number = self.coordinators.next_append;
        let mut rewrite = Rewrite {
            number,
            start: self.storage.partition(key).log_end(),
            missing: batches.len(),
            size_bytes: batches.iter().map(rows::size_of).sum(),
            bytes_before: 0,
        };
        for batch in batches {
            let appended = self.storage.append(self.now, key, batch, Origin::Rewrite);
            let appended = appended.map_err(|error: AppendError| error.to_string())?;
            let append = self.coordinators.next_append;
            self.coordinators.next_append += 1;
            let part = Append::Rewrite { index, rewrite: number };
            self.coordinators.appends.insert(append, part);
            self.await_append(key, AppendWaiter::Coordinator { ticket: append }, appended);
        }
        if let Some(hosted) = self.coordinators.hosted.get_mut(&index) {
            rewrite.bytes_before = hosted.log_bytes;
            hosted.log_bytes += rewrite.size_bytes;
            hosted.rewrite = Some(rewrite);
        }
        self.rewrite_done(index);
        Ok(())
    }

    pub(super) fn rewrite_appended(&mut self, index: i32, number: u64, result: Result<AppendDone, AppendFailure>) {
        let Some(hosted) = self.coordinators.hosted.get_mut(&index) else {
            return;
        };
        let current = hosted.rewrite.as_mut().filter(|rewrite| rewrite.number == number);
        let Some(rewrite) = current else { return };
        match result {
            Ok(_) => rewrite.missing -= 1,
            Err(_) => hosted.rewrite = None,
        }
        self.rewrite_done(index);
    }

    fn rewrite_done(&mut self, index: i32) {
        let Some(hosted) = self.coordinators.hosted.get_mut(&index) else {
            return;
        };
        let Some(rewrite) = hosted.rewrite.take_if(|rewrite| rewrite.missing == 0) else {
            return;
        };
        hosted.live_bytes = rewrite.size_bytes;
        hosted.log_bytes -= rewrite.bytes_before;
        let key = hosted.key;
        if let Err(error) = self.storage.delete_records(self.now, key, rewrite.start) {
            tracing::warn!(partition = index, %error, "the log start of __consumer_offsets was not moved");
        }
    }
}
