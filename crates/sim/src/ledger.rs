//! What an outside observer knows of one partition: which bytes were assigned which offsets, and what was promised.
//!
//! Checkers compare the machine with it. It is told of assignments at the moment they are made and of acknowledgements
//! at the moment they are given, so that no crash falls between a promise and its record.

use std::collections::BTreeMap;

use bytes::Bytes;
use hallows_record::BatchHeader;
use hallows_types::LeaderEpoch;

use crate::checks::remint::Minted;
use crate::violation::{Verdict, Violation, ensure};

/// One batch of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The offset after its last record.
    pub end: i64,
    /// Its leader epoch.
    pub epoch: LeaderEpoch,
    /// The whole batch as the log stores it.
    pub bytes: Bytes,
    /// Its largest timestamp.
    pub max_timestamp: i64,
    /// Whether its append was acknowledged.
    pub acknowledged: bool,
}

/// The ends of what was acknowledged, by what the acknowledgement promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Promises {
    /// Survives power loss.
    pub power_loss: i64,
    /// Survives a killed process.
    pub kill: i64,
}

/// One partition as an observer knows it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Batches by base offset, assigned and not known to be gone.
    pub log: BTreeMap<i64, Entry>,
    /// The largest log start that was answered or seen.
    pub log_start: i64,
    /// What was promised.
    pub promises: Promises,
    /// The largest high watermark seen in this life of the machine.
    pub high_watermark: i64,
    /// Which bytes each acknowledged offset named under which epoch, for ever.
    pub minted: Minted,
    /// Acknowledged batches so far.
    pub acknowledged: u64,
}

/// The header of a batch that the harness built or the log gave back.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn header(batch: &[u8]) -> BatchHeader {
    BatchHeader::parse(batch).expect("a whole batch with a valid head")
}

impl Ledger {
    /// The end of the log as far as assigned.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.log
            .last_key_value()
            .map_or(self.log_start, |(_, entry)| entry.end.max(self.log_start))
    }

    /// Notes an assignment; `batch` with its base offset and epoch in place.
    pub fn assign(&mut self, batch: Bytes) {
        let header = header(&batch);
        let entry = Entry {
            end: header.end_offset().0,
            epoch: header.partition_leader_epoch,
            max_timestamp: header.max_timestamp.0,
            bytes: batch,
            acknowledged: false,
        };
        self.log.insert(header.base_offset.0, entry);
    }

    /// Notes a batch whose assignment nobody saw: it was read, or acknowledged to its producer.
    ///
    /// # Errors
    /// Other bytes at its offset, or a batch that it overlaps, or an epoch out of order.
    pub fn learn(&mut self, batch: Bytes) -> Verdict {
        const NAME: &str = "offsets are gapless and immutable";
        let found = header(&batch);
        let (base, end, epoch) = (found.base_offset.0, found.end_offset().0, found.partition_leader_epoch);
        if let Some(known) = self.log.get(&base) {
            if known.bytes == batch {
                return Ok(());
            }
            let lost = u64::from(known.acknowledged);
            return Err(Violation::new(NAME, format!("the batch at {base} has other bytes")).losing(lost));
        }
        if let Some((before, entry)) = self.log.range(..base).next_back() {
            let (before_end, before_epoch) = (entry.end, entry.epoch);
            ensure!(
                NAME,
                before_end <= base,
                "{base}..{end} overlaps {before}..{before_end}"
            );
            ensure!(
                NAME,
                before_epoch <= epoch,
                "epoch {epoch} at {base} follows {before_epoch} at {before}"
            );
        }
        if let Some((after, entry)) = self.log.range(base..).next() {
            let (after, after_epoch) = (*after, entry.epoch);
            ensure!(NAME, end <= after, "{base}..{end} overlaps what begins at {after}");
            ensure!(
                NAME,
                epoch <= after_epoch,
                "epoch {epoch} at {base} comes before {after_epoch} at {after}"
            );
        }
        self.minted.check(epoch, base, end, &batch)?;
        self.assign(batch);
        Ok(())
    }

    /// Notes that everything below `end` is acknowledged by the batch at `base`, and what that promises.
    pub fn acknowledge(&mut self, base: i64, promise: Promises) {
        self.promises.power_loss = self.promises.power_loss.max(promise.power_loss);
        self.promises.kill = self.promises.kill.max(promise.kill).max(promise.power_loss);
        if let Some(entry) = self.log.get_mut(&base).filter(|entry| !entry.acknowledged) {
            entry.acknowledged = true;
            self.acknowledged += 1;
            self.minted.note(base, entry);
        }
    }

    /// Acknowledged records at or above `end` that still had to be there.
    #[must_use]
    pub fn acknowledged_between(&self, from: i64, to: i64) -> u64 {
        let inside = self
            .log
            .range(from..to.max(from))
            .filter(|(_, entry)| entry.acknowledged);
        inside
            .map(|(base, entry)| u64::try_from(entry.end - base).unwrap_or(0))
            .sum()
    }

    /// The log ends at `end` now: what lay above is gone, and promises end there too.
    pub fn truncate(&mut self, end: i64) {
        while self.log.last_key_value().is_some_and(|(_, entry)| entry.end > end) {
            self.log.pop_last();
        }
        self.promises.power_loss = self.promises.power_loss.min(end);
        self.promises.kill = self.promises.kill.min(end);
    }

    /// The log starts at `start` at least.
    pub fn start_at(&mut self, start: i64) {
        self.log_start = self.log_start.max(start);
        // The batch that contains the start stays readable.
        while self
            .log
            .first_key_value()
            .is_some_and(|(_, entry)| entry.end <= self.log_start)
        {
            self.log.pop_first();
        }
    }

    /// Everything so far is on the medium.
    pub fn all_is_durable(&mut self) {
        let end = self.end();
        self.promises = Promises {
            power_loss: end,
            kill: end,
        };
    }

    /// The base offset of the batch that contains `offset`.
    #[must_use]
    pub fn containing(&self, offset: i64) -> Option<i64> {
        let (base, entry) = self.log.range(..=offset).next_back()?;
        (offset < entry.end).then_some(*base)
    }
}
