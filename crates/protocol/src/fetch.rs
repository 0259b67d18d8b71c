//! Fetch without allocation per partition: a view of the request, and a writer of the response that
//! never holds records.
//!
//! The answer to a Fetch is mostly bytes that lie in files or in memory of somebody else. The writer
//! therefore produces the bytes around them and says where which records belong, and the frame's
//! length counts both.

use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::TopicId;

use crate::api::ErrorCode;
use crate::error::{DecodeError, EncodeError, check_decode_version, check_encode_version};
use crate::frame::{begin_frame, finish_frame};
use crate::generated::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use crate::generated::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, PartitionData, SnapshotId,
};
use crate::generated::{FetchRequest, FetchResponse};
use crate::header::ResponseHeader;
use crate::reader::Reader;
use crate::writer::Writer;

/// Why reading again cannot fail.
const WALKED: &str = "parsing walked over the same bytes at the same version";

/// A Fetch request inside its frame. All bytes of its structure have been checked.
#[derive(Clone, Debug)]
pub struct FetchRequestView<'a> {
    /// The cluster the client believes in.
    pub cluster_id: Option<&'a str>,
    /// -1 for a consumer. Also that of `ReplicaState`, which replaced it in version 15.
    pub replica_id: i32,
    /// The follower's epoch; -1 for a consumer.
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// How many bytes make an answer worth sending early.
    pub min_bytes: i32,
    /// The bytes of all records together that the client wants at most.
    pub max_bytes: i32,
    /// 1 for only committed transactions.
    pub isolation_level: i8,
    /// The fetch session; 0 for none.
    pub session_id: i32,
    /// The epoch inside the session; 0 to begin one, -1 to have none.
    pub session_epoch: i32,
    /// The rack of the consumer.
    pub rack_id: &'a str,
    topics: FetchTopics<'a>,
    forgotten: ForgottenTopics<'a>,
}

impl<'a> FetchRequestView<'a> {
    /// Checks a request at `version`; the reader stands at its body and ends behind it.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    pub fn parse(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let (min, max) = (FetchRequest::MIN_VERSION, FetchRequest::MAX_VERSION);
        check_decode_version("FetchRequest", version, min, max)?;
        let flexible = version >= FetchRequest::FLEXIBLE_FROM;
        let mut view = Self::empty(reader, version);
        if version <= 14 {
            view.replica_id = reader.i32()?;
        }
        view.max_wait_ms = reader.i32()?;
        view.min_bytes = reader.i32()?;
        if version >= 3 {
            view.max_bytes = reader.i32()?;
        }
        if version >= 4 {
            view.isolation_level = reader.i8()?;
        }
        if version >= 7 {
            view.session_id = reader.i32()?;
            view.session_epoch = reader.i32()?;
        }
        view.topics.left = array_length(reader, flexible, FetchTopic::SIZE_MIN)?;
        view.topics.reader = reader.clone();
        for _ in 0..view.topics.left {
            read_topic(reader, version)?;
        }
        if version >= 7 {
            view.forgotten.left = array_length(reader, flexible, ForgottenTopic::SIZE_MIN)?;
            view.forgotten.reader = reader.clone();
            for _ in 0..view.forgotten.left {
                read_forgotten(reader, version)?;
            }
        }
        if version >= 11 {
            view.rack_id = reader.str(flexible)?;
        }
        if flexible {
            view.read_tags(reader, version)?;
        }
        Ok(view)
    }

    /// The values of a request that says nothing.
    fn empty(reader: &Reader<'a>, version: i16) -> Self {
        let defaults = FetchRequest::default();
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_epoch: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: defaults.max_bytes,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            rack_id: "",
            topics: FetchTopics {
                reader: reader.clone(),
                left: 0,
                version,
            },
            forgotten: ForgottenTopics {
                reader: reader.clone(),
                left: 0,
                version,
            },
        }
    }

    fn read_tags(&mut self, reader: &mut Reader<'a>, version: i16) -> Result<(), DecodeError> {
        for _ in 0..reader.tag_count()? {
            let tag = reader.tag()?;
            match tag.number {
                0 => self.cluster_id = reader.nullable_str(true)?,
                1 if version >= 15 => {
                    let state = ReplicaState::decode(reader, version)?;
                    (self.replica_id, self.replica_epoch) = (state.replica_id, state.replica_epoch);
                }
                _ => reader.skip_tag(tag),
            }
            reader.end_tag(tag)?;
        }
        Ok(())
    }

    /// The topics in the order of the request, which is the order to serve them in.
    #[must_use]
    pub fn topics(&self) -> FetchTopics<'a> {
        self.topics.clone()
    }

    /// What the session no longer wants.
    #[must_use]
    pub fn forgotten(&self) -> ForgottenTopics<'a> {
        self.forgotten.clone()
    }
}

