//! One commit block of the journal: what one durable write carries.
//!
//! Head, table of entries, payload, zeros up to the disk's alignment. Drawn in `docs/format.md`.

use bytes::Bytes;
use hallows_runtime::AlignedBuffer;
use hallows_types::{LeaderEpoch, Offset, PartitionId, TopicId, WallTime};

use crate::codec::{FormatError, Reader, Writer, crc32c, crc32c_of_two, to_usize};
use crate::settings::PartitionKey;

/// The first bytes of every block.
const MAGIC: [u8; 8] = *b"HALBLOCK";
/// The newest version this build reads and the one it writes.
const VERSION: u32 = 1;
/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 48;
const _: () = assert!(HEAD_BYTES == 8 + 4 + 4 + 8 + 8 + 4 + 4 + 4 + 4);
/// Bytes of one entry of the table.
pub(crate) const ENTRY_BYTES: usize = 72;
const _: () = assert!(ENTRY_BYTES == 16 + 4 + 4 + 8 + 4 + 2 + 2 + 8 + 8 + 8 + 4 + 4);
/// Blocks begin at multiples of this, whatever the disk's alignment; that alignment is a multiple of it.
pub(crate) const BLOCK_ALIGNMENT: usize = 4096;

/// The replication group of everything a single node writes.
pub(crate) const GROUP_LOCAL: u32 = 0;

/// What an entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// Its payload is a record batch.
    Batch,
    /// The log start moved to the entry's base offset; no payload.
    LogStart,
}

/// One entry of a block, without its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalEntry {
    /// Whose it is.
    pub partition: PartitionId,
    /// The replication group; 0 for this node alone.
    pub group: u32,
    /// Position in the group's log, ascending by one.
    pub index: u64,
    /// The leader epoch under which it was proposed.
    pub epoch: LeaderEpoch,
    /// What it says.
    pub kind: EntryKind,
    /// When it was proposed.
    pub time: WallTime,
    /// The offset of the batch, or the new log start.
    pub base_offset: Offset,
    /// The offset after the batch; equal to `base_offset` for a log start.
    pub end_offset: Offset,
    /// Bytes of payload.
    pub length: u32,
}

impl JournalEntry {
    fn encode(&self, writer: &mut Writer) {
        let kind = match self.kind {
            EntryKind::Batch => 1,
            EntryKind::LogStart => 2,
        };
        writer.bytes(&self.partition.topic.0);
        writer.i32(self.partition.index);
        writer.u32(self.group);
        writer.u64(self.index);
        writer.i32(self.epoch.0);
        writer.u16(kind);
        writer.u16(0);
        writer.i64(self.time.0);
        writer.i64(self.base_offset.0);
        writer.i64(self.end_offset.0);
        writer.u32(self.length);
        writer.u32(0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let topic = TopicId(reader.array()?);
        let index = reader.i32()?;
        let group = reader.u32()?;
        let log_index = reader.u64()?;
        let epoch = LeaderEpoch(reader.i32()?);
        let kind = match reader.u16()? {
            1 => EntryKind::Batch,
            2 => EntryKind::LogStart,
            _ => return Err(FormatError::Invalid { what: "kind of entry" }),
        };
        reader.u16()?;
        let entry = Self {
            partition: PartitionId { topic, index },
            group,
            index: log_index,
            epoch,
            kind,
            time: WallTime(reader.i64()?),
            base_offset: Offset(reader.i64()?),
            end_offset: Offset(reader.i64()?),
            length: reader.u32()?,
        };
        reader.u32()?;
        if entry.base_offset.0 < 0 || entry.end_offset < entry.base_offset {
            return Err(FormatError::Invalid { what: "offset" });
        }
        Ok(entry)
    }
}

/// An entry on its way into the journal.
#[derive(Clone, Debug)]
pub(crate) struct Proposed {
    pub(crate) key: PartitionKey,
    pub(crate) entry: JournalEntry,
    pub(crate) payload: Bytes,
}

/// The head of a block and its table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockHead {
    /// The use of the file this block belongs to; recycling starts a new one.
    pub generation: u64,
    /// Ascending by one over all blocks of a shard.
    pub sequence: u64,
    /// What it carries.
    pub entries: Vec<JournalEntry>,
    /// Bytes of payload.
    pub payload_bytes: u32,
    payload_crc: u32,
}

impl BlockHead {
    /// Reads head and table from the front of `data`, which may be longer. `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FormatError`] when this is no block, or a damaged one.
    pub fn decode(data: &[u8]) -> Result<Option<Self>, FormatError> {
        let Some(fixed) = Fixed::decode(data)? else {
            return Ok(None);
        };
        let table_end = fixed.table_end();
        let Some(table) = data.get(HEAD_BYTES..table_end) else {
            return Ok(None);
        };
        if crc32c_of_two(&data[..HEAD_BYTES - 4], table) != fixed.crc {
            return Err(FormatError::Checksum { what: "head" });
        }
        let mut reader = Reader(table);
        let mut entries = Vec::with_capacity(table.len() / ENTRY_BYTES);
        while !reader.is_empty() {
            entries.push(JournalEntry::decode(&mut reader)?);
        }
        let payload: u64 = entries.iter().map(|entry| u64::from(entry.length)).sum();
        if payload != u64::from(fixed.payload_bytes) {
            return Err(FormatError::Invalid { what: "length" });
        }
        Ok(Some(Self {
            generation: fixed.generation,
            sequence: fixed.sequence,
            entries,
            payload_bytes: fixed.payload_bytes,
            payload_crc: fixed.payload_crc,
        }))
    }

