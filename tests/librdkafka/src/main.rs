//! Crate rdkafka, and with it librdkafka, behind the language of `tests/clients/README.md`.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long a broker may take to answer.
const WAIT: Duration = Duration::from_secs(30);
/// How long all deliveries may take at the end.
const FLUSH_WAIT: Duration = Duration::from_secs(120);
/// How long it waits for room in a full queue before it looks again.
const QUEUE_WAIT: Duration = Duration::from_millis(20);

struct Options {
    values: BTreeMap<String, String>,
    configs: BTreeMap<String, String>,
}

impl Options {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn or<'a>(&'a self, name: &str, otherwise: &'a str) -> &'a str {
        self.get(name).unwrap_or(otherwise)
    }
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let verb = words.next().context("a verb")?;
    let mut options = Options {
        values: BTreeMap::new(),
        configs: BTreeMap::new(),
    };
    for word in words {
        let (name, value) = word.split_once('=').context("name=value")?;
        if name == "config" {
            let (key, setting) = value.split_once(':').context("config=name:value")?;
            options.configs.insert(key.to_owned(), setting.to_owned());
        } else {
            options.values.insert(name.to_owned(), value.to_owned());
        }
    }
    match verb.as_str() {
        "produce" => produce(&options),
        "consume" => consume(&options),
        "admin" => admin(&options),
        _ => bail!("no verb {verb}"),
    }
}

/// Tells each delivery as it comes.
struct Deliveries {
    failed: Arc<AtomicUsize>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, line: Box<usize>) {
        match result {
            Ok(message) => println!("acked\t{}\t{}\t{line}", message.partition(), message.offset()),
            Err((error, _)) => {
                eprintln!("{error}");
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

fn produce(options: &Options) -> Result<()> {
    let failed = Arc::new(AtomicUsize::new(0));
    let context = Deliveries {
        failed: Arc::clone(&failed),
    };
    let producer: ThreadedProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", options.or("bootstrap", ""))
        .set("acks", "all")
        .set("compression.type", options.or("codec", "none"))
        .set(
            "enable.idempotence",
            (options.get("idempotent") == Some("1")).to_string(),
        )
        .set("linger.ms", options.or("linger", "5"))
        .set("message.max.bytes", "8388608")
        .set("message.timeout.ms", "90000")
        .create_with_context(context)?;
    let topic = options.get("topic").context("a topic")?;
    for (line, text) in io::stdin().lock().lines().enumerate() {
        let text = text?;
        let (key, value) = text.split_once('\t').context("key TAB value")?;
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(line)).payload(value);
        if !key.is_empty() {
            record = record.key(key);
        }
        let number = line.to_string();
        if options.get("headers").is_some() {
            let headers = OwnedHeaders::new()
                .insert(Header {
                    key: "line",
                    value: Some(&number),
                })
                .insert(Header {
                    key: "empty",
                    value: Some(""),
                });
            record = record.headers(headers);
        }
        if let Some(start) = options.get("timestamp") {
            record = record.timestamp(start.parse::<i64>()? + 1_000 * i64::try_from(line)?);
        }
        send(&producer, record)?;
    }
    producer.flush(FLUSH_WAIT)?;
    match failed.load(Ordering::SeqCst) {
        0 => Ok(()),
        count => bail!("{count} records were not acknowledged"),
    }
}

/// Hands one record over; a full queue is waited for.
fn send(producer: &ThreadedProducer<Deliveries>, mut record: BaseRecord<'_, str, str, Box<usize>>) -> KafkaResult<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((error, refused)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                record = refused;
                thread::sleep(QUEUE_WAIT);
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// Tells rebalances as they come.
struct Rebalances;

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => println!("assigned\t{}", partitions(list)),
            Rebalance::Revoke(list) => println!("revoked\t{}", partitions(list)),
            Rebalance::Error(error) => eprintln!("{error}"),
        }
    }
}

