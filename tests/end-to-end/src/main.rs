//! Real processes and real clients over loopback: the programs behind `cargo xtask crash` and `cargo xtask clients`.

#![expect(clippy::print_stdout, reason = "a task talks to the person at the terminal")]

mod clients;
mod crash;
mod real_input;

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
    /// Sends a million keyed lines through stock clients while a member and the broker are killed.
    RealInput(real_input::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Clients(arguments) => clients::run(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::RealInput(arguments) => real_input::run(&arguments),
    }
}
