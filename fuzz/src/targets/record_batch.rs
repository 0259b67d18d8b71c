//! Record batches: structure, validation, iteration, and what they promise each other.
//!
//! The input is a byte of switches and the bytes of a records field. A batch that validation accepts must be readable
//! to its end and say the same of itself by every way of asking.

use hallows_record::{
    BATCH_HEADER_BYTES, Batches, ControlRecord, MaxTimestampCheck, RecordLimits, RecordSummary, Scratch,
    StructureLimits, TimestampBounds, assign_offset_and_epoch, check_records, check_structure,
    first_offset_at_or_after_timestamp, max_timestamp_offset, records, rejected_records, set_log_append_time,
    set_max_timestamp, single_batch,
};
use hallows_types::{LeaderEpoch, Offset, WallTime};

use super::damage;
use crate::Source;
use crate::allocation::bounded;

/// The bound on what a batch unpacks to.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// The largest batch.
const BATCH_BYTES_MAX: usize = 16 << 10;
/// The state of a decoder, a list of refused records, and errors.
const BYTES_BESIDES: usize = 128 << 10;
/// The most refused records that are asked for.
const ERRORS_MAX: usize = 50;

/// Set: length, version and checksum are made right first.
const MEND: u8 = 1;
/// Set: the batch was in a log, and may have been compacted.
const STORED: u8 = 2;
/// Set: every record needs a key.
const KEY_REQUIRED: u8 = 4;
/// Set: timestamps are bounded.
const TIMESTAMPS_BOUNDED: u8 = 8;
/// Set: a wrong maximum in the header is only reported.
const REPORT_TIMESTAMP: u8 = 16;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let switches = source.u8();
    let mut bytes = source.rest().to_vec();
    if switches & MEND != 0 {
        damage::mend_batch(&mut bytes);
    }
    bounded(OUTPUT_BYTES_MAX + 2 * bytes.len() + BYTES_BESIDES, || {
        examine(&bytes, switches)
    });
}

fn examine(bytes: &[u8], switches: u8) {
    let split: usize = Batches::split(bytes).map_while(Result::ok).map(<[u8]>::len).sum();
    assert!(split <= bytes.len());
    let mut scratch = Scratch::new(OUTPUT_BYTES_MAX);
    read_unchecked(bytes, &mut scratch);
    let Ok(batch) = single_batch(bytes) else { return };
    assert_eq!(batch.len(), bytes.len());
    let structure = if switches & STORED == 0 {
        StructureLimits::produced(BATCH_BYTES_MAX)
    } else {
        StructureLimits::stored()
    };
    let Ok(header) = check_structure(batch, &structure) else {
        return;
    };
    assert_eq!(header.size_bytes(), batch.len());
    let limits = limits(switches, header.base_timestamp);
    let rejected = rejected_records(batch, &limits, &mut scratch, ERRORS_MAX);
    assert!(rejected.len() <= ERRORS_MAX);
    match check_records(batch, &limits, &mut scratch) {
        Ok(summary) => {
            assert!(
                rejected.is_empty(),
                "accepted as a whole, refused one by one: {rejected:?}"
            );
            accepted(batch, &summary, header.record_count, &mut scratch);
        }
        Err(error) => drop(error.to_string()),
    }
    rewrite(batch, &structure);
}

/// Whatever the bytes are, reading them ends.
fn read_unchecked(bytes: &[u8], scratch: &mut Scratch) {
    if let Ok(records) = records(bytes, scratch) {
        let mut failed = false;
        for record in records {
            assert!(!failed, "nothing comes after an error");
            match record {
                Ok(record) => {
                    let _ = ControlRecord::parse(record.key, record.value);
                    record.headers.for_each(drop);
                }
                Err(_) => failed = true,
            }
        }
    }
}

fn limits(switches: u8, base: WallTime) -> RecordLimits {
    let mut limits = if switches & STORED == 0 {
        RecordLimits::produced()
    } else {
        RecordLimits::stored()
    };
    limits.key_required = switches & KEY_REQUIRED != 0;
    limits.timestamps = (switches & TIMESTAMPS_BOUNDED != 0).then(|| TimestampBounds::around(base, 1000, 1000));
    limits.timestamp_target = Some(base);
    if switches & REPORT_TIMESTAMP != 0 {
        limits.max_timestamp = MaxTimestampCheck::Report;
    }
    limits
}

/// What holds for a batch that was accepted.
fn accepted(batch: &[u8], summary: &RecordSummary, record_count: i32, scratch: &mut Scratch) {
    assert!(summary.records_bytes <= batch.len().max(OUTPUT_BYTES_MAX));
    let mut count = 0;
    for record in records(batch, scratch).expect("it was read before") {
        let record = record.expect("every record of an accepted batch can be read");
        assert!(record.headers.into_iter().all(|header| header.is_ok()));
        count += 1;
    }
    assert_eq!(count, record_count);
    let largest = max_timestamp_offset(batch, scratch).expect("it was read before");
    if let Some((_, timestamp)) = largest {
        assert_eq!(timestamp, summary.max_timestamp);
    }
    if summary.max_timestamp_matches_header
        && let Some((_, target)) = summary.first_at_or_after
    {
        let found = first_offset_at_or_after_timestamp(batch, target, scratch).expect("it was read before");
        assert!(found.is_some());
    }
}

/// What a broker changes in a batch leaves it whole.
fn rewrite(batch: &[u8], structure: &StructureLimits) {
    let mut batch = batch.to_vec();
    assert!(batch.len() >= BATCH_HEADER_BYTES);
    assign_offset_and_epoch(&mut batch, Offset(1 << 40), LeaderEpoch(7));
    let header = check_structure(&batch, structure).expect("the checksum does not cover offset and epoch");
    assert_eq!(
        (header.base_offset, header.partition_leader_epoch),
        (Offset(1 << 40), LeaderEpoch(7))
    );
    set_max_timestamp(&mut batch, WallTime(5));
    set_log_append_time(&mut batch, WallTime(6));
    let header = check_structure(&batch, structure).expect("the checksum is written anew");
    assert_eq!(header.max_timestamp, WallTime(6));
}

/// Batches as other clients write them.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    super::compression::BATCHES
        .iter()
        .flat_map(|batch| {
            [
                MEND,
                MEND | STORED | REPORT_TIMESTAMP,
                MEND | KEY_REQUIRED | TIMESTAMPS_BOUNDED,
            ]
            .map(|switches| (switches, batch))
        })
        .map(|(switches, batch)| [&[switches], *batch].concat())
        .collect()
}
