//! What the broker writes into a batch that it has validated, in place.
//!
//! Base offset and leader epoch lie outside the checksum, so assigning them touches no other byte;
//! everything else recomputes it.

use crate::checksum::checksum;
use crate::header::{ATTRIBUTE_LOG_APPEND_TIME, BATCH_HEADER_BYTES, at};
use hallows_types::{LeaderEpoch, Offset, WallTime};

/// Writes the offset and the leader epoch that the batch got in the log.
///
/// # Panics
/// When `batch` is shorter than a header: it must have passed [`crate::check_structure`].
pub fn assign_offset_and_epoch(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    let header = header_of(batch);
    put(header, at::BASE_OFFSET, base_offset.0.to_be_bytes());
    put(header, at::LEADER_EPOCH, leader_epoch.0.to_be_bytes());
}

/// Makes `wall` the time of every record of the batch, compressed or not, and recomputes the checksum.
///
/// # Panics
/// When `batch` is shorter than a header: it must have passed [`crate::check_structure`].
pub fn set_log_append_time(batch: &mut [u8], wall: WallTime) {
    let header = header_of(batch);
    let attributes = i16::from_be_bytes([header[at::ATTRIBUTES], header[at::ATTRIBUTES + 1]]);
    put(
        header,
        at::ATTRIBUTES,
        (attributes | ATTRIBUTE_LOG_APPEND_TIME).to_be_bytes(),
    );
    put(header, at::MAX_TIMESTAMP, wall.0.to_be_bytes());
    put_checksum(batch);
}

/// Corrects a maximum timestamp that is not that of the records, as Kafka does, and recomputes the checksum.
///
/// # Panics
/// When `batch` is shorter than a header: it must have passed [`crate::check_structure`].
pub fn set_max_timestamp(batch: &mut [u8], max_timestamp: WallTime) {
    put(header_of(batch), at::MAX_TIMESTAMP, max_timestamp.0.to_be_bytes());
    put_checksum(batch);
}

/// Writes the checksum of `batch` as it stands; the last step of every change inside its range.
pub(crate) fn put_checksum(batch: &mut [u8]) {
    let crc = checksum(batch);
    put(header_of(batch), at::CRC, crc.to_be_bytes());
}

pub(crate) fn header_of(batch: &mut [u8]) -> &mut [u8; BATCH_HEADER_BYTES] {
    batch
        .first_chunk_mut()
        .expect("the batch has passed check_structure, so its header is whole")
}

pub(crate) fn put<const N: usize>(header: &mut [u8; BATCH_HEADER_BYTES], start: usize, bytes: [u8; N]) {
    header[start..start + N].copy_from_slice(&bytes);
}
