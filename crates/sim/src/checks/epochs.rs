//! Leader epochs tell clients where each epoch of the log ends.
//!
//! Source: KIP-101 and KIP-320; Apache Kafka, `LeaderEpochFileCache.endOffsetFor`.

use hallows_types::LeaderEpoch;

use crate::ledger::Ledger;
use crate::violation::{Verdict, ensure};

const NAME: &str = "leader epochs tell where they end";

/// Compares an answer with the epochs that the log's batches carry.
///
/// # Errors
/// An answer that would mislead a client.
pub fn check(
    ledger: &Ledger,
    asked: LeaderEpoch,
    current: LeaderEpoch,
    log_end: i64,
    answer: (LeaderEpoch, i64),
) -> Verdict {
    let mut starts: Vec<(LeaderEpoch, i64)> = Vec::new();
    for (base, entry) in &ledger.log {
        if starts.last().is_none_or(|(latest, _)| *latest < entry.epoch) {
            starts.push((entry.epoch, (*base).max(ledger.log_start)));
        }
    }
    let has_batches = !starts.is_empty();
    // An epoch that has begun and has no batch yet begins where the log ends, as Kafka notes it when a leader is made.
    if starts.last().is_none_or(|(latest, _)| *latest < current) {
        starts.push((current, log_end));
    }
    let after = starts.iter().position(|(epoch, _)| *epoch > asked);
    let expected = match after {
        _ if asked == current => (asked, log_end),
        None => (LeaderEpoch::UNKNOWN, -1),
        Some(0) => (asked, starts[0].1),
        Some(next) => (starts[next - 1].0, starts[next].1),
    };
    // A log without batches knows its last epoch for a while, and says that it ends at the log's end.
    let knows_more = !has_batches && answer.0 <= asked && answer.1 == log_end;
    ensure!(
        NAME,
        answer == expected || knows_more,
        "epoch {asked} was answered {answer:?}, expected {expected:?} of {starts:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;

    #[test]
    fn each_epoch_ends_where_the_next_begins() {
        let mut ledger = Ledger::default();
        for (base, epoch) in [(0, 2), (2, 2), (4, 5)] {
            ledger.assign(batch(base, 2, epoch, b"value"));
        }
        let answers = |asked, answer: (i32, i64)| {
            check(
                &ledger,
                LeaderEpoch(asked),
                LeaderEpoch(6),
                6,
                (LeaderEpoch(answer.0), answer.1),
            )
            .is_ok()
        };
        assert!(answers(1, (1, 0)) && answers(2, (2, 4)) && answers(3, (2, 4)));
        assert!(answers(5, (5, 6)) && answers(6, (6, 6)) && answers(7, (-1, -1)));
        assert!(!answers(2, (2, 6)));
    }

    #[test]
    fn an_epoch_that_began_without_a_batch_begins_at_the_end() {
        let mut ledger = Ledger::default();
        let answers = |ledger: &Ledger, asked, log_end, answer: (i32, i64)| {
            let answer = (LeaderEpoch(answer.0), answer.1);
            check(ledger, LeaderEpoch(asked), LeaderEpoch(7), log_end, answer).is_ok()
        };
        assert!(answers(&ledger, 0, 0, (0, 0)) && answers(&ledger, 7, 0, (7, 0)) && answers(&ledger, 8, 0, (-1, -1)));
        assert!(
            !answers(&ledger, 0, 0, (-1, -1)),
            "a client would take its records for lost"
        );
        ledger.assign(batch(0, 2, 3, b"value"));
        assert!(answers(&ledger, 3, 2, (3, 2)) && answers(&ledger, 5, 2, (3, 2)) && answers(&ledger, 1, 2, (1, 0)));
        assert!(!answers(&ledger, 5, 2, (-1, -1)));
    }
}
