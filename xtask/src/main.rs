//! The project's own tasks: `cargo xtask <task>`.
//!
//! One file per task; this one only names them.

#![expect(clippy::print_stdout, reason = "a task talks to the person at the terminal")]

mod api_sweep;
mod bench;
mod codegen;
mod test;

use clap::{Parser, Subcommand};

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// Every task there is. A new one gets a variant here, a file of its own, and a line in `main`.
#[derive(Subcommand)]
enum Task {
    /// Compares the answers of hallows with those of Apache Kafka, API by API, version by version.
    ApiSweep(api_sweep::Arguments),
    /// Measures hallows beside the raw floor and, on request, Apache Kafka.
    Bench(bench::Arguments),
    /// Writes the generated part of `crates/protocol` from its definitions.
    Codegen(codegen::Arguments),
    /// Runs the tests that CI runs, and prints the minutes of each suite.
    Test(test::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::ApiSweep(arguments) => api_sweep::run(&arguments),
        Task::Bench(arguments) => bench::run(arguments),
        Task::Codegen(arguments) => codegen::run(arguments),
        Task::Test(arguments) => test::run(&arguments),
    }
}