fn array_length(reader: &mut Reader<'_>, flexible: bool, size_min: usize) -> Result<usize, DecodeError> {
    reader
        .array_length(flexible, size_min, 0)?
        .ok_or_else(|| reader.unexpected_null())
}

/// Reads a topic by name up to version 12 and by id from 13.
fn read_topic_name<'a>(reader: &mut Reader<'a>, version: i16) -> Result<(&'a str, TopicId), DecodeError> {
    if version >= 13 {
        return Ok(("", reader.topic_id()?));
    }
    Ok((reader.str(version >= FetchRequest::FLEXIBLE_FROM)?, TopicId::ZERO))
}

/// The topics of a Fetch request.
#[derive(Clone, Debug)]
pub struct FetchTopics<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> Iterator for FetchTopics<'a> {
    type Item = FetchTopicView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(read_topic(&mut self.reader, self.version).expect(WALKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FetchTopics<'_> {}

/// One topic of a Fetch request.
#[derive(Clone, Debug)]
pub struct FetchTopicView<'a> {
    /// Its name, up to version 12; empty later.
    pub topic: &'a str,
    /// Its id, from version 13; zero before.
    pub topic_id: TopicId,
    partitions: FetchPartitions<'a>,
}

impl<'a> FetchTopicView<'a> {
    /// Its partitions in the order of the request.
    #[must_use]
    pub fn partitions(&self) -> FetchPartitions<'a> {
        self.partitions.clone()
    }
}

fn read_topic<'a>(reader: &mut Reader<'a>, version: i16) -> Result<FetchTopicView<'a>, DecodeError> {
    let flexible = version >= FetchRequest::FLEXIBLE_FROM;
    let (topic, topic_id) = read_topic_name(reader, version)?;
    let left = array_length(reader, flexible, FetchPartition::SIZE_MIN)?;
    let partitions = FetchPartitions {
        reader: reader.clone(),
        left,
        version,
    };
    for _ in 0..left {
        FetchPartition::decode(reader, version)?;
    }
    if flexible {
        reader.skip_tags()?;
    }
    Ok(FetchTopicView {
        topic,
        topic_id,
        partitions,
    })
}

/// The partitions of one topic of a Fetch request.
#[derive(Clone, Debug)]
pub struct FetchPartitions<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl Iterator for FetchPartitions<'_> {
    type Item = FetchPartition;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(FetchPartition::decode(&mut self.reader, self.version).expect(WALKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FetchPartitions<'_> {}

/// The forgotten topics of a Fetch request.
#[derive(Clone, Debug)]
pub struct ForgottenTopics<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> Iterator for ForgottenTopics<'a> {
    type Item = ForgottenTopicView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(read_forgotten(&mut self.reader, self.version).expect(WALKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ForgottenTopics<'_> {}

/// One forgotten topic of a Fetch request.
#[derive(Clone, Debug)]
pub struct ForgottenTopicView<'a> {
    /// Its name, up to version 12; empty later.
    pub topic: &'a str,
    /// Its id, from version 13; zero before.
    pub topic_id: TopicId,
    /// Four bytes for each index.
    partitions: &'a [u8],
}

impl<'a> ForgottenTopicView<'a> {
    /// The indexes of its partitions.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = i32> + use<'a> {
        let (indexes, _) = self.partitions.as_chunks();
        indexes.iter().map(|bytes| i32::from_be_bytes(*bytes))
    }
}

fn read_forgotten<'a>(reader: &mut Reader<'a>, version: i16) -> Result<ForgottenTopicView<'a>, DecodeError> {
    let flexible = version >= FetchRequest::FLEXIBLE_FROM;
    let (topic, topic_id) = read_topic_name(reader, version)?;
    let count = array_length(reader, flexible, size_of::<i32>())?;
    let partitions = reader.take(count * size_of::<i32>())?;
    if flexible {
        reader.skip_tags()?;
    }
    Ok(ForgottenTopicView {
        topic,
        topic_id,
        partitions,
    })
}

/// What a Fetch response says before its topics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FetchResponseHead {
    /// That of the request.
    pub correlation_id: i32,
    /// How long the client is held back.
    pub throttle_time_ms: i32,
    /// An error of the whole request, from version 7.
    pub error_code: ErrorCode,
    /// The fetch session; 0 for none.
    pub session_id: i32,
    /// How many topics follow.
    pub topics: usize,
}

