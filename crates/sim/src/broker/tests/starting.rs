//! After an unclean stop no shard works on a request before every shard has raised its leader epochs.
//!
//! Found with seed 1848: a shard that had raised them asked one that had not, which appended and answered under the old
//! epoch. Offsets whose records the crash took away then got other bytes in the same epoch, and no reader could tell.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hallows_broker::{Advertised, BootOptions, Message, Shard, boot_with};
use hallows_config::{BrokerConfig, Sources};
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use hallows_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use hallows_protocol::{ApiKey, Reader, Request, ResponseHeader, Writer, frame};
use hallows_runtime::{
    ConnectionId, Disk, DiskCompletion, Effects, Event, Inbox, ListenerId, Output, Random, Slice, Turn,
};
use hallows_storage::StorageSettings;
use hallows_types::{LeaderEpoch, Monotonic, Now, Offset, PartitionId, ShardId, TopicId, WallTime};

use crate::checks::remint::tests::batch;
use crate::disk::SimDisk;

const NOW: Now = Now {
    monotonic: Monotonic(1_000_000_000),
    wall: WallTime(1_704_067_200_000),
};
const SHARDS: u16 = 3;
/// The shard that hears nothing of the controller for a while.
const LATE: ShardId = ShardId(2);

/// Shards whose disk is quick, and whose messages from the controller to one of them can be held back.
struct Hands {
    disk: SimDisk,
    shards: Vec<(Shard, Inbox<Message>)>,
    holds: bool,
    held: Vec<Message>,
    answers: Vec<Bytes>,
}

impl Hands {
    fn start(disk: SimDisk) -> Self {
        let config = BrokerConfig::load(&Sources::from_flags([("log.dirs", "data".to_owned())])).expect("valid");
        let options = BootOptions {
            shards: SHARDS,
            advertised: vec![Advertised {
                host: "simulated".into(),
                port: 9092,
            }],
            now: NOW,
            seed: 0,
        };
        let seam: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut random = Random::from_seed(5);
        let booted = boot_with(seam, config, options, &mut random, StorageSettings::default()).expect("a start");
        Self {
            disk,
            shards: booted
                .shards
                .into_iter()
                .map(|shard| (shard, Inbox::default()))
                .collect(),
            holds: false,
            held: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn deliver(&mut self, to: ShardId, event: Event<Message>) {
        self.shards[usize::from(to.0)].1.push(event, NOW.monotonic);
    }

    /// Lets turns follow each other until nothing is left to do.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < self.shards.len() {
            for number in 0..SHARDS {
                let busy = self.turn(ShardId(number));
                quiet = if busy { 0 } else { quiet + 1 };
            }
        }
    }

    fn turn(&mut self, id: ShardId) -> bool {
        let mut effects = Effects::default();
        let (shard, inbox) = &mut self.shards[usize::from(id.0)];
        let had_events = !inbox.is_empty();
        shard.turn(NOW, inbox, &mut effects);
        for (token, op) in effects.disk.drain(..) {
            let result = op.perform(&self.disk);
            self.deliver(id, Event::Disk(DiskCompletion { token, result }));
        }
        for (token, job) in effects.compute.drain(..) {
            let output = job();
            self.deliver(id, Event::Computed { token, output });
        }
        for (to, message) in effects.messages.drain(..) {
            if self.holds && to == LATE && id == ShardId(0) {
                self.held.push(message);
            } else {
                self.deliver(to, Event::Message { from: id, message });
            }
        }
        self.answers
            .extend(effects.outputs.drain(..).filter_map(|output| match output {
                Output::Send(_, Slice::Memory(bytes)) => Some(bytes),
                _ => None,
            }));
        had_events
    }

    fn release(&mut self) {
        self.holds = false;
        for message in std::mem::take(&mut self.held) {
            let from = ShardId(0);
            self.deliver(LATE, Event::Message { from, message });
        }
    }

    /// Sends a request over a new connection to a shard.
    fn ask<R: Request>(&mut self, shard: ShardId, version: i16, request: &R) {
        let connection = ConnectionId(u64::from(shard.0) + 1);
        let mut writer = Writer::new();
        frame::encode_request(&mut writer, version, 1, Some("sim"), request).expect("fits its version");
        let accepted = Event::Accepted {
            connection,
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            listener: ListenerId(0),
        };
        self.deliver(shard, accepted);
        let bytes = BytesMut::from(writer.as_slice());
        self.deliver(shard, Event::Received { connection, bytes });
    }
}

fn create_topic(hands: &mut Hands) -> TopicId {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "topic",
            num_partitions: i32::from(SHARDS),
            replication_factor: 1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }],
        timeout_ms: 1_000,
        validate_only: false,
    };
    hands.ask(ShardId(0), 7, &request);
    hands.settle();
    let frame = hands.answers[0].slice(frame::LENGTH_BYTES..);
    let mut reader = Reader::shared(&frame);
    ResponseHeader::decode(&mut reader, ApiKey::CreateTopics.response_header_version(7)).expect("a header");
    match AnyResponse::decode(ApiKey::CreateTopics, &mut reader, 7) {
        Ok(AnyResponse::CreateTopics(answer)) => answer.topics[0].topic_id,
        other => panic!("{other:?}"),
    }
}

fn produce(hands: &mut Hands, index: i32, batch: &Bytes) {
    let request = ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: "topic",
            partition_data: vec![PartitionProduceData {
                index,
                records: Some(batch),
            }],
            ..TopicProduceData::default()
        }],
    };
    hands.ask(ShardId(1), 9, &request);
    hands.settle();
}

#[test]
fn nothing_is_served_before_every_shard_has_raised_its_epochs() {
    let mut hands = Hands::start(SimDisk::new(1, 1 << 30));
    let topic = create_topic(&mut hands);
    let mut hands = Hands::start(hands.disk.kill());
    hands.holds = true;
    hands.settle();
    let late = i32::from(LATE.0);
    produce(&mut hands, late, &batch(0, 1, 0, b"value"));
    assert!(
        hands.answers.is_empty(),
        "answered although one shard has the old epochs"
    );
    hands.release();
    hands.settle();
    assert_eq!(hands.answers.len(), 1);
    let storage = hands.shards[usize::from(LATE.0)].0.storage();
    let key = storage.find(PartitionId { topic, index: late }).expect("of that shard");
    assert_eq!(storage.partition(key).log_end(), Offset(1));
    assert_eq!(storage.epoch_at(key, Offset(0)), LeaderEpoch(1));
}
