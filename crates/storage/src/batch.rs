//! The fixed head of a Kafka record batch v2, as far as storage looks at it.
//!
//! Layout: Kafka protocol guide, "Record Batch". Big-endian. The checksum covers everything from the attributes on,
//! so base offset and leader epoch may be patched without touching it.

use hallows_types::{LeaderEpoch, Offset, WallTime};

use crate::codec::{crc32c, to_u64, to_usize};

/// Bytes of the head.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the length field's own count starts: base offset and length.
const LENGTH_PREFIX_BYTES: u32 = 12;
/// Where the checksum's range begins.
const CRC_START: usize = 21;
/// Attribute bit: timestamps were assigned by the log.
const LOG_APPEND_TIME: i16 = 0x08;
/// Attribute bit: a control batch.
const CONTROL: i16 = 0x20;

const _: () = assert!(HEADER_BYTES == 8 + 4 + 4 + 1 + 4 + 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4);

/// The head of one batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: Offset,
    /// Of the whole batch, in bytes.
    pub(crate) size_bytes: u32,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: WallTime,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

impl BatchHeader {
    /// Reads the head at the front of `data`; says what is wrong with it.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, &'static str> {
        let Some(head) = data.first_chunk::<HEADER_BYTES>() else {
            return Err("shorter than the head of a record batch");
        };
        let length = u32::from_be_bytes(field(head, 8));
        let header = Self {
            base_offset: Offset(i64::from_be_bytes(field(head, 0))),
            size_bytes: length.saturating_add(LENGTH_PREFIX_BYTES),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(head, 12))),
            crc: u32::from_be_bytes(field(head, 17)),
            attributes: i16::from_be_bytes(field(head, 21)),
            last_offset_delta: i32::from_be_bytes(field(head, 23)),
            max_timestamp: WallTime(i64::from_be_bytes(field(head, 35))),
            producer_id: i64::from_be_bytes(field(head, 43)),
            producer_epoch: i16::from_be_bytes(field(head, 51)),
            base_sequence: i32::from_be_bytes(field(head, 53)),
        };
        if head[16] != 2 {
            return Err("not of format 2 (magic)");
        }
        if to_usize(header.size_bytes) < HEADER_BYTES || header.size_bytes > i32::MAX.unsigned_abs() {
            return Err("an impossible length");
        }
        if header.last_offset_delta < 0 {
            return Err("a negative last offset delta");
        }
        Ok(header)
    }

    /// Whether `batch`, the whole batch, carries the checksum its head names.
    pub(crate) fn checksum_matches(&self, batch: &[u8]) -> bool {
        batch.len() == to_usize(self.size_bytes) && crc32c(&batch[CRC_START..]) == self.crc
    }

    /// The offset after the last record's; `None` past the largest offset.
    pub(crate) fn end_offset(&self) -> Option<Offset> {
        self.base_offset.checked_add(i64::from(self.last_offset_delta) + 1)
    }

    pub(crate) const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(crate) const fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// The size as a position.
    pub(crate) fn size_u64(&self) -> u64 {
        to_u64(to_usize(self.size_bytes))
    }
}

/// Writes base offset and leader epoch into a batch; both lie outside the checksum.
pub(crate) fn assign(batch: &mut [u8], base_offset: Offset, epoch: LeaderEpoch) {
    batch[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}

fn field<const N: usize>(head: &[u8; HEADER_BYTES], start: usize) -> [u8; N] {
    head[start..start + N]
        .try_into()
        .expect("every field lies inside the head")
}

/// Batches for tests.
#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;
    use bytes::BytesMut;

    /// A batch of `count` records with `payload` in place of them, and a right checksum.
    pub(crate) fn batch(count: i32, payload: &[u8], max_timestamp: i64) -> BytesMut {
        producer_batch(count, payload, max_timestamp, -1, -1, -1)
    }

    /// The same, of an idempotent producer.
    pub(crate) fn producer_batch(
        count: i32,
        payload: &[u8],
        max_timestamp: i64,
        producer_id: i64,
        producer_epoch: i16,
        base_sequence: i32,
    ) -> BytesMut {
        let mut batch = BytesMut::zeroed(HEADER_BYTES + payload.len());
        let length = u32::try_from(batch.len()).expect("small") - LENGTH_PREFIX_BYTES;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[16] = 2;
        batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        batch[27..35].copy_from_slice(&max_timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        batch[HEADER_BYTES..].copy_from_slice(payload);
        let crc = crc32c(&batch[CRC_START..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_epoch_lie_outside_the_checksum() {
        let mut batch = fixtures::batch(3, b"payload", 17);
        assign(&mut batch, Offset(40), LeaderEpoch(5));
        let header = BatchHeader::parse(&batch).expect("a valid batch");
        assert_eq!(header.base_offset, Offset(40));
        assert_eq!(header.end_offset(), Some(Offset(43)));
        assert_eq!(header.leader_epoch, LeaderEpoch(5));
        assert_eq!(header.max_timestamp, WallTime(17));
        assert!(header.checksum_matches(&batch));
        batch[70 - 9] ^= 1;
        assert!(!header.checksum_matches(&batch));
    }

    #[test]
    fn impossible_heads_are_refused() {
        let good = fixtures::batch(1, b"x", 0);
        let check = |position: usize, value: u8| {
            let mut bad = good.clone();
            bad[position] = value;
            BatchHeader::parse(&bad).is_err()
        };
        assert!(check(16, 1), "magic");
        assert!(check(11, 3), "length below a head");
        assert!(check(8, 0xff), "length above 2 GiB");
        assert!(check(23, 0xff), "negative delta");
        assert!(BatchHeader::parse(&good[..60]).is_err());
    }
}
