//! `checkpoint-<shard>`: per partition, an offset below which everything is synced, and the state at that offset.
//!
//! A partition that is missing here is scanned from its first segment; that is slower, never wrong.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use hallows_types::{Offset, PartitionId, ShardId, TopicId};

use crate::codec::{FormatError, Kind, Reader, Writer, seal, unseal};
use crate::epochs::Epochs;
use crate::producers::Producers;

const KIND: Kind = Kind {
    what: "a checkpoint",
    magic: *b"HALCHECK",
    version: 1,
};

/// Bytes of one record before its epochs and producers.
const RECORD_HEAD_BYTES: usize = 16 + 4 + 4 + 8 + 8 + 8;
const _: () = assert!(RECORD_HEAD_BYTES == 48);

/// Where the checkpoint of a shard lies.
pub(crate) fn path(shard: ShardId) -> String {
    format!("checkpoint-{}", shard.0)
}

/// The state of one partition at an offset below which its segments are synced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CheckpointRecord {
    pub(crate) partition: PartitionId,
    /// Everything below is synced.
    pub(crate) offset: Offset,
    pub(crate) log_start: Offset,
    /// Where the segment begins that holds the batch before `offset`, and the position of `offset` in it; `None` while
    /// there is no segment. Not its name: a segment is renamed when its file cannot be created.
    pub(crate) segment_base: Option<Offset>,
    pub(crate) position: u32,
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
}

impl CheckpointRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let partition = PartitionId {
            topic: TopicId(reader.array()?),
            index: reader.i32()?,
        };
        let position = reader.u32()?;
        let record = Self {
            partition,
            position,
            offset: Offset(reader.i64()?),
            log_start: Offset(reader.i64()?),
            segment_base: Some(Offset(reader.i64()?)).filter(|base| base.0 >= 0),
            epochs: Epochs::decode(reader)?,
            producers: Producers::decode(reader)?,
        };
        if record.offset.0 < 0 || record.log_start.0 < 0 {
            return Err(FormatError::Invalid { what: "offset" });
        }
        Ok(record)
    }
}

/// Appends the record of a partition; `epochs` and `producers` are borrowed from the live partition.
pub(crate) fn encode_record(
    writer: &mut Writer,
    partition: PartitionId,
    offset: Offset,
    log_start: Offset,
    (segment_base, position): (Option<Offset>, u32),
    epochs: &Epochs,
    producers: &Producers,
) {
    writer.bytes(&partition.topic.0);
    writer.i32(partition.index);
    writer.u32(position);
    writer.i64(offset.0);
    writer.i64(log_start.0);
    writer.i64(segment_base.map_or(-1, |base| base.0));
    epochs.encode(writer);
    producers.encode(writer);
}

/// The same record with a later log start.
pub(crate) fn with_log_start(record: &Bytes, log_start: Offset) -> Bytes {
    const AT: std::ops::Range<usize> = 32..40;
    const _: () = assert!(AT.start == 16 + 4 + 4 + 8);
    let mut record = BytesMut::from(&record[..]);
    let field: [u8; 8] = record[AT].try_into().expect("eight bytes");
    let known = i64::from_le_bytes(field);
    record[AT].copy_from_slice(&known.max(log_start.0).to_le_bytes());
    record.freeze()
}

/// Wraps the records of a shard; every journal block up to `sequence` is covered by them.
pub(crate) fn encode(sequence: u64, records: &[u8]) -> Vec<u8> {
    let mut writer = Writer(Vec::with_capacity(8 + records.len()));
    writer.u64(sequence);
    writer.bytes(records);
    seal(&KIND, &writer.0)
}

/// A shard's checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checkpoint {
    /// Journal blocks up to this sequence are covered.
    pub(crate) sequence: u64,
    pub(crate) records: BTreeMap<PartitionId, CheckpointRecord>,
}

impl Checkpoint {
    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`] for anything but what was written.
    pub fn decode(data: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader(unseal(&KIND, data)?);
        let mut checkpoint = Self {
            sequence: reader.u64()?,
            records: BTreeMap::new(),
        };
        while !reader.is_empty() {
            let record = CheckpointRecord::decode(&mut reader)?;
            checkpoint.records.insert(record.partition, record);
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallows_types::LeaderEpoch;

    #[test]
    fn round_trips() {
        let partition = PartitionId {
            topic: TopicId([9; 16]),
            index: 1,
        };
        let mut epochs = Epochs::default();
        epochs.note(LeaderEpoch(4), Offset(0));
        let mut records = Writer::default();
        let producers = Producers::default();
        let place = (Some(Offset(5)), 77);
        encode_record(
            &mut records,
            partition,
            Offset(10),
            Offset(2),
            place,
            &epochs,
            &producers,
        );
        assert_eq!(records.0.len(), RECORD_HEAD_BYTES + 4 + 12 + 4);
        let checkpoint = Checkpoint::decode(&encode(5, &records.0)).expect("just written");
        assert_eq!(checkpoint.sequence, 5);
        let record = &checkpoint.records[&partition];
        assert_eq!((record.segment_base, record.position), place);
        assert_eq!((record.offset, record.log_start), (Offset(10), Offset(2)));
        assert_eq!((&record.epochs, &record.producers), (&epochs, &producers));
    }
}
