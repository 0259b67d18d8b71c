//! Produce without allocation: a view of the request, and a writer of the response.
//!
//! The view is checked once by a walk over all of its bytes; afterwards topics and partitions are
//! read from the frame as they are asked for. Records stay where they are, and each partition says
//! where that is, so that the owner of the frame can slice or patch it in place.

use core::ops::Range;

use bytes::Bytes;
use hallows_types::TopicId;

use crate::error::{DecodeError, EncodeError, check_decode_version, check_encode_version};
use crate::frame::{begin_frame, finish_frame};
use crate::generated::produce_request::{PartitionProduceData, TopicProduceData};
use crate::generated::produce_response::{NodeEndpoint, PartitionProduceResponse};
use crate::generated::{ProduceRequest, ProduceResponse};
use crate::header::{RequestHeader, ResponseHeader};
use crate::reader::Reader;
use crate::writer::Writer;

/// Why reading again cannot fail.
const WALKED: &str = "parsing walked over the same bytes at the same version";

/// The acks of a frame that holds a Produce request; `None` for every other frame, and for one too short to tell.
#[must_use]
pub fn peek_acks(frame: &[u8]) -> Option<i16> {
    let (header, mut reader) = RequestHeader::decode(frame).ok()?;
    if header.key() != Some(ProduceRequest::KEY) {
        return None;
    }
    if header.api_version >= 3 {
        let flexible = header.api_version >= ProduceRequest::FLEXIBLE_FROM;
        reader.nullable_str(flexible).ok()?;
    }
    reader.i16().ok()
}

/// A Produce request inside its frame. All bytes of its structure have been checked.
#[derive(Clone, Debug)]
pub struct ProduceRequestView<'a> {
    /// The transaction it belongs to.
    pub transactional_id: Option<&'a str>,
    /// How many replicas have to have the records before the answer: -1 for all, 0 for no answer.
    pub acks: i16,
    /// How long the client waits for them.
    pub timeout_ms: i32,
    topics: ProduceTopics<'a>,
}

impl<'a> ProduceRequestView<'a> {
    /// Checks a request at `version`; the reader stands at its body and ends behind it.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    pub fn parse(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let (min, max) = (ProduceRequest::MIN_VERSION, ProduceRequest::MAX_VERSION);
        check_decode_version("ProduceRequest", version, min, max)?;
        let flexible = version >= ProduceRequest::FLEXIBLE_FROM;
        let transactional_id = if version >= 3 {
            reader.nullable_str(flexible)?
        } else {
            None
        };
        let (acks, timeout_ms) = (reader.i16()?, reader.i32()?);
        let count = reader.array_length(flexible, TopicProduceData::SIZE_MIN, 0)?;
        let left = count.ok_or_else(|| reader.unexpected_null())?;
        let topics = ProduceTopics {
            reader: reader.clone(),
            left,
            version,
        };
        for _ in 0..left {
            read_topic(reader, version)?;
        }
        if flexible {
            reader.skip_tags()?;
        }
        Ok(Self {
            transactional_id,
            acks,
            timeout_ms,
            topics,
        })
    }

    /// The topics in the order of the request.
    #[must_use]
    pub fn topics(&self) -> ProduceTopics<'a> {
        self.topics.clone()
    }
}

/// The topics of a Produce request.
#[derive(Clone, Debug)]
pub struct ProduceTopics<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> Iterator for ProduceTopics<'a> {
    type Item = ProduceTopicView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(read_topic(&mut self.reader, self.version).expect(WALKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ProduceTopics<'_> {}

/// One topic of a Produce request.
#[derive(Clone, Debug)]
pub struct ProduceTopicView<'a> {
    /// Its name, up to version 12; empty later.
    pub name: &'a str,
    /// Its id, from version 13; zero before.
    pub topic_id: TopicId,
    partitions: ProducePartitions<'a>,
}

impl<'a> ProduceTopicView<'a> {
    /// Its partitions in the order of the request.
    #[must_use]
    pub fn partitions(&self) -> ProducePartitions<'a> {
        self.partitions.clone()
    }
}

fn read_topic<'a>(reader: &mut Reader<'a>, version: i16) -> Result<ProduceTopicView<'a>, DecodeError> {
    let flexible = version >= ProduceRequest::FLEXIBLE_FROM;
    let (name, topic_id) = if version >= 13 {
        ("", reader.topic_id()?)
    } else {
        (reader.str(flexible)?, TopicId::ZERO)
    };
    let count = reader.array_length(flexible, PartitionProduceData::SIZE_MIN, 0)?;
    let left = count.ok_or_else(|| reader.unexpected_null())?;
    let partitions = ProducePartitions {
        reader: reader.clone(),
        left,
        flexible,
    };
    for _ in 0..left {
        read_partition(reader, flexible)?;
    }
    if flexible {
        reader.skip_tags()?;
    }
    Ok(ProduceTopicView {
        name,
        topic_id,
        partitions,
    })
}

