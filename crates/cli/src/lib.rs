//! The command line of `hallows`: its arguments, its verbs besides `serve`, its exit codes.
//!
//! The program itself (crate `server`) parses [`Arguments`], runs the broker for `serve`, and hands every other verb
//! to this crate. Nothing is written to standard output except through [`output`].

mod arguments;
mod bench;
mod cluster;
mod config;
mod consume;
mod exit;
mod group;
mod interrupt;
mod lead_on;
mod log;
mod names;
mod outcome;
pub mod output;
mod produce;
mod progress;
#[doc(hidden)]
pub mod readers;
mod record;
pub mod serve;
mod sim;
mod status;
mod table;
mod template;
mod time;
mod topic;

pub use arguments::{Arguments, ClientVerb, Verb, expand_settings};
pub use exit::{Exit, Failure};
pub use lead_on::lead_on;
pub use log::LogVerb;
pub use sim::sim;

/// Does what a verb of `hallows log` says.
///
/// # Errors
/// What went wrong, with its exit code.
pub fn run_log(verb: &LogVerb) -> Result<Exit, Failure> {
    log::run(verb)
}

/// Does what a verb about a running broker says.
///
/// # Errors
/// What went wrong, with its exit code.
pub fn run(verb: &ClientVerb) -> Result<Exit, Failure> {
    match verb {
        ClientVerb::Topic(verb) => topic::run(verb),
        ClientVerb::Produce(arguments) => produce::run(arguments),
        ClientVerb::Consume(arguments) => consume::run(arguments),
        ClientVerb::Group(verb) => group::run(verb),
        ClientVerb::Config(verb) => config::run(verb),
        ClientVerb::Cluster(verb) => status::run(verb),
        ClientVerb::Health(arguments) => status::health(arguments),
        ClientVerb::Bench(arguments) => bench::run(arguments),
    }
}
