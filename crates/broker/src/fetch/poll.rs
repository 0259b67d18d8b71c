//! One fetch in progress: reads what is dirty in its session, waits until there is enough, answers.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_types::{Monotonic, PartitionId, TopicId};

use crate::op::{Op, OpAnswer, PartitionFailure, PartitionOp, ReplyRow, ReplyTo};
use crate::rows::RowKey;
use crate::shard::Shard;

use super::session::Session;
use super::{
    FINAL_EPOCH, FetchAnswer, FetchOp, FetchedPartition, INITIAL_EPOCH, ReadAnswer, ReadFailure, ReadOp, TopicRef,
    Watcher,
};

/// A fetch that has not been answered.
pub(crate) struct Poll {
    reply: Option<ReplyTo>,
    session: RowKey,
    /// Whether partitions without news are left out of the answer.
    incremental: bool,
    /// Whether the session ends with this fetch.
    ends_session: bool,
    read_committed: bool,
    min_bytes: u64,
    max_bytes: u32,
    deadline: Monotonic,
    /// What was read so far, by entry.
    read: BTreeMap<u32, ReadAnswer>,
    /// Reads that other shards, or the disk, have not answered.
    missing: usize,
    size_bytes: u64,
    failed: bool,
}

/// The read that an entry needs, or why it cannot be made.
type Wanted = Result<(PartitionId, ReadOp), ReadFailure>;

