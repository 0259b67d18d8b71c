//! The broker under test, connections to it, and the requests that most tests send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hallows_client::{Codec, Connection, ConnectionOptions, ErrorCode};
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use hallows_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use hallows_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use hallows_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use hallows_protocol::messages::metadata_response::MetadataResponse;
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::messages::produce_response::PartitionProduceResponse;
use hallows_protocol::{Request, Writer, frame};
use hallows_record::{BatchBuilder, BatchHeader, NewRecord, Producer, Scratch, records};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};
use hallows_types::{TopicId, WallTime};

/// How long any answer may take: far above what a loaded machine needs, so that only a hang exceeds it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A wait that no test outlives: a long poll with it ends because of what it waits for, or not at all.
pub(crate) const LONG_POLL_MS: i32 = 600_000;
/// A version of Produce and Fetch that names topics.
pub(crate) const PRODUCE: i16 = 9;
/// A version of Fetch that names topics, with sessions and epochs.
pub(crate) const FETCH: i16 = 12;
/// Where records begin that carry no meaning of their own.
pub(crate) const TIME: i64 = 1_700_000_000_000;

/// The broker that most tests share. It ends with the last test that holds it.
static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());

/// A broker with the defaults, except that groups do not wait for further members.
pub(crate) fn shared() -> Arc<Broker> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(broker) = shared.upgrade() {
        return broker;
    }
    let broker = Arc::new(start(&[]));
    *shared = Arc::downgrade(&broker);
    broker
}

/// A broker of one's own, for tests that change its settings or restart it.
pub(crate) fn start(settings: &[(&str, &str)]) -> Broker {
    start_on(2, settings)
}

/// The same with another number of shards.
pub(crate) fn start_on(shards: u16, settings: &[(&str, &str)]) -> Broker {
    let program = find_program().expect("the broker is built");
    let mut options = BrokerOptions::new(program).with("group.initial.rebalance.delay.ms", "0");
    options.shards = shards;
    for (name, value) in settings {
        options = options.with(name, value);
    }
    let directory = DataDirectory::fresh().expect("a temporary directory");
    Broker::start(options, directory).expect("the broker starts")
}

/// A connection that has learned the broker's versions.
pub(crate) fn connect(broker: &Broker) -> Connection {
    let options = ConnectionOptions {
        request_timeout: PATIENCE,
        ..ConnectionOptions::default()
    };
    Connection::open(&broker.address(), &options).expect("the broker accepts")
}

/// Sends a request and returns its answer.
pub(crate) fn call<R: Request>(connection: &mut Connection, request: &R, version: i16) -> R::Response {
    let answer = connection.call(request, version);
    answer.unwrap_or_else(|error| panic!("{} version {version}: {error}", R::NAME))
}

/// A name that no other test uses.
pub(crate) fn fresh_name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A new topic with a name of its own.
pub(crate) fn topic(connection: &mut Connection, partitions: i32) -> String {
    topic_with(connection, partitions, &[])
}

/// A new topic with settings.
pub(crate) fn topic_with(connection: &mut Connection, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = fresh_name("topic");
    let error = create(connection, &name, partitions, settings);
    assert_eq!(error, ErrorCode::NONE, "creating {name}");
    name
}

/// Creates a topic and returns what the broker says about it.
pub(crate) fn create(
    connection: &mut Connection,
    name: &str,
    num_partitions: i32,
    settings: &[(&str, &str)],
) -> ErrorCode {
    let configs = settings.iter().map(|&(name, value)| CreatableTopicConfig {
        name,
        value: Some(value),
    });
    let topic = CreatableTopic {
        name,
        num_partitions,
        replication_factor: 1,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 30_000,
        ..CreateTopicsRequest::default()
    };
    call(connection, &request, 5).topics[0].error_code
}

/// What Metadata says about one topic.
pub(crate) fn metadata(connection: &mut Connection, name: &str, create: bool) -> MetadataResponse {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(name),
            topic_id: TopicId::ZERO,
        }]),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    };
    call(connection, &request, 12)
}

/// The id of a topic that exists.
pub(crate) fn topic_id(connection: &mut Connection, name: &str) -> TopicId {
    let answer = metadata(connection, name, false);
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE);
    answer.topics[0].topic_id
}

/// A batch with one record per value, a millisecond apart.
pub(crate) fn batch(codec: Codec, values: &[&[u8]]) -> Vec<u8> {
    filled(BatchBuilder::new(codec), values)
}

/// A batch of an idempotent producer.
pub(crate) fn sequenced(id: i64, epoch: i16, base_sequence: i32, values: &[&[u8]]) -> Vec<u8> {
    let producer = Producer {
        id,
        epoch,
        base_sequence,
    };
    filled(BatchBuilder::new(Codec::None).with_producer(producer), values)
}

