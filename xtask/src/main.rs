//! The project's own tasks: `cargo xtask <task>`.
//!
//! One file per task; this one only names them.

#![expect(clippy::print_stdout, reason = "a task talks to the person at the terminal")]

mod api_sweep;
mod bench;
mod client_suites;
mod clients;
mod codegen;
mod crash;
mod end_to_end;
mod faults;
mod fuzz;
mod real_input;
mod sanitize;
mod sim;
mod test;
mod tidy;

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
    /// Runs the test-suites that crate rdkafka and kafka-python ship against a real broker.
    ClientSuites(client_suites::Arguments),
    /// Runs stock Kafka clients, one scenario after the other, against a real broker.
    Clients(clients::Arguments),
    /// Writes the generated part of `crates/protocol` from its definitions.
    Codegen(codegen::Arguments),
    /// Kills a loaded broker again and again and looks for what it lost.
    Crash(crash::Arguments),
    /// Lets stock clients work while everything around the broker fails, and judges what they saw.
    Faults(faults::Arguments),
    /// Runs the fuzz targets: corpora, kept inputs, and new ones for a while.
    Fuzz(fuzz::Arguments),
    /// Measures memory, processor time and latencies of hallows at its limits.
    Limits(bench::Arguments),
    /// Sends a million keyed lines through stock clients while a member and the broker are killed.
    RealInput(real_input::Arguments),
    /// Runs the broker's tests under AddressSanitizer, and those of hand-made buffers under valgrind.
    Sanitize(sanitize::Arguments),
    /// Kills simulated machines at random moments and looks for what they promised.
    Sim(sim::Arguments),
    /// Runs the tests that CI runs, and prints the minutes of each suite.
    Test(test::Arguments),
    /// Checks what the compiler cannot: module documentation, layers, links, long functions.
    Tidy(tidy::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::ApiSweep(arguments) => api_sweep::run(&arguments),
        Task::Bench(arguments) => bench::run(arguments),
        Task::ClientSuites(arguments) => client_suites::run(arguments),
        Task::Clients(arguments) => clients::run(arguments),
        Task::Codegen(arguments) => codegen::run(arguments),
        Task::Crash(arguments) => crash::run(arguments),
        Task::Faults(arguments) => faults::run(arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Limits(arguments) => bench::run_limits(arguments),
        Task::RealInput(arguments) => real_input::run(arguments),
        Task::Sanitize(arguments) => sanitize::run(&arguments),
        Task::Sim(arguments) => sim::run(arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
    }
}
