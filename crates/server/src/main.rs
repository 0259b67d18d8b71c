//! The program `hallows`: parses the command line, runs the broker or hands the verb to crate `cli`.

mod listen;
mod log;
mod machine;
mod serve;
mod threads;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::Parser;
use hallows_cli::{Arguments, Exit, Failure, Verb, expand_settings, lead_on};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let ended = catch_unwind(run).unwrap_or(Ok(Exit::Panicked));
    let exit = match ended {
        Ok(exit) => exit,
        Err(failure) => {
            if failure.exit() != Exit::Done {
                log::say(&format!("error: {failure}"));
            }
            failure.exit()
        }
    };
    log::finish();
    exit.into()
}

fn run() -> Result<Exit, Failure> {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(line) = lead_on(&words) {
        let said = words[1..]
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let message = anyhow::anyhow!("`{said}` is said otherwise here. Type: {line}");
        return Err(Failure::new(Exit::Usage, message));
    }
    let arguments = Arguments::parse_from(expand_settings(words));
    match arguments.verb {
        None => serve::serve(&arguments.serve),
        Some(Verb::Serve(serve)) => serve::serve(&serve),
        Some(Verb::Sim(arguments)) => hallows_cli::sim(&arguments),
        Some(Verb::Log(verb)) => hallows_cli::run_log(&verb),
        Some(Verb::Client(verb)) => hallows_cli::run(&verb),
    }
}