fn partitions(list: &TopicPartitionList) -> String {
    let mut all: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
    all.sort_unstable();
    all.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn consumer_of(options: &Options) -> Result<BaseConsumer<Rebalances>> {
    let strategy = match options.or("strategy", "range") {
        "cooperative" => "cooperative-sticky",
        other => other,
    };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", options.or("bootstrap", ""))
        .set("group.id", options.or("group", "none"))
        .set("auto.offset.reset", options.or("reset", "earliest"))
        .set("enable.auto.commit", options.get("group").is_some().to_string())
        .set("auto.commit.interval.ms", "1000")
        // Closing, the crate takes what is left in the queue, and would commit that as if it had been read.
        .set("enable.auto.offset.store", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .set("fetch.wait.max.ms", "100")
        .set("partition.assignment.strategy", strategy);
    if let Some(instance) = options.get("instance") {
        config.set("group.instance.id", instance);
    }
    Ok(config.create_with_context(Rebalances)?)
}

fn assign(consumer: &BaseConsumer<Rebalances>, options: &Options, topic: &str, partition: i32) -> Result<()> {
    let mut list = TopicPartitionList::new();
    let offset = match options.or("from", "earliest").split_once(':') {
        Some(("offset", offset)) => Offset::Offset(offset.parse()?),
        Some((_, time)) => {
            let mut wanted = TopicPartitionList::new();
            wanted.add_partition_offset(topic, partition, Offset::Offset(time.parse()?))?;
            let found = consumer.offsets_for_times(wanted, WAIT)?;
            found.elements().first().context("an offset")?.offset()
        }
        None if options.get("from") == Some("latest") => Offset::End,
        None => Offset::Beginning,
    };
    list.add_partition_offset(topic, partition, offset)?;
    Ok(consumer.assign(&list)?)
}

fn consume(options: &Options) -> Result<()> {
    let consumer = consumer_of(options)?;
    let topic = options.get("topic").context("a topic")?;
    match options.get("partition") {
        Some(partition) => assign(&consumer, options, topic, partition.parse()?)?,
        None => consumer.subscribe(&[topic])?,
    }
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    thread::spawn(move || {
        io::stdin().lock().lines().for_each(drop);
        told.store(true, Ordering::SeqCst);
    });
    let mut left: u64 = options.or("count", "18446744073709551615").parse()?;
    while left > 0 && !ended.load(Ordering::SeqCst) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                show(&message);
                if options.get("group").is_some() {
                    consumer.store_offset_from_message(&message)?;
                }
                left -= 1;
            }
            Some(Err(error)) => eprintln!("{error}"),
            None => {}
        }
    }
    if options.get("group").is_some() {
        match consumer.commit_consumer_state(CommitMode::Sync) {
            // Nothing was read since the last commit.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            result => result?,
        }
    }
    Ok(())
}

fn show(message: &impl Message) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers: Vec<String> = message
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| format!("{}={}", header.key, text(header.value)))
        .collect();
    let value = message.payload().unwrap_or_default();
    println!(
        "record\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        message.partition(),
        message.offset(),
        message.timestamp().to_millis().unwrap_or(-1),
        text(message.key()),
        value.len(),
        crc32(value),
        headers.join(";")
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn admin(options: &Options) -> Result<()> {
    let client: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", options.or("bootstrap", ""))
        .create()?;
    let topic = options.get("topic").context("a topic")?;
    let patience = AdminOptions::new().operation_timeout(Some(WAIT));
    let resource = ResourceSpecifier::Topic(topic);
    match options.or("action", "") {
        "create" => {
            let partitions = options.or("partitions", "1").parse()?;
            let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            for (name, value) in &options.configs {
                wanted = wanted.set(name, value);
            }
            for answer in block_on(client.create_topics(&[wanted], &patience))? {
                answer.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
            }
        }
        "delete" => {
            for answer in block_on(client.delete_topics(&[topic], &patience))? {
                answer.map_err(|(topic, error)| anyhow::anyhow!("{topic}: {error}"))?;
            }
        }
        "alter" => {
            let mut change = AlterConfig::new(resource);
            for (name, value) in &options.configs {
                change = change.set(name, value);
            }
            for answer in block_on(client.alter_configs([&change], &patience))? {
                answer.map_err(|(_, error)| anyhow::anyhow!("{error}"))?;
            }
        }
        _ => {
            let metadata = client.inner().fetch_metadata(Some(topic), WAIT)?;
            println!("partitions\t{}", metadata.topics()[0].partitions().len());
            for described in block_on(client.describe_configs([&resource], &patience))? {
                for entry in described?.entries {
                    println!("config\t{}\t{}", entry.name, entry.value.unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}

/// Waits for one future; an executor would be a dependency for four calls.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => thread::park(),
        }
    }
}