/// The partitions of one topic of a Produce request.
#[derive(Clone, Debug)]
pub struct ProducePartitions<'a> {
    reader: Reader<'a>,
    left: usize,
    flexible: bool,
}

impl<'a> Iterator for ProducePartitions<'a> {
    type Item = ProducePartitionView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(read_partition(&mut self.reader, self.flexible).expect(WALKED))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ProducePartitions<'_> {}

/// One partition of a Produce request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducePartitionView<'a> {
    /// Its index.
    pub index: i32,
    /// What to append, not looked into; `None` for null.
    pub records: Option<&'a [u8]>,
    /// Where `records` lies in the frame that the reader was made for; empty for null.
    pub records_range: Range<usize>,
}

fn read_partition<'a>(reader: &mut Reader<'a>, flexible: bool) -> Result<ProducePartitionView<'a>, DecodeError> {
    let index = reader.i32()?;
    let range = reader.nullable_range(flexible)?;
    let records = range.clone().map(|range| &reader.frame()[range]);
    if flexible {
        reader.skip_tags()?;
    }
    Ok(ProducePartitionView {
        index,
        records,
        records_range: range.unwrap_or_default(),
    })
}

/// Writes a Produce response topic by topic, so that no tree of structures is built.
///
/// The counts are said first, and [`finish`](Self::finish) checks that they were kept.
#[derive(Debug)]
pub struct ProduceResponseWriter {
    writer: Writer,
    start: usize,
    version: i16,
    flexible: bool,
    topics_left: usize,
    partitions_left: usize,
}

impl ProduceResponseWriter {
    /// Begins a response of `topics` topics, with length and header, behind what `writer` holds.
    ///
    /// # Errors
    /// [`EncodeError::UnsupportedVersion`] for an unknown version.
    pub fn new(mut writer: Writer, version: i16, correlation_id: i32, topics: usize) -> Result<Self, EncodeError> {
        let (min, max) = (ProduceResponse::MIN_VERSION, ProduceResponse::MAX_VERSION);
        check_encode_version("ProduceResponse", version, min, max)?;
        let flexible = version >= ProduceResponse::FLEXIBLE_FROM;
        let start = begin_frame(&mut writer);
        let header = ProduceResponse::header_version(version);
        ResponseHeader { correlation_id }.encode(&mut writer, header);
        writer.length(Some(topics), flexible)?;
        let counts = (topics, 0);
        Ok(Self {
            writer,
            start,
            version,
            flexible,
            topics_left: counts.0,
            partitions_left: counts.1,
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
        self.end_topic();
        assert!(self.topics_left > 0, "more topics than announced");
        self.topics_left -= 1;
        if self.version >= 13 {
            self.writer.topic_id(topic_id);
        } else {
            self.writer.str(name, self.flexible)?;
        }
        self.partitions_left = partitions;
        self.writer.length(Some(partitions), self.flexible)?;
        self.end_empty_topic(partitions);
        Ok(())
    }

    fn end_topic(&self) {
        assert!(self.partitions_left == 0, "the topic before lacks partitions");
    }

    /// A topic's tags follow its last partition, or its length when it has none.
    fn end_empty_topic(&mut self, partitions: usize) {
        if partitions == 0 && self.flexible {
            self.writer.tag_count(0);
        }
    }

    /// Writes the next partition of the topic.
    ///
    /// # Errors
    /// [`EncodeError`] when the version cannot carry it.
    ///
    /// # Panics
    /// When the topic has more partitions than announced.
    pub fn partition(&mut self, partition: &PartitionProduceResponse) -> Result<(), EncodeError> {
        assert!(self.partitions_left > 0, "more partitions than announced");
        self.partitions_left -= 1;
        partition.encode(&mut self.writer, self.version)?;
        self.end_empty_topic(self.partitions_left);
        Ok(())
    }

    /// Ends the response and returns the whole frame, its length included. The endpoints name the
    /// leaders that partitions were moved to, and are dropped below version 10.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when the frame is.
    ///
    /// # Panics
    /// When topics or partitions are missing.
    pub fn finish(mut self, throttle_time_ms: i32, endpoints: &[NodeEndpoint]) -> Result<Bytes, EncodeError> {
        self.end_topic();
        assert!(self.topics_left == 0, "fewer topics than announced");
        let (writer, version) = (&mut self.writer, self.version);
        if version >= 1 {
            writer.i32(throttle_time_ms);
        }
        if self.flexible && version >= 10 && !endpoints.is_empty() {
            writer.tag_count(1);
            let tag = writer.begin_tag(0);
            writer.array(endpoints, true, version, NodeEndpoint::encode)?;
            writer.end_tag(tag)?;
        } else if self.flexible {
            writer.tag_count(0);
        }
        finish_frame(writer, self.start, 0)?;
        Ok(self.writer.into_bytes())
    }
}

#[cfg(test)]
mod tests;
