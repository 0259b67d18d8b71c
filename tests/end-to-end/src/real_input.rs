//! Real input: a million keyed lines through stock clients, with a member and the broker killed on the way.
//!
//! librdkafka sends them into four partitions while the broker is killed once; another client reads them back in a
//! group of three while one member is killed and the broker once more. Then every acknowledged line is looked for where
//! it was acknowledged.
//!
//! That it bites: a broker whose recovery leaves out the last journal entry of a partition ends with `missing=558`, and
//! the tests of `verdict` show that a lost, a moved, a repeated and an unsettled line are each noticed.

mod input;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};

use crate::clients::{Absent, Program, Record, Running, Said, client};
use input::Line;
use verdict::Verdict;

const TOPIC: &str = "packages";
const PARTITIONS: &str = "4";
const MEMBERS: usize = 3;
/// How long nothing new may come before what is missing counts as missing.
const IDLE: Duration = Duration::from_secs(60);
/// How long the broker stays away.
const AWAY: Duration = Duration::from_millis(500);
/// After so many lines written the acknowledgements are looked at.
const LOOK_EVERY: usize = 1_000;
/// How long between two looks at what a program says.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Sends a million keyed lines through stock clients while a member and the broker are killed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file with lines `key TAB value` instead of Debian's package list or, where there is no apt, the sources of the
    /// crates that this build uses.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Takes only the first so many lines, for a quick look.
    #[arg(long)]
    lines: Option<usize>,
    /// Who sends: a client of `cargo xtask clients`.
    #[arg(long, default_value = "confluent")]
    producer: String,
    /// Who reads; kafka-python where there is no Go.
    #[arg(long, default_value = "franz-go")]
    consumer: String,
    /// Shards of the broker.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Where clients are installed and the unpacked input is kept between runs.
    #[arg(long, env = "CLIENTS_DIRECTORY", default_value = "target/clients")]
    directory: PathBuf,
    /// The folder of the clients' programs.
    #[arg(long, default_value = "tests/clients")]
    programs: PathBuf,
}

/// Where each line was acknowledged: line number by partition and offset.
type Places = BTreeMap<(i32, i64), usize>;
/// What was read, by partition and offset.
type Received = BTreeMap<(i32, i64), Record>;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let lines = input::read(arguments)?;
    let producer = client(&arguments.producer, &arguments.programs, &arguments.directory)?;
    let consumer = client(&arguments.consumer, &arguments.programs, &arguments.directory).or_else(|error| {
        // An installation that fails is a fault; an absent language is not.
        if !error.is::<Absent>() {
            return Err(error);
        }
        println!("{}: {error:#}; kafka-python reads instead", arguments.consumer);
        client("kafka-python", &arguments.programs, &arguments.directory)
    })?;
    let mut options = BrokerOptions::new(find_program()?).with("num.partitions", PARTITIONS);
    options.shards = arguments.shards;
    let mut broker = Broker::start(options, DataDirectory::fresh()?)?;
    let address = broker.address();
    producer
        .start(
            "admin",
            &address,
            &[("action", "create"), ("topic", TOPIC), ("partitions", PARTITIONS)],
        )?
        .wait()?;
    let places = send(&producer, &mut broker, &lines)?;
    let received = read_back(&consumer, &mut broker, places.len())?;
    let verdict = Verdict::of(&lines, &places, &received);
    println!("{verdict}");
    ensure!(
        verdict.is_good(),
        "lines are missing, moved, out of order, or there although nobody sent them ({} of these)",
        verdict.unasked
    );
    Ok(())
}

/// Sends every line and kills the broker once, when a third of them is acknowledged and others are on their way.
fn send(program: &Program, broker: &mut Broker, lines: &[Line]) -> Result<Places> {
    let start = Instant::now();
    let mut producer = program.start("produce", &broker.address(), &[("topic", TOPIC), ("idempotent", "1")])?;
    let kill_at = lines.len() / 3;
    let mut places = Places::new();
    let mut killed = false;
    for (number, line) in lines.iter().enumerate() {
        producer.write(&line.key, &line.value)?;
        if !killed && number % LOOK_EVERY == 0 {
            note(producer.take_events(), &mut places)?;
            killed = places.len() > kill_at;
            if killed {
                kill_and_restart(broker, &format!("{} of {number} lines were acknowledged", places.len()))?;
            }
        }
    }
    let deadline = Instant::now() + IDLE;
    while !killed {
        note(producer.take_events(), &mut places)?;
        ensure!(
            Instant::now() < deadline,
            "only {} lines were acknowledged",
            places.len()
        );
        killed = places.len() > kill_at;
        if killed {
            kill_and_restart(broker, &format!("{} lines were acknowledged", places.len()))?;
        }
        thread::sleep(LOOK_PAUSE);
    }
    note(producer.finish().context("the producer")?, &mut places)?;
    println!(
        "{} lines were acknowledged in {} s",
        places.len(),
        start.elapsed().as_secs()
    );
    Ok(places)
}

/// Takes in acknowledgements.
fn note(events: Vec<Said>, places: &mut Places) -> Result<()> {
    for said in events {
        if let Said::Acked {
            partition,
            offset,
            line,
        } = said
        {
            let before = places.insert((partition, offset), line);
            ensure!(
                before.is_none(),
                "offset {offset} of partition {partition} was acknowledged twice"
            );
        }
    }
    Ok(())
}

fn kill_and_restart(broker: &mut Broker, when: &str) -> Result<()> {
    broker.kill();
    thread::sleep(AWAY);
    let recovery = broker.restart()?;
    println!(
        "the broker was killed when {when}, and was back after {} ms",
        recovery.as_millis()
    );
    Ok(())
}

/// Reads everything in a group, kills one member and the broker on the way.
fn read_back(program: &Program, broker: &mut Broker, count: usize) -> Result<Received> {
    let start = Instant::now();
    let options = [
        ("topic", TOPIC),
        ("group", "readers"),
        ("strategy", "range"),
        ("reset", "earliest"),
    ];
    let mut members: Vec<Running> = Vec::new();
    for _ in 0..MEMBERS {
        members.push(program.start("consume", &broker.address(), &options)?);
    }
    let mut received = BTreeMap::new();
    let mut last_new = Instant::now();
    let (mut member_killed, mut broker_killed) = (false, false);
    while received.len() < count && last_new.elapsed() < IDLE {
        let before = received.len();
        for member in &mut members {
            take(member, &mut received)?;
        }
        if received.len() > before {
            last_new = Instant::now();
        }
        if !member_killed && received.len() > count / 4 {
            member_killed = true;
            members[1].kill();
            println!("a member was killed when {} lines were read", received.len());
        }
        if !broker_killed && received.len() > count / 2 {
            broker_killed = true;
            kill_and_restart(broker, &format!("{} lines were read", received.len()))?;
        }
        thread::sleep(LOOK_PAUSE);
    }
    ensure!(
        member_killed && broker_killed,
        "only {} of {count} lines were read before anything was killed",
        received.len()
    );
    println!("{} lines were read in {} s", received.len(), start.elapsed().as_secs());
    Ok(received)
}

fn take(member: &mut Running, received: &mut Received) -> Result<()> {
    for said in member.take_events() {
        if let Said::Record(record) = said {
            let place = (record.partition, record.offset);
            // After a kill some records come again; they must be the same ones.
            if let Some(before) = received.insert(place, record)
                && received.get(&place) != Some(&before)
            {
                bail!("offset {} of partition {} was read with two contents", place.1, place.0);
            }
        }
    }
    Ok(())
}
