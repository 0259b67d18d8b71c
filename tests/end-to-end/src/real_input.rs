//! Real input: a million keyed lines through stock clients, with a member and the broker killed on the way.
//!
//! The lines are Debian's package list (`apt-cache dumpavail`), keyed by package. librdkafka sends them into four
//! partitions while the broker is killed once; another client reads them back in a group of three while one member is
//! killed and the broker once more. Then every acknowledged line is looked for where it was acknowledged.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};

use crate::clients::{Program, Record, Running, Said, client, crc32};

const TOPIC: &str = "packages";
const PARTITIONS: &str = "4";
const MEMBERS: usize = 3;
/// What the issue calls real input has at least this many lines.
const LINES_MIN: usize = 1_000_000;
/// How long nothing new may come before what is missing counts as missing.
const IDLE: Duration = Duration::from_secs(60);
/// How long the broker stays away.
const AWAY: Duration = Duration::from_millis(500);

/// Sends a million keyed lines through stock clients while a member and the broker are killed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file with lines `key TAB value` instead of Debian's package list.
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

/// One line of the input.
struct Line {
    key: String,
    value: String,
}

/// Where each line was acknowledged: line number by partition and offset.
type Places = BTreeMap<(i32, i64), usize>;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let lines = read_input(arguments)?;
    let producer = client(&arguments.producer, &arguments.programs, &arguments.directory)?;
    let consumer = client(&arguments.consumer, &arguments.programs, &arguments.directory).or_else(|error| {
        println!(
            "{} is not on this machine ({error:#}); kafka-python reads instead",
            arguments.consumer
        );
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
    report(&lines, &places, &received)
}

/// Sends every line and kills the broker once on the way.
fn send(program: &Program, broker: &mut Broker, lines: &[Line]) -> Result<Places> {
    let start = Instant::now();
    let mut producer = program.start("produce", &broker.address(), &[("topic", TOPIC), ("idempotent", "1")])?;
    let kill_at = lines.len() / 2;
    for (number, line) in lines.iter().enumerate() {
        producer.write(&line.key, &line.value)?;
        if number == kill_at {
            broker.kill();
            thread::sleep(AWAY);
            let recovery = broker.restart()?;
            println!(
                "the broker was killed after {number} lines and back after {} ms",
                recovery.as_millis()
            );
        }
    }
    let mut places = Places::new();
    for said in producer.finish().context("the producer")? {
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
    println!(
        "{} lines were acknowledged in {} s",
        places.len(),
        start.elapsed().as_secs()
    );
    Ok(places)
}

/// Reads everything in a group, kills one member and the broker on the way.
fn read_back(program: &Program, broker: &mut Broker, count: usize) -> Result<BTreeMap<(i32, i64), Record>> {
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
            println!("a member was killed after {} lines", received.len());
        }
        if !broker_killed && received.len() > count / 2 {
            broker_killed = true;
            broker.kill();
            thread::sleep(AWAY);
            let recovery = broker.restart()?;
            println!(
                "the broker was killed after {} lines and back after {} ms",
                received.len(),
                recovery.as_millis()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    ensure!(
        member_killed && broker_killed,
        "only {} of {count} lines were read before anything was killed",
        received.len()
    );
    println!("{} lines were read in {} s", received.len(), start.elapsed().as_secs());
    Ok(received)
}

fn take(member: &mut Running, received: &mut BTreeMap<(i32, i64), Record>) -> Result<()> {
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

fn report(lines: &[Line], places: &Places, received: &BTreeMap<(i32, i64), Record>) -> Result<()> {
    let missing = places.keys().filter(|place| !received.contains_key(place)).count();
    let differs = |(place, number): &(&(i32, i64), &usize)| {
        let line = &lines[**number];
        received
            .get(place)
            .is_some_and(|record| record.key != line.key || record.crc != crc32(line.value.as_bytes()))
    };
    let moved = places.iter().filter(differs).count();
    let out_of_order = out_of_order(lines, places);
    println!(
        "sent {} acked {} received {} missing={missing} moved={moved} out_of_order={out_of_order}",
        lines.len(),
        places.len(),
        received.len()
    );
    let unasked = received.len() - (places.len() - missing);
    if missing + moved + out_of_order + unasked > 0 || places.len() != lines.len() {
        bail!("lines are missing, moved, out of order or there twice ({unasked} that nobody sent)");
    }
    Ok(())
}

/// Lines of one key whose order in the log is not that of the input, or that lie in several partitions.
fn out_of_order(lines: &[Line], places: &Places) -> usize {
    let mut last: BTreeMap<&str, (i32, usize)> = BTreeMap::new();
    let mut count = 0;
    for ((partition, _), number) in places {
        let key = lines[*number].key.as_str();
        if let Some((before_in, before)) = last.insert(key, (*partition, *number))
            && (before_in != *partition || before >= *number)
        {
            count += 1;
        }
    }
    count
}

fn read_input(arguments: &Arguments) -> Result<Vec<Line>> {
    let path = match &arguments.input {
        Some(path) => path.clone(),
        None => unpack_packages(&arguments.directory)?,
    };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let limit = arguments.lines.unwrap_or(usize::MAX);
    let lines: Vec<Line> = text
        .lines()
        .take(limit)
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| Line {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    ensure!(
        lines.len() >= LINES_MIN || arguments.lines.is_some(),
        "{} has only {} lines with a key; at least {LINES_MIN} are needed",
        path.display(),
        lines.len()
    );
    Ok(lines)
}

/// Debian's package list, one line per line of it, keyed by package.
fn unpack_packages(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("packages.txt");
    if path.is_file() {
        return Ok(path);
    }
    println!("unpacking what `apt-cache dumpavail` prints to {}", path.display());
    let output = Command::new("apt-cache")
        .arg("dumpavail")
        .output()
        .context("there is no apt-cache here; name a file of lines `key TAB value` with --input")?;
    let text = String::from_utf8_lossy(&output.stdout);
    std::fs::create_dir_all(directory)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path.with_extension("part"))?);
    let mut package = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        package = line.strip_prefix("Package: ").unwrap_or(package);
        writeln!(file, "{package}\t{line}")?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(path.with_extension("part"), &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_each_key() {
        let line = |key: &str| Line {
            key: key.to_owned(),
            value: String::new(),
        };
        let lines = [line("a"), line("b"), line("a")];
        let places = |all: [((i32, i64), usize); 3]| all.into_iter().collect::<Places>();
        assert_eq!(
            out_of_order(&lines, &places([((0, 0), 0), ((1, 0), 1), ((0, 1), 2)])),
            0
        );
        assert_eq!(
            out_of_order(&lines, &places([((0, 0), 2), ((1, 0), 1), ((0, 1), 0)])),
            1
        );
        assert_eq!(
            out_of_order(&lines, &places([((0, 0), 0), ((0, 1), 1), ((1, 0), 2)])),
            1
        );
    }
}
