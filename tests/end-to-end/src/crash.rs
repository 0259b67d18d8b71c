//! The crash test: a real process under load, killed with -9 at random moments, started again, and everything that was
//! acknowledged compared with what is there.
//!
//! Every producer sends to every partition of one durability class. `lost` counts acknowledged records that are gone;
//! `reminted` counts acknowledged offsets that name other bytes under the same leader epoch; `repeated` and `corrupt`
//! count what no log may have at all. Only `memory` may lose anything, and only its tail.
//!
//! That it bites: before 9661299 it stopped at an idempotent producer of a `written` topic that was refused with
//! OUT_OF_ORDER_SEQUENCE_NUMBER after a restart, because recovery had left out the producers of a segment sealed since
//! the last checkpoint. A broker whose recovery
//! leaves out the last journal entry of a partition is noticed in the first cycle (docs/reliability.md), and the tests
//! of `ledger` and `report` show that loss, reminting, repetition and corruption are each counted and fail the run.

mod ledger;
mod producer;
mod report;
mod value;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hallows_client::{Client, ClientOptions, Consumer, ConsumerOptions, NewTopic, OffsetAt};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, Random, find_program};

use ledger::{Found, Ledger};
use producer::{Acknowledgement, Load, Producer, Settings};
use report::Report;

/// How long a broker may take to lead all partitions again.
const LEADERS_TIMEOUT: Duration = Duration::from_secs(120);
/// How long reading back may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// One in this many restarts is killed before it has come up.
const KILLED_WHILE_STARTING: u64 = 4;
/// Every so many cycles everything is read back; in between what the last cycles wrote.
const WHOLE_EVERY: u32 = 10;
/// The cycles after so many begin with an empty data directory, so that neither the disk nor the time to read
/// everything back limits how many there are.
const CYCLES_PER_DIRECTORY: u32 = 50;
/// The longest life of a process that is killed while it starts, in milliseconds.
const START_LIFE_MS_MAX: u64 = 300;

/// Kills a loaded broker again and again and looks for what it lost.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many times the broker is killed.
    #[arg(long, default_value_t = 50)]
    cycles: u32,
    /// Fixes the moments, sizes and partitions; the same seed kills at the same ages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Partitions of each durability class.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Producers of each durability class; every other one is idempotent.
    #[arg(long, default_value_t = 3)]
    producers: u64,
    /// Shards of the broker, in turn: `1,2,4` restarts with another number each cycle.
    #[arg(long, value_delimiter = ',', default_value = "2")]
    shards: Vec<u16>,
    /// The longest life of a broker under load, in milliseconds.
    #[arg(long, default_value_t = 1_500)]
    life_ms_max: u64,
    /// Fills the log with this many GiB before the first kill.
    #[arg(long, default_value_t = 0)]
    log_gib: u64,
    /// Where the data goes; a directory of the system when left out.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Keeps the data directory.
    #[arg(long)]
    keep: bool,
}

/// A durability class and what it promises a killed process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    /// Whether nothing that was acknowledged may be gone.
    pub(crate) keeps_all: bool,
}

const CLASSES: [Class; 3] = [
    Class {
        name: "fsync",
        keeps_all: true,
    },
    Class {
        name: "written",
        keeps_all: true,
    },
    Class {
        name: "memory",
        keeps_all: false,
    },
];

/// The topic of one class: its producers, and what they were promised.
struct Topic {
    class: Class,
    name: String,
    producers: Vec<Producer>,
    ledgers: Vec<Ledger>,
    /// Where each log ended when it was last read: the next partial check begins a little before.
    checked_to: Vec<i64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report::new(&CLASSES);
    let mut random = Random::from_seed(arguments.seed);
    let mut first = 1;
    while first <= arguments.cycles && report.is_good() {
        let last = arguments.cycles.min(first + CYCLES_PER_DIRECTORY - 1);
        let broker = run_cycles(first..=last, arguments, &mut random, &mut report)?;
        if arguments.keep || !report.is_good() {
            println!("the data stays in {}", broker.keep().display());
        }
        first = last + 1;
    }
    println!("{report}");
    if !report.is_good() {
        bail!(
            "acknowledged records are lost or changed; again with: cargo xtask crash --cycles {} --seed {}",
            arguments.cycles,
            arguments.seed
        );
    }
    Ok(())
}