impl Shard {
    /// Starts a fetch on the shard of its session.
    pub(crate) fn fetch_start(&mut self, reply: Option<ReplyTo>, fetch: FetchOp) {
        match self.fetch_session(&fetch) {
            Ok((session, incremental, ends_session)) => {
                if self.session_update(session, &fetch) {
                    return self.poll_start(reply, session, incremental, ends_session, &fetch);
                }
                // The client then fetches anew, and gets a session if there is room for all of it.
                self.session_close(session);
                self.fetch_refuse(reply, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
            }
            Err(error) => self.fetch_refuse(reply, error),
        }
    }

    fn fetch_refuse(&mut self, reply: Option<ReplyTo>, error: ErrorCode) {
        let answer = FetchAnswer {
            error,
            session_id: 0,
            partitions: Vec::new(),
        };
        self.tell(reply, OpAnswer::Fetch(Box::new(answer)));
    }

    /// Finds or opens the session: its row, whether the answer is incremental, whether the session ends with it.
    fn fetch_session(&mut self, fetch: &FetchOp) -> Result<(RowKey, bool, bool), ErrorCode> {
        let named = self.sessions.find(fetch.session_id);
        if fetch.session_epoch == INITIAL_EPOCH || fetch.session_epoch == FINAL_EPOCH {
            // Never an error: this is the client's way out of every error of a session.
            if let Some(key) = named {
                self.session_close(key);
            }
            let session = Session::new(fetch.by_id, self.now.monotonic);
            let key = self.sessions.rows.insert(session);
            return Ok((key, false, fetch.session_epoch == FINAL_EPOCH));
        }
        let key = named.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        let session = self
            .sessions
            .rows
            .get_mut(key)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != fetch.session_epoch || session.poll.is_some() {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.by_id != fetch.by_id {
            return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        session.epoch = if session.epoch == i32::MAX {
            1
        } else {
            session.epoch + 1
        };
        session.last_used = self.view.now.monotonic;
        Ok((key, true, false))
    }

    /// Takes a request's partitions into the session; `false` when the session becomes too large with them.
    fn session_update(&mut self, key: RowKey, fetch: &FetchOp) -> bool {
        let mut unwatched = Vec::new();
        let mut before = 0;
        if let Some(session) = self.sessions.rows.get_mut(key) {
            before = session.len();
            for partition in &fetch.partitions {
                session.upsert(partition.clone());
            }
            // Last, as in Kafka: what a request both names and forgets is forgotten.
            for (topic, partition) in &fetch.forgotten {
                unwatched.extend(session.forget(topic, *partition));
            }
        }
        for (index, id) in unwatched {
            self.session_unwatch(key, index, id);
        }
        self.session_fits(key, before)
    }

    fn poll_start(
        &mut self,
        reply: Option<ReplyTo>,
        session: RowKey,
        incremental: bool,
        ends_session: bool,
        fetch: &FetchOp,
    ) {
        let deadline = self.now.monotonic.after(fetch.wait);
        let poll = self.sessions.polls.insert(Poll {
            reply,
            session,
            incremental,
            ends_session,
            read_committed: fetch.read_committed,
            min_bytes: u64::from(fetch.min_bytes),
            max_bytes: fetch.max_bytes,
            deadline,
            read: BTreeMap::new(),
            missing: 0,
            size_bytes: 0,
            failed: false,
        });
        let Some(state) = self.sessions.rows.get_mut(session) else {
            return;
        };
        state.poll = Some(poll);
        // An empty session waits for nothing; Kafka answers at once.
        let nothing_to_fetch = state.len() == 0;
        self.timers.insert((deadline, poll));
        if nothing_to_fetch {
            return self.poll_answer(poll);
        }
        self.poll_advance(poll);
    }

    /// Reads everything dirty, then answers if there is enough, or waits.
    pub(crate) fn poll_advance(&mut self, key: RowKey) {
        while let Some((index, read)) = self.poll_next(key) {
            self.poll_read(key, index, read);
        }
        let now = self.now.monotonic;
        let Some(poll) = self.sessions.polls.get_mut(key) else {
            return;
        };
        let enough = poll.failed || poll.size_bytes >= poll.min_bytes || poll.deadline <= now;
        if poll.missing == 0 && enough {
            self.poll_answer(key);
        }
    }

    /// The next dirty entry and the read it needs, while the answer has room.
    fn poll_next(&mut self, key: RowKey) -> Option<(u32, Wanted)> {
        let poll = self.sessions.polls.get_mut(key)?;
        let session = self.sessions.rows.get_mut(poll.session)?;
        // A first fetch answers every partition; an incremental one stops when the answer is full.
        if poll.incremental && poll.size_bytes >= u64::from(poll.max_bytes) {
            return None;
        }
        let index = session.next_dirty()?;
        if let Some(Ok(before)) = poll.read.remove(&index) {
            poll.size_bytes -= u64::from(before.size_bytes);
        }
        let entry = session.entries[index as usize].as_mut()?;
        let id = match resolve(
            &self.view.image,
            &mut entry.request.topic,
            session.by_id,
            entry.request.partition,
        ) {
            Ok(id) => id,
            Err(failure) => return Some((index, Err(failure))),
        };
        entry.watched = Some(id);
        let room = u64::from(poll.max_bytes).saturating_sub(poll.size_bytes);
        let read = ReadOp {
            from: entry.request.fetch_offset,
            max_bytes: entry.request.max_bytes.min(u32::try_from(room).unwrap_or(u32::MAX)),
            at_least_one_batch: poll.size_bytes == 0,
            read_committed: poll.read_committed,
            current_epoch: entry.request.current_epoch,
            last_fetched_epoch: entry.request.last_fetched_epoch,
            watcher: Watcher {
                shard: self.view.id,
                session: poll.session,
                index,
            },
        };
        Some((index, Ok((id, read))))
    }

    fn poll_read(&mut self, key: RowKey, index: u32, read: Wanted) {
        let (id, read) = match read {
            Ok(read) => read,
            Err(failure) => return self.poll_store(key, index, Err(failure)),
        };
        let here = self.storage.find(id).and_then(|slot| self.read_now(slot, &read));
        if let Some(answer) = here {
            return self.poll_store(key, index, answer);
        }
        if let Some(poll) = self.sessions.polls.get_mut(key) {
            poll.missing += 1;
            let reply = ReplyTo {
                shard: self.id,
                row: ReplyRow::Poll(key),
                part: index,
            };
            self.dispatch(Some(reply), Op::Partition(id, PartitionOp::Read(read)));
        }
    }

    fn poll_store(&mut self, key: RowKey, index: u32, answer: ReadAnswer) {
        let Some(poll) = self.sessions.polls.get_mut(key) else {
            return;
        };
        match &answer {
            Ok(data) => {
                poll.size_bytes += u64::from(data.size_bytes);
                poll.failed |= data.diverging.is_some();
            }
            Err(_) => poll.failed = true,
        }
        poll.read.insert(index, answer);
    }

    /// The answer to a read that was made elsewhere or had to wait for the disk.
    pub(crate) fn poll_told(&mut self, key: RowKey, index: u32, answer: ReadAnswer) {
        let Some(poll) = self.sessions.polls.get_mut(key) else {
            return;
        };
        poll.missing -= 1;
        self.poll_store(key, index, answer);
        self.poll_advance(key);
    }

    /// The longest wait of a fetch is over.
    pub(crate) fn fetch_expire(&mut self, key: RowKey) {
        self.poll_advance(key);
    }

    fn poll_answer(&mut self, key: RowKey) {
        let Some(poll) = self.sessions.polls.remove(key) else {
            return;
        };
        self.timers.remove(&(poll.deadline, key));
        let partitions = self.poll_collect(&poll);
        let session_id = self.poll_end_session(&poll);
        let answer = FetchAnswer {
            error: ErrorCode::NONE,
            session_id,
            partitions,
        };
        self.tell(poll.reply, OpAnswer::Fetch(Box::new(answer)));
    }

    fn poll_end_session(&mut self, poll: &Poll) -> i32 {
        // A session that has nothing left to fetch ends too, as in Kafka; one that begins with nothing does not.
        let entries = self
            .sessions
            .rows
            .get_mut(poll.session)
            .map_or(0, |session| session.len());
        if poll.ends_session || (poll.incremental && entries == 0) {
            self.session_close(poll.session);
            return 0;
        }
        let id = self.sessions.rows.get_mut(poll.session).map_or(0, |session| {
            session.poll = None;
            session.id
        });
        if id != 0 {
            return id;
        }
        let id = self.session_keep(poll.session);
        if id == 0 {
            self.session_close(poll.session);
        }
        id
    }

    /// The partitions of the answer, and what the session remembers of them.
    fn poll_collect(&mut self, poll: &Poll) -> Vec<FetchedPartition> {
        let Some(session) = self.sessions.rows.get_mut(poll.session) else {
            return Vec::new();
        };
        let mut fetched = Vec::with_capacity(poll.read.len());
        let mut served = Vec::new();
        let mut total_bytes = 0;
        for (&index, answer) in &poll.read {
            let mut answer = answer.clone();
            if let Ok(data) = &mut answer {
                // Reads on several shards each had the whole room; what does not fit comes with the next fetch.
                let entry_max = session.entries[index as usize]
                    .as_ref()
                    .map_or(0, |entry| entry.request.max_bytes);
                let size_bytes = u64::from(data.size_bytes);
                let too_much = data.size_bytes > entry_max || total_bytes + size_bytes > u64::from(poll.max_bytes);
                if total_bytes > 0 && too_much {
                    data.slices.clear();
                    data.size_bytes = 0;
                }
                total_bytes += u64::from(data.size_bytes);
            }
            let fetch_offset = session.entries[index as usize]
                .as_ref()
                .map(|entry| entry.request.fetch_offset);
            match &answer {
                // The answer had no room for it: its turn is next, before those that were served now.
                Ok(data) if data.size_bytes == 0 => {
                    if fetch_offset.is_some_and(|offset| offset < data.end(poll.read_committed)) {
                        session.mark_dirty(index);
                    }
                }
                // There may be more of it, or the error may pass: look again next time, after the others.
                Ok(_) | Err(_) => served.push(index),
            }
            let Some(entry) = session.entries[index as usize].as_mut() else {
                continue;
            };
            let news = entry_news(entry, &answer);
            if news || !poll.incremental {
                let (topic, partition) = (entry.request.topic.clone(), entry.request.partition);
                fetched.push(FetchedPartition {
                    topic,
                    partition,
                    result: answer,
                });
            }
        }
        served.into_iter().for_each(|index| session.mark_dirty(index));
        // What exists comes first, as in Kafka.
        fetched.sort_by_key(|fetched| fetched.result.as_ref().is_err_and(PartitionFailure::is_missing));
        fetched
    }
}

/// Whether an answer tells the client anything, by KIP-227: data, an error, a moved high watermark or log start.
fn entry_news(entry: &mut super::session::Entry, answer: &ReadAnswer) -> bool {
    let told = match answer {
        Ok(data) => Some((data.high_watermark, data.log_start)),
        Err(_) => None,
    };
    let has_data = answer
        .as_ref()
        .map_or(true, |data| data.size_bytes > 0 || data.diverging.is_some());
    let before = std::mem::replace(&mut entry.told, told);
    has_data || before != told
}

/// Finds the partition a fetch names, and fills in the half of the topic's name that was not known.
fn resolve(
    image: &crate::metadata::Image,
    topic: &mut TopicRef,
    by_id: bool,
    partition: i32,
) -> Result<PartitionId, ReadFailure> {
    let known = if by_id {
        image.topic_by_id(topic.id)
    } else {
        image.topic(&topic.name)
    };
    let Some(known) = known else {
        return Err(missing_topic(image, topic, by_id));
    };
    topic.name = known.name.clone();
    topic.id = known.id;
    match known.shard(partition) {
        Some(_) => Ok(PartitionId {
            topic: known.id,
            index: partition,
        }),
        None => Err(PartitionFailure::Unknown),
    }
}

fn missing_topic(image: &crate::metadata::Image, topic: &TopicRef, by_id: bool) -> ReadFailure {
    if !by_id {
        return PartitionFailure::Unknown;
    }
    match image.topic(&topic.name) {
        Some(_) => PartitionFailure::InconsistentTopicId,
        None if topic.name.is_empty() || topic.id == TopicId::ZERO => PartitionFailure::UnknownTopicId,
        None => PartitionFailure::Unknown,
    }
}
