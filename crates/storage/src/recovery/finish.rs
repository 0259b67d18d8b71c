//! The end of recovery: everything durable, then what nobody needs any more goes, then fresh journals and the shards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use hallows_runtime::{Disk, DiskOp, DiskOutcome, Random};
use hallows_types::{Now, Offset, PartitionId, ShardId};

use super::{Recovered, Recovery, cannot};
use crate::checkpoint::{self, encode, encode_record};
use crate::codec::Writer;
use crate::error::OpenError;
use crate::journal::{self, GENERATION_COUNTER_BITS, Journal, JournalFile, JournalStart};
use crate::manifest::{self, SegmentId, parse_hex};
use crate::partition::Spare;
use crate::pool::Pool;
use crate::storage::{Start, Storage};

/// Up to this many files are synced one by one; more are synced with the whole file system.
const SYNCED_ALONE_MAX: usize = 64;

impl Recovery {
    /// Makes what was replayed durable, removes files nobody refers to (whatever was not given to
    /// [`Recovery::recover`] is a deleted topic's) and makes one storage per element of `shards`.
    /// `seeds` gives one seed per shard, for segment ids. Partitions that share segments must be on one shard.
    ///
    /// # Errors
    /// [`OpenError::Io`] when something cannot be written.
    ///
    /// # Panics
    /// When there are fewer seeds than shards, or partitions of two shards share a segment.
    pub fn finish(self, shards: Vec<Vec<Recovered>>, now: Now, seeds: &[u64]) -> Result<Vec<Storage>, OpenError> {
        assert!(seeds.len() >= shards.len(), "one seed per shard");
        let disk = &*self.disk;
        let mut shards = shards;
        shards
            .iter_mut()
            .flatten()
            .try_for_each(|recovered| write_manifest(disk, recovered))?;
        sync_segments(disk, &mut shards)?;
        let pools = count_references(&shards);
        self.write_checkpoints(&shards)?;
        let failed: Vec<_> = shards
            .iter()
            .flatten()
            .filter(|r| r.failure().is_some())
            .map(Recovered::id)
            .collect();
        self.remove_journals(&failed)?;
        if !self.keep_orphans {
            remove_orphans(disk, &pools, &self.claimed)?;
        }
        let mut storages = Vec::with_capacity(shards.len());
        for (number, (recovered, pool)) in shards.into_iter().zip(pools).enumerate() {
            let shard = ShardId(u16::try_from(number).expect("shards are bounded by cores"));
            let partitions = recovered.into_iter().map(|recovered| recovered.partition).collect();
            let start = Start {
                shard,
                settings: self.settings.clone(),
                journal: self.create_journal(shard, seeds[number])?,
                partitions,
                pool,
                // Each start begins a journal with a new number, so equal seeds do not give equal names.
                seed: seeds[number] ^ self.journals.next_number.rotate_left(20),
            };
            storages.push(Storage::new(start, now));
        }
        Ok(storages)
    }

    /// The state of every partition at its end, as of now; older checkpoints go.
    fn write_checkpoints(&self, shards: &[Vec<Recovered>]) -> Result<(), OpenError> {
        let mut written = BTreeSet::new();
        for (number, recovered) in shards.iter().enumerate() {
            let shard = ShardId(u16::try_from(number).expect("shards are bounded by cores"));
            let mut records = Writer::default();
            let alive = recovered.iter().map(|recovered| &recovered.partition);
            for partition in alive.filter(|partition| partition.failure.is_none()) {
                encode_record(
                    &mut records,
                    partition.id,
                    partition.log_end,
                    partition.log_start,
                    partition.end_place(),
                    &partition.epochs,
                    &partition.producers,
                );
            }
            let path = checkpoint::path(shard);
            let op = DiskOp::Replace {
                path: path.clone(),
                data: Bytes::from(encode(self.journals.sequence, &records.0)),
            };
            op.perform(&*self.disk)
                .map_err(|source| cannot("write", &path, source))?;
            written.insert(shard);
        }
        for shard in self.checkpoint_shards.difference(&written) {
            let path = checkpoint::path(*shard);
            self.disk
                .remove(&path)
                .map_err(|source| cannot("remove", &path, source))?;
        }
        Ok(())
    }

    fn remove_journals(&self, failed: &[PartitionId]) -> Result<(), OpenError> {
        if failed.iter().any(|id| self.journals.has_batches(*id)) {
            tracing::warn!("journals with batches of failed partitions are kept for a later start");
        }
        let paths = self.journals.removable(failed);
        if paths.is_empty() {
            return Ok(());
        }
        let remove = || -> io::Result<()> {
            paths.iter().try_for_each(|path| self.disk.remove(path))?;
            self.disk.sync_directory("journals")
        };
        remove().map_err(|source| cannot("remove files of", "journals", source))
    }

