//! Plays the pump: takes the operations storage gives out, performs them in any order, and brings their ends back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hallows_runtime::{Disk, DiskCompletion, DiskOp, DiskOutcome, DiskToken, Random, Slice};
use hallows_storage::{
    AppendError, Appended, LogConfig, Lookup, Origin, PartitionKey, ReadError, ReadOutcome, Recovered, Recovery,
    Storage, StorageEvent, StorageSettings, TimeMatch, TimeTarget,
};
use hallows_types::{Now, Offset, PartitionId};

use super::disk::MemoryDisk;
use super::{EPOCH, identity, now};

/// One shard's storage on a disk in memory.
pub struct Driver {
    pub disk: MemoryDisk,
    pub storage: Storage,
    pub time_ms: u64,
    waiting: Vec<(DiskToken, DiskOp)>,
    pub events: Vec<StorageEvent>,
}

/// Whether an operation replaces a file as a whole, a manifest or a checkpoint, at its end if it has several steps.
pub fn is_replacement(op: &DiskOp) -> bool {
    match op {
        DiskOp::Sequence(steps) => steps.iter().any(is_replacement),
        op => matches!(op, DiskOp::Replace { .. }),
    }
}

/// Recovers the given partitions on one shard.
pub fn open(
    disk: &MemoryDisk,
    settings: &StorageSettings,
    partitions: &[(PartitionId, LogConfig)],
    time_ms: u64,
) -> Driver {
    let mut recovery = begin(disk, settings);
    let recovered = recover(&mut recovery, partitions, time_ms);
    finish(disk, recovery, recovered, time_ms)
}

pub fn begin(disk: &MemoryDisk, settings: &StorageSettings) -> Recovery {
    Recovery::begin(Arc::new(disk.clone()), settings.clone(), identity).expect("a usable directory")
}

pub fn recover(recovery: &mut Recovery, partitions: &[(PartitionId, LogConfig)], time_ms: u64) -> Vec<Recovered> {
    partitions
        .iter()
        .map(|(id, config)| recovery.recover(*id, config.clone(), now(time_ms)))
        .collect()
}

pub fn finish(disk: &MemoryDisk, recovery: Recovery, recovered: Vec<Recovered>, time_ms: u64) -> Driver {
    finish_shards(disk, recovery, vec![recovered], time_ms).remove(0)
}

pub fn finish_shards(disk: &MemoryDisk, recovery: Recovery, shards: Vec<Vec<Recovered>>, time_ms: u64) -> Vec<Driver> {
    let seeds: Vec<_> = (1..).map(|shard| time_ms + shard).take(shards.len()).collect();
    let storages = recovery
        .finish(shards, now(time_ms), &seeds)
        .expect("a writable directory");
    let driver = |storage| Driver {
        disk: disk.clone(),
        storage,
        time_ms,
        waiting: Vec::new(),
        events: Vec::new(),
    };
    storages.into_iter().map(driver).collect()
}

impl Driver {
    pub fn now(&self) -> Now {
        now(self.time_ms)
    }

    pub fn key(&self, id: PartitionId) -> PartitionKey {
        self.storage.find(id).expect("the partition exists")
    }

    pub fn create(&mut self, id: PartitionId, config: &LogConfig) -> PartitionKey {
        self.storage.create_partition(id, config.clone(), EPOCH)
    }

    pub fn append(&mut self, key: PartitionKey, batch: BytesMut) -> Result<Appended, AppendError> {
        self.append_as(Origin::Client, key, batch)
    }

    pub fn append_as(&mut self, origin: Origin, key: PartitionKey, batch: BytesMut) -> Result<Appended, AppendError> {
        self.storage.append(self.now(), key, batch, origin)
    }

    /// Ends a turn: operations are given out, events are taken.
    pub fn flush(&mut self) {
        let now = self.now();
        self.storage.flush(now, &mut self.waiting);
        while let Some(event) = self.storage.poll_event() {
            self.events.push(event);
        }
        self.storage.check_invariants();
    }

