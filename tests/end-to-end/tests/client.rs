//! The project's own client against a real broker: a `hallows` process that the tests share, or one of any make that
//! `BROKER=host:port` names.
//!
//! Each test makes topics and groups of its own names and deletes the topics.

#![allow(missing_docs, reason = "tests are not documented item by item")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hallows_client::{
    Client, ClientOptions, ConfigChange, ConsumedRecord, Consumer, ConsumerOptions, GroupConsumer, GroupOptions,
    NewRecord, NewTopic, OffsetAt, OffsetReset, Producer, ProducerOptions, Resource, Result, partition_for_key,
};
use hallows_protocol::ErrorCode;
use hallows_record::{Codec, NewHeader};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};

const WAIT: Duration = Duration::from_millis(500);

/// The broker that the tests share unless `BROKER` names one. It ends with the last test that holds it.
static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());

fn shared() -> Arc<Broker> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let options = BrokerOptions::new(find_program().expect("the broker is built"));
        let directory = DataDirectory::fresh().expect("a temporary directory");
        let broker = Arc::new(Broker::start(options, directory).expect("the broker starts"));
        *shared = Arc::downgrade(&broker);
        broker
    })
}

/// Keeps the shared broker while a test runs; `None` when the tests have been given another one.
fn broker() -> Option<Arc<Broker>> {
    std::env::var_os("BROKER").is_none().then(shared)
}

fn client() -> Client {
    let address = std::env::var("BROKER").unwrap_or_else(|_| shared().address());
    Client::connect(&[address], ClientOptions::default()).expect("a broker that answers")
}

fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    format!("{name}-{}-{}", std::process::id(), now.subsec_nanos())
}

fn topic(client: &mut Client, name: &str, partitions: i32) -> String {
    let name = unique(name);
    let topic = NewTopic {
        name: &name,
        partitions,
        replicas: 1,
        configs: &[],
        validate_only: false,
    };
    client.create_topic(&topic).expect("a new topic");
    name
}

/// Sends `count` keyed records and checks that each was acknowledged.
fn produce(topic: &str, count: usize, options: ProducerOptions) -> Result<()> {
    let mut producer = Producer::new(client(), options);
    let mut deliveries = Vec::new();
    for index in 0..count {
        let (key, value) = (format!("key-{index}"), format!("value-{index}"));
        let headers = [NewHeader {
            key: "index",
            value: Some(key.as_bytes()),
        }];
        deliveries.extend(producer.send(&NewRecord {
            topic,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &headers,
            timestamp_ms: Some(1_000 + i64::try_from(index).expect("a small number")),
            ..NewRecord::default()
        })?);
    }
    deliveries.extend(producer.flush());
    let mut acknowledged = 0;
    for delivery in deliveries {
        assert!(delivery.outcome?.base_offset.is_some_and(|offset| offset >= 0));
        acknowledged += usize::try_from(delivery.records).expect("a count");
    }
    assert_eq!(acknowledged, count);
    Ok(())
}

