//! What was acknowledged, and the comparison with what is there.
//!
//! Facts per partition: which records an acknowledged range of offsets holds, and the leader epoch they were
//! acknowledged in. After each restart [`Check`] walks the log beside them.

use std::collections::BTreeMap;

use super::value::Identity;

/// One acknowledged batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// The first record; the others follow in sequence.
    pub(crate) first: Identity,
    /// How many records.
    pub(crate) count: i64,
    /// The leader epoch of the acknowledgement; `None` when the batch may have been stored by an earlier attempt.
    pub(crate) epoch: Option<i32>,
}

/// What was found wrong, in records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Found {
    /// Acknowledged and not there.
    pub(crate) lost: u64,
    /// The offset names other bytes under the same leader epoch.
    pub(crate) reminted: u64,
    /// In the log twice, or in another order than it was sent.
    pub(crate) repeated: u64,
    /// Bytes that nobody sent.
    pub(crate) corrupt: u64,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.reminted += other.reminted;
        self.repeated += other.repeated;
        self.corrupt += other.corrupt;
    }

    pub(crate) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// The acknowledged batches of one partition by base offset.
#[derive(Default)]
pub(crate) struct Ledger {
    batches: BTreeMap<i64, Acked>,
    /// Acknowledged records ever.
    pub(crate) acked: u64,
}

impl Ledger {
    /// Notes an acknowledgement. Offsets that were acknowledged before and not found missing are minted twice: counted.
    pub(crate) fn acknowledge(&mut self, base_offset: i64, acked: Acked) -> Found {
        self.acked += acked.count.unsigned_abs();
        let end = base_offset + acked.count;
        let before = self.batches.range(..end).next_back();
        let overlap = before.map_or(0, |(base, other)| (base + other.count).min(end) - base_offset);
        let same = before.is_some_and(|(base, other)| *base == base_offset && other.first == acked.first);
        self.batches.insert(base_offset, acked);
        Found {
            reminted: if same { 0 } else { u64::try_from(overlap).unwrap_or(0) },
            ..Found::default()
        }
    }

    /// Starts a comparison from `offset` on.
    pub(crate) fn check_from(&self, offset: i64) -> Check {
        let batches = self.batches.range(offset..).flat_map(|(&base, &acked)| {
            (0..acked.count).map(move |delta| {
                let identity = Identity {
                    producer: acked.first.producer,
                    sequence: acked.first.sequence + delta.unsigned_abs(),
                };
                (base + delta, identity, acked.epoch)
            })
        });
        // Collected, so that the ledger may change while the log is read.
        let expected: Vec<_> = batches.collect();
        Check {
            expected: expected.into_iter().peekable(),
            from: offset,
            last: BTreeMap::new(),
            lost_offsets: Vec::new(),
            found: Found::default(),
        }
    }

    /// Forgets what is known to be lost, so that it is counted once.
    pub(crate) fn forget(&mut self, lost_offsets: &[i64]) {
        for offset in lost_offsets {
            let Some((&base, &acked)) = self.batches.range(..=offset).next_back() else {
                continue;
            };
            // What is left of a batch before the lost record stays; what is behind it is lost too and comes next.
            let left = offset - base;
            if left == 0 {
                self.batches.remove(&base);
                self.keep_rest(base, acked, 1);
            } else if left < acked.count {
                self.batches.insert(base, Acked { count: left, ..acked });
                self.keep_rest(base, acked, left + 1);
            }
        }
    }

    fn keep_rest(&mut self, base: i64, acked: Acked, from: i64) {
        if from < acked.count {
            let first = Identity {
                producer: acked.first.producer,
                sequence: acked.first.sequence + from.unsigned_abs(),
            };
            let rest = Acked {
                first,
                count: acked.count - from,
                epoch: acked.epoch,
            };
            self.batches.insert(base + from, rest);
        }
    }
}

/// A walk over the log beside what was acknowledged.
pub(crate) struct Check {
    expected: std::iter::Peekable<std::vec::IntoIter<(i64, Identity, Option<i32>)>>,
    from: i64,
    /// The last sequence seen of each producer: sequences only grow along a log.
    last: BTreeMap<u64, u64>,
    pub(crate) lost_offsets: Vec<i64>,
    pub(crate) found: Found,
}

