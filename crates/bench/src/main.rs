//! The program behind `cargo xtask bench`: the load generator, and the floor as a process of its own.

#![expect(clippy::print_stderr, reason = "progress of a task, for the person at the terminal")]

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use hallows_bench::{
    Cell, Class, Kind, LimitsPlan, Places, Plan, RemoteArguments, Section, run, run_limits, run_remote, serve_floor,
};

/// Measures hallows beside the raw floor and, on request, Apache Kafka.
#[derive(Parser)]
#[command(name = "hallows-bench")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Compares programs on this machine.
    Run(RunArguments),
    /// Measures what hallows takes at its limits.
    Limits(LimitsArguments),
    /// Measures a broker that is already running, anywhere.
    Remote(RemoteArguments),
    /// Serves as the raw floor.
    #[command(hide = true)]
    Floor(FloorArguments),
}

#[derive(clap::Args)]
struct RunArguments {
    /// What to measure; everything when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    cells: Vec<Cell>,
    /// Durability classes.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Class::Written, Class::Fsync])]
    classes: Vec<Class>,
    /// Runs of each cell on each subject.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Seconds that one run lasts.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Shards of hallows in cells that do not name a count; as many as there are cores when left out.
    #[arg(long)]
    shards: Option<u32>,
    /// What to compare with besides the floor.
    #[arg(long, value_enum, value_delimiter = ',')]
    against: Vec<Opponent>,
    /// Measures the floor and the opponents without hallows.
    #[arg(long)]
    without_hallows: bool,
    /// The program hallows.
    #[arg(long, overrides_with = "hallows", default_value = "target/release/hallows")]
    hallows: PathBuf,
    /// Fresh data directories are made below this one.
    #[arg(long, overrides_with = "data", default_value = "target/bench")]
    data: PathBuf,
    /// Where Kafka's jars are kept.
    #[arg(long, overrides_with = "cache", default_value = "target/bench-cache")]
    cache: PathBuf,
    /// Also writes the report to this file.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(clap::Args)]
struct LimitsArguments {
    /// What to measure; everything when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// How much cold data is read beside producers, in GiB.
    #[arg(long, default_value_t = 10)]
    gib: u64,
    /// Seconds that each load lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The program hallows.
    #[arg(long, overrides_with = "hallows", default_value = "target/release/hallows")]
    hallows: PathBuf,
    /// Fresh data directories are made below this one.
    #[arg(long, overrides_with = "data", default_value = "target/bench")]
    data: PathBuf,
    /// Not used here; the tasks give it to every verb.
    #[arg(long, overrides_with = "cache", default_value = "target/bench-cache", hide = true)]
    cache: PathBuf,
    /// Also writes the report to this file.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Opponent {
    /// Apache Kafka, fetched with Maven.
    Kafka,
}

#[derive(clap::Args)]
struct FloorArguments {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    directory: PathBuf,
    #[arg(long, value_enum)]
    class: Class,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Verb::Run(arguments) => {
            let report = arguments.report.clone();
            let text = run(&plan(arguments))?;
            if let Some(path) = report {
                std::fs::write(path, &text)?;
            }
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        Verb::Limits(arguments) => {
            let report = arguments.report.clone();
            let text = run_limits(&limits_plan(arguments))?;
            if let Some(path) = report {
                std::fs::write(path, &text)?;
            }
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        Verb::Remote(arguments) => {
            let text = run_remote(&arguments, |line| eprintln!("{line}"))?;
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        }
        Verb::Floor(arguments) => serve_floor(arguments.address, &arguments.directory, arguments.class),
    }
}

fn plan(arguments: RunArguments) -> Plan {
    let mut subjects = Vec::new();
    if !arguments.without_hallows {
        subjects.push(Kind::Hallows);
    }
    if arguments.against.contains(&Opponent::Kafka) {
        subjects.push(Kind::Kafka);
    }
    let cells = if arguments.cells.is_empty() {
        Cell::value_variants().to_vec()
    } else {
        arguments.cells
    };
    Plan {
        cells,
        classes: arguments.classes,
        repeats: arguments.repeats,
        length: Duration::from_secs(arguments.seconds),
        subjects,
        shards: arguments.shards,
        places: Places {
            hallows: arguments.hallows,
            data: arguments.data,
            cache: arguments.cache,
        },
        command: command_line("bench"),
    }
}

fn limits_plan(arguments: LimitsArguments) -> LimitsPlan {
    let sections = if arguments.only.is_empty() {
        Section::value_variants().to_vec()
    } else {
        arguments.only
    };
    LimitsPlan {
        sections,
        cold_bytes: arguments.gib << 30,
        length: Duration::from_secs(arguments.seconds),
        places: Places {
            hallows: arguments.hallows,
            data: arguments.data,
            cache: arguments.cache,
        },
        command: command_line("limits"),
    }
}

/// How the run was asked for, without the paths of this machine.
fn command_line(task: &str) -> String {
    let mut words = vec![format!("cargo xtask {task}")];
    let mut arguments = std::env::args().skip(2);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--hallows" | "--data" | "--cache" | "--report" => {
                arguments.next();
            }
            _ => words.push(word),
        }
    }
    words.join(" ")
}
