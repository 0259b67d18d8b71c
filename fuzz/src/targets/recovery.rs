//! A whole data directory, damaged, and recovered: journals, manifests, segments, indexes, checkpoints together.
//!
//! The input is a list of changes to the files of a directory that was killed under load. Whatever they are, recovery
//! ends with an error or with partitions that can be read to their end; one that did not fail takes an append, and a
//! second recovery finds what the first one served.

use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use hallows_record::{BatchBuilder, Codec, NewRecord, Producer};
use hallows_runtime::{Disk, DiskCompletion, DiskOp, DiskToken, OpenMode, Slice};
use hallows_sim::SimDisk;
use hallows_storage::{
    Durability, Identity, LogConfig, Lookup, Origin, PartitionKey, ReadOutcome, Recovered, Recovery, Storage,
    StorageEvent, StorageSettings, TimeTarget,
};
use hallows_types::{LeaderEpoch, Monotonic, Now, Offset, PartitionId, TopicId, WallTime};

use super::damage;
use crate::Source;
use crate::allocation::bounded;

/// Journals and segments are read in chunks of a mebibyte, one per file under way, and a copy of the disk is held; and a
/// lookup by time unpacks one batch to at most 256 MiB (`UNPACKED_BYTES_MAX` of `storage/src/storage/time.rs`).
const HELD_BYTES_MAX: usize = (24 << 20) + (256 << 20);
/// The most changes that are applied.
const CHANGES_MAX: usize = 16;
/// The largest file that changes make.
const FILE_BYTES_MAX: usize = 64 << 10;
const DISK_BYTES: u64 = 64 << 20;
/// Turns after which storage must be at rest.
const TURNS_MAX: usize = 10_000;
/// Bytes of one read.
const READ_BYTES: u32 = 2048;

type Files = Vec<(String, Vec<u8>)>;

/// Tries an input.
pub fn run(data: &[u8]) {
    let files = changed(data);
    bounded(HELD_BYTES_MAX, || recover_and_use(&files));
}

/// The example's files with the input's changes.
fn changed(data: &[u8]) -> Files {
    let mut files = example().to_vec();
    let mut source = Source::new(data);
    for _ in 0..CHANGES_MAX {
        if source.is_empty() || files.is_empty() {
            break;
        }
        let index = usize::from(source.u8()) % files.len();
        let operation = source.u8();
        change(&mut files, index, operation, &mut source);
    }
    files
}

