//! Finding records by time, exactly, inside one batch.

use crate::error::RecordError;
use crate::header::BatchHeader;
use crate::records::{RecordIter, payload_of};
use crate::scratch::Scratch;
use hallows_types::{Offset, WallTime};

/// The first record of `batch` whose timestamp is `target` or later, with its offset and timestamp.
///
/// Exact inside compressed batches. A batch whose maximum timestamp lies before `target` is not unpacked.
///
/// # Errors
/// Whatever keeps the records in front of the answer from being read.
///
/// # Source
/// Kafka's `FileRecords.searchForTimestamp`.
pub fn first_offset_at_or_after_timestamp(
    batch: &[u8],
    target: WallTime,
    scratch: &mut Scratch,
) -> Result<Option<(Offset, WallTime)>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    if header.max_timestamp < target {
        return Ok(None);
    }
    for_each(batch, &header, scratch, |found| (found.1 >= target).then_some(found))
}

/// The first record of `batch` that has the batch's largest timestamp, with its offset and timestamp.
///
/// The largest is looked for among the records, not taken from the header. `None` for a batch that compaction emptied.
///
/// # Errors
/// Whatever keeps a record from being read.
///
/// # Source
/// KIP-734; Kafka's `RecordBatch.offsetOfMaxTimestamp`.
pub fn max_timestamp_offset(batch: &[u8], scratch: &mut Scratch) -> Result<Option<(Offset, WallTime)>, RecordError> {
    let header = BatchHeader::parse(batch)?;
    let mut largest: Option<(Offset, WallTime)> = None;
    for_each(batch, &header, scratch, |record| {
        if largest.is_none_or(|(_, timestamp)| record.1 > timestamp) {
            largest = Some(record);
        }
        None
    })?;
    Ok(largest)
}

/// Shows offset and timestamp of every record to `visit` until it answers.
fn for_each(
    batch: &[u8],
    header: &BatchHeader,
    scratch: &mut Scratch,
    mut visit: impl FnMut((Offset, WallTime)) -> Option<(Offset, WallTime)>,
) -> Result<Option<(Offset, WallTime)>, RecordError> {
    let payload = payload_of(batch, header, scratch)?;
    for (index, record) in (0..).zip(RecordIter::new(payload, header.record_count)) {
        let record = record?;
        let timestamp = record.timestamp(header).map_err(|kind| RecordError::at(index, kind))?;
        if let Some(answer) = visit((record.offset(header), timestamp)) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}
