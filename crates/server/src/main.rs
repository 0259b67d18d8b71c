//! The program `hallows`: parses the command line, runs the broker or hands the verb to crate `cli`.

mod listen;
mod machine;
mod serve;

use std::process::ExitCode;

use clap::Parser;
use hallows_cli::{Arguments, Exit, Verb, expand_settings};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(expand_settings(std::env::args_os()));
    let ended = match arguments.verb {
        None => serve::serve(&arguments.serve),
        Some(Verb::Serve(serve)) => serve::serve(&serve),
        Some(Verb::Sim(arguments)) => hallows_cli::sim(&arguments),
        Some(Verb::Log(verb)) => hallows_cli::run_log(&verb),
        Some(Verb::Client(verb)) => hallows_cli::run(&verb),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.exit() != Exit::Done {
                eprintln!("error: {failure}");
            }
            failure.exit().into()
        }
    }
}