fn change(files: &mut Files, index: usize, operation: u8, source: &mut Source<'_>) {
    let (path, file) = &mut files[index];
    let at = source.length().min(file.len());
    match operation % 6 {
        0 => {
            let count = usize::from(source.u8());
            let bytes = source.bytes(count);
            let end = file.len().min(at + bytes.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        1 => file.truncate(at),
        2 => {
            let count = usize::from(source.u8());
            let bytes = source.bytes(count).to_vec();
            file.splice(at..at, bytes);
        }
        3 => drop(file.drain(at..file.len().min(at + usize::from(source.u8())))),
        4 => return drop(files.remove(index)),
        _ => {
            let from = usize::from(source.u8()) % files.len();
            files[index].1 = files[from].1.clone();
            return;
        }
    }
    file.truncate(FILE_BYTES_MAX);
    // Half of the changes come with right checksums, to reach what stands behind them.
    if operation & 0x80 != 0 {
        mend(path, file);
    }
}

fn mend(path: &str, file: &mut [u8]) {
    if path.starts_with("journals/") {
        file.chunks_mut(4096).for_each(damage::mend_block);
    } else if path.ends_with(".log") {
        damage::mend_batches(file);
    } else {
        damage::mend_envelope(file);
    }
}

fn recover_and_use(files: &Files) {
    let disk = SimDisk::new(1, DISK_BYTES);
    for (path, data) in files {
        put(&disk, path, data);
    }
    let Some(served) = serve_once(&disk, 5_000) else {
        return;
    };
    let disk = disk.kill();
    let again = serve_once(&disk, 9_000).expect("what was recovered once is recovered again");
    for (before, after) in served.iter().zip(&again) {
        if let (Some(before), Some(after)) = (before, after) {
            assert!(
                after.starts_with(before) || before.is_empty(),
                "acknowledged bytes are not there any more"
            );
        } else {
            assert!(before.is_none(), "a partition failed at the second start only");
        }
    }
}

/// Recovers all partitions, reads them, appends to them. Gives the bytes of each that did not fail.
fn serve_once(disk: &SimDisk, time_ms: u64) -> Option<Vec<Option<Vec<u8>>>> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut recovery = Recovery::begin(shared, settings(), || IDENTITY).ok()?;
    let recovered: Vec<Recovered> = partitions()
        .into_iter()
        .map(|(id, config)| recovery.recover(id, config, now(time_ms)))
        .collect();
    for recovered in &recovered {
        assert!(recovered.log_start() <= recovered.log_end() || recovered.failure().is_some());
        // What they say of offsets is not asked: sealed segments are believed, and changed ones may have right checksums.
        recovered.batches(disk).map_while(Result::ok).for_each(drop);
    }
    let failed: Vec<bool> = recovered
        .iter()
        .map(|recovered| recovered.failure().is_some())
        .collect();
    let storage = recovery.finish(vec![recovered], now(time_ms), &[time_ms]).ok()?.pop()?;
    let mut driver = Driver {
        disk: disk.clone(),
        storage,
        time_ms,
        waiting: Vec::new(),
    };
    let served = partitions()
        .into_iter()
        .zip(failed)
        .map(|((id, _), failed)| driver.serve(id, failed))
        .collect();
    Some(served)
}

const IDENTITY: Identity = Identity {
    cluster_id: *b"a fuzzed cluster",
    node_id: 1,
};

fn now(milliseconds: u64) -> Now {
    Now {
        monotonic: Monotonic(milliseconds * 1_000_000),
        wall: WallTime(i64::try_from(milliseconds).expect("small")),
    }
}

fn settings() -> StorageSettings {
    StorageSettings {
        journal_bytes_max: 256 << 10,
        journal_file_bytes: 32 << 10,
        journal_first_file_bytes: 16 << 10,
        tail_bytes_max: 64 << 10,
        disk_reserve_bytes: 0,
        ..StorageSettings::default()
    }
}

fn partitions() -> [(PartitionId, LogConfig); 3] {
    let config = |durability| LogConfig {
        durability,
        segment_bytes: 1024,
        index_interval_bytes: 128,
        retention_ms: None,
        ..LogConfig::default()
    };
    let id = |topic| PartitionId {
        topic: TopicId([topic; 16]),
        index: 0,
    };
    [
        (id(1), config(Durability::Fsync)),
        (id(2), config(Durability::Written)),
        (id(3), config(Durability::Fsync)),
    ]
}

fn put(disk: &SimDisk, path: &str, data: &[u8]) {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    disk.create_directory(directory).expect("the disk is not dead");
    let file = disk.open(path, OpenMode::Create).expect("each path once");
    file.write_all_at(data, 0).expect("room");
}

fn batch(value: &[u8], timestamp: i64, codec: Codec, producer: Producer) -> BytesMut {
    let mut builder = BatchBuilder::new(codec).with_producer(producer);
    for delta in 0..2 {
        let record = NewRecord {
            timestamp: WallTime(timestamp + delta),
            value: Some(value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("small");
    }
    BytesMut::from(&builder.build().expect("small")[..])
}

/// Plays the pump for one shard's storage.
struct Driver {
    disk: SimDisk,
    storage: Storage,
    time_ms: u64,
    waiting: Vec<(DiskToken, DiskOp)>,
}

impl Driver {
    /// Ends turns and performs operations until nothing is left to do.
    fn settle(&mut self) -> Vec<StorageEvent> {
        let mut events = Vec::new();
        for _ in 0..TURNS_MAX {
            self.storage.flush(now(self.time_ms), &mut self.waiting);
            while let Some(event) = self.storage.poll_event() {
                events.push(event);
            }
            self.storage.check_invariants();
            if self.waiting.is_empty() {
                return events;
            }
            for (token, op) in std::mem::take(&mut self.waiting) {
                let result = op.perform(&self.disk);
                self.storage
                    .on_disk(now(self.time_ms), DiskCompletion { token, result });
            }
        }
        panic!("storage never comes to rest");
    }

    fn pass(&mut self, milliseconds: u64) {
        self.time_ms += milliseconds;
        self.storage.tick(now(self.time_ms));
        self.settle();
    }

    /// Reads a partition to its end, looks times up, appends. `None` when it failed.
    fn serve(&mut self, id: PartitionId, failed: bool) -> Option<Vec<u8>> {
        let key = self.storage.find(id).expect("every partition was given to recovery");
        self.read_all(key);
        for target in [TimeTarget::At(WallTime(3)), TimeTarget::Max] {
            if self.storage.offset_for_time(key, 1, target) == Lookup::Pending {
                let events = self.settle();
                let told = events
                    .iter()
                    .any(|event| matches!(event, StorageEvent::TimeLookup { .. }));
                assert!(
                    told || self.storage.partition(key).failure().is_some(),
                    "a lookup is answered"
                );
            }
        }
        let _ = self.storage.end_offset_for_epoch(key, LeaderEpoch(1));
        let end = self.storage.partition(key).log_end();
        let appended = self.storage.append(
            now(self.time_ms),
            key,
            batch(b"goes on", 7, Codec::None, Producer::NONE),
            Origin::Client,
        );
        assert!(
            failed || self.storage.partition(key).failure().is_some() || appended.is_ok(),
            "{appended:?}"
        );
        self.settle();
        self.pass(20_000);
        if let Ok(appended) = appended {
            assert_eq!(appended.base_offset, end);
        }
        self.read_all(key)
    }

    /// The bytes of a partition from its log start to its end; `None` when it failed.
    fn read_all(&mut self, key: PartitionKey) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let partition = self.storage.partition(key);
        let (mut at, end) = (partition.log_start(), partition.high_watermark());
        while at < end {
            let slices = match self.storage.read(key, at, READ_BYTES, true, end) {
                Ok(ReadOutcome::Ready { slices, .. }) => slices,
                Ok(ReadOutcome::Pending) => {
                    self.settle();
                    continue;
                }
                Err(_) => return None,
            };
            let start = bytes.len();
            slices.iter().for_each(|slice| self.collect(slice, &mut bytes));
            let next = end_of_whole_batches(&bytes[start..], at)?;
            assert!(next.0 > at, "a read gives at least one batch");
            bytes.truncate(start + next.1);
            at = next.0;
        }
        self.storage.partition(key).failure().is_none().then_some(bytes)
    }

    fn collect(&self, slice: &Slice, bytes: &mut Vec<u8>) {
        match slice {
            Slice::Memory(memory) => bytes.extend_from_slice(memory),
            Slice::File { file, offset, len } => {
                let start = bytes.len();
                bytes.resize(start + *len as usize, 0);
                let count = file.read_at(&mut bytes[start..], *offset).expect("no fault strikes");
                bytes.truncate(start + count);
            }
        }
    }
}

/// The offset behind the last whole batch, and the bytes up to there; `None` where the bytes are no batches, as they may
/// be in a sealed segment, which is not read at a start.
fn end_of_whole_batches(bytes: &[u8], from: Offset) -> Option<(Offset, usize)> {
    let (mut end, mut whole) = (from, 0);
    while let Some(rest) = bytes
        .get(whole..)
        .filter(|rest| rest.len() >= hallows_record::BATCH_HEADER_BYTES)
    {
        let header = hallows_record::BatchHeader::parse(rest).ok()?;
        if rest.len() < header.size_bytes() {
            break;
        }
        whole += header.size_bytes();
        end = header.end_offset();
    }
    (end > from).then_some((end, whole))
}

/// The files of a directory with three partitions, several segments, a checkpoint and unsynced journal blocks, as a
/// killed process leaves it.
pub(super) fn example() -> &'static [(String, Vec<u8>)] {
    static EXAMPLE: OnceLock<Files> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let disk = SimDisk::new(1, DISK_BYTES);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let recovery = Recovery::begin(shared, settings(), || IDENTITY).expect("an empty directory");
        let storage = recovery
            .finish(vec![Vec::new()], now(0), &[7])
            .expect("an empty directory")
            .remove(0);
        let mut driver = Driver {
            disk: disk.clone(),
            storage,
            time_ms: 1,
            waiting: Vec::new(),
        };
        fill(&mut driver);
        let read = |path: String| {
            let data = disk.peek(&path).expect("a file that is listed");
            (path, data)
        };
        disk.files("").into_iter().map(read).collect()
    })
}

