//! `hallows sim`: proves on this machine what this build promises.

use std::io;

use clap::Args;
use hallows_sim::command::{self, Verdict};

use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows sim                                  200 seeds of both levels
  hallows sim --level broker --seed 7          one seed of whole brokers with their clients
  hallows sim --seed 7 --level broker --minimise";

/// Flags of `sim`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SimArguments {
    #[command(flatten)]
    arguments: command::Arguments,
}

/// Runs the simulation; nothing outside of this process is touched.
///
/// # Errors
/// When nothing can be written.
pub fn sim(arguments: &SimArguments) -> Result<Exit, Failure> {
    let verdict = command::run(&arguments.arguments, "hallows sim", &mut io::stdout().lock())?;
    Ok(match verdict {
        Verdict::Held => Exit::Done,
        Verdict::Broken => Exit::Failed,
    })
}
