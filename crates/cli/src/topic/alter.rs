//! `hallows topic alter`.

use anyhow::anyhow;
use clap::Args;
use hallows_client::{Client, ConfigChange, Resource};

use crate::cluster::ClusterArguments;
use crate::names::Names;
use crate::outcome::Outcomes;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows topic alter greetings --config retention.ms=3600000
  hallows topic alter greetings --delete-config retention.ms
  hallows topic alter greetings --partitions 12";

/// Flags of `topic alter`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AlterArguments {
    #[command(flatten)]
    names: Names,
    /// Sets a setting; may be repeated.
    #[arg(long, short, visible_aliases = ["set", "add-config"], value_name = "NAME=VALUE", value_parser = super::setting)]
    config: Vec<(String, String)>,
    /// Takes a setting back to the broker's default; may be repeated.
    #[arg(long, short, value_name = "NAME")]
    delete_config: Vec<String>,
    /// How many partitions the topic shall have; there is no way to have fewer.
    #[arg(long, short, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(super) fn run(arguments: &AlterArguments) -> Result<Exit, Failure> {
    if arguments.config.is_empty() && arguments.delete_config.is_empty() && arguments.partitions.is_none() {
        let nothing = anyhow!("nothing to alter: give --config, --delete-config or --partitions");
        return Err(Failure::new(Exit::Usage, nothing));
    }
    let mut client = arguments.cluster.connect()?;
    let mut outcomes = Outcomes::new();
    for name in arguments.names.all() {
        outcomes.note(name, "altered", alter(&mut client, name, arguments));
    }
    outcomes.finish(&arguments.cluster)
}

fn alter(client: &mut Client, name: &str, arguments: &AlterArguments) -> Result<String, Failure> {
    // A missing topic is told at once; the calls below would wait for it.
    client.topic(name)?;
    let set = arguments
        .config
        .iter()
        .map(|(name, value)| ConfigChange::Set(name, value));
    let deleted = arguments.delete_config.iter().map(|name| ConfigChange::Delete(name));
    let changes: Vec<_> = set.chain(deleted).collect();
    if !changes.is_empty() {
        client.alter_configs(Resource::Topic(name), &changes)?;
    }
    if let Some(count) = arguments.partitions {
        client.create_partitions(name, count)?;
    }
    Ok(format!("altered topic {name}"))
}
