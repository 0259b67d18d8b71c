//! The frames that the workloads send: Produce 9 and Fetch 12, prepared once and patched in place.

use anyhow::{Result, bail, ensure};

use crate::codec::{Decoder, Encoder, set_correlation, write_varint};

/// Bytes of a record batch before its records.
const BATCH_HEADER_BYTES: usize = 61;
/// Where the checksummed part of a batch starts: at its attributes.
const BATCH_CHECKED_AT: usize = 21;
/// Bytes of a batch that its length field does not count: base offset and the field itself.
const BATCH_UNCOUNTED_BYTES: usize = 12;
/// How long a broker may wait for replicas before it answers a Produce.
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A record batch of `records` records without key, each with a value of `value_bytes` incompressible bytes.
pub(crate) fn batch(records: usize, value_bytes: usize, timestamp_ms: i64) -> Vec<u8> {
    let count = i32::try_from(records).expect("a batch holds fewer than 2^31 records");
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut body = Vec::new();
    for delta in 0..i64::from(count) {
        let mut record = vec![0];
        write_varint(&mut record, 0);
        write_varint(&mut record, delta);
        write_varint(&mut record, -1);
        write_varint(
            &mut record,
            i64::try_from(value_bytes).expect("a value is below 2^63 bytes"),
        );
        record.extend((0..value_bytes).map(|_| noise.byte()));
        write_varint(&mut record, 0);
        write_varint(
            &mut body,
            i64::try_from(record.len()).expect("a record is below 2^63 bytes"),
        );
        body.append(&mut record);
    }
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes());
    checked.extend((count - 1).to_be_bytes());
    checked.extend(timestamp_ms.to_be_bytes());
    checked.extend(timestamp_ms.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes());
    checked.extend((-1_i16).to_be_bytes());
    checked.extend((-1_i32).to_be_bytes());
    checked.extend(count.to_be_bytes());
    checked.append(&mut body);
    batch_framed(&checked)
}

/// Puts the unchecked front of a batch before its checked part.
fn batch_framed(checked: &[u8]) -> Vec<u8> {
    let counted = BATCH_CHECKED_AT - BATCH_UNCOUNTED_BYTES + checked.len();
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, checked);
    let mut bytes = Vec::with_capacity(BATCH_CHECKED_AT + checked.len());
    bytes.extend(0_i64.to_be_bytes());
    bytes.extend(i32::try_from(counted).expect("a batch is below 2 GiB").to_be_bytes());
    bytes.extend((-1_i32).to_be_bytes());
    bytes.push(2);
    bytes.extend(u32::try_from(checksum).expect("CRC-32C has 32 bits").to_be_bytes());
    bytes.extend_from_slice(checked);
    bytes
}

/// How many records with values of `value_bytes` fit into a batch of at most `batch_bytes_max` bytes; at least one.
pub(crate) fn records_per_batch(value_bytes: usize, batch_bytes_max: usize) -> usize {
    let (mut low, mut high) = (1, batch_bytes_max / value_bytes.max(1) + 2);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if batch(middle, value_bytes, 0).len() <= batch_bytes_max {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// A small generator, so that values do not compress and every run sends the same bytes.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()[3]
    }
}

/// A Produce 9 request for one partition, and how to read the answer to it.
#[derive(Clone)]
pub(crate) struct ProduceFrame {
    bytes: Vec<u8>,
    error_at: usize,
    /// Records in the batch.
    pub(crate) records: usize,
    /// Bytes of the batch.
    pub(crate) batch_bytes: usize,
}

impl ProduceFrame {
    pub(crate) fn new(topic: &str, partition: i32, acks: i16, batch: &[u8]) -> Self {
        let mut encoder = Encoder::request(0, 9);
        encoder.null();
        encoder.i16(acks);
        encoder.i32(PRODUCE_TIMEOUT_MS);
        encoder.compact_count(1);
        encoder.string(topic);
        encoder.compact_count(1);
        encoder.i32(partition);
        encoder.compact_count(batch.len());
        encoder.raw(batch);
        encoder.tags();
        encoder.tags();
        encoder.tags();
        let count: [u8; 4] = batch[BATCH_HEADER_BYTES - 4..BATCH_HEADER_BYTES]
            .try_into()
            .expect("a slice of four bytes");
        Self {
            bytes: encoder.finish(),
            // Correlation id, tags, one topic, its name with a length below 127, one partition, its index.
            error_at: 4 + 1 + 1 + 1 + topic.len() + 1 + 4,
            records: usize::try_from(u32::from_be_bytes(count)).expect("a count fits the address space"),
            batch_bytes: batch.len(),
        }
    }

