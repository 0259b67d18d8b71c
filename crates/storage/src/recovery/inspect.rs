//! Reading every file of a data directory and saying what is wrong where. Changes nothing.
//!
//! The same readers as recovery's, and stricter: sealed segments are walked to their end, records are unpacked, indexes
//! are compared with what they describe. What a start mends by itself (a torn tail) is told as harmless.

mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hallows_runtime::{Disk, OpenMode};
use hallows_types::{PartitionId, ShardId, TopicId};

use super::journals::{Journals, find_blocks};
use super::{CLEAN, cannot, decode_identity, read_file};
use crate::checkpoint::{Checkpoint, CheckpointRecord};
use crate::error::{Damage, OpenError};
use crate::journal::parse_name;
use crate::journal_block::EntryKind;
use crate::manifest::{self, Manifest, SegmentId, parse_hex};
use crate::recovery::format_file;

/// What an inspection comes upon, in the order in which it reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A file; what follows is about it.
    File {
        /// Its path inside the directory.
        path: String,
        /// What it is.
        kind: &'static str,
        /// Its size.
        size_bytes: u64,
    },
    /// Something that a file holds.
    Item {
        /// Where in the file.
        position: u64,
        /// What it says.
        text: String,
    },
    /// Something that is not as it should be.
    Finding {
        /// The file.
        path: String,
        /// Where in it.
        position: u64,
        /// What is wrong.
        what: String,
        /// Whether something was lost or changed; if not, the next start sees to it.
        is_damage: bool,
    },
}

/// The topics that a batch of the metadata log deletes.
pub type DeletedBy = dyn Fn(&[u8]) -> Vec<TopicId>;

/// Reads every file of a data directory that nobody has open, and tells `seen` of everything.
/// What is in the metadata log is for `deleted_by` to say: a checkpoint may still know what has been deleted since.
///
/// # Errors
/// [`OpenError`] when the directory cannot be listed or a file cannot be read; damage is a [`Seen::Finding`].
pub fn inspect(disk: &dyn Disk, deleted_by: &DeletedBy, seen: &mut dyn FnMut(Seen)) -> Result<(), OpenError> {
    let mut inspection = Inspection {
        disk,
        deleted_by,
        deleted: BTreeSet::new(),
        seen,
        clean: false,
        covered: BTreeMap::new(),
        records: BTreeMap::new(),
        named: BTreeSet::new(),
    };
    inspection.root()?;
    inspection.journals()?;
    let manifests = inspection.manifests()?;
    for manifest in &manifests {
        inspection.segments_of(manifest)?;
    }
    inspection.missing_manifests(&manifests);
    inspection.pool()
}

struct Inspection<'a> {
    disk: &'a dyn Disk,
    deleted_by: &'a DeletedBy,
    deleted: BTreeSet<TopicId>,
    seen: &'a mut dyn FnMut(Seen),
    clean: bool,
    /// The journal sequence that each shard's checkpoint covers.
    covered: BTreeMap<ShardId, u64>,
    records: BTreeMap<PartitionId, CheckpointRecord>,
    /// Segments that a manifest names.
    named: BTreeSet<SegmentId>,
}

