//! An acknowledged offset never names other bytes under the same leader epoch.
//!
//! Source: DESIGN 4, "Acknowledged offsets never change meaning"; KIP-320: where a log may have lost acknowledged
//! records, the leader epoch rises, so that clients can tell.

use std::collections::BTreeMap;

use hallows_types::LeaderEpoch;

use crate::ledger::Entry;
use crate::violation::{Verdict, Violation};

const NAME: &str = "acknowledged offsets are not minted again";

/// Which bytes each acknowledged offset named, by epoch. Never forgets.
#[derive(Clone, Debug, Default)]
pub struct Minted(BTreeMap<(LeaderEpoch, i64), u64>);

impl Minted {
    /// Notes an acknowledged batch.
    pub fn note(&mut self, base: i64, entry: &Entry) {
        let fingerprint = fingerprint(&entry.bytes);
        for offset in base..entry.end {
            self.0.insert((entry.epoch, offset), fingerprint);
        }
    }

    /// Whether a batch may be assigned these offsets.
    ///
    /// # Errors
    /// The offset that was acknowledged with other bytes.
    pub fn check(&self, epoch: LeaderEpoch, base: i64, end: i64, batch: &[u8]) -> Verdict {
        let known = self.0.range((epoch, base)..(epoch, end));
        let fingerprint = fingerprint(batch);
        for ((_, offset), before) in known {
            if *before != fingerprint {
                let detail = format!("offset {offset} named other bytes in epoch {epoch} before");
                return Err(Violation::new(NAME, detail).losing(1));
            }
        }
        Ok(())
    }
}

/// FNV-1a over the batch.
fn fingerprint(batch: &[u8]) -> u64 {
    let mut trace = crate::trace::Trace::default();
    trace.bytes(batch);
    trace.hash()
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use hallows_record::{BatchBuilder, Codec, NewRecord, assign_offset_and_epoch};
    use hallows_types::{Offset, WallTime};

    use super::*;
    use crate::ledger::{Ledger, Promises};

    /// A batch of `count` equal records.
    pub(crate) fn batch(base: i64, count: i32, epoch: i32, value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new(Codec::None);
        for _ in 0..count {
            let record = NewRecord {
                timestamp: WallTime(base),
                value: Some(value),
                ..NewRecord::default()
            };
            builder.append(&record).expect("small");
        }
        let mut batch = builder.build().expect("small");
        assign_offset_and_epoch(&mut batch, Offset(base), LeaderEpoch(epoch));
        batch.into()
    }

    #[test]
    fn an_offset_may_be_minted_again_only_in_another_epoch() {
        let mut ledger = Ledger::default();
        ledger.assign(batch(5, 3, 1, b"value"));
        ledger.acknowledge(5, Promises { power_loss: 8, kill: 8 });
        let check = |base, count, epoch, value: &[u8]| {
            let batch = batch(base, count, epoch, value);
            ledger
                .minted
                .check(LeaderEpoch(epoch), base, base + i64::from(count), &batch)
                .is_ok()
        };
        assert!(check(5, 3, 1, b"value"), "the same");
        assert!(check(8, 3, 1, b"value"), "further on");
        assert!(check(5, 3, 2, b"other"), "a later epoch");
        assert!(!check(5, 3, 1, b"other"), "other bytes");
        assert!(!check(7, 1, 1, b"value"), "other bytes that overlap");
    }
}