/// Runs some cycles on a data directory of their own, and gives back the broker that has it.
fn run_cycles(
    cycles: RangeInclusive<u32>,
    arguments: &Arguments,
    random: &mut Random,
    report: &mut Report,
) -> Result<Broker> {
    let directory = match &arguments.directory {
        Some(path) => DataDirectory::fresh_in(path)?,
        None => DataDirectory::fresh()?,
    };
    // Small files, so that segments roll and checkpoints run within a test.
    let mut options = BrokerOptions::new(find_program()?)
        .with("journal.file.bytes", "8388608")
        .with("log.segment.bytes", "8388608");
    options.shards = arguments.shards[0];
    let mut broker = Broker::start(options, directory)?;
    let mut topics = create_topics(&broker, arguments)?;
    println!("seed {}, data in {}", arguments.seed, broker.directory().display());
    if arguments.log_gib > 0 {
        fill(&broker, &mut topics, arguments.log_gib)?;
    }
    for cycle in cycles.clone() {
        let whole = cycle == *cycles.end() || (arguments.log_gib == 0 && cycle % WHOLE_EVERY == 0);
        if let Err(error) = run_cycle(cycle, whole, arguments, &mut broker, &mut topics, random, report) {
            let (seed, kept) = (arguments.seed, broker.keep());
            return Err(error.context(format!("cycle {cycle} of seed {seed}, data kept in {}", kept.display())));
        }
    }
    for topic in &topics {
        let acked = topic.ledgers.iter().map(|ledger| ledger.acked).sum();
        report.acked(topic.class, acked);
    }
    Ok(broker)
}

fn run_cycle(
    cycle: u32,
    whole: bool,
    arguments: &Arguments,
    broker: &mut Broker,
    topics: &mut [Topic],
    random: &mut Random,
    report: &mut Report,
) -> Result<()> {
    let life = Duration::from_millis(50 + random.below(arguments.life_ms_max));
    load_and_kill(broker, topics, life, report)?;
    if random.below(KILLED_WHILE_STARTING) == 0 {
        let life = Duration::from_millis(random.below(START_LIFE_MS_MAX));
        broker.restart_and_kill_after(life)?;
    }
    let place = usize::try_from(cycle)? % arguments.shards.len();
    broker.options().shards = arguments.shards[place];
    let start = Instant::now();
    broker.restart()?;
    await_leaders(broker, topics)?;
    let recovery = start.elapsed();
    let mut line = format!(
        "cycle {cycle}: killed after {} ms, {} shards, back after {} ms",
        life.as_millis(),
        arguments.shards[place],
        recovery.as_millis()
    );
    for topic in topics {
        let (found, records) = topic.check(&broker.address(), whole)?;
        line += &format!(", {} {records}", topic.class.name);
        if !found.is_clean() {
            line += &format!(" {found:?}");
        }
        report.cycle(topic.class, found, recovery);
    }
    println!("{line}");
    Ok(())
}

/// Lets all producers run, kills the broker after `life`, and notes what was acknowledged.
fn load_and_kill(broker: &mut Broker, topics: &mut [Topic], life: Duration, report: &mut Report) -> Result<()> {
    let address = broker.address();
    let epochs = await_leaders(broker, topics)?;
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (place, (topic, epochs)) in topics.iter_mut().zip(&epochs).enumerate() {
            for producer in &mut topic.producers {
                let address = &address;
                running.push((place, scope.spawn(move || producer.run(address, epochs, Load::Mixed))));
            }
        }
        thread::sleep(life);
        broker.kill();
        let finished: Vec<_> = running
            .into_iter()
            .map(|(place, thread)| (place, thread.join().expect("a producer does not panic")))
            .collect();
        finished
    })
    .into_iter()
    .try_for_each(|(place, acknowledged)| {
        let found = topics[place].note(acknowledged?);
        report.found(topics[place].class, found);
        Ok(())
    })
}

