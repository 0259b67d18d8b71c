//! Stock Kafka clients × scenarios, real programs against a real broker.
//!
//! All clients are installed first, so that no compiler runs beside a scenario that has to be in time. Then each has a
//! broker of its own and goes through the scenarios one after the other; several clients run at once.
//! A cell passes, fails, or is skipped for a reason that stands in `tests/clients/skips.txt`; a client whose language
//! is not on this machine is skipped as a whole, and the table says why.

mod bench;
pub(crate) mod install;
mod java_tools;
mod kcat;
mod program;
mod scenarios;
mod skips;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hallows_testkit::{Broker, BrokerOptions, DataDirectory, find_program};

use bench::Bench;
use install::CLIENTS;
pub(crate) use install::{Absent, quiet};
pub(crate) use program::{Program, Record, Running, Said, crc32};
use scenarios::{SCENARIOS, Scenario};
use skips::Skips;

/// Runs stock Kafka clients, one scenario after the other, against a real broker.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only clients whose names contain one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    client: Vec<String>,
    /// Only scenarios whose names contain one of these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// Clients that run at the same time.
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Shards of each broker.
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// Where clients are installed and kept between runs.
    #[arg(long, env = "CLIENTS_DIRECTORY", default_value = "target/clients")]
    directory: PathBuf,
    /// The folder of the clients' programs.
    #[arg(long, default_value = "tests/clients")]
    programs: PathBuf,
}

/// What became of one cell.
#[derive(Clone, Debug)]
enum Cell {
    Passed(Duration),
    Failed(String),
    Skipped(String),
}

/// The cells of one client, in the order of its scenarios.
struct Row {
    client: &'static str,
    /// How long it took to install.
    installed: Duration,
    cells: Vec<(&'static str, Cell)>,
}

/// A client by name, installed and ready to be called.
pub(crate) fn client(name: &str, programs: &Path, directory: &Path) -> Result<Program> {
    let known = CLIENTS.iter().find(|client| client.name == name);
    let client = known.with_context(|| format!("there is no client {name}"))?;
    (client.install)(&install::Place {
        programs: &programs.join(client.folder),
        directory,
    })
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let skips = Skips::read(&arguments.programs.join("skips.txt"))?;
    let contains =
        |name: &str, parts: &[String]| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
    let clients: Vec<_> = CLIENTS
        .iter()
        .filter(|client| contains(client.name, &arguments.client))
        .collect();
    let scenarios: Vec<_> = SCENARIOS
        .iter()
        .filter(|scenario| contains(scenario.name, &arguments.scenario))
        .collect();
    if clients.is_empty() || scenarios.is_empty() {
        bail!("no client or no scenario has such a name");
    }
    skips.check(&CLIENTS.iter().map(|client| client.name).collect::<Vec<_>>())?;
    let installed: Vec<Installed> = clients.into_iter().map(|client| install(client, arguments)).collect();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, installed.len()) {
            scope.spawn(|| {
                while let Some(installed) = installed.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = run_client(installed, &scenarios, &skips, arguments);
                    rows.lock().expect("no thread panics with it").push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no thread panics with it");
    rows.sort_by_key(|row| CLIENTS.iter().position(|client| client.name == row.client));
    print(&rows, &scenarios)
}

/// A client that is ready, or what becomes of all its cells.
struct Installed {
    client: &'static str,
    program: Result<Program, Cell>,
    took: Duration,
}

/// A language that is not here is no fault; an installation that fails is one.
fn install(client: &install::Client, arguments: &Arguments) -> Installed {
    let start = Instant::now();
    let program = self::client(client.name, &arguments.programs, &arguments.directory).map_err(|reason| {
        let told = format!("{reason:#}");
        if reason.is::<Absent>() {
            println!("{} is skipped: {told}", client.name);
            Cell::Skipped(told)
        } else {
            println!("{} cannot be installed: {told}", client.name);
            Cell::Failed(told)
        }
    });
    Installed {
        client: client.name,
        program,
        took: start.elapsed(),
    }
}

fn run_client(installed: &Installed, scenarios: &[&Scenario], skips: &Skips, arguments: &Arguments) -> Row {
    let client = installed.client;
    let bench = installed.program.clone().and_then(|program| {
        // A broker that does not start fails every cell.
        start(program, arguments).map_err(|error| Cell::Failed(format!("{error:#}")))
    });
    let cells = match bench {
        Ok(mut bench) => {
            let cell = |scenario: &&Scenario| run_cell(client, scenario, skips, &mut bench);
            scenarios.iter().map(cell).collect()
        }
        Err(cell) => scenarios.iter().map(|scenario| (scenario.name, cell.clone())).collect(),
    };
    Row {
        client,
        installed: installed.took,
        cells,
    }
}

fn start(program: Program, arguments: &Arguments) -> Result<Bench> {
    let mut options = BrokerOptions::new(find_program()?).with("group.initial.rebalance.delay.ms", "500");
    options.shards = arguments.shards;
    let broker = Broker::start(options, DataDirectory::fresh()?).context("no broker")?;
    Ok(Bench { program, broker })
}

fn run_cell(client: &str, scenario: &Scenario, skips: &Skips, bench: &mut Bench) -> (&'static str, Cell) {
    if let Some(reason) = skips.reason(client, scenario.name) {
        return (scenario.name, Cell::Skipped(reason.to_owned()));
    }
    let start = Instant::now();
    let result = (scenario.run)(bench);
    let took = start.elapsed();
    let cell = match result {
        Ok(()) => Cell::Passed(took),
        Err(error) => Cell::Failed(format!("{error:#}")),
    };
    let word = if matches!(cell, Cell::Passed(_)) {
        "passed"
    } else {
        "FAILED"
    };
    println!("{client}, {}: {word} after {:.1} s", scenario.name, took.as_secs_f32());
    (scenario.name, cell)
}

/// The table, then what failed and why, then the sum.
fn print(rows: &[Row], scenarios: &[&Scenario]) -> Result<()> {
    print!("\n{:<17}", "");
    for row in rows {
        print!(" {:>10}", row.client.chars().take(10).collect::<String>());
    }
    print!("\n{:<17}", "(installation)");
    for row in rows {
        print!(" {:>10}", seconds(row.installed));
    }
    println!();
    for scenario in scenarios {
        print!("{:<17}", scenario.name);
        for row in rows {
            let cell = row.cells.iter().find(|(name, _)| *name == scenario.name);
            let shown = match cell.map(|(_, cell)| cell) {
                Some(Cell::Passed(took)) => seconds(*took),
                Some(Cell::Failed(_)) => "FAILED".to_owned(),
                Some(Cell::Skipped(_)) => "skipped".to_owned(),
                None => String::new(),
            };
            print!(" {shown:>10}");
        }
        println!();
    }
    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    println!();
    for row in rows {
        for (scenario, cell) in &row.cells {
            match cell {
                Cell::Passed(_) => passed += 1,
                Cell::Skipped(reason) => {
                    skipped += 1;
                    println!("skipped: {}, {scenario}: {reason}", row.client);
                }
                Cell::Failed(reason) => {
                    failed += 1;
                    println!("FAILED: {}, {scenario}: {reason}", row.client);
                }
            }
        }
    }
    println!(
        "cells {} passed {passed} skipped {skipped} failed {failed}",
        passed + skipped + failed
    );
    if failed > 0 {
        bail!("{failed} cells failed");
    }
    Ok(())
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f32())
}
