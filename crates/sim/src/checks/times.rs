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
    let expected = first_at_or_above(ledger, target, watermark_after, &mut scratch);
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

fn first_at_or_above(ledger: &Ledger, target: i64, watermark: i64, scratch: &mut Scratch) -> Option<(i64, i64)> {
    for (base, entry) in ledger.log.range(..watermark) {
        if entry.max_timestamp < target {
            continue;
        }
        let base_timestamp = crate::ledger::header(&entry.bytes).base_timestamp.0;
        for record in records(&entry.bytes, scratch).expect("built by the harness") {
            let record = record.expect("built by the harness");
            let offset = base + i64::from(record.offset_delta);
            let timestamp = base_timestamp + record.timestamp_delta;
            if timestamp >= target && offset >= ledger.log_start && offset < watermark {
                return Some((offset, timestamp));
            }
        }
    }
    None
}
