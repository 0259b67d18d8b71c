//! A lookup by time finds the first record at or above the time, exactly.
//!
//! Source: Kafka protocol guide, ListOffsets; BEHAVIOURS, offsets by time.

use hallows_record::{Scratch, records};

use crate::ledger::Ledger;
use crate::violation::{Verdict, ensure};

const NAME: &str = "lookups by time are exact";

/// The most bytes that a batch of the harness unpacks to.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// Compares an answer, an offset and its timestamp, with the records between `log_start` and some end that lay between
/// `watermark_before`, the high watermark when it was asked, and `watermark_after`, when it was answered.
///
/// # Errors
/// A record that is not the first, or none where there is one.
pub fn check(
    ledger: &Ledger,
    target: i64,
    watermark_before: i64,
    watermark_after: i64,
    answer: Option<(i64, i64)>,
) -> Verdict {
    let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
    let range = ledger.log_start..watermark_after;
    let expected = first_at_or_above(ledger, target, range, &mut scratch);
    match (expected, answer) {
        (expected, answer) if expected == answer => Ok(()),
        // Committed only while the lookup was on its way.
        (Some((offset, _)), None) if offset >= watermark_before => Ok(()),
        // Deleted while the lookup was on its way.
        (_, Some((offset, _))) if offset < ledger.log_start => Ok(()),
        (expected, answer) => {
            ensure!(
                NAME,
                false,
                "time {target} gave {answer:?}, expected {expected:?} below {watermark_after}"
            );
            Ok(())
        }
    }
}

/// What a client knows before it asks: the first record at or above `target` of those whose batches it knows.
#[must_use]
pub fn first_known(ledger: &Ledger, target: i64) -> Option<(i64, i64)> {
    let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
    let range = ledger.log_start..ledger.high_watermark;
    first_at_or_above(ledger, target, range, &mut scratch)
}

/// Compares an answer with what is known of the log, which need not be all of it. `known_before` is [`first_known`] when
/// it was asked; records below `start` may have been deleted meanwhile.
///
/// # Errors
/// A record of another time, one that is not the first, or none where there is one.
pub fn check_known(
    ledger: &Ledger,
    target: i64,
    known_before: Option<(i64, i64)>,
    start: i64,
    answer: Option<(i64, i64)>,
) -> Verdict {
    let Some((offset, timestamp)) = answer else {
        let missed = known_before.filter(|(offset, _)| *offset >= start);
        ensure!(
            NAME,
            missed.is_none(),
            "time {target} gave nothing, {missed:?} is there"
        );
        return Ok(());
    };
    ensure!(NAME, timestamp >= target, "time {target} gave {answer:?}");
    let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
    let before = first_at_or_above(ledger, target, start..offset, &mut scratch);
    ensure!(
        NAME,
        before.is_none(),
        "time {target} gave {answer:?}, {before:?} comes before"
    );
    let is_known = |(_, entry): (&i64, &crate::ledger::Entry)| offset < entry.end;
    if ledger.log.range(..=offset).next_back().is_some_and(is_known) {
        let there = first_at_or_above(ledger, target, offset..offset + 1, &mut scratch);
        ensure!(
            NAME,
            there == answer,
            "time {target} gave {answer:?}, there is {there:?}"
        );
    }
    Ok(())
}

/// The first record at or above `target` with an offset in `range`.
fn first_at_or_above(
    ledger: &Ledger,
    target: i64,
    range: std::ops::Range<i64>,
    scratch: &mut Scratch,
) -> Option<(i64, i64)> {
    for (base, entry) in ledger.log.range(..range.end) {
        if entry.max_timestamp < target || entry.end <= range.start {
            continue;
        }
        let base_timestamp = crate::ledger::header(&entry.bytes).base_timestamp.0;
        for record in records(&entry.bytes, scratch).expect("built by the harness") {
            let record = record.expect("built by the harness");
            let offset = base + i64::from(record.offset_delta);
            let timestamp = base_timestamp + record.timestamp_delta;
            if timestamp >= target && range.contains(&offset) {
                return Some((offset, timestamp));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;

    #[test]
    fn a_lookup_is_judged_by_what_is_known_of_the_log() {
        let mut ledger = Ledger::default();
        ledger.learn(batch(4, 2, 1, b"known")).expect("the first");
        ledger.high_watermark = 6;
        let time = ledger.log[&4].max_timestamp;
        let known = first_known(&ledger, time);
        assert_eq!(known, Some((4, time)));
        let judge = |start, answer| check_known(&ledger, time, known, start, answer);
        judge(0, known).expect("it is the one");
        judge(0, Some((2, time + 3))).expect("nothing is known below 4");
        judge(0, Some((2, time - 1))).expect_err("an earlier time");
        judge(0, Some((4, time + 1))).expect_err("another time than that of the record");
        judge(0, Some((6, time))).expect_err("not the first");
        judge(6, Some((6, time))).expect("the one before was deleted");
        judge(0, None).expect_err("there is one");
        judge(5, None).expect("it was deleted");
    }
}