/// A part of the frame of a Fetch response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchChunk {
    /// These bytes.
    Bytes(Bytes),
    /// `length` bytes of records, at least one, of the partition written as the `slot`-th, from 0.
    Records {
        /// Which partition, in the order of the calls of [`FetchResponseWriter::partition`].
        slot: usize,
        /// How many bytes, exactly.
        length: usize,
    },
}

/// A whole Fetch response, to be sent chunk by chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchFrame {
    /// Its parts in order; the first begins with the frame's length.
    pub chunks: Vec<FetchChunk>,
    /// The bytes of all parts together, the frame's length field included.
    pub length: usize,
}

/// Records that belong behind the first `at` bytes that the writer holds.
#[derive(Clone, Copy, Debug)]
struct Gap {
    at: usize,
    slot: usize,
    length: usize,
}

/// Writes a Fetch response around records that lie elsewhere.
///
/// The counts are said first, and [`finish`](Self::finish) checks that they were kept.
#[derive(Debug)]
pub struct FetchResponseWriter {
    writer: Writer,
    version: i16,
    flexible: bool,
    topics_left: usize,
    partitions_left: usize,
    slots: usize,
    gaps: Vec<Gap>,
}

impl FetchResponseWriter {
    /// Begins a response with its length and header.
    ///
    /// # Errors
    /// [`EncodeError`] for an unknown version, and for a session at a version without sessions.
    pub fn new(version: i16, head: &FetchResponseHead) -> Result<Self, EncodeError> {
        let (min, max) = (FetchResponse::MIN_VERSION, FetchResponse::MAX_VERSION);
        check_encode_version("FetchResponse", version, min, max)?;
        let flexible = version >= FetchResponse::FLEXIBLE_FROM;
        let mut writer = Writer::with_capacity(CAPACITY);
        begin_frame(&mut writer);
        let header = ResponseHeader {
            correlation_id: head.correlation_id,
        };
        header.encode(&mut writer, FetchResponse::header_version(version));
        if version >= 1 {
            writer.i32(head.throttle_time_ms);
        }
        if version >= 7 {
            writer.error_code(head.error_code);
            writer.i32(head.session_id);
        } else if head.session_id != 0 {
            return Err(no_such_field("session_id", version));
        }
        writer.length(Some(head.topics), flexible)?;
        let (topics_left, partitions_left) = (head.topics, 0);
        Ok(Self {
            writer,
            version,
            flexible,
            topics_left,
            partitions_left,
            slots: 0,
            gaps: Vec::new(),
        })
    }

    /// Begins a topic of `partitions` partitions. Its name is written up to version 12, its id from 13.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when the name is.
    ///
    /// # Panics
    /// When the topic before lacks partitions, or there are more topics than announced.
    pub fn topic(&mut self, name: &str, topic_id: TopicId, partitions: usize) -> Result<(), EncodeError> {
        assert!(self.partitions_left == 0, "the topic before lacks partitions");
        assert!(self.topics_left > 0, "more topics than announced");
        self.topics_left -= 1;
        if self.version >= 13 {
            self.writer.topic_id(topic_id);
        } else {
            self.writer.str(name, self.flexible)?;
        }
        self.partitions_left = partitions;
        self.writer.length(Some(partitions), self.flexible)?;
        self.end_topic_if_complete();
        Ok(())
    }

    /// A topic's tags follow its last partition, or its length when it has none.
    fn end_topic_if_complete(&mut self) {
        if self.partitions_left == 0 && self.flexible {
            self.writer.tag_count(0);
        }
    }

    /// Writes the next partition of the topic, with `records_length` bytes of records to come from
    /// elsewhere; without any it answers empty records, never null, which consumers cannot read.
    /// Returns the partition's slot.
    ///
    /// # Errors
    /// [`EncodeError`] when the version cannot carry it.
    ///
    /// # Panics
    /// When the topic has more partitions than announced, or `partition.records` is set.
    pub fn partition(&mut self, partition: &PartitionData, records_length: usize) -> Result<usize, EncodeError> {
        assert!(self.partitions_left > 0, "more partitions than announced");
        assert!(partition.records.is_none(), "records come from elsewhere");
        self.partitions_left -= 1;
        self.partition_before_records(partition)?;
        self.writer.length(Some(records_length), self.flexible)?;
        let slot = self.slots;
        self.slots += 1;
        if records_length > 0 {
            self.gaps.push(Gap {
                at: self.writer.len(),
                slot,
                length: records_length,
            });
        }
        self.partition_after_records(partition)?;
        self.end_topic_if_complete();
        Ok(slot)
    }