    /// The frame with the correlation id `id`.
    pub(crate) fn numbered(&mut self, id: i32) -> &[u8] {
        set_correlation(&mut self.bytes, id);
        &self.bytes
    }

    /// Checks that `answer` answers the request `id` without an error; returns the base offset given to the batch.
    pub(crate) fn check(&self, answer: &[u8], id: i32) -> Result<i64> {
        match self.error(answer, id)? {
            0 => Ok(i64::from_be_bytes(
                answer[self.error_at + 2..self.error_at + 10]
                    .try_into()
                    .expect("the length was checked"),
            )),
            code => bail!("the broker refused a Produce with error code {code}"),
        }
    }

    /// The error code that `answer` carries for the partition.
    pub(crate) fn error(&self, answer: &[u8], id: i32) -> Result<i16> {
        ensure!(
            answer.len() >= self.error_at + 10,
            "the answer to a Produce has only {} bytes",
            answer.len()
        );
        ensure!(
            answer[..4] == id.to_be_bytes(),
            "an answer out of order: expected correlation id {id}"
        );
        Ok(i16::from_be_bytes([answer[self.error_at], answer[self.error_at + 1]]))
    }
}

/// Bounds of a fetch.
#[derive(Clone, Copy)]
pub(crate) struct FetchBounds {
    pub(crate) wait_ms_max: i32,
    pub(crate) bytes_max: i32,
    pub(crate) partition_bytes_max: i32,
}

impl FetchBounds {
    /// The defaults of Kafka's consumer.
    pub(crate) const CONSUMER: Self = Self {
        wait_ms_max: 500,
        bytes_max: 50 << 20,
        partition_bytes_max: 1 << 20,
    };
}

/// A Fetch 12 request without a session for partition 0 of one topic.
pub(crate) struct FetchFrame {
    bytes: Vec<u8>,
    offset_at: usize,
}

impl FetchFrame {
    pub(crate) fn new(topic: &str, bounds: FetchBounds) -> Self {
        let mut encoder = fetch_start(bounds, 0, -1);
        encoder.compact_count(1);
        encoder.string(topic);
        encoder.compact_count(1);
        let offset_at = fetch_partition(&mut encoder, 0, 0, bounds);
        encoder.tags();
        fetch_end(&mut encoder);
        Self {
            bytes: encoder.finish(),
            offset_at,
        }
    }

    /// The frame that asks for `offset`.
    pub(crate) fn at(&mut self, offset: i64, id: i32) -> &[u8] {
        set_correlation(&mut self.bytes, id);
        self.bytes[self.offset_at..self.offset_at + 8].copy_from_slice(&offset.to_be_bytes());
        &self.bytes
    }
}

/// A Fetch 12 request inside a session; `partitions` are (index, fetch offset) pairs of `topic`.
pub(crate) fn session_fetch(
    topic: &str,
    session: (i32, i32),
    partitions: &[(i32, i64)],
    bounds: FetchBounds,
) -> Vec<u8> {
    let mut encoder = fetch_start(bounds, session.0, session.1);
    if partitions.is_empty() {
        encoder.compact_count(0);
    } else {
        encoder.compact_count(1);
        encoder.string(topic);
        encoder.compact_count(partitions.len());
        for &(index, offset) in partitions {
            fetch_partition(&mut encoder, index, offset, bounds);
        }
        encoder.tags();
    }
    fetch_end(&mut encoder);
    encoder.finish()
}