    /// How many bytes [`BlockHead::decode`] needs, judging by the fixed part; at most `limit`.
    ///
    /// # Errors
    /// [`FormatError`] when this is no block.
    pub fn needed(data: &[u8], limit: usize) -> Result<usize, FormatError> {
        match Fixed::decode(data)? {
            None => Ok(HEAD_BYTES.min(limit)),
            Some(fixed) => Ok(fixed.table_end().min(limit)),
        }
    }

    /// Where the payload begins, counted from the start of the block.
    #[must_use]
    pub fn payload_start(&self) -> usize {
        HEAD_BYTES + self.entries.len() * ENTRY_BYTES
    }

    /// Bytes of the block without padding.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.payload_start() + to_usize(self.payload_bytes)
    }

    /// Whether these are the bytes that were written as payload.
    #[must_use]
    pub fn payload_matches(&self, payload: &[u8]) -> bool {
        payload.len() == to_usize(self.payload_bytes) && crc32c(payload) == self.payload_crc
    }
}

struct Fixed {
    generation: u64,
    sequence: u64,
    entries: usize,
    payload_bytes: u32,
    payload_crc: u32,
    crc: u32,
}

impl Fixed {
    fn decode(data: &[u8]) -> Result<Option<Self>, FormatError> {
        if data.len() < HEAD_BYTES {
            return Ok(None);
        }
        let mut reader = Reader(data);
        if reader.array::<8>()? != MAGIC {
            return Err(FormatError::Magic {
                what: "a journal block",
            });
        }
        let version = reader.u32()?;
        if version == 0 || version > VERSION {
            return Err(FormatError::Version {
                found: version,
                known: VERSION,
            });
        }
        let entries = to_usize(reader.u32()?);
        let fixed = Self {
            entries,
            generation: reader.u64()?,
            sequence: reader.u64()?,
            payload_bytes: reader.u32()?,
            payload_crc: reader.u32()?,
            crc: {
                reader.u32()?;
                reader.u32()?
            },
        };
        Ok(Some(fixed))
    }

    const fn table_end(&self) -> usize {
        HEAD_BYTES.saturating_add(self.entries.saturating_mul(ENTRY_BYTES))
    }
}

/// Writes a block into `buffer`, which is cleared first: the one copy that record bytes take on their way to the disk.
pub(crate) fn encode(
    buffer: &mut AlignedBuffer,
    table: &mut Vec<u8>,
    (generation, sequence): (u64, u64),
    entries: &[Proposed],
    alignment: usize,
) {
    let payload: u32 = entries.iter().map(|proposed| proposed.entry.length).sum();
    let mut writer = Writer(std::mem::take(table));
    writer.0.clear();
    writer.bytes(&MAGIC);
    writer.u32(VERSION);
    writer.count(entries.len());
    writer.u64(generation);
    writer.u64(sequence);
    writer.u32(payload);
    // The checksums follow once their ranges are known.
    writer.bytes(&[0; 12]);
    entries.iter().for_each(|proposed| proposed.entry.encode(&mut writer));
    buffer.clear();
    buffer.extend_from_slice(&writer.0);
    *table = writer.0;
    entries
        .iter()
        .for_each(|proposed| buffer.extend_from_slice(&proposed.payload));
    let start = HEAD_BYTES + entries.len() * ENTRY_BYTES;
    let payload_crc = crc32c(&buffer[start..]);
    buffer[36..40].copy_from_slice(&payload_crc.to_le_bytes());
    let crc = crc32c_of_two(&buffer[..HEAD_BYTES - 4], &buffer[HEAD_BYTES..start]);
    buffer[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    buffer.pad_to(alignment);
}

/// The bytes a block of these will take, padding included.
pub(crate) fn padded_bytes(entries: usize, payload_bytes: usize, alignment: usize) -> usize {
    (HEAD_BYTES + entries * ENTRY_BYTES + payload_bytes).next_multiple_of(alignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(length: u32, offset: i64) -> JournalEntry {
        JournalEntry {
            partition: PartitionId {
                topic: TopicId([1; 16]),
                index: 2,
            },
            group: GROUP_LOCAL,
            index: 3,
            epoch: LeaderEpoch(4),
            kind: EntryKind::Batch,
            time: WallTime(5),
            base_offset: Offset(offset),
            end_offset: Offset(offset + 1),
            length,
        }
    }

    fn block() -> AlignedBuffer {
        let mut buffer = AlignedBuffer::with_capacity(4096);
        let proposed = |entry, payload| Proposed {
            key: PartitionKey(0),
            entry,
            payload: Bytes::from_static(payload),
        };
        let entries = [proposed(entry(3, 10), b"abc"), proposed(entry(2, 11), b"de")];
        encode(&mut buffer, &mut Vec::new(), (7, 8), &entries, 4096);
        buffer
    }

    #[test]
    fn round_trips() {
        let buffer = block();
        assert_eq!(buffer.len(), 4096);
        let head = BlockHead::decode(&buffer).expect("valid").expect("whole");
        assert_eq!((head.generation, head.sequence), (7, 8));
        assert_eq!(head.entries, [entry(3, 10), entry(2, 11)]);
        let payload = &buffer[head.payload_start()..head.size_bytes()];
        assert_eq!(payload, b"abcde");
        assert!(head.payload_matches(payload));
        assert_eq!(BlockHead::decode(&buffer[..100]), Ok(None));
        assert_eq!(BlockHead::needed(&buffer[..48], 4096), Ok(48 + 144));
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let good = block();
        for index in 0..HEAD_BYTES + 2 * ENTRY_BYTES + 5 {
            let mut bad = good.to_vec();
            bad[index] ^= 0x04;
            let accepted = BlockHead::decode(&bad).is_ok_and(|head| {
                head.is_some_and(|head| head.payload_matches(&bad[head.payload_start()..head.size_bytes()]))
            });
            assert!(!accepted, "byte {index}");
        }
    }
}
