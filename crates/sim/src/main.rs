//! Runs the simulation over many seeds: what `cargo xtask sim` builds and starts.

use std::process::ExitCode;

use clap::Parser;
use hallows_sim::command::{self, Verdict};
use tracing_subscriber::EnvFilter;

/// Runs simulated machines, kills them, and looks for what they promised.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Arguments {
    #[command(flatten)]
    arguments: command::Arguments,
}

fn main() -> std::io::Result<ExitCode> {
    let Arguments { arguments } = Arguments::parse();
    // Silent unless RUST_LOG asks; the simulation has no wall clock worth printing.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    let verdict = command::run(&arguments, "cargo xtask sim", &mut std::io::stdout().lock())?;
    Ok(match verdict {
        Verdict::Held => ExitCode::SUCCESS,
        Verdict::Broken => ExitCode::FAILURE,
    })
}
