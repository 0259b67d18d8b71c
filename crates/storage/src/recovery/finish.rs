//! The end of recovery: everything durable, then what nobody needs any more goes, then fresh journals and the shards.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hallows_runtime::{Disk, DiskOp, DiskOutcome, Random};
use hallows_types::{Now, Offset, PartitionId, ShardId};

use super::{Recovered, Recovery, cannot};
use crate::checkpoint::{self, encode, encode_record};
use crate::codec::{Writer, to_u64};
use crate::error::{Damage, OpenError};
use crate::journal::{self, GENERATION_COUNTER_BITS, Journal, JournalFile, JournalStart};
use crate::journal_block::BLOCK_ALIGNMENT;
use crate::manifest::{self, SegmentId, parse_hex};
use crate::partition::{Partition, Spare};
use crate::pool::Pool;
use crate::reserve::{self, with_room};
use crate::settings::StorageSettings;
use crate::storage::{Start, Storage};

/// Up to this many files are synced one by one; more are synced with the whole file system.
const SYNCED_ALONE_MAX: usize = 64;

impl Recovery {
    /// Makes what was replayed durable, removes files nobody refers to (whatever was not given to
    /// [`Recovery::recover`] is a deleted topic's) and makes one storage per element of `shards`.
    /// `seeds` gives one seed per shard, for segment ids. Partitions that share segments must be on one shard.
    ///
    /// # Errors
    /// [`OpenError::Io`] when something cannot be written; [`OpenError::Damaged`] when partitions of two shards share a
    /// segment.
    ///
    /// # Panics
    /// When there are fewer seeds than shards.
    pub fn finish(mut self, shards: Vec<Vec<Recovered>>, now: Now, seeds: &[u64]) -> Result<Vec<Storage>, OpenError> {
        assert!(seeds.len() >= shards.len(), "one seed per shard");
        let disk = &*Arc::clone(&self.disk);
        let mut shards = shards;
        shards
            .iter_mut()
            .flatten()
            .try_for_each(|recovered| write_manifest(disk, recovered))?;
        if !self.clean {
            sync_names(disk, &shards)?;
        }
        sync_segments(disk, &mut shards)?;
        let pools = count_references(&shards)?;
        let mut recorded = self.write_checkpoints(&shards)?;
        let mut inherited = self.remove_journals(&shards)?;
        self.journals.close();
        if !self.keep_orphans {
            remove_orphans(disk, &pools, &self.claimed)?;
        }
        let measure = || disk.space().map_err(|source| cannot("measure", ".", source));
        let shard_count = u16::try_from(shards.len()).expect("shards are bounded by cores");
        let settings = self.settings.bounded(measure()?.total_bytes, u64::from(shard_count));
        let journals = (0..shard_count).map(ShardId).zip(seeds);
        let journals = journals.map(|(shard, seed)| self.create_journal(shard, *seed, &settings));
        let journals = journals.collect::<Result<Vec<_>, _>>()?;
        let reserves = reserve::open(disk, shard_count, piece_bytes(&settings), measure()?.free_bytes)
            .map_err(|source| cannot("prepare", reserve::DIRECTORY, source))?;
        let space = measure()?;
        let mut storages = Vec::with_capacity(shards.len());
        let made = journals.into_iter().zip(reserves);
        for (number, ((recovered, pool), (journal, reserve))) in shards.into_iter().zip(pools).zip(made).enumerate() {
            let shard = ShardId(u16::try_from(number).expect("shards are bounded by cores"));
            let partitions = recovered.into_iter().map(|recovered| recovered.partition).collect();
            let start = Start {
                shard,
                settings: settings.clone(),
                journal,
                partitions,
                pool,
                recorded: std::mem::take(&mut recorded[number]),
                inherited: std::mem::take(&mut inherited[number]),
                reserve,
                space,
                shard_count: u64::from(shard_count),
                // Each start begins a journal with a new number, so equal seeds do not give equal names.
                seed: seeds[number] ^ self.journals.next_number.rotate_left(20),
            };
            storages.push(Storage::new(start, now));
        }
        Ok(storages)
    }

