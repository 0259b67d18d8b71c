//! `hallows bench`.

use clap::Args;
use hallows_bench::{RemoteArguments, run_remote};

use crate::{Exit, Failure, output, progress};

const EXAMPLES: &str = "\
Examples:
  hallows bench
  hallows bench -b broker.example:9092 --seconds 10 --topic-config durability=written";

/// Flags of `bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArguments {
    #[command(flatten)]
    remote: RemoteArguments,
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<Exit, Failure> {
    let activity = progress::activity();
    let measured = run_remote(&arguments.remote, |step| activity.set_message(step.to_owned()));
    activity.finish_and_clear();
    output::line(measured?.trim_end())?;
    Ok(Exit::Done)
}