fn fetch_start(bounds: FetchBounds, session_id: i32, session_epoch: i32) -> Encoder {
    let mut encoder = Encoder::request(1, 12);
    encoder.i32(-1);
    encoder.i32(bounds.wait_ms_max);
    encoder.i32(1);
    encoder.i32(bounds.bytes_max);
    encoder.i8(0);
    encoder.i32(session_id);
    encoder.i32(session_epoch);
    encoder
}

/// Writes one partition of a fetch; returns where its offset lies.
fn fetch_partition(encoder: &mut Encoder, index: i32, offset: i64, bounds: FetchBounds) -> usize {
    encoder.i32(index);
    encoder.i32(-1);
    let offset_at = encoder.position();
    encoder.i64(offset);
    encoder.i32(-1);
    encoder.i64(-1);
    encoder.i32(bounds.partition_bytes_max);
    encoder.tags();
    offset_at
}

fn fetch_end(encoder: &mut Encoder) {
    encoder.compact_count(0);
    encoder.compact_count(0);
    encoder.tags();
}

/// What a fetch answered.
pub(crate) struct Fetched {
    /// 0, or the id of the session that was made or used.
    pub(crate) session_id: i32,
    /// Partitions that the answer names.
    pub(crate) partitions: usize,
    /// Bytes of records, a cut batch at the end included.
    pub(crate) record_bytes: usize,
    /// First offset after the last whole batch, or `None` when there was no whole batch.
    pub(crate) end_offset: Option<i64>,
}

/// Reads a Fetch 12 answer.
///
/// # Errors
/// When the answer is malformed or carries an error code.
pub(crate) fn fetched(answer: &[u8]) -> Result<Fetched> {
    let mut decoder = Decoder::answer(answer)?;
    decoder.i32()?;
    let error = decoder.i16()?;
    ensure!(error == 0, "the broker refused a Fetch with error code {error}");
    let session_id = decoder.i32()?;
    let mut fetched = Fetched {
        session_id,
        partitions: 0,
        record_bytes: 0,
        end_offset: None,
    };
    for _ in 0..decoder.count()? {
        decoder.bytes()?;
        for _ in 0..decoder.count()? {
            fetched_partition(&mut decoder, &mut fetched)?;
        }
        decoder.tags()?;
    }
    Ok(fetched)
}

fn fetched_partition(decoder: &mut Decoder<'_>, fetched: &mut Fetched) -> Result<()> {
    let index = decoder.i32()?;
    let error = decoder.i16()?;
    ensure!(
        error == 0,
        "the broker refused to fetch partition {index} with error code {error}"
    );
    decoder.take(24)?;
    for _ in 0..decoder.count()? {
        decoder.take(16)?;
        decoder.tags()?;
    }
    decoder.i32()?;
    let records = decoder.bytes()?;
    decoder.tags()?;
    fetched.partitions += 1;
    fetched.record_bytes += records.len();
    fetched.end_offset = batches_end(records).or(fetched.end_offset);
    Ok(())
}

/// First offset after the last whole batch in `records`.
fn batches_end(mut records: &[u8]) -> Option<i64> {
    let mut end = None;
    while records.len() >= BATCH_HEADER_BYTES {
        let base = i64::from_be_bytes(records[..8].try_into().expect("eight bytes"));
        let counted = u32::from_be_bytes(records[8..12].try_into().expect("four bytes"));
        let last_delta = i32::from_be_bytes(records[23..27].try_into().expect("four bytes"));
        let size = BATCH_UNCOUNTED_BYTES + usize::try_from(counted).ok()?;
        if size > records.len() {
            break;
        }
        end = Some(base + i64::from(last_delta) + 1);
        records = &records[size..];
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_stay_below_their_bound_and_fill_it() {
        for value_bytes in [100, 1024] {
            let records = records_per_batch(value_bytes, 65_536);
            assert!(batch(records, value_bytes, 0).len() <= 65_536);
            assert!(batch(records + 1, value_bytes, 0).len() > 65_536);
        }
    }

    #[test]
    fn the_end_of_whole_batches_ignores_a_cut_one() {
        let one = batch(3, 10, 0);
        let mut two = one.clone();
        two.extend_from_slice(&one[..one.len() - 1]);
        assert_eq!(batches_end(&two), Some(3));
        assert_eq!(batches_end(&one[..40]), None);
    }
}