    /// The state of every partition at its end, as of now; older checkpoints go. Of a failed partition the old record is
    /// kept, and of one that waits for room, so that the next start knows as well what must be there. Gives what was recorded,
    /// per shard.
    ///
    /// The files are replaced one by one, and a start may be cut off between any two of them. Until all are written, a
    /// file keeps the records of partitions that leave it for other shards: each is in one file at least at any time.
    fn write_checkpoints(&self, shards: &[Vec<Recovered>]) -> Result<Vec<BTreeMap<PartitionId, Bytes>>, OpenError> {
        let recorded: Vec<BTreeMap<PartitionId, Bytes>> =
            shards.iter().map(|recovered| self.records_of(recovered)).collect();
        for (shard, own) in (0..).map(ShardId).zip(&recorded) {
            let leaving = self.leaving(shard, own, &recorded);
            self.write_checkpoint(shard, own.values().chain(leaving))?;
        }
        for (shard, own) in (0..).map(ShardId).zip(&recorded) {
            if !self.leaving(shard, own, &recorded).is_empty() {
                self.write_checkpoint(shard, own.values())?;
            }
        }
        self.remove_checkpoints_from(shards.len())?;
        Ok(recorded)
    }

    fn records_of(&self, recovered: &[Recovered]) -> BTreeMap<PartitionId, Bytes> {
        let partitions = recovered.iter().map(|recovered| &recovered.partition);
        partitions
            .filter_map(|partition| Some((partition.id, self.record_of(partition)?)))
            .collect()
    }