impl Inspection<'_> {
    fn file(&mut self, path: &str, kind: &'static str, size_bytes: u64) {
        (self.seen)(Seen::File {
            path: path.to_owned(),
            kind,
            size_bytes,
        });
    }

    fn item(&mut self, position: u64, text: String) {
        (self.seen)(Seen::Item { position, text });
    }

    fn damage(&mut self, path: &str, position: u64, what: impl Into<String>) {
        self.finding(path, position, what.into(), true);
    }

    fn harmless(&mut self, path: &str, position: u64, what: impl Into<String>) {
        self.finding(path, position, what.into(), false);
    }

    fn finding(&mut self, path: &str, position: u64, what: String, is_damage: bool) {
        (self.seen)(Seen::Finding {
            path: path.to_owned(),
            position,
            what,
            is_damage,
        });
    }

    fn names(&self, directory: &str) -> Result<Vec<String>, OpenError> {
        let entries = self.disk.list(directory);
        let entries = entries.map_err(|source| cannot("list", directory, source))?;
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort();
        Ok(names)
    }

    /// A whole small file; `None` when it is not there.
    fn read(&mut self, path: &str, kind: &'static str) -> Result<Option<Vec<u8>>, OpenError> {
        match read_file(self.disk, path) {
            Ok(data) => {
                self.file(path, kind, crate::codec::to_u64(data.len()));
                Ok(Some(data))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(cannot("read", path, source)),
        }
    }

    /// Format, clean mark, checkpoints.
    fn root(&mut self) -> Result<(), OpenError> {
        match self.read(format_file::PATH, "format")? {
            None => self.damage(format_file::PATH, 0, "the file is missing: this is no data directory"),
            Some(data) => match decode_identity(&data) {
                Ok(identity) => {
                    let cluster: String = identity.cluster_id.iter().map(|byte| format!("{byte:02x}")).collect();
                    self.item(0, format!("cluster {cluster}, node {}", identity.node_id));
                }
                Err(error) => self.damage(format_file::PATH, 0, format!("the file {error}")),
            },
        }
        self.clean = self.read(CLEAN, "clean mark")?.is_some();
        for name in self.names("")? {
            let shard = name.strip_prefix("checkpoint-").and_then(|shard| shard.parse().ok());
            if let Some(shard) = shard.map(ShardId) {
                self.checkpoint(&name, shard)?;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, path: &str, shard: ShardId) -> Result<(), OpenError> {
        let data = self.read(path, "checkpoint")?.unwrap_or_default();
        let checkpoint = match Checkpoint::decode(&data) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                self.damage(path, 0, format!("the file {error}; its partitions are scanned in full"));
                return Ok(());
            }
        };
        self.item(0, format!("covers journal blocks up to {}", checkpoint.sequence));
        self.covered.insert(shard, checkpoint.sequence);
        for (id, record) in checkpoint.records {
            let text = format!(
                "{id}: synced below offset {}, log start {}",
                record.offset, record.log_start
            );
            self.item(0, text);
            let known = self.records.get(&id);
            if known.is_none_or(|known| known.offset <= record.offset) {
                self.records.insert(id, record);
            }
        }
        Ok(())
    }

    fn journals(&mut self) -> Result<(), OpenError> {
        let mut last = BTreeMap::new();
        let mut torn = Vec::new();
        for name in self.names("journals")? {
            let path = format!("journals/{name}");
            let Some((shard, _)) = parse_name(&name) else {
                self.harmless(&path, 0, "no file of this program");
                continue;
            };
            let io = |source| cannot("read", &path, source);
            let file = self.disk.open(&path, OpenMode::Read).map_err(io)?;
            self.file(&path, "journal", file.size().map_err(io)?);
            let mut blocks = Vec::new();
            find_blocks(&file, 0, &mut blocks).map_err(io)?;
            for block in blocks {
                let head = &block.head;
                let (entries, bytes) = (head.entries.len(), head.payload_bytes);
                let text = format!("block {}: {entries} entries, {bytes} bytes", head.sequence);
                self.item(block.position, text);
                let latest = last.entry(shard).or_insert(0);
                *latest = head.sequence.max(*latest);
                if !block.payload_matches {
                    torn.push((shard, head.sequence, path.clone(), block.position));
                }
            }
        }
        for (shard, sequence, path, position) in torn {
            let covered = self.covered.get(&shard).copied().unwrap_or(0);
            let needed = !self.clean && sequence > covered && last.get(&shard) != Some(&sequence);
            let what = format!("the payload of block {sequence} has a wrong checksum");
            self.finding(&path, position, what, needed);
        }
        match Journals::read(self.disk, &self.covered, self.clean) {
            Ok(journals) => {
                self.note_journaled(&journals);
                Ok(())
            }
            Err(OpenError::Damaged(Damage {
                path, position, what, ..
            })) => {
                self.damage(&path, position, what);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn manifests(&mut self) -> Result<Vec<Manifest>, OpenError> {
        let mut manifests = Vec::new();
        for topic in self.names("partitions")? {
            let directory = format!("partitions/{topic}");
            for name in self.names(&directory)? {
                let path = format!("{directory}/{name}");
                let data = self.read(&path, "manifest")?.unwrap_or_default();
                let index = name.strip_suffix(".manifest").and_then(|index| index.parse().ok());
                let Some((topic, index)) = parse_hex(&topic).zip(index) else {
                    self.harmless(&path, 0, "no file of this program, or one half replaced");
                    continue;
                };
                let id = PartitionId {
                    topic: TopicId(topic),
                    index,
                };
                manifests.extend(self.manifest(&path, id, &data));
            }
        }
        Ok(manifests)
    }

    /// What the metadata log says in its journal entries; one that cannot be read says nothing here.
    fn note_journaled(&mut self, journals: &Journals) {
        let log = PartitionId {
            topic: TopicId::METADATA,
            index: 0,
        };
        for replay in journals.entries(log) {
            if replay.entry.kind == EntryKind::Batch
                && let Ok(batch) = journals.payload(&replay)
            {
                self.note_batch(log, &batch);
            }
        }
    }

    fn note_batch(&mut self, partition: PartitionId, batch: &[u8]) {
        if partition.topic == TopicId::METADATA {
            self.deleted.extend((self.deleted_by)(batch));
        }
    }

    fn missing_manifests(&mut self, manifests: &[Manifest]) {
        let manifested: BTreeSet<_> = manifests.iter().map(|manifest| manifest.partition).collect();
        let missing = self.records.values().filter(|record| record.segment_base.is_some());
        let missing: Vec<_> = missing
            .map(|record| record.partition)
            .filter(|id| !manifested.contains(id) && !self.deleted.contains(&id.topic))
            .collect();
        for id in missing {
            let path = manifest::path(id);
            if read_file(self.disk, &path).is_err() {
                self.damage(
                    &path,
                    0,
                    "the manifest is missing although a checkpoint knows its segments",
                );
            }
        }
    }

    fn manifest(&mut self, path: &str, id: PartitionId, data: &[u8]) -> Option<Manifest> {
        let manifest = match Manifest::decode(data) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.damage(path, 0, format!("the manifest {error}"));
                return None;
            }
        };
        if manifest.partition != id {
            self.damage(path, 0, format!("the manifest belongs to {}", manifest.partition));
        }
        self.item(0, format!("{id}: log start {}", manifest.log_start));
        for entry in &manifest.entries {
            self.item(
                0,
                format!(
                    "segment {} from offset {}: {:?}",
                    entry.id, entry.base_offset, entry.state
                ),
            );
            self.named.insert(entry.id);
        }
        Some(manifest)
    }

    /// Files of the pool that no manifest names.
    fn pool(&mut self) -> Result<(), OpenError> {
        for directory in self.names("segments")? {
            let directory = format!("segments/{directory}");
            for name in self.names(&directory)? {
                let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".index"));
                let id = stem.and_then(SegmentId::from_name);
                if id.is_none_or(|id| !self.named.contains(&id)) {
                    let path = format!("{directory}/{name}");
                    self.harmless(&path, 0, "no manifest names it; the next start removes it");
                }
            }
        }
        Ok(())
    }
}
