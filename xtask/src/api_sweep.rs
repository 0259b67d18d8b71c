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
mod records;
mod scenarios;
mod schema;
mod side;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use golden::Golden;
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
    /// Shows listed differences too.
    #[arg(long)]
    verbose: bool,
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
    if arguments.live || arguments.record {
        let mut golden = Golden::default();
        for (blocks, version) in golden.releases.iter_mut().zip(KAFKA_VERSIONS) {
            let kafka = processes::kafka(version, &cache)?;
            *blocks = sweep(
                &format!("Kafka {version}"),
                &schema,
                kafka.address,
                KAFKA_SETTLE,
                &arguments.only,
            )?;
        }
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
    let hallows = processes::hallows(&program, &cache)?;
    let ours = sweep("hallows", &schema, hallows.address, HALLOWS_SETTLE, &arguments.only)?;
    let list_path = conformance.join("differences.txt");
    let list = differences::List::parse(&std::fs::read_to_string(&list_path)?)
        .with_context(|| format!("{}", list_path.display()))?;
    let whole = arguments.only.is_empty();
    compare::report(&ours, &golden, &list, whole, arguments.verbose)
}

/// Runs every scenario at every version against one broker.
fn sweep(name: &str, schema: &Schema, address: SocketAddr, settle: Duration, only: &str) -> Result<Vec<Block>> {
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
    Ok(blocks)
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
