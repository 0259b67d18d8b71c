//! Fetch sessions (KIP-227): what a client fetches, and which of it may have changed.
//!
//! Every fetch runs in a session; one that the client did not ask for ends with its fetch.
//! Invariants: the entries to look at form one list; a session has at most one fetch in progress.
//!
//! Sessions that clients keep are bounded in number, in partitions, and by the node's budget of memory. Where there is
//! no room a fetch works without a session, which Kafka's clients take as it comes (session id 0).

use std::collections::BTreeMap;

use hallows_runtime::Charge;
use hallows_types::{Monotonic, Offset, PartitionId, ShardId};

use crate::op::{Op, PartitionOp};
use crate::rows::{RowKey, Rows};
use crate::shard::Shard;

use super::{FetchOp, FetchPartition, TopicRef, Watcher};

/// A session unused for this long gives way to a new one (Kafka's MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS).
const EVICTION_AFTER: std::time::Duration = std::time::Duration::from_secs(120);

/// What one partition of a session takes here and at its owner, in bytes: its entry, its key, its watch.
const ENTRY_BYTES: usize = 384;
/// The end of the list of entries to look at.
const END: u32 = u32::MAX;

/// The neighbours of an entry in the list of those to look at.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// One partition of a session.
pub(crate) struct Entry {
    pub(crate) request: FetchPartition,
    /// Where the watch is armed; `None` while the partition is unknown.
    pub(crate) watched: Option<PartitionId>,
    /// What the client was last told; `None` if nothing or an error.
    pub(crate) told: Option<(Offset, Offset)>,
    /// Its place among those to look at, if it is one.
    link: Option<Link>,
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
    /// The first and the last of the entries to look at, in the order of their turn. The list runs through the
    /// entries, so that one leaves it without a search.
    first: u32,
    last: u32,
    /// What it takes of the node's memory; `None` unless the client keeps it.
    charge: Option<Charge>,
    pub(crate) last_used: Monotonic,
    /// The fetch in progress.
    pub(crate) poll: Option<RowKey>,
}