    fn partition_before_records(&mut self, partition: &PartitionData) -> Result<(), EncodeError> {
        let (writer, version) = (&mut self.writer, self.version);
        writer.i32(partition.partition_index);
        writer.error_code(partition.error_code);
        writer.i64(partition.high_watermark);
        if version >= 4 {
            writer.i64(partition.last_stable_offset);
        }
        if version >= 5 {
            writer.i64(partition.log_start_offset);
        }
        if version >= 4 {
            let aborted = partition.aborted_transactions.as_deref();
            writer.nullable_array(aborted, self.flexible, version, AbortedTransaction::encode)?;
        }
        if version >= 11 {
            writer.i32(partition.preferred_read_replica);
        } else if partition.preferred_read_replica != -1 {
            return Err(no_such_field("preferred_read_replica", version));
        }
        Ok(())
    }

    fn partition_after_records(&mut self, partition: &PartitionData) -> Result<(), EncodeError> {
        let (writer, version) = (&mut self.writer, self.version);
        let diverged = partition.diverging_epoch != EpochEndOffset::default();
        let moved = partition.current_leader != LeaderIdAndEpoch::default();
        let snapshot = partition.snapshot_id != SnapshotId::default();
        if !self.flexible {
            let lost = [
                (diverged, "diverging_epoch"),
                (moved, "current_leader"),
                (snapshot, "snapshot_id"),
            ];
            let lost = lost.iter().find(|(is_set, _)| *is_set);
            return lost.map_or(Ok(()), |(_, field)| Err(no_such_field(field, version)));
        }
        writer.tag_count(u32::from(diverged) + u32::from(moved) + u32::from(snapshot));
        if diverged {
            let tag = writer.begin_tag(0);
            partition.diverging_epoch.encode(writer, version)?;
            writer.end_tag(tag)?;
        }
        if moved {
            let tag = writer.begin_tag(1);
            partition.current_leader.encode(writer, version)?;
            writer.end_tag(tag)?;
        }
        if snapshot {
            let tag = writer.begin_tag(2);
            partition.snapshot_id.encode(writer, version)?;
            writer.end_tag(tag)?;
        }
        Ok(())
    }

    /// Ends the response. The endpoints name the leaders that partitions were moved to; they need
    /// version 16.
    ///
    /// # Errors
    /// [`EncodeError`] when the frame is too long, or endpoints are given below version 16.
    ///
    /// # Panics
    /// When topics or partitions are missing.
    pub fn finish(mut self, endpoints: &[NodeEndpoint]) -> Result<FetchFrame, EncodeError> {
        assert!(self.partitions_left == 0, "the last topic lacks partitions");
        assert!(self.topics_left == 0, "fewer topics than announced");
        let (writer, version) = (&mut self.writer, self.version);
        if !endpoints.is_empty() {
            if version < 16 {
                return Err(no_such_field("node_endpoints", version));
            }
            writer.tag_count(1);
            let tag = writer.begin_tag(0);
            writer.array(endpoints, true, version, NodeEndpoint::encode)?;
            writer.end_tag(tag)?;
        } else if self.flexible {
            writer.tag_count(0);
        }
        let outside = self.gaps.iter().map(|gap| gap.length).sum();
        finish_frame(writer, 0, outside)?;
        let length = writer.len() + outside;
        Ok(FetchFrame {
            chunks: chunks(self.writer.into_bytes(), &self.gaps),
            length,
        })
    }
}

/// Room for the answer to a few partitions, so that the common case grows no buffer.
const CAPACITY: usize = 256;

fn no_such_field(field: &'static str, version: i16) -> EncodeError {
    EncodeError::NoSuchField {
        structure: "FetchResponse",
        field,
        version,
    }
}

/// Cuts the written bytes at the gaps. The last part is never empty: tags or, before version 12 where
/// records may end the frame, nothing is appended.
fn chunks(written: Bytes, gaps: &[Gap]) -> Vec<FetchChunk> {
    let mut chunks = Vec::with_capacity(2 * gaps.len() + 1);
    let mut from = 0;
    for gap in gaps {
        chunks.push(FetchChunk::Bytes(written.slice(from..gap.at)));
        chunks.push(FetchChunk::Records {
            slot: gap.slot,
            length: gap.length,
        });
        from = gap.at;
    }
    if from < written.len() {
        chunks.push(FetchChunk::Bytes(written.slice(from..)));
    }
    chunks
}

#[cfg(test)]
mod tests;
