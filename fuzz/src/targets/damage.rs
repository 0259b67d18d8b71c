//! Making checksums right again, so that an input reaches what stands behind them.

use crc_fast::{CrcAlgorithm, Digest};

/// Bytes before the body of every small file: magic 8, version 4, checksum 4, length of the body 8 (docs/format.md).
pub(super) const ENVELOPE_BYTES: usize = 24;
/// Bytes of a record batch's header, and where its length and checksum stand.
const BATCH_HEADER_BYTES: usize = 61;
/// Bytes of a journal block's head, and of one entry of its table.
const BLOCK_HEAD_BYTES: usize = 48;
const BLOCK_ENTRY_BYTES: usize = 72;

fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    u32::try_from(digest.finalize()).expect("32 bits")
}

/// Makes length and checksum of a small file right.
pub(super) fn mend_envelope(file: &mut [u8]) {
    if file.len() < ENVELOPE_BYTES {
        return;
    }
    let body_bytes = (file.len() - ENVELOPE_BYTES) as u64;
    file[16..24].copy_from_slice(&body_bytes.to_le_bytes());
    let crc = crc32c(&[&file[..12], &file[16..]]);
    file[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// Makes length, version and checksum of the one batch that `batch` is right.
pub(super) fn mend_batch(batch: &mut [u8]) {
    if batch.len() < BATCH_HEADER_BYTES {
        return;
    }
    let length = u32::try_from(batch.len() - 12).unwrap_or(u32::MAX);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    mend_batch_checksum(batch);
}

fn mend_batch_checksum(batch: &mut [u8]) {
    let crc = crc32c(&[&batch[21..]]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Makes the checksums of the batches that stand one after the other right, as far as their lengths make sense.
pub(super) fn mend_batches(mut bytes: &mut [u8]) {
    while bytes.len() >= BATCH_HEADER_BYTES {
        let length = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize;
        let size = length.saturating_add(12);
        if !(BATCH_HEADER_BYTES..=bytes.len()).contains(&size) {
            return;
        }
        let (batch, rest) = bytes.split_at_mut(size);
        mend_batch_checksum(batch);
        bytes = rest;
    }
}

/// Makes both checksums of the journal block at the front of `block` right, as far as its counts make sense.
pub(super) fn mend_block(block: &mut [u8]) {
    if block.len() < BLOCK_HEAD_BYTES {
        return;
    }
    let number = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]) as usize;
    let table_end = BLOCK_HEAD_BYTES.saturating_add(number(12).saturating_mul(BLOCK_ENTRY_BYTES));
    let payload_end = table_end.saturating_add(number(32));
    if let Some(payload) = block.get(table_end..payload_end) {
        let crc = crc32c(&[payload]);
        block[36..40].copy_from_slice(&crc.to_le_bytes());
    }
    if let Some(table) = block.get(BLOCK_HEAD_BYTES..table_end) {
        let crc = crc32c(&[&block[..BLOCK_HEAD_BYTES - 4], table]);
        block[BLOCK_HEAD_BYTES - 4..BLOCK_HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    }
}
