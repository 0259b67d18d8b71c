//! Keeps `__consumer_offsets` short: when it has grown far beyond what its groups need, the live rows are written
//! again at its end, and once they are durable the log starts there.
//!
//! The effect is compaction's: the newest value per key stays, older ones go, and loading stays bounded.
//! Only done while no other append of the coordinator is on its way, so that no commit falls between
//! the rows that are copied and the new start of the log.

use hallows_group_coordinator::Row;
use hallows_storage::Origin;
use hallows_types::Offset;

use super::hosting::Append;
use super::rows;
use crate::op::{AppendDone, AppendFailure};
use crate::partitions::AppendWaiter;
use crate::shard::Shard;

/// A log below this is never rewritten.
const REWRITE_BYTES_MIN: u64 = 8 << 20;
/// A log is rewritten when it is this many times as long as after the last rewrite.
const REWRITE_GROWTH: u64 = 4;
/// Rows per batch of a rewritten log.
const ROWS_PER_BATCH: usize = 1000;

/// A rewrite on its way into the log.
pub(super) struct Rewrite {
    /// Where the rewritten rows begin.
    start: Offset,
    /// Batches that are not durable yet.
    missing: usize,
}

impl Shard {
    pub(super) fn rewrite_if_long(&mut self, index: i32) {
        let Some(hosted) = self.coordinators.hosted.get(&index) else {
            return;
        };
        let size_bytes = self.storage.partition(hosted.key).size_bytes();
        let long = size_bytes > REWRITE_BYTES_MIN && size_bytes > hosted.rewritten_bytes.saturating_mul(REWRITE_GROWTH);
        if long && hosted.appends == 0 && hosted.rewrite.is_none() {
            let rows = hosted.coordinator.rows();
            self.rewrite(index, &rows);
        }
    }

    fn rewrite(&mut self, index: i32, rows: &[Row]) {
        let Some(key) = self.coordinators.hosted.get(&index).map(|hosted| hosted.key) else {
            return;
        };
        let start = self.storage.partition(key).log_end();
        let mut missing = 0;
        for chunk in rows.chunks(ROWS_PER_BATCH) {
            let appended = rows::encode(chunk, self.now.wall)
                .map_err(|error| error.to_string())
                .and_then(|batch| {
                    let appended = self.storage.append(self.now, key, batch, Origin::Internal);
                    appended.map_err(|error| error.to_string())
                });
            match appended {
                Ok(appended) => {
                    missing += 1;
                    let append = self.coordinators.next_append;
                    self.coordinators.next_append += 1;
                    self.coordinators.appends.insert(append, Append::Rewrite { index });
                    self.await_append(key, AppendWaiter::Coordinator { ticket: append }, appended);
                }
                Err(reason) => {
                    // The old rows stay, so nothing is lost; the next commit tries again.
                    tracing::warn!(partition = index, reason, "__consumer_offsets was not rewritten");
                    return;
                }
            }
        }
        if let Some(hosted) = self.coordinators.hosted.get_mut(&index) {
            hosted.rewrite = Some(Rewrite { start, missing });
        }
        self.rewrite_done(index);
    }

    pub(super) fn rewrite_appended(&mut self, index: i32, result: Result<AppendDone, AppendFailure>) {
        let Some(hosted) = self.coordinators.hosted.get_mut(&index) else {
            return;
        };
        let Some(rewrite) = &mut hosted.rewrite else { return };
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
        let Some(start) = hosted
            .rewrite
            .as_ref()
            .filter(|rewrite| rewrite.missing == 0)
            .map(|rewrite| rewrite.start)
        else {
            return;
        };
        hosted.rewrite = None;
        let key = hosted.key;
        if let Err(error) = self.storage.delete_records(self.now, key, start) {
            tracing::warn!(partition = index, %error, "the log start of __consumer_offsets was not moved");
        }
        let size_bytes = self.storage.partition(key).size_bytes();
        if let Some(hosted) = self.coordinators.hosted.get_mut(&index) {
            hosted.rewritten_bytes = size_bytes.min(hosted.rewritten_bytes.max(REWRITE_BYTES_MIN));
        }
    }
}
