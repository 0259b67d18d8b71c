//! The manifest of one partition: which segments are its log. `partitions/<topic id>/<index>.manifest`.
//!
//! Replaced atomically. It names a segment before the first byte is written to that segment, and calls one sealed only
//! when all its bytes are synced. A fork or snapshot is a copy of a manifest: segments are counted, not owned.

use std::fmt;

use hallows_types::{Offset, PartitionId, TopicId, WallTime};

use crate::codec::{FormatError, Kind, Reader, Writer, seal, unseal};

const KIND: Kind = Kind {
    what: "a partition manifest",
    magic: *b"HALMANIF",
    version: 1,
};

/// Bytes before the entries, inside the envelope.
const BODY_HEAD_BYTES: usize = 16 + 4 + 4 + 8;
/// Bytes of one entry.
pub(crate) const ENTRY_BYTES: usize = 72;
const _: () = assert!(BODY_HEAD_BYTES == 32);
const _: () = assert!(ENTRY_BYTES == 1 + 1 + 2 + 4 + 16 + 8 + 8 + 8 + 8 + 4 + 4 + 8);

/// An entry for a segment of this node's pool. Other numbers are kept for segments elsewhere (tiers).
const LOCAL: u8 = 1;

/// The name of a segment: random, so that it is never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub [u8; 16]);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SegmentId {
    /// The file with the record batches.
    pub(crate) fn log_path(self) -> String {
        format!("{}/{self}.log", self.directory())
    }

    /// The file with the sparse index.
    pub(crate) fn index_path(self) -> String {
        format!("{}/{self}.index", self.directory())
    }

    fn directory(self) -> String {
        format!("segments/{:02x}", self.0[0])
    }

    /// The id in a file name without its suffix.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        parse_hex(name).map(Self)
    }
}

/// 32 hexadecimal digits.
pub(crate) fn parse_hex(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (index, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(id)
}

/// What is known of one listed segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ManifestState {
    /// Prepared for what follows the segment before it; its base offset is that one's end.
    Spare,
    /// Being written; its end must be looked for.
    Open,
    /// Complete, synced, never to change.
    Sealed {
        /// The offset after the last record.
        end_offset: Offset,
        /// Bytes of this segment that belong to this log; a fork may end inside a segment.
        size_bytes: u32,
        /// The largest timestamp.
        largest_timestamp: WallTime,
        /// The largest batch.
        largest_batch_bytes: u32,
    },
}

/// One segment of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ManifestEntry {
    /// Its name.
    pub id: SegmentId,
    /// Offset of its first record; [`Offset::ZERO`] for a spare.
    pub base_offset: Offset,
    /// When its first record was appended.
    pub created: WallTime,
    /// How far it is.
    pub state: ManifestState,
}

/// The segments of one partition, oldest first, and where its log starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Whose it is.
    pub partition: PartitionId,
    /// The first readable offset, at least as far as durably known here.
    pub log_start: Offset,
    /// The segments.
    pub entries: Vec<ManifestEntry>,
}

/// Where the manifest of a partition lies.
pub(crate) fn path(id: PartitionId) -> String {
    format!("{}/{}.manifest", directory(id.topic), id.index)
}

/// The directory of a topic's manifests.
pub(crate) fn directory(topic: TopicId) -> String {
    format!("partitions/{topic}")
}

