//! Fetch sessions (KIP-227): what a client fetches, and which of it may have changed.
//!
//! Every fetch runs in a session; one that the client did not ask for ends with its fetch.
//! Invariants: an entry is in `dirty` at most once; a session has at most one fetch in progress.

use std::collections::{BTreeMap, VecDeque};

use hallows_types::{Monotonic, Offset, PartitionId, ShardId};

use crate::op::{Op, PartitionOp};
use crate::rows::{RowKey, Rows};
use crate::shard::Shard;

use super::{FetchOp, FetchPartition, TopicRef, Watcher};

/// A session unused for this long gives way to a new one (Kafka's MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS).
const EVICTION_AFTER: std::time::Duration = std::time::Duration::from_secs(120);

/// One partition of a session.
pub(crate) struct Entry {
    pub(crate) request: FetchPartition,
    /// Where the watch is armed; `None` while the partition is unknown.
    pub(crate) watched: Option<PartitionId>,
    /// Whether it stands in `dirty`.
    pub(crate) is_dirty: bool,
    /// What the client was last told; `None` if nothing or an error.
    pub(crate) told: Option<(Offset, Offset)>,
}

/// One session.
pub(crate) struct Session {
    /// 0 for a session that ends with its fetch.
    pub(crate) id: i32,
    /// The epoch that the next incremental fetch must carry.
    pub(crate) epoch: i32,
    pub(crate) by_id: bool,
    pub(crate) entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    index: BTreeMap<(TopicRef, i32), u32>,
    /// Entries to look at, in the order of their turn.
    pub(crate) dirty: VecDeque<u32>,
    pub(crate) last_used: Monotonic,
    /// The fetch in progress.
    pub(crate) poll: Option<RowKey>,
}

/// The sessions of this shard.
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) rows: Rows<Session>,
    by_id: BTreeMap<i32, RowKey>,
    pub(crate) polls: Rows<super::poll::Poll>,
}

impl Session {
    pub(crate) fn new(by_id: bool, now: Monotonic) -> Self {
        Self {
            id: 0,
            epoch: 1,
            by_id,
            entries: Vec::new(),
            free: Vec::new(),
            index: BTreeMap::new(),
            dirty: VecDeque::new(),
            last_used: now,
            poll: None,
        }
    }

    fn identity(topic: &TopicRef, by_id: bool) -> TopicRef {
        // The half that the client did not send may become known later; it is not part of the key.
        if by_id {
            TopicRef {
                name: "".into(),
                id: topic.id,
            }
        } else {
            TopicRef {
                name: topic.name.clone(),
                id: hallows_types::TopicId::ZERO,
            }
        }
    }

    /// Adds a partition, or changes what is asked of it; either way it is looked at next.
    pub(crate) fn upsert(&mut self, request: FetchPartition) {
        let key = (Self::identity(&request.topic, self.by_id), request.partition);
        if let Some(&index) = self.index.get(&key) {
            if let Some(entry) = self.entries[index as usize].as_mut() {
                let topic = std::mem::replace(&mut entry.request, request).topic;
                // The name that was resolved first stays: it tells a re-created topic from an unknown one.
                entry.request.topic = topic;
            }
            self.mark_dirty(index);
            return;
        }
        let entry = Entry {
            request,
            watched: None,
            is_dirty: false,
            told: None,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = Some(entry);
                index
            }
            None => {
                self.entries.push(Some(entry));
                u32::try_from(self.entries.len() - 1).expect("fewer partitions than a frame has bytes")
            }
        };
        self.index.insert(key, index);
        self.mark_dirty(index);
    }

    /// Removes a partition; gives back where its watch is.
    pub(crate) fn forget(&mut self, topic: &TopicRef, partition: i32) -> Option<(u32, PartitionId)> {
        let index = self.index.remove(&(Self::identity(topic, self.by_id), partition))?;
        let entry = self.entries[index as usize].take()?;
        self.dirty.retain(|&dirty| dirty != index);
        self.free.push(index);
        entry.watched.map(|id| (index, id))
    }

    /// Puts an entry at the end of the queue of those to look at.
    pub(crate) fn mark_dirty(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index as usize).and_then(Option::as_mut)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push_back(index);
        }
    }

    /// Takes the next entry to look at.
    pub(crate) fn next_dirty(&mut self) -> Option<u32> {
        while let Some(index) = self.dirty.pop_front() {
            if let Some(entry) = self.entries[index as usize].as_mut() {
                entry.is_dirty = false;
                return Some(index);
            }
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }
}

