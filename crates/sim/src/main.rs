//! Runs the simulation over many seeds: what `cargo xtask sim` builds and starts.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks to the person at the terminal"
)]

use std::process::ExitCode;

use clap::Parser;
use hallows_sim::{Report, Sabotage, simulate};
use tracing_subscriber::EnvFilter;

/// Kills simulated machines and looks for what they promised.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Arguments {
    /// How many seeds to run, from 0 on.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// A promise to break on purpose, to see that the harness notices.
    #[arg(long, value_parser = sabotage)]
    sabotage: Option<Sabotage>,
    /// Go on after a violation instead of ending with the first one.
    #[arg(long)]
    keep_going: bool,
    /// Print one line per seed, with the fingerprint of its run.
    #[arg(long)]
    verbose: bool,
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let known = Sabotage::ALL.map(|(name, _)| name).join(", ");
    Sabotage::from_name(name).ok_or_else(|| format!("known are {known}"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Silent unless RUST_LOG asks; the simulation has no wall clock worth printing.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off")))
        .without_time()
        .with_writer(std::io::stderr)
        .init();
    let sabotage = arguments.sabotage.unwrap_or_default();
    let seeds = arguments
        .seed
        .map_or(arguments.from..arguments.from + arguments.seeds, |seed| seed..seed + 1);
    let mut report = Report::default();
    for seed in seeds {
        let outcome = simulate(seed, sabotage);
        if arguments.verbose {
            let (operations, crashes, fingerprint) = (outcome.operations, outcome.crashes, outcome.fingerprint);
            println!("seed={seed} operations={operations} crashes={crashes} fingerprint={fingerprint:016x}");
        }
        let violated = outcome.violation.clone();
        report.add(seed, outcome);
        if let Some(violation) = violated {
            let switch = sabotage
                .name()
                .map(|name| format!(" --sabotage {name}"))
                .unwrap_or_default();
            eprintln!("seed {seed}: {violation}");
            eprintln!("repeat it with: cargo xtask sim --seed {seed}{switch}");
            if !arguments.keep_going {
                break;
            }
        }
    }
    println!("{report}");
    println!("{}", report.faults());
    if report.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