    fn create_journal(&self, shard: ShardId, seed: u64) -> Result<Journal, OpenError> {
        let number = self.journals.next_number;
        let path = journal::path(shard, number);
        let alignment = self.disk.alignment();
        let bytes = self.settings.journal_first_file_bytes;
        let len = bytes.max(1).next_multiple_of(crate::codec::to_u64(alignment));
        let op = DiskOp::CreateZeroed {
            path: path.clone(),
            len,
        };
        let file = match op.perform(&*self.disk) {
            Ok(DiskOutcome::Opened(file)) => file,
            Ok(other) => unreachable!("creating gives a file, not {other:?}"),
            Err(source) => return Err(cannot("create", &path, source)),
        };
        // Not the sequence that names segments: their ids are visible to whoever can list files.
        let origin = Random::from_seed(seed.rotate_left(32) ^ 0x6a6f_7572_6e61_6c73).next_u64();
        let start = JournalStart {
            shard,
            alignment,
            sequence: self.journals.sequence,
            generation: origin >> GENERATION_COUNTER_BITS << GENERATION_COUNTER_BITS,
            next_number: number + 1,
        };
        Ok(Journal::new(start, &self.settings, JournalFile::new(number, file, len)))
    }
}

/// Replaces the manifest if it says something else than the one on disk.
fn write_manifest(disk: &dyn Disk, recovered: &mut Recovered) -> Result<(), OpenError> {
    let partition = &recovered.partition;
    if partition.failure.is_some() {
        return Ok(());
    }
    let manifest = partition.manifest();
    let unneeded = manifest.entries.is_empty() && manifest.log_start == Offset::ZERO && recovered.manifest.is_none();
    let data = manifest.encode();
    if unneeded || recovered.manifest.as_ref() == Some(&data) {
        return Ok(());
    }
    let path = manifest::path(partition.id);
    let op = DiskOp::Replace {
        path: path.clone(),
        data: Bytes::from(data),
    };
    op.perform(disk).map_err(|source| cannot("write", &path, source))?;
    Ok(())
}

/// After this everything recovered survives power loss.
fn sync_segments(disk: &dyn Disk, shards: &mut [Vec<Recovered>]) -> Result<(), OpenError> {
    let unsynced = |recovered: &&Recovered| recovered.unsynced && recovered.failure().is_none();
    let files: Vec<_> = shards
        .iter()
        .flatten()
        .filter(unsynced)
        .flat_map(|recovered| recovered.partition.segments.iter().filter_map(|segment| segment.file()))
        .collect();
    let sync = || -> io::Result<()> {
        if files.len() > SYNCED_ALONE_MAX {
            return disk.sync_all();
        }
        files.iter().try_for_each(|file| file.sync())
    };
    sync().map_err(|source| cannot("sync", "segments", source))?;
    for recovered in shards
        .iter_mut()
        .flatten()
        .filter(|recovered| recovered.failure().is_none())
    {
        let partition = &mut recovered.partition;
        partition.synced_end = partition.log_end;
        partition
            .segments
            .iter_mut()
            .for_each(|segment| segment.synced = segment.written);
    }
    Ok(())
}

/// How many manifests refer to each segment, per shard.
fn count_references(shards: &[Vec<Recovered>]) -> Vec<Pool> {
    let mut owner: BTreeMap<SegmentId, usize> = BTreeMap::new();
    let mut pools = Vec::with_capacity(shards.len());
    for (number, recovered) in shards.iter().enumerate() {
        let mut pool = Pool::default();
        for id in recovered.iter().flat_map(referred) {
            let first = *owner.entry(id).or_insert(number);
            assert!(first == number, "partitions that share segment {id} are on two shards");
            pool.refer(id);
        }
        pools.push(pool);
    }
    pools
}

/// The segments a partition refers to.
fn referred(recovered: &Recovered) -> Vec<SegmentId> {
    let partition = &recovered.partition;
    let mut ids: Vec<_> = partition.segments.iter().map(|segment| segment.id).collect();
    if let Spare::Preparing(id) | Spare::Ready(id, _) = &partition.spare {
        ids.push(*id);
    }
    ids
}

/// Removes manifests of partitions that do not exist and segments that no manifest names.
fn remove_orphans(disk: &dyn Disk, pools: &[Pool], claimed: &BTreeSet<PartitionId>) -> Result<(), OpenError> {
    let list = |path: &str| disk.list(path).map_err(|source| cannot("list", path, source));
    let mut orphans = Vec::new();
    for topic in list("partitions")? {
        let directory = format!("partitions/{}", topic.name);
        let topic_id = parse_hex(&topic.name).map(hallows_types::TopicId);
        let mut left = 0;
        for entry in list(&directory)? {
            let index = entry
                .name
                .strip_suffix(".manifest")
                .and_then(|index| index.parse().ok());
            let id = topic_id.zip(index).map(|(topic, index)| PartitionId { topic, index });
            if id.is_some_and(|id| claimed.contains(&id)) {
                left += 1;
            } else {
                orphans.push(format!("{directory}/{}", entry.name));
            }
        }
        if left == 0 {
            orphans.push(directory);
        }
    }
    for prefix in list("segments")? {
        let directory = format!("segments/{}", prefix.name);
        for entry in list(&directory)? {
            let id = entry.name.split('.').next().and_then(SegmentId::from_name);
            let referred = id.is_some_and(|id| pools.iter().any(|pool| pool.is_referred(id)));
            if !referred {
                orphans.push(format!("{directory}/{}", entry.name));
            }
        }
    }
    if !orphans.is_empty() {
        tracing::info!(count = orphans.len(), "files that nobody refers to are removed");
    }
    for path in orphans {
        let directory = path.starts_with("partitions/") && !path.ends_with(".manifest") && !path.ends_with(".tmp");
        let removed = if directory {
            disk.remove_directory(&path)
        } else {
            disk.remove(&path)
        };
        removed.map_err(|source| cannot("remove", &path, source))?;
    }
    Ok(())
}
