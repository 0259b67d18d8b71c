//! What may stand on the command line.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::bench::BenchArguments;
use crate::config::ConfigVerb;
use crate::consume::ConsumeArguments;
use crate::group::GroupVerb;
use crate::log::LogVerb;
use crate::produce::ProduceArguments;
use crate::serve::ServeArguments;
use crate::sim::SimArguments;
use crate::status::{ClusterVerb, HealthArguments};
use crate::topic::TopicVerb;

const AFTER_HELP: &str = "\
Without a verb, `hallows` is `hallows serve`.

Examples:
  hallows                                            a broker on 127.0.0.1:9092, data in ./hallows-data
  hallows --listeners PLAINTEXT://0.0.0.0:9092 --data-dir /var/lib/hallows
  hallows --log.retention.hours 24 --shards 2        any setting of docs/config.md is a flag

Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, 3 network, 4 data directory, 5 refused by the broker, 6 timed out, 70 a fault of this program.";

/// An event streaming engine that speaks Kafka's protocol.
#[derive(Parser, Debug)]
#[command(name = "hallows", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// What to do; to serve when nothing is said.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// The flags of `serve` when no verb is given.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run a broker (the default).
    Serve(ServeArguments),
    /// Run whole brokers in a simulated world that loses power, and look for what they promised.
    Sim(SimArguments),
    /// Read a data directory offline: verify it, or print what it holds.
    #[command(subcommand)]
    Log(LogVerb),
    /// Everything that talks to a broker.
    #[command(flatten)]
    Client(ClientVerb),
}

/// What to do with a broker that runs somewhere.
#[derive(Subcommand, Debug)]
pub enum ClientVerb {
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand, visible_alias = "topics")]
    Topic(TopicVerb),
    /// Send lines of standard input as records.
    Produce(ProduceArguments),
    /// Print records.
    Consume(ConsumeArguments),
    /// List, describe, reset and delete consumer groups.
    #[command(subcommand, visible_alias = "groups")]
    Group(GroupVerb),
    /// Show and change settings of a running cluster.
    #[command(subcommand, visible_alias = "configs")]
    Config(ConfigVerb),
    /// Show what a cluster consists of and how it is.
    #[command(subcommand)]
    Cluster(ClusterVerb),
    /// Tell whether a broker serves, by exit code too.
    Health(HealthArguments),
    /// Measure a broker that is already running, here or elsewhere.
    Bench(BenchArguments),
}

/// Turns `--log.segment.bytes 1048576` into `--set log.segment.bytes=1048576` where the verb is `serve`.
///
/// So every setting is a flag under its own name, and a name that does not exist is reported together with all other
/// mistakes of the configuration instead of one at a time.
pub fn expand_settings(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut expanded: Vec<OsString> = arguments.next().into_iter().collect();
    let mut rest = arguments.peekable();
    let serves = rest
        .peek()
        .is_none_or(|first| first == "serve" || first.to_str().is_some_and(|text| text.starts_with('-')));
    while let Some(argument) = rest.next() {
        let setting = if serves { setting_flag(&argument) } else { None };
        let Some(setting) = setting else {
            expanded.push(argument);
            continue;
        };
        expanded.push("--set".into());
        let mut assignment = OsString::from(setting);
        if !setting.contains('=')
            && let Some(value) = rest.next()
        {
            assignment.push("=");
            assignment.push(value);
        }
        expanded.push(assignment);
    }
    expanded
}

/// `name` or `name=value` of a flag whose name has a dot in it, as the names of settings have.
fn setting_flag(argument: &OsString) -> Option<&str> {
    let flag = argument.to_str()?.strip_prefix("--")?;
    let name = flag.split('=').next()?;
    name.contains('.').then_some(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let expanded = expand_settings(line.split(' ').map(OsString::from));
        let expanded: Vec<_> = expanded.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(expanded.join(" "), expected, "{line}");
    }

    #[test]
    fn settings_are_flags_where_a_broker_is_started() {
        check("hallows", "hallows");
        check("hallows --log.retention.ms -1", "hallows --set log.retention.ms=-1");
        check(
            "hallows --log.dirs=/data --shards 2",
            "hallows --set log.dirs=/data --shards 2",
        );
        check("hallows serve --node.id 7", "hallows serve --set node.id=7");
        check("hallows serve --node.id", "hallows serve --set node.id");
        check("hallows consume --x.y 1", "hallows consume --x.y 1");
    }

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