/// The sessions of this shard.
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) rows: Rows<Session>,
    by_id: BTreeMap<i32, RowKey>,
    /// Partitions of the sessions in `by_id`.
    partitions: usize,
    /// Until then no session is old enough to give way.
    none_old_until: Monotonic,
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
            first: END,
            last: END,
            charge: None,
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
            told: None,
            link: None,
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
        self.unlink(index);
        let entry = self.entries[index as usize].take()?;
        self.free.push(index);
        entry.watched.map(|id| (index, id))
    }

    fn entry(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index as usize).and_then(Option::as_mut)
    }

    /// Takes an entry out of the list of those to look at.
    fn unlink(&mut self, index: u32) {
        let Some(Link { before, after }) = self.entry(index).and_then(|entry| entry.link.take()) else {
            return;
        };
        match self.entry(before).and_then(|entry| entry.link.as_mut()) {
            Some(link) => link.after = after,
            None => self.first = after,
        }
        match self.entry(after).and_then(|entry| entry.link.as_mut()) {
            Some(link) => link.before = before,
            None => self.last = before,
        }
    }

    /// Puts an entry at the end of the list of those to look at.
    pub(crate) fn mark_dirty(&mut self, index: u32) {
        let before = self.last;
        let Some(entry) = self.entry(index).filter(|entry| entry.link.is_none()) else {
            return;
        };
        entry.link = Some(Link { before, after: END });
        self.last = index;
        match self.entry(before).and_then(|entry| entry.link.as_mut()) {
            Some(link) => link.after = index,
            None => self.first = index,
        }
    }

    /// Takes the next entry to look at.
    pub(crate) fn next_dirty(&mut self) -> Option<u32> {
        let index = self.first;
        self.unlink(index);
        (index != END).then_some(index)
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

    /// How many partitions the sessions have that clients hold here.
    pub(crate) const fn partition_count(&self) -> usize {
        self.partitions
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
        if let Some(session) = self.sessions.rows.get_mut(key) {
            session.charge = Some(Charge::nothing(&self.memory));
        }
        if !self.session_fits(key, 0) {
            return 0;
        }
        let id = self.session_id();
        if let Some(session) = self.sessions.rows.get_mut(key) {
            session.id = id;
            self.sessions.by_id.insert(id, key);
        }
        id
    }

    /// Counts the partitions of a kept session anew, which were `before`; `false` when there is no room for them.
    /// Whoever is told so closes the session.
    pub(crate) fn session_fits(&mut self, key: RowKey, before: usize) -> bool {
        let share = self.limits.fetch_session_partitions_max / usize::from(self.shard_count);
        let Some(session) = self.sessions.rows.get_mut(key) else {
            return false;
        };
        let count = session.len();
        let Some(charge) = &mut session.charge else {
            return true;
        };
        self.sessions.partitions = (self.sessions.partitions - before) + count;
        self.sessions.partitions <= share && charge.try_resize(count * ENTRY_BYTES)
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
        if now < self.sessions.none_old_until {
            return false;
        }
        let mut oldest: Option<(Monotonic, RowKey)> = None;
        let mut none_old_until = Monotonic::NEVER;
        for &key in self.sessions.by_id.values() {
            let Some(session) = self.sessions.rows.get_mut(key) else {
                continue;
            };
            none_old_until = none_old_until.min(session.last_used.after(EVICTION_AFTER));
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
            _ => {
                // Sessions only become younger by use, so nobody need look again before.
                self.sessions.none_old_until = none_old_until;
                false
            }
        }
    }

    /// Ends a session: its watches are taken off every owner.
    pub(crate) fn session_close(&mut self, key: RowKey) {
        let Some(session) = self.sessions.rows.remove(key) else {
            return;
        };
        self.sessions.by_id.remove(&session.id);
        if session.charge.is_some() {
            self.sessions.partitions -= session.len();
        }
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

#[cfg(test)]
mod tests {
    use hallows_types::{LeaderEpoch, TopicId};

    use super::*;

    fn asked(partition: i32) -> FetchPartition {
        FetchPartition {
            topic: topic(),
            partition,
            current_epoch: LeaderEpoch::UNKNOWN,
            fetch_offset: Offset::ZERO,
            last_fetched_epoch: LeaderEpoch::UNKNOWN,
            max_bytes: 1,
        }
    }

    fn topic() -> TopicRef {
        TopicRef {
            name: "topic".into(),
            id: TopicId::ZERO,
        }
    }

    /// Takes out everything that is to be looked at.
    fn drain(session: &mut Session) -> Vec<i32> {
        let partition = |session: &Session, index: u32| {
            session.entries[index as usize]
                .as_ref()
                .map(|entry| entry.request.partition)
        };
        std::iter::from_fn(|| session.next_dirty().and_then(|index| partition(session, index))).collect()
    }

    #[test]
    fn what_is_to_be_looked_at_keeps_its_order_whatever_is_forgotten() {
        for forgotten in [&[0][..], &[2], &[4], &[0, 4], &[1, 2, 3], &[0, 1, 2, 3, 4]] {
            let mut session = Session::new(false, Monotonic(0));
            (0..5).for_each(|partition| session.upsert(asked(partition)));
            // Once is enough.
            session.mark_dirty(3);
            for &partition in forgotten {
                session.forget(&topic(), partition);
                assert_eq!(session.forget(&topic(), partition), None);
            }
            session.upsert(asked(7));
            let mut left: Vec<i32> = (0..5).filter(|partition| !forgotten.contains(partition)).collect();
            left.push(7);
            assert_eq!(drain(&mut session), left);
            assert_eq!(session.next_dirty(), None);
            assert_eq!(session.len(), left.len());
        }
    }

    /// With a search through the session for each, this would be 10^10 steps.
    #[test]
    fn a_hundred_thousand_partitions_come_and_go_without_a_search() {
        let mut session = Session::new(false, Monotonic(0));
        for _ in 0..2 {
            (0..100_000).for_each(|partition| session.upsert(asked(partition)));
            (0..100_000).for_each(|partition| assert_eq!(session.forget(&topic(), partition), None));
            assert_eq!((session.len(), session.next_dirty()), (0, None));
        }
        assert_eq!(session.entries.len(), 100_000, "places are used again");
    }
}