/// Finishes a batch with one record per value, a millisecond apart.
pub(crate) fn filled(mut builder: BatchBuilder, values: &[&[u8]]) -> Vec<u8> {
    for (timestamp, value) in (TIME..).zip(values) {
        let record = NewRecord {
            timestamp: WallTime(timestamp),
            value: Some(value),
            ..NewRecord::default()
        };
        builder.append(&record).expect("test batches are small");
    }
    builder.build().expect("it has records")
}

/// A produce request with one batch for one partition.
pub(crate) fn produce_request<'a>(topic: &'a str, index: i32, acks: i16, batch: &'a [u8]) -> ProduceRequest<'a> {
    let partition = PartitionProduceData {
        index,
        records: Some(batch),
    };
    let data = TopicProduceData {
        name: topic,
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![data],
        ..ProduceRequest::default()
    }
}

/// Produces one batch to partition 0 and returns the whole answer about it.
pub(crate) fn produce(connection: &mut Connection, topic: &str, batch: &[u8]) -> PartitionProduceResponse {
    produce_at(connection, topic, batch, PRODUCE)
}

/// The same at a version.
pub(crate) fn produce_at(
    connection: &mut Connection,
    topic: &str,
    batch: &[u8],
    version: i16,
) -> PartitionProduceResponse {
    let mut answer = call(connection, &produce_request(topic, 0, -1, batch), version);
    answer.responses.remove(0).partition_responses.remove(0)
}

/// Produces one batch that must be taken, and returns its offset.
pub(crate) fn append(connection: &mut Connection, topic: &str, batch: &[u8]) -> i64 {
    let answer = produce(connection, topic, batch);
    assert_eq!(answer.error_code, ErrorCode::NONE, "{:?}", answer.error_message);
    answer.base_offset
}

/// One partition to fetch, without checks of epochs.
pub(crate) fn from(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

/// A fetch without session that answers at once.
pub(crate) fn fetch_request(topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest<'_> {
    FetchRequest {
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic,
            partitions,
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

/// Fetches partition 0 of a topic.
pub(crate) fn fetch(connection: &mut Connection, topic: &str, offset: i64) -> PartitionData {
    let answer = call(connection, &fetch_request(topic, vec![from(0, offset)]), FETCH);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    only(answer)
}

/// The one partition of an answer.
pub(crate) fn only(mut answer: FetchResponse) -> PartitionData {
    assert_eq!(answer.responses.len(), 1, "one topic is answered");
    assert_eq!(answer.responses[0].partitions.len(), 1, "one partition is answered");
    answer.responses.remove(0).partitions.remove(0)
}

/// The records' bytes of a partition.
pub(crate) fn bytes(partition: &PartitionData) -> &[u8] {
    partition.records.as_deref().expect("records are never null")
}

/// Offsets, times and values of all records in whole batches.
pub(crate) fn read(mut batches: &[u8]) -> Vec<(i64, i64, Vec<u8>)> {
    let mut found = Vec::new();
    while !batches.is_empty() {
        let header = BatchHeader::parse(batches).expect("whole batches");
        let (batch, rest) = batches.split_at(header.size_bytes());
        let mut scratch = Scratch::new(1 << 26);
        for record in records(batch, &mut scratch).expect("the records can be read") {
            let record = record.expect("each record can be read");
            let time = record.timestamp(&header).expect("times are small").0;
            found.push((
                record.offset(&header).0,
                time,
                record.value.unwrap_or_default().to_vec(),
            ));
        }
        batches = rest;
    }
    found
}

/// The values of all records in whole batches.
pub(crate) fn values(batches: &[u8]) -> Vec<Vec<u8>> {
    read(batches).into_iter().map(|(_, _, value)| value).collect()
}

/// A socket without any knowledge of the protocol.
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect(broker.address()).expect("the broker accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        Self(stream)
    }

    /// Sends a request at any version that the message can be written at.
    pub(crate) fn send<R: Request>(&mut self, request: &R, version: i16, correlation_id: i32) {
        let mut writer = Writer::new();
        frame::encode_request(&mut writer, version, correlation_id, Some("raw"), request).expect("it can be written");
        self.0.write_all(writer.as_slice()).expect("the broker reads");
    }

    /// Sends a frame with this key and version in its header of version 1, and then `body`.
    pub(crate) fn send_frame(&mut self, key: i16, version: i16, correlation_id: i32, body: &[u8]) {
        let mut frame = Vec::new();
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(correlation_id.to_be_bytes());
        frame.extend((-1_i16).to_be_bytes());
        frame.extend(body);
        let length = i32::try_from(frame.len()).expect("test frames are small");
        self.0.write_all(&length.to_be_bytes()).expect("the broker reads");
        self.0.write_all(&frame).expect("the broker reads");
    }

    /// The next answer, without its length.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("the broker answers");
        let length = usize::try_from(i32::from_be_bytes(length)).expect("lengths are positive");
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("the broker sends whole answers");
        answer
    }

    /// Asserts that the broker closes the connection without another byte.
    pub(crate) fn expect_closed(&mut self) {
        let mut byte = [0; 1];
        match self.0.read(&mut byte) {
            Ok(0) => {}
            Ok(_) => panic!("the broker answered"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}
