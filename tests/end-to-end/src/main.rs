//! Real processes and real clients over loopback: the program behind `cargo xtask` `crash`, `clients`, `client-suites`,
//! `faults` and `real-input`.

#![expect(clippy::print_stdout, reason = "a task talks to the person at the terminal")]

mod client_suites;
mod clients;
mod crash;
#[cfg(target_os = "linux")]
mod faults;
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
    /// Runs the test-suites that crate rdkafka and kafka-python ship against a real broker.
    ClientSuites(client_suites::Arguments),
    /// Kills a loaded broker again and again and looks for what it lost.
    Crash(crash::Arguments),
    /// Lets stock clients work while everything around the broker fails, and judges what they saw.
    #[cfg(target_os = "linux")]
    Faults(faults::Arguments),
    /// Sends a million keyed lines through stock clients while a member and the broker are killed.
    RealInput(real_input::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Clients(arguments) => clients::run(&arguments),
        Task::ClientSuites(arguments) => client_suites::run(&arguments),
        Task::Crash(arguments) => crash::run(&arguments),
        #[cfg(target_os = "linux")]
        Task::Faults(arguments) => faults::run(&arguments),
        Task::RealInput(arguments) => real_input::run(&arguments),
    }
}
