//! `hallows topic`.

mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod trim;

use clap::Subcommand;

pub(crate) use describe::source_word;

use crate::{Exit, Failure};

/// What to do with topics.
#[derive(Subcommand, Debug)]
pub enum TopicVerb {
    /// Create topics.
    Create(create::CreateArguments),
    /// List the topics of the cluster.
    #[command(visible_alias = "ls")]
    List(list::ListArguments),
    /// Show partitions, offsets and settings of topics.
    Describe(describe::DescribeArguments),
    /// Change the settings of a topic, or add partitions.
    Alter(alter::AlterArguments),
    /// Remove records from the beginning of a topic.
    #[command(visible_alias = "trim-prefix")]
    Trim(trim::TrimArguments),
    /// Delete topics with all their records.
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArguments),
}

pub(crate) fn run(verb: &TopicVerb) -> Result<Exit, Failure> {
    match verb {
        TopicVerb::Create(arguments) => create::run(arguments),
        TopicVerb::List(arguments) => list::run(arguments),
        TopicVerb::Describe(arguments) => describe::run(arguments),
        TopicVerb::Alter(arguments) => alter::run(arguments),
        TopicVerb::Trim(arguments) => trim::run(arguments),
        TopicVerb::Delete(arguments) => delete::run(arguments),
    }
}

/// `NAME=VALUE` of a setting.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` has no value: give NAME=VALUE"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// `1 partition`, `2 partitions`.
fn partitions(count: i32) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} partition{plural}")
}