impl Manifest {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(BODY_HEAD_BYTES + self.entries.len() * ENTRY_BYTES));
        writer.bytes(&self.partition.topic.0);
        writer.i32(self.partition.index);
        writer.count(self.entries.len());
        writer.i64(self.log_start.0);
        self.entries.iter().for_each(|entry| entry.encode(&mut writer));
        seal(&KIND, &writer.0)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FormatError`] for anything but what [`Manifest::encode`] wrote.
    pub fn decode(data: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader(unseal(&KIND, data)?);
        let topic = TopicId(reader.array()?);
        let index = reader.i32()?;
        let count = reader.u32()?;
        let log_start = Offset(reader.i64()?);
        let mut entries = Vec::with_capacity(reader.0.len() / ENTRY_BYTES);
        for _ in 0..count {
            entries.push(ManifestEntry::decode(&mut reader)?);
        }
        if !reader.is_empty() {
            return Err(FormatError::Invalid { what: "length" });
        }
        let manifest = Self {
            partition: PartitionId { topic, index },
            log_start,
            entries,
        };
        manifest.validate()?;
        Ok(manifest)
    }

    /// Sealed segments come first and leave no gap; a spare comes last.
    fn validate(&self) -> Result<(), FormatError> {
        let ordered = self
            .entries
            .windows(2)
            .all(|pair| match (pair[0].state, pair[1].state) {
                (ManifestState::Spare, _) => false,
                (_, ManifestState::Spare) => true,
                (ManifestState::Sealed { end_offset, .. }, _) => pair[1].base_offset == end_offset,
                (ManifestState::Open, _) => pair[0].base_offset < pair[1].base_offset,
            });
        if ordered && self.log_start.0 >= 0 {
            Ok(())
        } else {
            Err(FormatError::Invalid {
                what: "order of segments",
            })
        }
    }
}

impl ManifestEntry {
    fn encode(&self, writer: &mut Writer) {
        let (state, end, size, timestamp, largest) = match self.state {
            ManifestState::Spare => (0, Offset(-1), 0, WallTime::NONE, 0),
            ManifestState::Open => (1, Offset(-1), 0, WallTime::NONE, 0),
            ManifestState::Sealed {
                end_offset,
                size_bytes,
                largest_timestamp,
                largest_batch_bytes,
            } => (2, end_offset, size_bytes, largest_timestamp, largest_batch_bytes),
        };
        writer.u8(LOCAL);
        writer.u8(state);
        writer.u16(0);
        writer.u32(0);
        writer.bytes(&self.id.0);
        writer.i64(self.base_offset.0);
        writer.i64(end.0);
        writer.u64(u64::from(size));
        writer.i64(timestamp.0);
        writer.u32(largest);
        writer.u32(0);
        writer.i64(self.created.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        if reader.u8()? != LOCAL {
            return Err(FormatError::Invalid {
                what: "kind of segment",
            });
        }
        let state = reader.u8()?;
        reader.bytes(2 + 4)?;
        let id = SegmentId(reader.array()?);
        let base_offset = Offset(reader.i64()?);
        let end_offset = Offset(reader.i64()?);
        let size_bytes = u32::try_from(reader.u64()?).map_err(|_| FormatError::Invalid { what: "size" })?;
        let largest_timestamp = WallTime(reader.i64()?);
        let largest_batch_bytes = reader.u32()?;
        reader.u32()?;
        let created = WallTime(reader.i64()?);
        let state = match state {
            0 => ManifestState::Spare,
            1 => ManifestState::Open,
            2 if end_offset > base_offset => ManifestState::Sealed {
                end_offset,
                size_bytes,
                largest_timestamp,
                largest_batch_bytes,
            },
            _ => {
                return Err(FormatError::Invalid {
                    what: "state of a segment",
                });
            }
        };
        if base_offset.0 < 0 {
            return Err(FormatError::Invalid { what: "base offset" });
        }
        Ok(Self {
            id,
            base_offset,
            created,
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(base: i64, state: ManifestState) -> ManifestEntry {
        ManifestEntry {
            id: SegmentId([base.unsigned_abs().to_le_bytes()[0]; 16]),
            base_offset: Offset(base),
            created: WallTime(3),
            state,
        }
    }

    fn sealed(base: i64, end: i64) -> ManifestEntry {
        let state = ManifestState::Sealed {
            end_offset: Offset(end),
            size_bytes: 100,
            largest_timestamp: WallTime(9),
            largest_batch_bytes: 61,
        };
        entry(base, state)
    }

    fn decoded(entries: Vec<ManifestEntry>) -> Result<Manifest, FormatError> {
        let manifest = Manifest {
            partition: PartitionId {
                topic: TopicId([3; 16]),
                index: 4,
            },
            log_start: Offset(2),
            entries,
        };
        let data = manifest.encode();
        assert_eq!(data.len(), 24 + BODY_HEAD_BYTES + manifest.entries.len() * ENTRY_BYTES);
        let decoded = Manifest::decode(&data)?;
        assert_eq!(decoded, manifest);
        Ok(decoded)
    }

    #[test]
    fn round_trips() {
        let spare = entry(0, ManifestState::Spare);
        assert!(decoded(Vec::new()).is_ok());
        assert!(decoded(vec![sealed(0, 7), sealed(7, 9), entry(9, ManifestState::Open), spare]).is_ok());
    }

    #[test]
    fn gaps_and_misplaced_spares_are_refused() {
        let open = |base| entry(base, ManifestState::Open);
        assert!(decoded(vec![sealed(0, 7), sealed(8, 9)]).is_err());
        assert!(decoded(vec![open(5), open(5)]).is_err());
        assert!(decoded(vec![entry(0, ManifestState::Spare), open(5)]).is_err());
    }

    #[test]
    fn names_are_found_again() {
        let id = SegmentId([0xa7; 16]);
        assert_eq!(SegmentId::from_name(&id.to_string()), Some(id));
        assert_eq!(id.log_path(), format!("segments/a7/{id}.log"));
        assert_eq!(SegmentId::from_name("a7"), None);
        assert_eq!(SegmentId::from_name(&"ä".repeat(16)), None);
    }
}
