//! Real processes and real clients over loopback: the programs behind `cargo xtask crash` and `cargo xtask clients`.

#![expect(clippy::print_stdout, reason = "a task talks to the person at the terminal")]

mod clients;
mod crash;

use clap::{Parser, Subcommand};

/// Tests with real processes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs stock Kafka clients, one scenario after the other, against a real broker.
    Clients(clients::Arguments),
    /// Kills a loaded broker again and again and looks for what it lost.
    Crash(crash::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Clients(arguments) => clients::run(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
    }
}