impl Check {
    /// The next record of the log; `identity` is `None` when its bytes are nobody's.
    pub(crate) fn record(&mut self, offset: i64, epoch: i32, identity: Option<Identity>) {
        if offset < self.from {
            return;
        }
        while let Some((missing, ..)) = self.expected.next_if(|(expected, ..)| *expected < offset) {
            self.lose(missing);
        }
        if let Some((_, wanted, acked_epoch)) = self.expected.next_if(|(expected, ..)| *expected == offset)
            && identity != Some(wanted)
        {
            if acked_epoch.is_none_or(|acked| acked == epoch) {
                self.found.reminted += 1;
            }
            self.lose(offset);
        }
        match identity {
            None => self.found.corrupt += 1,
            Some(Identity { producer, sequence }) => {
                let before = self.last.insert(producer, sequence);
                if before.is_some_and(|before| before >= sequence) {
                    self.found.repeated += 1;
                }
            }
        }
    }

    /// The log ends here: whatever is still expected is lost.
    pub(crate) fn end(mut self) -> (Found, Vec<i64>) {
        while let Some((missing, ..)) = self.expected.next() {
            self.lose(missing);
        }
        (self.found, self.lost_offsets)
    }

    fn lose(&mut self, offset: i64) {
        self.found.lost += 1;
        self.lost_offsets.push(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Identity = Identity {
        producer: 1,
        sequence: 10,
    };

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        let acked = Acked {
            first: A,
            count: 3,
            epoch: Some(4),
        };
        assert!(ledger.acknowledge(5, acked).is_clean());
        ledger
    }

    fn at(sequence: u64) -> Option<Identity> {
        Some(Identity { producer: 1, sequence })
    }

    fn check(log: &[(i64, i32, Option<Identity>)], expected: Found) -> Vec<i64> {
        let mut check = ledger().check_from(0);
        for &(offset, epoch, identity) in log {
            check.record(offset, epoch, identity);
        }
        let (found, lost) = check.end();
        assert_eq!(found, expected);
        lost
    }

    #[test]
    fn a_whole_log_is_clean_and_unacknowledged_records_may_surround_it() {
        let log = [
            (4, 4, at(9)),
            (5, 4, at(10)),
            (6, 4, at(11)),
            (7, 4, at(12)),
            (8, 4, at(13)),
        ];
        check(&log, Found::default());
    }

    #[test]
    fn a_missing_tail_and_a_hole_are_lost() {
        let lost = |lost| Found {
            lost,
            ..Found::default()
        };
        assert_eq!(check(&[(5, 4, at(10))], lost(2)), [6, 7]);
        assert_eq!(check(&[(5, 4, at(10)), (7, 4, at(12))], lost(1)), [6]);
        assert_eq!(check(&[], lost(3)), [5, 6, 7]);
    }

    #[test]
    fn other_bytes_are_reminted_under_the_same_epoch_only() {
        let reminted = |reminted| Found {
            lost: 1,
            reminted,
            ..Found::default()
        };
        check(&[(5, 4, at(10)), (6, 4, at(11)), (7, 4, at(77))], reminted(1));
        check(&[(5, 4, at(10)), (6, 4, at(11)), (7, 5, at(77))], reminted(0));
    }

    #[test]
    fn repeated_and_corrupt_records_are_counted() {
        let repeated = Found {
            repeated: 1,
            ..Found::default()
        };
        check(
            &[(5, 4, at(10)), (6, 4, at(11)), (7, 4, at(12)), (8, 4, at(12))],
            repeated,
        );
        let corrupt = Found {
            corrupt: 1,
            ..Found::default()
        };
        check(&[(5, 4, at(10)), (6, 4, at(11)), (7, 4, at(12)), (8, 4, None)], corrupt);
    }

    #[test]
    fn acknowledging_an_offset_twice_is_reminting_and_a_lost_one_may_be_given_again() {
        let mut ledger = ledger();
        let other = Acked {
            first: Identity {
                producer: 2,
                sequence: 0,
            },
            count: 2,
            epoch: Some(4),
        };
        assert_eq!(ledger.acknowledge(7, other).reminted, 1);
        let mut ledger = self::ledger();
        ledger.forget(&[6, 7]);
        assert_eq!(ledger.acknowledge(6, other).reminted, 0);
        assert_eq!(ledger.check_from(0).expected.count(), 3);
    }
}
