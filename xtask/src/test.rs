//! `cargo xtask test`: what CI runs. Every suite, its minutes, and one closing line.
//!
//! A failing suite does not stop the others, so that one run shows everything that is wrong. With `--full` the suites
//! take their long form, and `docs/reliability.md` is told what ran and what it showed, whether good or bad.

mod command;
mod reliability;
mod suites;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use reliability::Row;
use suites::{SUITES, Suite};

/// Runs the tests that CI runs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the suites whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// Everything, at length, and writes what it showed to docs/reliability.md.
    #[arg(long)]
    full: bool,
    /// Prints the suites and their commands, and runs nothing.
    #[arg(long)]
    list: bool,
}

/// What became of one suite.
struct Outcome {
    name: &'static str,
    commands: &'static [&'static str],
    took: Duration,
    result: Result<()>,
    /// The lines worth remembering, in the order they were printed.
    showed: Vec<String>,
}

impl Outcome {
    fn verdict(&self) -> String {
        self.result
            .as_ref()
            .map_or_else(|error| format!("FAILED: {error:#}"), |()| "passed".to_owned())
    }

    fn minutes(&self) -> String {
        format!("{:.1}", self.took.as_secs_f64() / 60.0)
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let suites = chosen(arguments)?;
    if arguments.list {
        for (suite, commands) in &suites {
            println!("{:<20} {}", suite.name, commands.join(" && "));
        }
        return Ok(());
    }
    let outcomes: Vec<_> = suites
        .iter()
        .map(|(suite, commands)| run_suite(suite, commands))
        .collect();
    println!("\n{:<20} {:>8}  result", "suite", "minutes");
    for outcome in &outcomes {
        println!("{:<20} {:>8}  {}", outcome.name, outcome.minutes(), outcome.verdict());
    }
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    let minutes = outcomes
        .iter()
        .map(|outcome| outcome.took)
        .sum::<Duration>()
        .as_secs_f64()
        / 60.0;
    println!("{:<20} {minutes:>8.1}", "all");
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if arguments.full {
        reliability::write(outcomes.iter().map(Row::of).collect())?;
    }
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

/// The suites that were asked for, with the commands of the form that was asked for.
fn chosen(arguments: &Arguments) -> Result<Vec<(&'static Suite, &'static [&'static str])>> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let found: Vec<_> = SUITES
        .iter()
        .filter(|suite| suite.name.contains(only))
        .map(|suite| (suite, suite.commands(arguments.full)))
        .filter(|(_, commands)| !commands.is_empty())
        .collect();
    if found.is_empty() {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        bail!(
            "no suite of this run is named like {only}; there are: {}",
            names.join(", ")
        );
    }
    Ok(found)
}

fn run_suite(suite: &Suite, commands: &'static [&'static str]) -> Outcome {
    let start = Instant::now();
    let mut showed = Vec::new();
    let result = commands.iter().try_for_each(|line| {
        println!("\n== {}: {line}", suite.name);
        command::run(line, &suite.shows, &mut showed)
    });
    Outcome {
        name: suite.name,
        commands,
        took: start.elapsed(),
        result,
        showed,
    }
}
