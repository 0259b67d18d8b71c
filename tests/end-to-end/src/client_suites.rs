//! The test-suites that stock clients ship, as they were published, against a real broker.
//!
//! Nothing of them is kept in this repository: a task takes them from where their users get them. A suite has a broker
//! of its own. A test passes, fails, or is skipped for a reason that stands in `tests/clients/suites`; a suite may also
//! skip a test by itself, and says why. A test without a verdict has failed.

mod kafka_python;
mod process;
mod rdkafka;
mod skips;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};

use crate::clients::install::Absent;
use skips::Skips;

/// Runs the test-suites that crate rdkafka and kafka-python ship against a real broker.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only suites whose names contain this.
    #[arg(long)]
    suite: Option<String>,
    /// Only tests whose names contain this.
    #[arg(long)]
    test: Option<String>,
    /// Runs skipped tests, too, to see what becomes of them.
    #[arg(long)]
    include_skipped: bool,
    /// Runs against this broker instead of a `hallows` of its own, to compare.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_server: Option<String>,
    /// Shards of each broker.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Where suites are unpacked, built and kept between runs.
    #[arg(long, env = "CLIENTS_DIRECTORY", default_value = "target/clients")]
    directory: PathBuf,
    /// The folder of the clients' programs.
    #[arg(long, default_value = "tests/clients")]
    programs: PathBuf,
}

/// A suite that a client ships.
struct Suite {
    name: &'static str,
    /// Its skipped tests, below `tests/clients/suites`.
    skips: &'static str,
    /// What its own broker is set up with, beyond what every suite here gets.
    settings: &'static [(&'static str, &'static str)],
    /// Fetches and builds it.
    prepare: fn(&Arguments) -> Result<Box<dyn Prepared>>,
}

/// A suite that is ready to run.
trait Prepared {
    /// What it is called with its version.
    fn title(&self) -> String;
    /// All its tests by name.
    fn tests(&self) -> Result<Vec<String>>;
    /// Runs the wanted ones against a broker; says what became of each.
    fn run(&self, wanted: &[String], bootstrap: &str) -> Result<Vec<Test>>;
}

/// What became of one test.
struct Test {
    name: String,
    verdict: Verdict,
}

enum Verdict {
    Passed,
    Skipped(String),
    Failed(String),
}

const SUITES: &[Suite] = &[
    Suite {
        name: "rdkafka",
        skips: "rdkafka-skips.txt",
        // As in the docker-compose.yaml beside its tests.
        settings: &[("num.partitions", "3")],
        prepare: rdkafka::prepare,
    },
    Suite {
        name: "kafka-python",
        skips: "kafka-python-skips.txt",
        // One of its groups has sessions of three seconds.
        settings: &[("num.partitions", "4"), ("group.min.session.timeout.ms", "1000")],
        prepare: kafka_python::prepare,
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let wanted = |suite: &&Suite| arguments.suite.as_ref().is_none_or(|part| suite.name.contains(part));
    let suites: Vec<&Suite> = SUITES.iter().filter(wanted).collect();
    ensure!(!suites.is_empty(), "no suite has such a name");
    let mut lines = Vec::new();
    let mut failed = 0;
    for suite in suites {
        let start = Instant::now();
        match run_suite(suite, arguments) {
            Ok((title, tests)) => {
                failed += report(&title, &tests);
                lines.push(sum(&title, &tests, start.elapsed()));
            }
            // A language that is not here is no fault; an installation that fails is one.
            Err(error) if error.is::<Absent>() => lines.push(format!("{} skipped: {error:#}", suite.name)),
            Err(error) => {
                failed += 1;
                lines.push(format!("{} FAILED: {error:#}", suite.name));
            }
        }
    }
    println!();
    lines.iter().for_each(|line| println!("{line}"));
    ensure!(failed == 0, "{failed} tests failed");
    Ok(())
}

fn run_suite(suite: &Suite, arguments: &Arguments) -> Result<(String, Vec<Test>)> {
    let skips = Skips::read(&arguments.programs.join("suites").join(suite.skips))?;
    let prepared = (suite.prepare)(arguments)?;
    let all = prepared.tests()?;
    skips.check(&all)?;
    let chosen = |name: &&String| arguments.test.as_ref().is_none_or(|part| name.contains(part));
    let mut tests = Vec::new();
    let mut wanted = Vec::new();
    for name in all.iter().filter(chosen) {
        match skips.reason(name) {
            Some(reason) if !arguments.include_skipped => tests.push(Test {
                name: name.clone(),
                verdict: Verdict::Skipped(reason.to_owned()),
            }),
            _ => wanted.push(name.clone()),
        }
    }
    let title = prepared.title();
    println!("{title}: running {} tests, skipping {}", wanted.len(), tests.len());
    let ran = match &arguments.bootstrap_server {
        _ if wanted.is_empty() => Vec::new(),
        Some(address) => prepared.run(&wanted, address)?,
        None => run_beside_broker(suite, arguments, prepared.as_ref(), &wanted)?,
    };
    let missing = wanted.iter().filter(|name| ran.iter().all(|test| test.name != **name));
    let missing = missing.map(|name| Test {
        name: name.clone(),
        verdict: Verdict::Failed("it came to no verdict".to_owned()),
    });
    let missing: Vec<Test> = missing.collect();
    tests.extend(ran);
    tests.extend(missing);
    Ok((title, tests))
}

fn run_beside_broker(
    suite: &Suite,
    arguments: &Arguments,
    prepared: &dyn Prepared,
    wanted: &[String],
) -> Result<Vec<Test>> {
    // Both suites ask for broker 0, and one wants to see that the advertised address was set.
    let mut options = BrokerOptions::new(find_program()?)
        .with("node.id", "0")
        .with("advertised.listeners", "PLAINTEXT://127.0.0.1:0")
        .with("group.initial.rebalance.delay.ms", "0");
    options.shards = arguments.shards;
    for (name, value) in suite.settings {
        options = options.with(name, value);
    }
    let mut broker = Broker::start(options, DataDirectory::fresh()?).context("no broker")?;
    let tests = prepared.run(wanted, &broker.address())?;
    broker.stop().context("after the suite the broker must still be well")?;
    Ok(tests)
}

/// Tells what was skipped and what failed; returns how many failed.
fn report(title: &str, tests: &[Test]) -> usize {
    let mut failed = 0;
    for test in tests {
        match &test.verdict {
            Verdict::Passed => {}
            Verdict::Skipped(reason) => println!("skipped: {title}, {}: {reason}", test.name),
            Verdict::Failed(reason) => {
                failed += 1;
                println!("FAILED: {title}, {}: {reason}", test.name);
            }
        }
    }
    failed
}

fn sum(title: &str, tests: &[Test], took: Duration) -> String {
    let count = |wanted: fn(&Verdict) -> bool| tests.iter().filter(|test| wanted(&test.verdict)).count();
    format!(
        "{title}: tests {} passed {} skipped {} failed {} in {:.0} s",
        tests.len(),
        count(|verdict| matches!(verdict, Verdict::Passed)),
        count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        took.as_secs_f32()
    )
}