    /// The records, as of now, of partitions that the shard's file on disk has and that another shard gets.
    fn leaving<'a>(
        &self,
        shard: ShardId,
        own: &BTreeMap<PartitionId, Bytes>,
        recorded: &'a [BTreeMap<PartitionId, Bytes>],
    ) -> Vec<&'a Bytes> {
        let on_disk = self.checkpoint_shards.get(&shard).into_iter().flatten();
        let leaving = on_disk.filter(|id| !own.contains_key(id));
        leaving
            .filter_map(|id| recorded.iter().find_map(|records| records.get(id)))
            .collect()
    }

    fn write_checkpoint<'a>(&self, shard: ShardId, records: impl Iterator<Item = &'a Bytes>) -> Result<(), OpenError> {
        let path = checkpoint::path(shard);
        let bytes: Vec<u8> = records.flatten().copied().collect();
        replace(&*self.disk, &path, encode(self.journals.sequence, &bytes))
    }

    /// Removes the files of shards that are gone.
    fn remove_checkpoints_from(&self, shard_count: usize) -> Result<(), OpenError> {
        let gone = self
            .checkpoint_shards
            .keys()
            .filter(|shard| usize::from(shard.0) >= shard_count);
        let gone: Vec<_> = gone.map(|shard| checkpoint::path(*shard)).collect();
        for path in &gone {
            self.disk
                .remove(path)
                .map_err(|source| cannot("remove", path, source))?;
        }
        if !gone.is_empty() {
            // Journals go next: a checkpoint that came back after some of them had gone would call them missing.
            self.disk
                .sync_directory("")
                .map_err(|source| cannot("sync", "checkpoints", source))?;
        }
        Ok(())
    }

    fn record_of(&self, partition: &Partition) -> Option<Bytes> {
        let mut record = Writer::default();
        // Only what is wholly in segments is recorded anew.
        if partition.failure.is_none() && partition.tail.bytes() == 0 {
            encode_record(
                &mut record,
                partition.id,
                partition.log_end,
                partition.log_start,
                partition.end_place(),
                &partition.epochs,
                &partition.producers,
            );
        } else {
            let old = self.records.get(&partition.id)?;
            let place = (old.segment_base, old.position);
            let log_start = old.log_start.max(partition.log_start);
            encode_record(
                &mut record,
                old.partition,
                old.offset,
                log_start,
                place,
                &old.epochs,
                &old.producers,
            );
        }
        Some(Bytes::from(record.0))
    }

    /// Removes the journals but for files with what may be nowhere else: batches of failed partitions, and those that
    /// wait for room in memory. The latter are given back per shard, where they concern that shard alone; other files
    /// are kept for a later start.
    fn remove_journals(&self, shards: &[Vec<Recovered>]) -> Result<Vec<Vec<String>>, OpenError> {
        let failed: Vec<_> = shards
            .iter()
            .flatten()
            .filter(|r| r.failure().is_some())
            .map(Recovered::id)
            .collect();
        if failed.iter().any(|id| self.journals.has_batches(*id)) {
            tracing::warn!("journals with batches of failed partitions are kept for a later start");
        }
        let waiting = |recovered: &&Recovered| recovered.partition.tail.bytes() > 0;
        let needed: Vec<BTreeSet<String>> = shards
            .iter()
            .map(|shard| {
                let waiting: Vec<_> = shard.iter().filter(waiting).map(Recovered::id).collect();
                self.journals.paths_with(&waiting)
            })
            .collect();
        let with_failed = self.journals.paths_with(&failed);
        let mut paths = self.journals.paths();
        paths.retain(|path| !with_failed.contains(path) && !needed.iter().any(|of_shard| of_shard.contains(path)));
        if !paths.is_empty() {
            let remove = || -> io::Result<()> {
                paths.iter().try_for_each(|path| self.disk.remove(path))?;
                self.disk.sync_directory("journals")
            };
            remove().map_err(|source| cannot("remove files of", "journals", source))?;
        }
        let alone = |path: &&String| {
            !with_failed.contains(*path) && needed.iter().filter(|of_shard| of_shard.contains(*path)).count() == 1
        };
        Ok(needed
            .iter()
            .map(|of_shard| of_shard.iter().filter(alone).cloned().collect())
            .collect())
    }

    fn create_journal(&self, shard: ShardId, seed: u64, settings: &StorageSettings) -> Result<Journal, OpenError> {
        let number = self.journals.next_number;
        let path = journal::path(shard, number);
        let alignment = self.disk.alignment();
        let bytes = settings.journal_first_file_bytes;
        let len = bytes.max(1).next_multiple_of(crate::codec::to_u64(alignment));
        let create = || {
            let path = path.clone();
            // What an attempt without room has left would stand in the way.
            self.disk.remove(&path)?;
            DiskOp::CreateZeroed { path, len }.perform(&*self.disk)
        };
        let file = match with_room(&*self.disk, create) {
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
        Ok(Journal::new(start, settings, JournalFile::new(number, file, len)))
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
    replace(disk, &path, data)
}

/// Replaces a file, with room of the reserve where there is no other.
fn replace(disk: &dyn Disk, path: &str, data: Vec<u8>) -> Result<(), OpenError> {
    let data = Bytes::from(data);
    let replace = || {
        let (path, data) = (path.to_owned(), data.clone());
        DiskOp::Replace { path, data }.perform(disk)
    };
    with_room(disk, replace).map_err(|source| cannot("write", path, source))?;
    Ok(())
}

/// The size of the files that a shard's reserve is held in.
fn piece_bytes(settings: &StorageSettings) -> u64 {
    let piece = settings.disk_reserve_bytes / u64::from(reserve::PIECES);
    piece - piece % to_u64(BLOCK_ALIGNMENT)
}

/// What a killed process created or renamed is seen, and may yet be lost with the power: the names of all manifests and
/// of all segments that were growing are made durable before anything relies on them, and so are those of the
/// directories that they, and later ones, lie in: whoever finds a directory takes it for durable.
fn sync_names(disk: &dyn Disk, shards: &[Vec<Recovered>]) -> Result<(), OpenError> {
    let mut directories = BTreeSet::from(["partitions".to_owned(), "segments".to_owned()]);
    for partition in shards.iter().flatten().map(|recovered| &recovered.partition) {
        let growing = partition.segments.iter().filter(|segment| !segment.is_sealed());
        let segments = growing.map(|segment| segment.id.log_path());
        for path in segments.chain([manifest::path(partition.id)]) {
            directories.insert(path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned());
        }
    }
    let sync = || -> io::Result<()> {
        if directories.len() > SYNCED_ALONE_MAX {
            return disk.sync_all();
        }
        let synced = directories.iter().map(|directory| disk.sync_directory(directory));
        synced.filter(|result| !is_absent(result)).collect()
    };
    sync().map_err(|source| cannot("sync", "names of segments and manifests", source))
}

/// A partition without records has no directory.
fn is_absent(result: &io::Result<()>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
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
        partition.synced_end = partition.written_end();
        partition
            .segments
            .iter_mut()
            .for_each(|segment| segment.synced = segment.written);
    }
    Ok(())
}

/// How many manifests refer to each segment, per shard.
fn count_references(shards: &[Vec<Recovered>]) -> Result<Vec<Pool>, OpenError> {
    let mut owner: BTreeMap<SegmentId, usize> = BTreeMap::new();
    let mut pools = Vec::with_capacity(shards.len());
    for (number, recovered) in shards.iter().enumerate() {
        let mut pool = Pool::default();
        for (partition, id) in recovered
            .iter()
            .flat_map(|r| referred(r).into_iter().map(|id| (r.id(), id)))
        {
            if *owner.entry(id).or_insert(number) != number {
                return Err(shared_across_shards(partition, id));
            }
            pool.refer(id);
        }
        pools.push(pool);
    }
    Ok(pools)
}

fn shared_across_shards(partition: PartitionId, id: SegmentId) -> OpenError {
    OpenError::Damaged(Damage {
        path: manifest::path(partition),
        position: 0,
        what: format!("the manifest names segment {id}, which a partition of another shard names too"),
        advice: "Start with one shard, or restore the manifest from a copy",
        partition: Some(partition),
    })
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
