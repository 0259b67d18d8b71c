//! The shard's view of the segment pool: how many manifests refer to each segment, and bounded caches of open files and
//! indexes of sealed segments.
//!
//! Segments may be shared by partitions of one shard only (a fork lives on its parent's shard), so counting needs no lock.

use std::collections::BTreeMap;

use hallows_runtime::FileHandle;

use crate::index::SegmentIndex;
use crate::manifest::SegmentId;

/// Files of sealed segments kept open.
const OPEN_FILES_MAX: usize = 512;
/// Memory of indexes of sealed segments, in bytes; one index may exceed it alone.
const INDEX_BYTES_MAX: usize = 32 << 20;

#[derive(Debug)]
struct Cached<T> {
    value: T,
    used: u64,
}

/// References and caches.
#[derive(Default, Debug)]
pub(crate) struct Pool {
    references: BTreeMap<SegmentId, u32>,
    files: BTreeMap<SegmentId, Cached<FileHandle>>,
    indexes: BTreeMap<SegmentId, Cached<SegmentIndex>>,
    index_bytes: usize,
    /// Counts uses, as a clock for the caches.
    clock: u64,
}

impl Pool {
    /// One more manifest refers to the segment.
    pub(crate) fn refer(&mut self, id: SegmentId) {
        *self.references.entry(id).or_insert(0) += 1;
    }

    /// One manifest less; `true` if it was the last one and the files may go.
    pub(crate) fn release(&mut self, id: SegmentId) -> bool {
        let count = self
            .references
            .get_mut(&id)
            .expect("every release follows its reference");
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.references.remove(&id);
        self.files.remove(&id);
        self.forget_index(id);
        true
    }

    pub(crate) fn is_referred(&self, id: SegmentId) -> bool {
        self.references.contains_key(&id)
    }

    /// Whether somebody else has the open file too: an answer that is being sent.
    pub(crate) fn is_shared(&self, id: SegmentId) -> bool {
        self.files.get(&id).is_some_and(|cached| cached.value.is_shared())
    }

    pub(crate) fn file(&mut self, id: SegmentId) -> Option<FileHandle> {
        self.clock += 1;
        let cached = self.files.get_mut(&id)?;
        cached.used = self.clock;
        Some(cached.value.clone())
    }

    /// Keeps an open file; gives back one to close when there are too many.
    pub(crate) fn keep_file(&mut self, id: SegmentId, value: FileHandle) -> Option<FileHandle> {
        if !self.is_referred(id) {
            return Some(value);
        }
        self.clock += 1;
        let used = self.clock;
        self.files.insert(id, Cached { value, used });
        if self.files.len() <= OPEN_FILES_MAX {
            return None;
        }
        let oldest = least_used(&self.files)?;
        self.files.remove(&oldest).map(|cached| cached.value)
    }

    pub(crate) fn index(&mut self, id: SegmentId) -> Option<&SegmentIndex> {
        self.clock += 1;
        let cached = self.indexes.get_mut(&id)?;
        cached.used = self.clock;
        Some(&cached.value)
    }

    pub(crate) fn keep_index(&mut self, id: SegmentId, value: SegmentIndex) {
        if !self.is_referred(id) {
            return;
        }
        self.forget_index(id);
        self.clock += 1;
        self.index_bytes += value.memory_bytes();
        let used = self.clock;
        self.indexes.insert(id, Cached { value, used });
        while self.index_bytes > INDEX_BYTES_MAX && self.indexes.len() > 1 {
            let Some(oldest) = least_used(&self.indexes) else {
                return;
            };
            self.forget_index(oldest);
        }
    }

    fn forget_index(&mut self, id: SegmentId) {
        if let Some(cached) = self.indexes.remove(&id) {
            self.index_bytes -= cached.value.memory_bytes();
        }
    }
}

fn least_used<T>(cache: &BTreeMap<SegmentId, Cached<T>>) -> Option<SegmentId> {
    cache.iter().min_by_key(|(_, cached)| cached.used).map(|(id, _)| *id)
}
