//! Records out: some partitions, each with a position, fetched from their leaders.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use hallows_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use hallows_record::{BatchHeader, Scratch, peek_size, records};

use crate::error::check;
use crate::{Client, ClientError, OffsetAt, Result};

/// The newest version of Fetch that names topics; later ones carry their ids.
const FETCH_NEWEST: i16 = 12;

/// What happens when a position is outside the log, because records were deleted or the log was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OffsetReset {
    /// The error is returned.
    #[default]
    Fail,
    /// Reading goes on at the first offset there is.
    Earliest,
    /// Reading goes on at the end.
    Latest,
}

/// How a consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// The most that a leader sends at once; a batch above it still comes, alone.
    pub fetch_bytes_max: i32,
    /// The most that a leader sends of one partition at once.
    pub partition_bytes_max: i32,
    /// The most that one batch may unpack to.
    pub batch_bytes_max: usize,
    /// What happens when a position is outside the log.
    pub reset: OffsetReset,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            fetch_bytes_max: 16 << 20,
            partition_bytes_max: 1 << 20,
            batch_bytes_max: 256 << 20,
            reset: OffsetReset::Fail,
        }
    }
}

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumedRecord {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time in milliseconds since 1970; -1 for none.
    pub timestamp_ms: i64,
    /// The epoch of the leader that wrote it.
    pub leader_epoch: i32,
    /// The key, or null.
    pub key: Option<Vec<u8>>,
    /// The value, or null.
    pub value: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A consumer of partitions that it was told.
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    positions: BTreeMap<(Arc<str>, i32), i64>,
    /// The partitions in the order of the next fetch; those that brought records go to the back.
    order: VecDeque<(Arc<str>, i32)>,
    scratch: Scratch,
}

impl Consumer {
    /// A consumer of nothing yet.
    #[must_use]
    pub fn new(client: Client, options: ConsumerOptions) -> Self {
        let scratch = Scratch::new(options.batch_bytes_max);
        Self {
            client,
            options,
            positions: BTreeMap::new(),
            order: VecDeque::new(),
            scratch,
        }
    }

    /// The client it uses.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Reads `partition` from `offset` on.
    pub fn assign(&mut self, topic: &str, partition: i32, offset: i64) {
        let key = (Arc::from(topic), partition);
        if self.positions.insert(key.clone(), offset).is_none() {
            self.order.push_back(key);
        }
    }

    /// Reads `partition` from a place that is looked up.
    ///
    /// A time after the last record means the end.
    ///
    /// # Errors
    /// Those of [`Client::list_offsets`].
    pub fn assign_at(&mut self, topic: &str, partition: i32, at: OffsetAt) -> Result<i64> {
        let find = |found: BTreeMap<i32, crate::TimedOffset>| {
            let subject = format!("partition {partition} of {topic}");
            let found = found.get(&partition).map(|timed| timed.offset);
            found.ok_or(ClientError::Missing {
                api: "ListOffsets",
                subject,
            })
        };
        let mut offset = find(self.client.list_offsets(topic, &[(partition, at)])?)?;
        if offset < 0 {
            offset = find(self.client.list_offsets(topic, &[(partition, OffsetAt::Latest)])?)?;
        }
        self.assign(topic, partition, offset);
        Ok(offset)
    }

    /// Stops reading everything.
    pub fn clear(&mut self) {
        self.positions.clear();
        self.order.clear();
    }

