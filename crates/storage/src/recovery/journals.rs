//! Reading every journal found: which entries there are, what is a torn tail, and what is damage.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hallows_runtime::{Disk, FileHandle, OpenMode};
use hallows_types::{PartitionId, ShardId};

use super::{cannot, read_full};
use crate::codec::{to_u64, to_usize};
use crate::error::{Damage, OpenError};
use crate::journal::{GENERATION_COUNTER_BITS, parse_name, path};
use crate::journal_block::{BLOCK_ALIGNMENT, BlockHead, EntryKind, HEAD_BYTES, JournalEntry};

/// Bytes read at once while looking for blocks.
const CHUNK_BYTES: usize = 1 << 20;
const _: () = assert!(CHUNK_BYTES.is_multiple_of(BLOCK_ALIGNMENT));

/// Everything the journals say.
#[derive(Default)]
pub(super) struct Journals {
    files: Vec<JournalSource>,
    /// Per partition, in the order in which they were written.
    entries: BTreeMap<PartitionId, Vec<ReplayEntry>>,
    /// The largest sequence seen anywhere.
    pub(super) sequence: u64,
    pub(super) next_number: u64,
}

struct JournalSource {
    path: String,
    file: FileHandle,
}

/// One entry and where its payload lies.
#[derive(Clone, Debug)]
pub(super) struct ReplayEntry {
    pub(super) entry: JournalEntry,
    sequence: u64,
    source: usize,
    position: u64,
    /// Whether the block it came in is damaged, so that the payload is lost.
    pub(super) damaged: bool,
}

/// One block found in a file.
pub(super) struct Found {
    pub(super) head: BlockHead,
    source: usize,
    pub(super) position: u64,
    pub(super) payload_matches: bool,
    /// Whether it was looked for behind something unreadable, possibly inside record bytes that a client chose.
    after_damage: bool,
}

impl Journals {
    /// Reads the journals of all shards. After a clean end their contents are not needed, only their names.
    pub(super) fn read(disk: &dyn Disk, covered: &BTreeMap<ShardId, u64>, clean: bool) -> Result<Self, OpenError> {
        let mut journals = Self {
            sequence: covered.values().copied().max().unwrap_or(0),
            ..Self::default()
        };
        let mut by_shard: BTreeMap<ShardId, Vec<u64>> = BTreeMap::new();
        let list = disk
            .list("journals")
            .map_err(|source| cannot("list", "journals", source))?;
        for (shard, number) in list.iter().filter_map(|entry| parse_name(&entry.name)) {
            by_shard.entry(shard).or_default().push(number);
            journals.next_number = journals.next_number.max(number + 1);
        }
        for (shard, mut numbers) in by_shard {
            numbers.sort_unstable();
            journals.read_shard(disk, shard, &numbers, covered.get(&shard).copied(), clean)?;
        }
        Ok(journals)
    }

    fn read_shard(
        &mut self,
        disk: &dyn Disk,
        shard: ShardId,
        numbers: &[u64],
        covered: Option<u64>,
        clean: bool,
    ) -> Result<(), OpenError> {
        let mut blocks = Vec::new();
        for number in numbers {
            let path = path(shard, *number);
            let file = disk
                .open(&path, OpenMode::Read)
                .map_err(|source| cannot("open", &path, source))?;
            let source = self.files.len();
            if !clean {
                find_blocks(&file, source, &mut blocks).map_err(|error| cannot("read", &path, error))?;
            }
            self.files.push(JournalSource { path, file });
        }
        // Clients cannot know the random part of a generation, so a block they forged inside a record is not taken for one.
        let known: BTreeSet<_> = blocks
            .iter()
            .filter(|found| !found.after_damage)
            .map(Found::origin)
            .collect();
        blocks.retain(|found| known.contains(&found.origin()));
        blocks.sort_by_key(|found: &Found| (found.head.sequence, found.source, found.position));
        self.judge(&mut blocks, covered)?;
        blocks.into_iter().for_each(|found| self.note_block(found));
        Ok(())
    }

    /// A block whose payload is torn is dropped if it is the last; a missing block before a later one is damage.
    fn judge(&self, blocks: &mut Vec<Found>, covered: Option<u64>) -> Result<(), OpenError> {
        if let Some(last) = blocks.last().filter(|last| !last.payload_matches) {
            let file = &self.files[last.source].path;
            tracing::warn!(
                file,
                position = last.position,
                "the last journal block is torn; it was never acknowledged"
            );
            blocks.pop();
        }
        let Some(mut expected) = covered.map(|covered| covered + 1) else {
            return Ok(());
        };
        for found in blocks.iter() {
            if found.head.sequence > expected {
                return Err(OpenError::Damaged(Damage {
                    path: self.files[found.source].path.clone(),
                    position: found.position,
                    what: format!(
                        "journal blocks {expected} to {} before it are unreadable",
                        found.head.sequence - 1
                    ),
                    advice: "Restore the journal from a copy. To give up what only these blocks held, move the files of \
                             the directory journals elsewhere",
                    partition: None,
                }));
            }
            expected = expected.max(found.head.sequence + 1);
        }
        Ok(())
    }

