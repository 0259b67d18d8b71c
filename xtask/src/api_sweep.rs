//! `cargo xtask api-sweep`: every API at every version, valid and invalid, to `hallows` and to two releases of
//! Apache Kafka, and what differs.
//!
//! Kafka's answers are committed in `tests/conformance/golden`, and the sweep compares with those; with `--live` it
//! asks both Kafkas again and refreshes them. A difference must be listed in `tests/conformance/differences.txt` with
//! its reason, or the task fails; a line there that explains nothing fails it too.
//! A version that a side does not advertise is skipped there. An answer counts as different when it is not that of the
//! newest Kafka that serves the version: where the releases disagree, 4.3 decides.

mod codec;
mod compare;
mod differences;
mod golden;
mod normal;
mod processes;
mod protocol_doc;
mod records;
mod scenarios;
mod schema;
mod side;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use golden::Golden;
use protocol_doc::{Advertised, Ranges};
use scenarios::SCENARIOS;
use schema::Schema;
use side::{Block, Side};

/// The releases of Kafka that are asked.
const KAFKA_VERSIONS: [&str; 2] = ["3.9.1", "4.3.1"];
/// How long Kafka takes to have a change everywhere after answering it.
const KAFKA_SETTLE: Duration = Duration::from_millis(150);
/// `hallows` answers a change once it is everywhere.
const HALLOWS_SETTLE: Duration = Duration::ZERO;

/// Compares the answers of hallows with those of Apache Kafka.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Asks Apache Kafka too (Java 17 and Maven), and refreshes the golden data.
    #[arg(long)]
    live: bool,
    /// Only asks Apache Kafka and refreshes the golden data.
    #[arg(long)]
    record: bool,
    /// Only the scenarios whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// A program to compare instead of building one.
    #[arg(long)]
    hallows: Option<PathBuf>,
    /// How many shards hallows has. With more than one, a change on one shard may reach a fetch session on another
    /// after the next request, so that a fetch that does not wait misses it.
    #[arg(long, default_value_t = 1)]
    shards: u32,
    /// Shows listed differences too.
    #[arg(long)]
    verbose: bool,
    /// Writes the tables of docs/protocol.md instead of checking that they are in step.
    #[arg(long)]
    docs: bool,
}

/// What came of asking one broker everything.
struct Swept {
    blocks: Vec<Block>,
    advertised: Advertised,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |path| root.join(path));
    let cache = target.join("api-sweep");
    std::fs::create_dir_all(&cache)?;
    let schema = Schema::load(&root.join("crates/protocol/definitions"))?;
    let conformance = root.join("tests/conformance");
    let golden_folder = conformance.join("golden");
    let versions = conformance.join("versions.txt");
    if arguments.live || arguments.record {
        let [older, newer] = ask_kafka(&schema, &cache, &arguments.only)?;
        protocol_doc::save_versions(&versions, &schema, &[older.advertised, newer.advertised])?;
        let golden = Golden {
            releases: [older.blocks, newer.blocks],
        };
        golden.save(&golden_folder)?;
    }
    if arguments.record {
        return Ok(());
    }
    let program = match &arguments.hallows {
        Some(program) => program.clone(),
        None => build(root, &target)?,
    };
    let golden = Golden::load(&golden_folder)?;
    let hallows = processes::hallows(&program, arguments.shards, &cache)?;
    let ours = sweep("hallows", &schema, hallows.address, HALLOWS_SETTLE, &arguments.only)?;
    let list_path = conformance.join("differences.txt");
    let list = differences::List::parse(&std::fs::read_to_string(&list_path)?)
        .with_context(|| format!("{}", list_path.display()))?;
    let ranges = Ranges {
        kafka: protocol_doc::load_versions(&versions)?,
        hallows: ours.advertised,
    };
    let whole = arguments.only.is_empty() && arguments.shards == 1;
    compare::report(&ours.blocks, &golden, &list, whole, arguments.verbose)?;
    protocol_doc::update(&root.join("docs/protocol.md"), &schema, &ranges, &list, !arguments.docs)
}

/// Asks both releases of Kafka, at the same time: most of the sweep is waiting.
fn ask_kafka(schema: &Schema, cache: &Path, only: &str) -> Result<[Swept; 2]> {
    let ask = |version: &str| {
        let kafka = processes::kafka(version, cache)?;
        sweep(&format!("Kafka {version}"), schema, kafka.address, KAFKA_SETTLE, only)
    };
    let [older, newer] = std::thread::scope(|scope| {
        KAFKA_VERSIONS
            .map(|version| scope.spawn(move || ask(version)))
            .map(|asking| asking.join().unwrap_or_else(|_| bail!("a scenario panicked")))
    });
    Ok([older?, newer?])
}

/// Runs every scenario at every version against one broker.
fn sweep(name: &str, schema: &Schema, address: SocketAddr, settle: Duration, only: &str) -> Result<Swept> {
    let began = Instant::now();
    let mut side = Side::connect(schema, address, settle)?;
    let mut blocks = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(only)) {
        for (api, version) in scenario.versions(schema) {
            blocks.push(side.block(scenario.name, api, version, scenario.run));
        }
    }
    let steps: usize = blocks
        .iter()
        .filter_map(|block| block.steps.as_ref())
        .map(Vec::len)
        .sum();
    println!("{name}: {steps} answers in {:.1} s", began.elapsed().as_secs_f64());
    ensure!(!blocks.is_empty(), "no scenario is named like {only}");
    Ok(Swept {
        blocks,
        advertised: side.advertised().clone(),
    })
}

fn build(root: &Path, target: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--release", "--package", "hallows-server"])
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the build failed");
    Ok(target.join("release/hallows"))
}