    /// Stops reading one partition.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.positions.remove(&(Arc::from(topic), partition));
        self.order.retain(|key| (&*key.0, key.1) != (topic, partition));
    }

    /// The offset that is read next, of every partition.
    #[must_use]
    pub fn positions(&self) -> BTreeMap<(String, i32), i64> {
        self.positions
            .iter()
            .map(|((topic, partition), &offset)| ((topic.to_string(), *partition), offset))
            .collect()
    }

    /// Fetches once from every leader; waits up to `wait` where there is nothing yet.
    ///
    /// Errors that pass are waited out here: then there are no records.
    ///
    /// # Errors
    /// Those that do not pass, and OFFSET_OUT_OF_RANGE under [`OffsetReset::Fail`].
    pub fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>> {
        let mut records = Vec::new();
        match self.poll_into(wait, &mut records) {
            Err(error) if error.is_retriable() && records.is_empty() => {
                let topics: Vec<Arc<str>> = self.positions.keys().map(|key| key.0.clone()).collect();
                topics.iter().for_each(|topic| self.client.forget(topic));
                thread::sleep(self.client.options().retry_pause.min(wait));
                Ok(records)
            }
            // What was read moved its positions, so it must reach the caller; the error will come again.
            Err(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    fn poll_into(&mut self, wait: Duration, records: &mut Vec<ConsumedRecord>) -> Result<()> {
        let mut by_leader: BTreeMap<i32, Vec<(Arc<str>, i32)>> = BTreeMap::new();
        for key in &self.order {
            by_leader
                .entry(self.client.leader(&key.0, key.1)?)
                .or_default()
                .push(key.clone());
        }
        if by_leader.is_empty() {
            thread::sleep(wait);
        }
        // Each leader gets its share of the wait, since they are asked one after the other.
        let share = wait / u32::try_from(by_leader.len().max(1)).unwrap_or(u32::MAX);
        for (node, partitions) in by_leader {
            let answer = self.fetch(node, &partitions, share)?;
            check("Fetch", answer.error_code, None, || {
                format!("{} partitions", partitions.len())
            })?;
            for topic in answer.responses {
                let name: Arc<str> = Arc::from(topic.topic.as_str());
                for partition in topic.partitions {
                    self.take(&name, &partition, records)?;
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, node: i32, partitions: &[(Arc<str>, i32)], wait: Duration) -> Result<FetchResponse> {
        let mut topics: Vec<FetchTopic<'_>> = Vec::new();
        for key in partitions {
            let partition = FetchPartition {
                partition: key.1,
                fetch_offset: self.positions.get(key).copied().unwrap_or(0),
                partition_max_bytes: self.options.partition_bytes_max,
                ..FetchPartition::default()
            };
            match topics.last_mut() {
                Some(last) if *last.topic == *key.0 => last.partitions.push(partition),
                _ => topics.push(FetchTopic {
                    topic: &key.0,
                    partitions: vec![partition],
                    ..FetchTopic::default()
                }),
            }
        }
        let request = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: self.options.fetch_bytes_max,
            topics,
            ..FetchRequest::default()
        };
        self.client.call_node(node, &request, FETCH_NEWEST)
    }

    /// Takes what was fetched of one partition and moves its position.
    fn take(&mut self, topic: &Arc<str>, data: &PartitionData, out: &mut Vec<ConsumedRecord>) -> Result<()> {
        let key = (topic.clone(), data.partition_index);
        let Some(&position) = self.positions.get(&key) else {
            return Ok(());
        };
        if data.error_code == ErrorCode::OFFSET_OUT_OF_RANGE && self.options.reset != OffsetReset::Fail {
            let at = if self.options.reset == OffsetReset::Earliest {
                OffsetAt::Earliest
            } else {
                OffsetAt::Latest
            };
            return self.assign_at(topic, data.partition_index, at).map(|_| ());
        }
        let subject = || format!("partition {} of {topic} at offset {position}", data.partition_index);
        check("Fetch", data.error_code, None, subject)?;
        let bytes = data.records.as_deref().unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let next = read_batches(&key, position, bytes, &mut self.scratch, out)?;
        self.order.retain(|other| *other != key);
        self.order.push_back(key.clone());
        self.positions.insert(key, next);
        Ok(())
    }
}

/// Reads whole batches; returns the offset after the last one. Records below `position` are left out.
fn read_batches(
    (topic, partition): &(Arc<str>, i32),
    position: i64,
    mut bytes: &[u8],
    scratch: &mut Scratch,
    out: &mut Vec<ConsumedRecord>,
) -> Result<i64> {
    let batch_error = |source| ClientError::Batch {
        topic: topic.to_string(),
        partition: *partition,
        offset: position,
        source,
    };
    let mut next = position;
    while let Some(size) = peek_size(bytes) {
        let size = size.map_err(batch_error)?;
        // A leader cuts the last batch where its bound is reached.
        let Some(batch) = bytes.get(..size) else { break };
        bytes = &bytes[size..];
        let header = BatchHeader::parse(batch).map_err(batch_error)?;
        if !header.is_control() && header.end_offset().0 > position {
            read_records((topic, *partition), position, batch, &header, scratch, out)?;
        }
        next = next.max(header.end_offset().0);
    }
    Ok(next)
}

fn read_records(
    (topic, partition): (&Arc<str>, i32),
    position: i64,
    batch: &[u8],
    header: &BatchHeader,
    scratch: &mut Scratch,
    out: &mut Vec<ConsumedRecord>,
) -> Result<()> {
    let damaged = |source| ClientError::Record {
        topic: topic.to_string(),
        partition,
        source,
    };
    for record in records(batch, scratch).map_err(damaged)? {
        let record = record.map_err(damaged)?;
        let offset = record.offset(header).0;
        if offset < position {
            continue;
        }
        let headers = record.headers.flatten();
        out.push(ConsumedRecord {
            topic: topic.clone(),
            partition,
            offset,
            timestamp_ms: record.timestamp(header).map_or(-1, |time| time.0),
            leader_epoch: header.partition_leader_epoch.0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|header| {
                    (
                        String::from_utf8_lossy(header.key).into_owned(),
                        header.value.map(<[u8]>::to_vec),
                    )
                })
                .collect(),
        });
    }
    Ok(())
}