fn fill(driver: &mut Driver) {
    let codecs = [Codec::None, Codec::Lz4, Codec::Zstd, Codec::Gzip, Codec::Snappy];
    for (number, (id, config)) in (0..).zip(partitions()) {
        let key = driver.storage.create_partition(id, config, LeaderEpoch(1));
        for (sequence, codec) in (0..12).zip(codecs.iter().cycle()) {
            let producer = if number == 1 {
                Producer {
                    id: 9,
                    epoch: 0,
                    base_sequence: 2 * sequence,
                }
            } else {
                Producer::NONE
            };
            let batch = batch(&[b'v'; 150], i64::from(sequence), *codec, producer);
            let appended = driver.storage.append(now(driver.time_ms), key, batch, Origin::Client);
            appended.expect("room");
            driver.settle();
            if sequence == 7 {
                driver.storage.set_leader_epoch(key, LeaderEpoch(2));
                driver.pass(15_000);
            }
        }
        if number == 0 {
            driver
                .storage
                .delete_records(now(driver.time_ms), key, Offset(3))
                .expect("below the end");
            driver.settle();
        }
    }
}

/// One change of every kind to every file.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new()];
    for (index, (_, file)) in (0..).zip(example()) {
        let middle = u16::try_from(file.len() / 2).unwrap_or(u16::MAX).to_le_bytes();
        for operation in 0..6 {
            seeds.push([&[index, operation][..], &middle, &[1, 0xff]].concat());
        }
        seeds.push([&[index, 0x80][..], &40_u16.to_le_bytes(), &[2, 0xff, 0xff]].concat());
        seeds.push([&[index, 0x80][..], &60_u16.to_le_bytes(), &[2, 0xff, 0xff]].concat());
    }
    seeds
}