fn create_topics(broker: &Broker, arguments: &Arguments) -> Result<Vec<Topic>> {
    let mut client = connect(&broker.address())?;
    let mut number = 0;
    let mut topics = Vec::new();
    for class in CLASSES {
        let name = format!("crash-{}", class.name);
        client.create_topic(&NewTopic {
            name: &name,
            partitions: arguments.partitions,
            replicas: 1,
            configs: &[("durability", class.name), ("retention.ms", "-1")],
            validate_only: false,
        })?;
        let producers = (0..arguments.producers).map(|place| {
            number += 1;
            let settings = Settings {
                number,
                topic: name.clone(),
                partitions: arguments.partitions,
                // What `memory` forgets leaves a gap in a producer's sequence, which the broker rightly refuses.
                idempotent: class.keeps_all && place % 2 == 1,
            };
            Producer::new(settings, arguments.seed)
        });
        let partitions = usize::try_from(arguments.partitions)?;
        topics.push(Topic {
            class,
            name: name.clone(),
            producers: producers.collect(),
            ledgers: std::iter::repeat_with(Ledger::default).take(partitions).collect(),
            checked_to: vec![0; partitions],
        });
    }
    Ok(topics)
}

/// Fills the two classes that keep everything, half each.
fn fill(broker: &Broker, topics: &mut [Topic], gib: u64) -> Result<()> {
    let start = Instant::now();
    let epochs = await_leaders(broker, topics)?;
    let share = (gib << 30) / 2;
    for (topic, epochs) in topics
        .iter_mut()
        .zip(&epochs)
        .filter(|(topic, _)| topic.class.keeps_all)
    {
        let producer = topic.producers.first_mut().context("a class has producers")?;
        let acknowledged = producer.run(&broker.address(), epochs, Load::Bulk(share))?;
        topic.note(acknowledged);
    }
    println!("a log of {gib} GiB was written in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Waits until every partition has a leader; returns the leader epochs by topic and partition.
fn await_leaders(broker: &Broker, topics: &[Topic]) -> Result<Vec<Vec<i32>>> {
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    let mut client = connect(&broker.address())?;
    let mut epochs = Vec::new();
    for topic in topics {
        loop {
            client.forget(&topic.name);
            let known = client.topic(&topic.name)?;
            let led = known.partitions.values().filter(|partition| partition.leader.is_some());
            let found: Vec<i32> = led.map(|partition| partition.leader_epoch).collect();
            if found.len() == topic.ledgers.len() {
                epochs.push(found);
                break;
            }
            if Instant::now() > deadline {
                bail!(
                    "only {} of {} partitions of {} have a leader",
                    found.len(),
                    topic.ledgers.len(),
                    topic.name
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(epochs)
}

fn connect(address: &str) -> Result<Client> {
    Ok(Client::connect(&[address], ClientOptions::default())?)
}

impl Topic {
    fn note(&mut self, acknowledged: Vec<Acknowledgement>) -> Found {
        let mut found = Found::default();
        for (partition, base_offset, acked) in acknowledged {
            let place = usize::try_from(partition).expect("an index");
            found.add(self.ledgers[place].acknowledge(base_offset, acked));
        }
        found
    }

    /// Reads the logs beside the ledgers; returns what is wrong and how many records were read.
    fn check(&mut self, address: &str, whole: bool) -> Result<(Found, u64)> {
        let mut found = Found::default();
        let mut records = 0;
        for partition in 0..self.ledgers.len() {
            let (here, read) = self.check_partition(address, partition, whole)?;
            found.add(here);
            records += read;
        }
        Ok((found, records))
    }

    fn check_partition(&mut self, address: &str, place: usize, whole: bool) -> Result<(Found, u64)> {
        let partition = i32::try_from(place)?;
        let from = if whole { 0 } else { self.checked_to[place] };
        let mut check = self.ledgers[place].check_from(from);
        let mut consumer = Consumer::new(connect(address)?, ConsumerOptions::default());
        let ends = consumer
            .client()
            .list_offsets(&self.name, &[(partition, OffsetAt::Latest)])?;
        let end = ends.get(&partition).context("a partition has an end")?.offset;
        // A lost tail may end before what was checked already.
        consumer.assign(&self.name, partition, from.min(end));
        let mut next = from.min(end);
        let mut read = 0;
        let mut moved = Instant::now();
        while next < end {
            for record in consumer.poll(Duration::from_millis(500))? {
                let identity = record.value.as_deref().and_then(value::read);
                check.record(record.offset, record.leader_epoch, identity);
                read += 1;
                moved = Instant::now();
            }
            next = consumer.positions().values().copied().next().unwrap_or(next);
            if moved.elapsed() > STALL_TIMEOUT {
                bail!(
                    "{}-{partition} cannot be read beyond {next}; its end is {end}",
                    self.name
                );
            }
        }
        let (found, lost) = check.end();
        self.ledgers[place].forget(&lost);
        self.checked_to[place] = end;
        Ok((found, read))
    }
}
