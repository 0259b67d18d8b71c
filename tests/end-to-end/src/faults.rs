//! The fault run: stock clients produce, consume and commit through a proxy while everything around the broker fails,
//! and a verdict on what they saw.
//!
//! Every kind of fault strikes once a round, one at a time, in an order that the seed draws. Producers send to topics
//! of the classes that lose nothing under these faults; what they were told, what consumers read and what groups
//! committed is the history (`hallows_testkit::history`). At the end each log is read back whole.

mod consumer;
mod disk;
mod kinds;
mod last_read;
mod limits;
mod load;
mod probe;
mod producer;
mod strikes;
mod values;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hallows_client::NewTopic;
use hallows_testkit::history::{self, Operation, Verdict};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, Proxy, Random, find_program};

use crate::clients::{Absent, client};
use consumer::{Consumer, Group, Reads};
use disk::Disk;
use kinds::{Kind, Schedule};
use load::{Client, FIRST, Shared, Topic, topics};
use producer::Producer;
use strikes::Target;

/// Lines a second of each producer.
const RATE: usize = 200;
/// How long the clients work before the first fault, and after the last one.
const CALM: Duration = Duration::from_secs(3);
/// The groups of the run, by the client of their members.
const GROUPS: [(&str, Group); 2] = [
    (
        "confluent",
        Group {
            name: "faults-confluent",
            number: 1,
        },
    ),
    (
        "kafka-python",
        Group {
            name: "faults-kafka-python",
            number: 2,
        },
    ),
];

/// Lets stock clients work while everything around the broker fails, and judges what they saw.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long faults strike.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Draws the order, the moments and the lengths of the faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only kinds of faults whose names contain one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Judges the history in this file, and runs nothing.
    #[arg(long)]
    check: Option<PathBuf>,
    /// Writes the history here. An invalid one is kept in any case.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Shards of the broker.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// The clients that take part.
    #[arg(long, value_delimiter = ',', default_value = "confluent,franz-go,kafka-python")]
    clients: Vec<String>,
    /// Where clients are installed and kept between runs.
    #[arg(long, env = "CLIENTS_DIRECTORY", default_value = "target/clients")]
    directory: PathBuf,
    /// The folder of the clients' programs.
    #[arg(long, default_value = "tests/clients")]
    programs: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.check {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        return judge(&history::read(BufReader::new(file))?);
    }
    let mut kinds = Kind::chosen(&arguments.only);
    ensure!(!kinds.is_empty(), "no kind of fault has such a name");
    let clients = install(arguments)?;
    let disk = disk(&mut kinds);
    ensure!(!kinds.is_empty(), "none of these faults can be had here");
    let operations = run_faults(arguments, &kinds, disk, &clients)?;
    if let Some(path) = &arguments.history {
        keep(&operations, path)?;
    }
    judge(&operations).inspect_err(|_| {
        let path = std::env::temp_dir().join(format!("hallows-faults-{}.jsonl", arguments.seed));
        if arguments.history.is_none() && keep(&operations, &path).is_ok() {
            println!("judge it again with: cargo xtask faults --check {}", path.display());
        }
    })
}

/// A disk that can do what is asked for. Where there can be none, those faults are left out by name.
fn disk(kinds: &mut Vec<Kind>) -> Option<Disk> {
    let mut try_for = |kind: Kind, mount: fn() -> Result<Disk>| {
        if !kinds.contains(&kind) {
            return None;
        }
        let mounted = mount();
        if let Err(error) = &mounted {
            println!("fault {:<22} skipped: {error:#}", kind.name());
            kinds.retain(|other| *other != kind);
        }
        mounted.ok()
    };
    try_for(Kind::PowerLoss, Disk::mount_forgetful).or_else(|| try_for(Kind::DiskFull, Disk::mount))
}

fn judge(operations: &[Operation]) -> Result<()> {
    let verdict = Verdict::of(operations);
    println!("{verdict}");
    ensure!(verdict.is_valid(), "the history is not valid");
    Ok(())
}

fn keep(operations: &[Operation], path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    history::write(operations, &mut BufWriter::new(file))?;
    println!("the history is in {}", path.display());
    Ok(())
}

/// The clients whose languages are here; two at least.
fn install(arguments: &Arguments) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for name in &arguments.clients {
        match client(name, &arguments.programs, &arguments.directory) {
            Ok(program) => clients.push(Client {
                name: name.clone(),
                program,
            }),
            Err(error) if error.is::<Absent>() => println!("{name} does not take part: {error:#}"),
            Err(error) => return Err(error.context(name.clone())),
        }
    }
    ensure!(
        clients.len() >= 2,
        "a fault run takes two clients, from {:?}",
        arguments.clients
    );
    Ok(clients)
}

fn run_faults(arguments: &Arguments, kinds: &[Kind], disk: Option<Disk>, clients: &[Client]) -> Result<Vec<Operation>> {
    let topics = topics(kinds.contains(&Kind::PowerLoss));
    let mut target = start(arguments, disk, &topics)?;
    let address = target.broker.address();
    let loads = spawn_loads(clients, &topics, &target.shared);
    let struck = strike_all(arguments, kinds, &mut target).inspect_err(|error| println!("{error:#}"));
    target.shared.stop();
    let mut operations = Vec::new();
    for load in loads {
        operations.extend(load.join().expect("a client's thread does not panic")?);
    }
    struck?;
    operations.append(&mut target.probe.operations);
    let reader = clients
        .iter()
        .find(|client| client.name == "franz-go")
        .or(clients.first());
    let groups: Vec<_> = groups_of(clients).map(|(_, group)| (FIRST, group)).collect();
    let process = target.shared.next_process();
    let last = last_read::read(&address, reader.context("a client")?, &topics, &groups, process);
    operations.extend(last.context("the last read")?);
    report(kinds, &target)?;
    Ok(operations)
}

