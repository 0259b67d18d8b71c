//! `hallows config`: settings of a running cluster.

mod alter;
mod describe;

use clap::{Args, Subcommand, ValueEnum};
use hallows_client::Resource;

use crate::{Exit, Failure};

/// What to do with settings.
#[derive(Subcommand, Debug)]
pub enum ConfigVerb {
    /// Show the settings of a topic, a broker, all brokers or a group.
    #[command(visible_aliases = ["list", "ls", "get"])]
    Describe(describe::DescribeArguments),
    /// Change settings while the cluster runs.
    #[command(visible_alias = "set")]
    Alter(alter::AlterArguments),
}

pub(crate) fn run(verb: &ConfigVerb) -> Result<Exit, Failure> {
    match verb {
        ConfigVerb::Describe(arguments) => describe::run(arguments),
        ConfigVerb::Alter(arguments) => alter::run(arguments),
    }
}

/// What has the settings.
#[derive(Args, Debug)]
pub(super) struct SubjectArguments {
    /// Of a topic.
    #[arg(long, short, value_name = "TOPIC", group = "subject")]
    topic: Option<String>,
    /// Of one broker, by its node id.
    #[arg(long, value_name = "ID", group = "subject")]
    broker: Option<i32>,
    /// Of all brokers.
    #[arg(long, visible_alias = "broker-defaults", group = "subject")]
    all_brokers: bool,
    /// Of a group.
    #[arg(long, short, value_name = "GROUP", group = "subject")]
    group: Option<String>,
    /// The same in the words of kafka-configs.sh.
    #[arg(long, value_enum, value_name = "KIND", group = "subject", requires = "entity")]
    entity_type: Option<EntityType>,
    /// The name or id of `--entity-type`.
    #[arg(long, value_name = "NAME", group = "entity", requires = "entity_type")]
    entity_name: Option<String>,
    /// All of `--entity-type`.
    #[arg(long, group = "entity", requires = "entity_type")]
    entity_default: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum EntityType {
    #[value(alias = "topic")]
    Topics,
    #[value(alias = "broker")]
    Brokers,
    #[value(alias = "group")]
    Groups,
}

impl SubjectArguments {
    fn resource(&self) -> Result<Resource<'_>, Failure> {
        let wrong = |why: String| Failure::new(Exit::Usage, anyhow::Error::msg(why));
        if let Some(topic) = &self.topic {
            return Ok(Resource::Topic(topic));
        }
        if let Some(group) = &self.group {
            return Ok(Resource::Group(group));
        }
        if let Some(node) = self.broker {
            return Ok(Resource::Broker(node));
        }
        if self.all_brokers {
            return Ok(Resource::Brokers);
        }
        match (self.entity_type, self.entity_name.as_deref()) {
            (Some(EntityType::Topics), Some(name)) => Ok(Resource::Topic(name)),
            (Some(EntityType::Groups), Some(name)) => Ok(Resource::Group(name)),
            (Some(EntityType::Brokers), None) => Ok(Resource::Brokers),
            (Some(EntityType::Brokers), Some(id)) => id
                .parse()
                .map(Resource::Broker)
                .map_err(|_| wrong(format!("`{id}` is no node id: give a number"))),
            (Some(_), None) => Err(wrong(
                "topics and groups have no common settings: give --entity-name".to_owned(),
            )),
            (None, _) => Err(wrong(
                "whose settings? Give --topic, --broker, --all-brokers or --group".to_owned(),
            )),
        }
    }
}