impl Sessions {
    /// The session of this id.
    pub(crate) fn find(&self, id: i32) -> Option<RowKey> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn is_open(&self, id: i32) -> bool {
        self.by_id.contains_key(&id)
    }

    /// How many sessions clients hold here.
    pub(crate) fn persistent_count(&self) -> usize {
        self.by_id.len()
    }
}

impl Shard {
    /// Gives the session an id of its own, so that the client can go on with it, if there is room.
    pub(crate) fn session_keep(&mut self, key: RowKey) -> i32 {
        if !self.session_make_room() {
            return 0;
        }
        let id = self.session_id();
        if let Some(session) = self.sessions.rows.get_mut(key) {
            session.id = id;
            self.sessions.by_id.insert(id, key);
        }
        id
    }

    /// An id that names this shard and no session yet.
    fn session_id(&mut self) -> i32 {
        let count = u64::from(self.shard_count);
        let places = u64::from(i32::MAX.unsigned_abs()) / count;
        loop {
            let place = 1 + self.random.below(places - 1);
            let id = i32::try_from(place * count + u64::from(self.id.0)).unwrap_or(0);
            if id > 0 && !self.sessions.is_open(id) {
                return id;
            }
        }
    }

    fn session_make_room(&mut self) -> bool {
        if self.limits.fetch_sessions_max == 0 {
            return false;
        }
        let slots = (self.limits.fetch_sessions_max / usize::from(self.shard_count)).max(1);
        if self.sessions.persistent_count() < slots {
            return true;
        }
        let now = self.now.monotonic;
        let mut oldest: Option<(Monotonic, RowKey)> = None;
        for key in self.sessions.by_id.values().copied().collect::<Vec<_>>() {
            let Some(session) = self.sessions.rows.get_mut(key) else {
                continue;
            };
            let candidate = (session.last_used, key);
            if session.poll.is_none() && oldest.is_none_or(|oldest| candidate < oldest) {
                oldest = Some(candidate);
            }
        }
        match oldest {
            Some((last_used, key)) if now.since(last_used) >= EVICTION_AFTER => {
                self.session_close(key);
                true
            }
            _ => false,
        }
    }

    /// Ends a session: its watches are taken off every owner.
    pub(crate) fn session_close(&mut self, key: RowKey) {
        let Some(session) = self.sessions.rows.remove(key) else {
            return;
        };
        self.sessions.by_id.remove(&session.id);
        for (index, entry) in (0..).zip(session.entries) {
            if let Some(id) = entry.and_then(|entry| entry.watched) {
                self.session_unwatch(key, index, id);
            }
        }
    }

    /// Where a new session for this fetch belongs: on the shard that owns all its partitions, otherwise here.
    pub(crate) fn home_of(&self, fetch: &FetchOp) -> ShardId {
        let owner = |partition: &FetchPartition| {
            let topic = &partition.topic;
            let known = if fetch.by_id {
                self.image.topic_by_id(topic.id)
            } else {
                self.image.topic(&topic.name)
            };
            known.and_then(|topic| topic.shard(partition.partition))
        };
        let mut owners = fetch.partitions.iter().map(owner);
        let first = owners.next().flatten();
        first
            .filter(|first| owners.all(|owner| owner == Some(*first)))
            .unwrap_or(self.id)
    }

    pub(crate) fn session_unwatch(&mut self, key: RowKey, index: u32, id: PartitionId) {
        let watcher = Watcher {
            shard: self.id,
            session: key,
            index,
        };
        self.dispatch(None, Op::Partition(id, PartitionOp::Unwatch(watcher)));
    }

    /// A watched partition moved.
    pub(crate) fn session_dirty(&mut self, watcher: Watcher) {
        let Some(session) = self.sessions.rows.get_mut(watcher.session) else {
            return;
        };
        session.mark_dirty(watcher.index);
        if let Some(poll) = session.poll {
            self.poll_advance(poll);
        }
    }
}