    fn note_block(&mut self, found: Found) {
        self.sequence = self.sequence.max(found.head.sequence);
        let mut position = found.position + to_u64(found.head.payload_start());
        for entry in &found.head.entries {
            self.entries.entry(entry.partition).or_default().push(ReplayEntry {
                entry: *entry,
                sequence: found.head.sequence,
                source: found.source,
                position,
                damaged: !found.payload_matches,
            });
            position += u64::from(entry.length);
        }
    }

    /// The entries of a partition, oldest first.
    pub(super) fn entries(&self, id: PartitionId) -> Vec<ReplayEntry> {
        let mut entries = self.entries.get(&id).cloned().unwrap_or_default();
        // Shards may have changed between starts: offsets order what sequences of different journals cannot.
        entries.sort_by_key(|replay| (replay.entry.base_offset, replay.sequence));
        entries
    }

    pub(super) fn has_batches(&self, id: PartitionId) -> bool {
        let entries = self.entries.get(&id);
        entries.is_some_and(|entries| entries.iter().any(|replay| replay.entry.kind == EntryKind::Batch))
    }

    pub(super) fn payload(&self, replay: &ReplayEntry) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; to_usize(replay.entry.length)];
        let count = read_full(&self.files[replay.source].file, &mut payload, replay.position)?;
        payload.truncate(count);
        Ok(payload)
    }

    pub(super) fn path_of(&self, replay: &ReplayEntry) -> (&str, u64) {
        (&self.files[replay.source].path, replay.position)
    }

    pub(super) fn paths(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// The files that hold entries of the given partitions: perhaps their only copy.
    pub(super) fn paths_with<'a>(&self, ids: impl IntoIterator<Item = &'a PartitionId>) -> BTreeSet<String> {
        let entries = ids.into_iter().filter_map(|id| self.entries.get(id)).flatten();
        entries.map(|replay| self.files[replay.source].path.clone()).collect()
    }

    /// Lets go of the files, so that those that are removed give their room back.
    pub(super) fn close(&mut self) {
        self.files.clear();
    }
}

impl Found {
    /// The random part of the generation.
    const fn origin(&self) -> u64 {
        self.head.generation >> GENERATION_COUNTER_BITS
    }
}

/// Finds every block of a file, also after damage.
pub(super) fn find_blocks(file: &FileHandle, source: usize, blocks: &mut Vec<Found>) -> io::Result<()> {
    let size = file.size()?;
    let mut position = 0;
    let mut after_damage = false;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut chunk_start = u64::MAX;
    while position + to_u64(HEAD_BYTES) <= size {
        let start = position - position % to_u64(CHUNK_BYTES);
        if start != chunk_start {
            let count = read_full(file, &mut chunk, start)?;
            chunk[count..].fill(0);
            chunk_start = start;
        }
        let at = usize::try_from(position - start).expect("below the size of a chunk");
        let step = match read_block(file, &chunk[at..], position, size)? {
            None => {
                after_damage = true;
                BLOCK_ALIGNMENT
            }
            Some((head, payload_matches)) => {
                // The head has its own checksum, so its length holds even where the payload is torn.
                let step = head.size_bytes().next_multiple_of(BLOCK_ALIGNMENT);
                blocks.push(Found {
                    head,
                    source,
                    position,
                    payload_matches,
                    after_damage,
                });
                step
            }
        };
        position += to_u64(step);
    }
    Ok(())
}

/// The block at a position, if there is one, and whether its payload is what was written.
fn read_block(file: &FileHandle, front: &[u8], position: u64, size: u64) -> io::Result<Option<(BlockHead, bool)>> {
    let limit = usize::try_from(size - position).unwrap_or(usize::MAX);
    let Ok(needed) = BlockHead::needed(front, limit) else {
        return Ok(None);
    };
    let mut longer;
    let mut front = front;
    if needed > front.len() {
        longer = vec![0; needed];
        let count = read_full(file, &mut longer, position)?;
        longer.truncate(count);
        front = &longer;
    }
    let Ok(Some(head)) = BlockHead::decode(front) else {
        return Ok(None);
    };
    let end = head.size_bytes();
    if end > limit {
        return Ok(Some((head, false)));
    }
    if let Some(payload) = front.get(head.payload_start()..end) {
        let matches = head.payload_matches(payload);
        return Ok(Some((head, matches)));
    }
    let mut payload = vec![0; to_usize(head.payload_bytes)];
    let count = read_full(file, &mut payload, position + to_u64(head.payload_start()))?;
    payload.truncate(count);
    let matches = head.payload_matches(&payload);
    Ok(Some((head, matches)))
}
