//! `cargo xtask test`: what CI runs. Every suite, its minutes, and one closing line.
//!
//! A failing suite does not stop the others, so that one run shows everything that is wrong.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Runs the tests that CI runs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the suites whose names contain this.
    #[arg(long)]
    only: Option<String>,
}

/// One suite: its name, and the commands that pass when it does.
struct Suite {
    name: &'static str,
    commands: &'static [&'static [&'static str]],
}

const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        commands: &[&["cargo", "fmt", "--all", "--check"]],
    },
    Suite {
        name: "tidy",
        commands: &[&["cargo", "xtask", "tidy"]],
    },
    Suite {
        name: "generated files",
        commands: &[&["cargo", "xtask", "codegen", "--check"]],
    },
    Suite {
        name: "lints",
        commands: &[&[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]],
    },
    Suite {
        name: "workspace tests",
        commands: &[&["cargo", "test", "--workspace", "--no-fail-fast"]],
    },
    Suite {
        name: "api sweep",
        commands: &[&["cargo", "xtask", "api-sweep"]],
    },
    Suite {
        name: "simulation",
        commands: &[&["cargo", "xtask", "sim", "--seeds", "200"]],
    },
    Suite {
        name: "crash",
        commands: &[&["cargo", "xtask", "crash", "--cycles", "20"]],
    },
];

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let results: Vec<_> = SUITES
        .iter()
        .filter(|suite| suite.name.contains(only))
        .map(|suite| (suite.name, run_suite(suite)))
        .collect();
    if results.is_empty() {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        bail!("no suite is named like {only}; there are: {}", names.join(", "));
    }
    println!("\n{:<20} {:>8}  result", "suite", "minutes");
    for (name, (took, result)) in &results {
        let minutes = took.as_secs_f64() / 60.0;
        let verdict = result
            .as_ref()
            .map_or_else(|error| format!("FAILED: {error:#}"), |()| "passed".to_owned());
        println!("{name:<20} {minutes:>8.1}  {verdict}");
    }
    let failed = results.iter().filter(|(_, (_, result))| result.is_err()).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} suites failed", results.len());
    }
    Ok(())
}

fn run_suite(suite: &Suite) -> (Duration, anyhow::Result<()>) {
    let start = Instant::now();
    let result = suite.commands.iter().try_for_each(|command| {
        println!("\n== {}: {}", suite.name, command.join(" "));
        run_command(command)
    });
    (start.elapsed(), result)
}

fn run_command(command: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("a command has a program")?;
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot start {program}: is it installed?"))?;
    if !status.success() {
        bail!("`{}` ended with {status}", command.join(" "));
    }
    Ok(())
}
