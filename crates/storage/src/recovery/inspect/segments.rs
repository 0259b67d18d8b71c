//! Segments and their indexes.

use hallows_record::{MaxTimestampCheck, RecordLimits, Scratch, StructureLimits, check_records, check_structure};
use hallows_runtime::OpenMode;
use hallows_types::{Offset, PartitionId, WallTime};

use super::Inspection;
use crate::codec::to_u64;
use crate::error::OpenError;
use crate::index::SegmentIndex;
use crate::manifest::{Manifest, ManifestEntry, ManifestState};
use crate::recovery::cannot;
use crate::recovery::scan::Window;

/// The most that one batch may unpack to while it is inspected; one that needs more is told as not looked into.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// What the walk over one segment found so far.
struct Walk {
    position: u64,
    end: Offset,
    largest_timestamp: WallTime,
}

impl Inspection<'_> {
    pub(super) fn segments_of(&mut self, manifest: &Manifest) -> Result<(), OpenError> {
        let mut end = Offset::ZERO;
        for entry in &manifest.entries {
            let mut entry = *entry;
            // A spare begins where the segment before it ends, and grows under that name until the manifest is replaced.
            if entry.state == ManifestState::Spare {
                entry.base_offset = end;
            }
            end = self.segment(manifest, &entry)?;
        }
        let Some(synced) = self.records.get(&manifest.partition).map(|record| record.offset) else {
            return Ok(());
        };
        if end < synced && manifest.log_start < synced {
            let what = format!("the segments end at offset {end} although everything below {synced} was synced");
            self.damage(&crate::manifest::path(manifest.partition), 0, what);
        }
        Ok(())
    }

    /// Up to where everything of a segment was synced once.
    fn trusted(&self, manifest: &Manifest, entry: &ManifestEntry, size: u64) -> u64 {
        match entry.state {
            ManifestState::Sealed { size_bytes, .. } => u64::from(size_bytes),
            ManifestState::Open | ManifestState::Spare => match self.records.get(&manifest.partition) {
                Some(record) if record.segment_base == Some(entry.base_offset) => u64::from(record.position),
                Some(record) if record.segment_base > Some(entry.base_offset) => size,
                _ => 0,
            },
        }
    }

    /// Gives the offset at which the segment ends.
    fn segment(&mut self, manifest: &Manifest, entry: &ManifestEntry) -> Result<Offset, OpenError> {
        let path = entry.id.log_path();
        let file = match self.disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if self.trusted(manifest, entry, 1) > 0 {
                    self.damage(
                        &path,
                        0,
                        format!("the segment is missing; {} lists it", manifest.partition),
                    );
                }
                return Ok(entry.base_offset);
            }
            Err(source) => return Err(cannot("open", &path, source)),
        };
        let size = file.size().map_err(|source| cannot("read", &path, source))?;
        self.file(&path, "segment", size);
        let trusted = self.trusted(manifest, entry, size);
        let until = match entry.state {
            ManifestState::Sealed { size_bytes, .. } => u64::from(size_bytes),
            ManifestState::Open | ManifestState::Spare => size,
        };
        let mut window = Window::new(&file, until.min(size));
        let walk = self.walk(manifest.partition, entry, &mut window, until.min(size), trusted)?;
        if size < trusted {
            self.damage(
                &path,
                size,
                format!("the segment ends here although {trusted} bytes were synced"),
            );
        }
        if let ManifestState::Sealed {
            end_offset,
            largest_timestamp,
            ..
        } = entry.state
            && walk.position == until
            && (walk.end, walk.largest_timestamp) != (end_offset, largest_timestamp)
        {
            let what = format!(
                "the segment ends at offset {}, its manifest says {end_offset}",
                walk.end
            );
            self.damage(&path, walk.position, what);
        }
        Ok(walk.end)
    }

    /// Looks at every batch and at what the index says of it.
    fn walk(
        &mut self,
        partition: PartitionId,
        entry: &ManifestEntry,
        window: &mut Window<'_>,
        until: u64,
        trusted: u64,
    ) -> Result<Walk, OpenError> {
        let path = &entry.id.log_path();
        let index = self.index(entry)?;
        let mut places = index.iter().flat_map(SegmentIndex::places).peekable();
        let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
        let mut walk = Walk {
            position: 0,
            end: entry.base_offset,
            largest_timestamp: WallTime(i64::MIN),
        };
        while walk.position < until {
            let read = window.batch(walk.position);
            let (header, batch) = match read.map_err(|source| cannot("read", path, source))? {
                Ok(found) => found,
                Err(what) => {
                    let what = format!("a batch {what}; what follows is not looked at");
                    self.finding(path, walk.position, what, walk.position < trusted);
                    return Ok(walk);
                }
            };
            let follows = header.base_offset == walk.end;
            let Some(end) = header.end_offset().filter(|_| follows) else {
                let what = format!(
                    "a batch begins at offset {} where {} follows",
                    header.base_offset, walk.end
                );
                self.finding(path, walk.position, what, walk.position < trusted);
                return Ok(walk);
            };
            self.item(walk.position, describe(batch));
            match wrong_inside(batch, &mut scratch) {
                Some(what) => self.damage(path, walk.position, what),
                None => self.note_batch(partition, batch),
            }
            while let Some((offset, position)) = places.next_if(|(_, position)| *position <= walk.position) {
                if (offset, position) != (header.base_offset, walk.position) {
                    let what = format!("offset {offset} is not at position {position} of the segment");
                    self.damage(&entry.id.index_path(), 0, what);
                }
            }
            walk.position += header.size_u64();
            walk.end = end;
            walk.largest_timestamp = walk.largest_timestamp.max(header.max_timestamp);
        }
        Ok(walk)
    }

    fn index(&mut self, entry: &ManifestEntry) -> Result<Option<SegmentIndex>, OpenError> {
        let path = entry.id.index_path();
        let Some(data) = self.read(&path, "index")? else {
            return Ok(None);
        };
        match SegmentIndex::decode(&data, entry.id.0) {
            Ok(index) => {
                let text = format!(
                    "{} entries, up to offset {}",
                    index.places().count(),
                    index.covered_end()
                );
                self.item(0, text);
                Ok(Some(index))
            }
            Err(error) => {
                self.damage(
                    &path,
                    0,
                    format!("the index {error}; it is made again from the segment"),
                );
                Ok(None)
            }
        }
    }
}

/// One batch in words.
fn describe(batch: &[u8]) -> String {
    let Ok(header) = hallows_record::BatchHeader::parse(batch) else {
        return "a batch".to_owned();
    };
    let codec = header.codec().map_or("unknown", hallows_record::Codec::name);
    format!(
        "offsets {} to {}, epoch {}, {} records, {codec}, {} bytes",
        header.base_offset,
        header.last_offset(),
        header.partition_leader_epoch,
        header.record_count,
        to_u64(batch.len())
    )
}

/// What is wrong with the records of a batch whose checksum is right.
fn wrong_inside(batch: &[u8], scratch: &mut Scratch) -> Option<String> {
    if let Err(error) = check_structure(batch, &StructureLimits::stored()) {
        return Some(format!("a batch: {error}"));
    }
    let limits = RecordLimits {
        max_timestamp: MaxTimestampCheck::Report,
        ..RecordLimits::stored()
    };
    let checked = check_records(batch, &limits, scratch);
    checked.err().map(|error| format!("a batch: {error}"))
}
