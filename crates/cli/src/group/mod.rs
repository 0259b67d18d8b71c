//! `hallows group`.

mod delete;
mod describe;
mod list;
mod reset;

use clap::Subcommand;

use crate::{Exit, Failure};

/// What to do with consumer groups.
#[derive(Subcommand, Debug)]
pub enum GroupVerb {
    /// List the groups of the cluster.
    #[command(visible_alias = "ls")]
    List(list::ListArguments),
    /// Show members, committed offsets and lag of groups.
    Describe(describe::DescribeArguments),
    /// Move the committed offsets of a group without members.
    #[command(visible_alias = "seek")]
    Reset(reset::ResetArguments),
    /// Delete groups without members, with their committed offsets.
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArguments),
}

pub(crate) fn run(verb: &GroupVerb) -> Result<Exit, Failure> {
    match verb {
        GroupVerb::List(arguments) => list::run(arguments),
        GroupVerb::Describe(arguments) => describe::run(arguments),
        GroupVerb::Reset(arguments) => reset::run(arguments),
        GroupVerb::Delete(arguments) => delete::run(arguments),
    }
}