    /// Performs one waiting operation, chosen by `random`, and hands its end over.
    pub fn perform_one(&mut self, random: &mut Random) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        let index = usize::try_from(random.below(self.waiting.len() as u64)).expect("small");
        self.perform(index);
        true
    }

    fn perform(&mut self, index: usize) {
        let (token, op) = self.waiting.swap_remove(index);
        let result = op.perform(&self.disk);
        self.storage.on_disk(self.now(), DiskCompletion { token, result });
    }

    /// Performs a waiting operation in part, or as a whole without telling storage: what a crash may leave behind.
    pub fn perform_partly(&mut self, random: &mut Random) {
        for (_, op) in std::mem::take(&mut self.waiting) {
            match (random.below(3), op) {
                (0, _) => {}
                (1, DiskOp::Sequence(steps)) => {
                    let count = usize::try_from(random.below(steps.len() as u64 + 1)).expect("small");
                    for step in steps.into_iter().take(count) {
                        if step.perform(&self.disk).is_err() {
                            break;
                        }
                    }
                }
                (1, DiskOp::WriteDurable { file, offset, data }) => {
                    for (number, sector) in data.chunks(512).enumerate() {
                        if random.below(2) == 0 {
                            let at = offset + number as u64 * 512;
                            let _ = file.write_all_at(sector, at);
                        }
                    }
                }
                (_, op) => {
                    let _ = op.perform(&self.disk);
                }
            }
        }
    }

    /// Ends turns and performs operations until nothing is left to do.
    pub fn settle(&mut self) {
        let mut random = Random::from_seed(1);
        for _ in 0..100_000 {
            self.flush();
            if !self.perform_one(&mut random) {
                return;
            }
        }
        panic!("storage never comes to rest");
    }

    /// Ends turns and performs operations until nothing is left but those that are held.
    pub fn settle_without(&mut self, is_held: impl Fn(&DiskOp) -> bool) {
        loop {
            self.flush();
            let Some(index) = self.waiting.iter().position(|(_, op)| !is_held(op)) else {
                return;
            };
            self.perform(index);
        }
    }

    /// Moves time and lets everything that is due happen.
    pub fn pass(&mut self, milliseconds: u64) {
        self.time_ms += milliseconds;
        let now = self.now();
        self.storage.tick(now);
        self.settle();
    }

    /// An orderly end of this shard, without the mark that all have ended.
    pub fn stop(&mut self) {
        let now = self.now();
        self.storage.shut_down(now);
        self.settle();
        let last = self.events.last();
        assert_eq!(
            last,
            Some(&StorageEvent::Stopped { clean: true }),
            "{:?}",
            self.storage.statistics()
        );
    }

    pub fn shut_down(mut self) -> MemoryDisk {
        self.stop();
        Recovery::mark_clean(&self.disk).expect("writable");
        self.disk
    }

    /// Everything readable from `from` on, in one answer or many.
    pub fn read_all(&mut self, key: PartitionKey, from: Offset) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut next = from;
        let until = self.storage.partition(key).high_watermark();
        while next < until {
            let part = self.read(key, next, 1 << 20, true).expect("readable");
            assert!(!part.is_empty(), "nothing at {next} although the log reaches {until}");
            for batch in split(&part) {
                next = batch_end(&batch);
                bytes.extend_from_slice(&batch);
            }
        }
        bytes
    }

    /// One read, waiting for what must be loaded.
    pub fn read(&mut self, key: PartitionKey, from: Offset, max: u32, one: bool) -> Result<Vec<u8>, ReadError> {
        let until = self.storage.partition(key).high_watermark();
        self.read_until(key, from, max, one, until)
    }

    pub fn read_until(
        &mut self,
        key: PartitionKey,
        from: Offset,
        max: u32,
        one: bool,
        until: Offset,
    ) -> Result<Vec<u8>, ReadError> {
        for _ in 0..1000 {
            match self.storage.read(key, from, max, one, until)? {
                ReadOutcome::Ready { slices, size_bytes } => {
                    let bytes: Vec<u8> = slices.iter().flat_map(|slice| self.slice_bytes(slice)).collect();
                    assert_eq!(bytes.len(), size_bytes as usize);
                    return Ok(bytes);
                }
                ReadOutcome::Pending => self.settle(),
            }
        }
        panic!("a read never becomes ready");
    }

    fn slice_bytes(&self, slice: &Slice) -> Bytes {
        match slice {
            Slice::Memory(bytes) => bytes.clone(),
            Slice::File { file, offset, len } => {
                let op = DiskOp::Read {
                    file: file.clone(),
                    offset: *offset,
                    len: *len as usize,
                };
                match op.perform(&self.disk as &dyn Disk) {
                    Ok(DiskOutcome::Data(data)) => data.freeze(),
                    other => panic!("reading a slice gave {other:?}"),
                }
            }
        }
    }

    pub fn find_time(&mut self, key: PartitionKey, target: TimeTarget) -> Option<TimeMatch> {
        match self.storage.offset_for_time(key, 99, target) {
            Lookup::Ready(found) => found,
            Lookup::Pending => {
                self.events.clear();
                self.settle();
                let answer = self.events.iter().find_map(|event| match event {
                    StorageEvent::TimeLookup { request: 99, result } => Some(result.clone()),
                    _ => None,
                });
                answer.expect("an answer").expect("no damage")
            }
        }
    }
}

/// The whole batches at the front of `bytes`.
pub fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 12 {
        let length = i32::from_be_bytes(rest[8..12].try_into().expect("four"));
        let size = usize::try_from(length).expect("positive") + 12;
        if rest.len() < size {
            break;
        }
        batches.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    batches
}

pub fn batch_base(batch: &[u8]) -> Offset {
    Offset(i64::from_be_bytes(batch[..8].try_into().expect("eight")))
}

pub fn batch_end(batch: &[u8]) -> Offset {
    let delta = i32::from_be_bytes(batch[23..27].try_into().expect("four"));
    Offset(batch_base(batch).0 + i64::from(delta) + 1)
}