fn start(arguments: &Arguments, disk: Option<Disk>, topics: &[Topic]) -> Result<Target> {
    let mut random = Random::from_seed(arguments.seed);
    let proxy = Proxy::start(random.next_u64())?;
    // Small files, so that segments roll and checkpoints run within a test.
    let mut options = BrokerOptions::new(find_program()?)
        .with("advertised.listeners", &format!("PLAINTEXT://{}", proxy.address()))
        .with("journal.file.bytes", "4194304")
        .with("log.segment.bytes", "1048576")
        // The kernel writes early what nobody has synced yet, so that a power loss finds such blocks.
        .with("segment.writeback.bytes", "16384");
    options.shards = arguments.shards;
    let directory = match &disk {
        Some(disk) => DataDirectory::Named(disk.data()),
        None => DataDirectory::fresh()?,
    };
    let broker = Broker::start(options, directory)?;
    proxy.forward_to(broker.address().parse().context("the broker's address")?);
    let mut admin = last_read::connect(&broker.address())?;
    for topic in topics {
        admin.create_topic(&NewTopic {
            name: topic.name,
            partitions: topic.partitions,
            replicas: 1,
            configs: &[("durability", topic.durability), ("retention.ms", "-1")],
            validate_only: false,
        })?;
    }
    Ok(Target::new(broker, disk, topics.to_vec(), proxy, random))
}

/// The groups whose client takes part.
fn groups_of(clients: &[Client]) -> impl Iterator<Item = (&Client, Group)> {
    GROUPS.iter().filter_map(|(name, group)| {
        let client = clients.iter().find(|client| client.name == *name)?;
        Some((client, *group))
    })
}

type Load = JoinHandle<Result<Vec<Operation>>>;

fn spawn_loads(clients: &[Client], topics: &[Topic], shared: &Arc<Shared>) -> Vec<Load> {
    let mut loads = Vec::new();
    for producer in producers(clients, topics) {
        let shared = Arc::clone(shared);
        loads.push(thread::spawn(move || producer.run(&shared)));
    }
    for consumer in consumers(clients, topics) {
        let shared = Arc::clone(shared);
        loads.push(thread::spawn(move || consumer.run(&shared)));
    }
    loads
}

/// Each client sends to each topic, in one of them idempotently. kafka-python's idempotence is its own youngest part:
/// it sends without to both.
fn producers(clients: &[Client], topics: &[Topic]) -> Vec<Producer> {
    let mut producers = Vec::new();
    for (place, client) in clients.iter().enumerate() {
        for (other, topic) in topics.iter().copied().enumerate() {
            producers.push(Producer {
                client: client.clone(),
                topic,
                idempotent: client.name != "kafka-python" && (place + other) % 2 == 0,
                rate: RATE,
            });
        }
    }
    producers
}

/// One reader per partition, the clients in turn, and two members per group.
fn consumers(clients: &[Client], topics: &[Topic]) -> Vec<Consumer> {
    let partitions = topics
        .iter()
        .copied()
        .flat_map(|topic| (0..topic.partitions).map(move |index| (topic, index)));
    let mut consumers: Vec<Consumer> = partitions
        .zip(clients.iter().cycle())
        .map(|((topic, index), client)| Consumer {
            client: client.clone(),
            topic,
            reads: Reads::Partition(index),
        })
        .collect();
    for (client, group) in groups_of(clients) {
        for _ in 0..2 {
            consumers.push(Consumer {
                client: client.clone(),
                topic: FIRST,
                reads: Reads::As(group),
            });
        }
    }
    consumers
}

fn strike_all(arguments: &Arguments, kinds: &[Kind], target: &mut Target) -> Result<()> {
    let start = Instant::now();
    let mut schedule = Schedule::new(kinds.to_vec());
    thread::sleep(CALM);
    while start.elapsed() < Duration::from_secs(arguments.seconds) {
        let mut random = target.random.clone();
        let kind = schedule.next(&mut random).context("there is a kind")?;
        target.random = random;
        println!("{:>4} s: {}", start.elapsed().as_secs(), kind.name());
        target.strike(kind)?;
        target.hold(200..1_500);
    }
    thread::sleep(CALM);
    Ok(())
}

/// A line per kind; a kind that never struck shows nothing.
fn report(kinds: &[Kind], target: &Target) -> Result<()> {
    let mut idle = Vec::new();
    for kind in kinds {
        let struck = target.struck(*kind);
        println!("fault {:<22} struck={struck}", kind.name());
        if struck == 0 {
            idle.push(kind.name());
        }
    }
    let ended = target.shared.ended.load(std::sync::atomic::Ordering::SeqCst);
    println!("programs that ended by themselves or not well: {ended}");
    if !idle.is_empty() {
        bail!("these faults never struck: {}", idle.join(", "));
    }
    Ok(())
}