fn read_all(topic: &str, partitions: i32, count: usize) -> Result<Vec<ConsumedRecord>> {
    let mut consumer = Consumer::new(client(), ConsumerOptions::default());
    for partition in 0..partitions {
        consumer.assign_at(topic, partition, OffsetAt::Earliest)?;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < deadline {
        records.extend(consumer.poll(WAIT)?);
    }
    Ok(records)
}

#[test]
fn records_come_back_as_they_were_sent_with_every_codec() {
    let _broker = broker();
    let mut client = client();
    for (codec, idempotent) in Codec::ALL.into_iter().zip([false, true].into_iter().cycle()) {
        let topic = topic(&mut client, "round-trip", 3);
        // Small batches, so that there are many requests.
        let options = ProducerOptions {
            codec,
            idempotent,
            batch_bytes_max: 4_000,
            ..ProducerOptions::default()
        };
        produce(&topic, 1_000, options).expect("acknowledged");
        let records = read_all(&topic, 3, 1_000).expect("readable");
        assert_eq!(records.len(), 1_000, "{codec:?}");
        for record in &records {
            let key = record.key.as_deref().expect("a key");
            assert_eq!(usize::try_from(record.partition).ok(), Some(partition_for_key(key, 3)));
            assert_eq!(record.headers, [("index".to_owned(), Some(key.to_vec()))]);
        }
        let values: BTreeSet<Vec<u8>> = records.into_iter().filter_map(|record| record.value).collect();
        assert_eq!(values.len(), 1_000);
        client.delete_topic(&topic).expect("deleted");
    }
}

#[test]
fn offsets_are_found_by_place_and_time() {
    let _broker = broker();
    let mut client = client();
    let topic = topic(&mut client, "offsets", 1);
    produce(&topic, 100, ProducerOptions::default()).expect("acknowledged");
    let mut check = |at, expected| {
        let found = client.list_offsets(&topic, &[(0, at)]).expect("found");
        assert_eq!(found[&0].offset, expected, "{at:?}");
    };
    check(OffsetAt::Earliest, 0);
    check(OffsetAt::Latest, 100);
    check(OffsetAt::Time(1_050), 50);
    check(OffsetAt::Time(9_000), -1);
    assert_eq!(
        client.delete_records(&topic, &[(0, 30)]).expect("deleted"),
        BTreeMap::from([(0, 30)])
    );
    let found = client.list_offsets(&topic, &[(0, OffsetAt::Earliest)]).expect("found");
    assert_eq!(found[&0].offset, 30);
    client.delete_topic(&topic).expect("deleted");
}

#[test]
fn three_members_share_a_topic_and_take_over_from_one_that_leaves() {
    let _broker = broker();
    let mut admin = client();
    let topic = topic(&mut admin, "group", 4);
    let group = unique("group");
    produce(&topic, 400, ProducerOptions::default()).expect("acknowledged");
    let readers: Vec<_> = (0..3).map(|index| spawn_member(&topic, &group, index == 0)).collect();
    let mut seen = BTreeSet::new();
    for reader in readers {
        seen.extend(
            reader
                .join()
                .expect("a member that does not panic")
                .expect("a member without an error"),
        );
    }
    assert_eq!(seen.len(), 400);
    let committed = admin.committed_offsets(&group, None).expect("committed");
    assert_eq!(committed.values().map(|offset| offset.offset).sum::<i64>(), 400);
    assert!(
        admin
            .list_groups()
            .expect("groups")
            .iter()
            .any(|listed| listed.group_id == group)
    );
    assert_eq!(admin.describe_group(&group).expect("the group").members.len(), 0);
    admin
        .commit_offsets(&group, &BTreeMap::from([((topic.clone(), 0), 1)]))
        .expect("reset");
    admin.delete_offsets(&group, &topic, &[0]).expect("forgotten");
    let committed = admin.committed_offsets(&group, None).expect("committed");
    assert!(!committed.contains_key(&(topic.clone(), 0)));
    admin.delete_group(&group).expect("deleted");
    admin.delete_topic(&topic).expect("deleted");
}

/// Reads until nothing has come for a while; one that is `early` leaves after its first records.
fn spawn_member(topic: &str, group: &str, early: bool) -> thread::JoinHandle<Result<BTreeSet<(i32, i64)>>> {
    let (topic, group) = (topic.to_owned(), group.to_owned());
    thread::spawn(move || {
        let options = GroupOptions {
            reset: OffsetReset::Earliest,
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_millis(200),
            ..GroupOptions::new(&group)
        };
        let mut member = GroupConsumer::new(client(), &[&topic], options, ConsumerOptions::default());
        let mut seen = BTreeSet::new();
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < Duration::from_secs(5) {
            let records = member.poll(WAIT)?;
            if !records.is_empty() {
                quiet_since = Instant::now();
                seen.extend(records.iter().map(|record| (record.partition, record.offset)));
                // A rebalance in between lets others read these records again, which the set takes out.
                let _ = member.commit();
                if early {
                    break;
                }
            }
        }
        member.leave()?;
        Ok(seen)
    })
}

#[test]
fn topics_are_described_altered_and_deleted() {
    let _broker = broker();
    let mut client = client();
    let name = topic(&mut client, "admin", 2);
    let again = NewTopic {
        name: &name,
        partitions: 2,
        replicas: 1,
        configs: &[],
        validate_only: false,
    };
    let refused = client.create_topic(&again).expect_err("it exists");
    assert_eq!(refused.code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS), "{refused}");
    client.create_partitions(&name, 5).expect("more partitions");
    let change = ConfigChange::Set("retention.ms", "12345678");
    client
        .alter_configs(Resource::Topic(&name), &[change])
        .expect("altered");
    eventually("the setting", || {
        let configs = client
            .describe_configs(Resource::Topic(&name), &["retention.ms"])
            .expect("described");
        configs[0].value.as_deref() == Some("12345678")
    });
    let listed = client.list_topics().expect("topics");
    let listed = listed.iter().find(|topic| topic.name == name).expect("the topic");
    assert_eq!(listed.partitions.len(), 5);
    client.delete_topic(&name).expect("deleted");
    let gone = client.delete_topic(&name).expect_err("it is gone");
    assert_eq!(gone.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{gone}");
}

/// Waits for what a cluster does a little after it answered.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} has not come");
        thread::sleep(Duration::from_millis(50));
    }
}
