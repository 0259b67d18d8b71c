//! What a client reads is what was assigned, in order, below the high watermark, under the epoch of its time.
//!
//! Source: ARCHITECTURE, "No read above the high watermark" and "An acknowledged offset never changes its bytes";
//! Kafka protocol guide, Fetch: the answer begins with the batch that contains the offset.
//! Unlike `reads`, it sees answers only: batches may be in the log before anybody tells of them.

use bytes::Bytes;

use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, ensure};

const NAME: &str = "reads give what was assigned, below the high watermark";

/// Batches of one partition in an answer.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What was asked for.
    pub from: i64,
    /// What the answer says.
    pub high_watermark: i64,
    /// The leader epoch since the machine's start.
    pub epoch: i32,
    /// Whole batches with right checksums.
    pub batches: &'a [Bytes],
    /// Whether batches that were not known become known.
    pub learns: bool,
}

/// Looks at an answer; gives the offset after its last batch.
///
/// # Errors
/// Foreign bytes, a gap, or batches above the high watermark.
pub fn check(ledger: &mut Ledger, delivery: &Delivery<'_>) -> Result<Option<i64>, crate::Violation> {
    let mut next = None;
    for batch in delivery.batches {
        let found = header(batch);
        let (base, end) = (found.base_offset.0, found.end_offset().0);
        let (from, high_watermark) = (delivery.from, delivery.high_watermark);
        match next {
            None => ensure!(
                NAME,
                base <= from && from < end,
                "{from} was asked for, {base}..{end} came"
            ),
            Some(expected) => ensure!(
                NAME,
                base == expected,
                "{base} came after a batch that ends at {expected}"
            ),
        }
        ensure!(
            NAME,
            end <= high_watermark,
            "{base}..{end} was read, the high watermark is {high_watermark}"
        );
        next = Some(end);
        if base < ledger.log_start {
            continue;
        }
        if delivery.learns || ledger.log.contains_key(&base) {
            is_new(ledger, batch, delivery.epoch)?;
            ledger.learn(batch.clone())?;
        }
    }
    Ok(next)
}

/// Whether a batch is known, or was assigned in this life of the machine and says so.
///
/// # Errors
/// A batch of an earlier life that nobody had found when this one began.
pub fn is_new(ledger: &Ledger, batch: &[u8], epoch: i32) -> Verdict {
    let found = header(batch);
    let base = found.base_offset.0;
    if ledger.log.contains_key(&base) {
        return Ok(());
    }
    let of_batch = found.partition_leader_epoch.0;
    ensure!(
        NAME,
        of_batch == epoch,
        "a batch of epoch {of_batch} appeared at {base} in epoch {epoch}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;

    fn read(
        ledger: &mut Ledger,
        from: i64,
        high_watermark: i64,
        batches: &[Bytes],
    ) -> Result<Option<i64>, crate::Violation> {
        let delivery = Delivery {
            from,
            high_watermark,
            epoch: 1,
            batches,
            learns: true,
        };
        check(ledger, &delivery)
    }

    #[test]
    fn answers_must_agree_with_each_other() {
        let mut ledger = Ledger::default();
        let [first, second] = [batch(0, 2, 1, b"first"), batch(2, 2, 1, b"second")];
        assert_eq!(
            read(&mut ledger, 1, 4, &[first.clone(), second.clone()]).expect("both"),
            Some(4)
        );
        assert_eq!(read(&mut ledger, 4, 4, &[]).expect("nothing"), None);
        read(&mut ledger, 0, 2, &[first.clone(), second.clone()]).expect_err("above the high watermark");
        read(&mut ledger, 0, 9, std::slice::from_ref(&second)).expect_err("begins too late");
        read(&mut ledger, 0, 9, &[first.clone(), batch(3, 1, 1, b"third")]).expect_err("a gap");
        read(&mut ledger, 2, 9, &[batch(2, 2, 1, b"other")]).expect_err("other bytes");
        read(&mut ledger, 4, 9, &[batch(4, 2, 0, b"third")]).expect_err("an old epoch");
        read(&mut ledger, 4, 9, &[batch(4, 2, 1, b"third")]).expect("new");
    }
}
