//! `hallows topic create`.

use clap::Args;
use hallows_client::{Client, ErrorCode, NewTopic};

use crate::cluster::ClusterArguments;
use crate::names::Names;
use crate::outcome::Outcomes;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows topic create greetings
  hallows topic create orders payments --partitions 12 --config retention.ms=86400000
  hallows topic create metrics --config durability=written --if-not-exists";

/// Flags of `topic create`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CreateArguments {
    #[command(flatten)]
    names: Names,
    /// How many partitions each gets; the broker's `num.partitions` if not given.
    #[arg(long, short, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas each partition gets; the broker's default if not given.
    #[arg(long, short, visible_alias = "replicas", value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic; may be repeated.
    #[arg(long, short, value_name = "NAME=VALUE", visible_alias = "topic-config", value_parser = super::setting)]
    config: Vec<(String, String)>,
    /// A topic that exists already is left as it is.
    #[arg(long)]
    if_not_exists: bool,
    /// Only asks whether the topics could be created.
    #[arg(long, visible_alias = "dry-run")]
    validate_only: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(super) fn run(arguments: &CreateArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let mut outcomes = Outcomes::new();
    let status = if arguments.validate_only { "valid" } else { "created" };
    for name in arguments.names.all() {
        outcomes.note(name, status, create(&mut client, name, arguments));
    }
    outcomes.finish(&arguments.cluster)
}

fn create(client: &mut Client, name: &str, arguments: &CreateArguments) -> Result<String, Failure> {
    let configs = arguments.config.iter();
    let configs: Vec<_> = configs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let created = client.create_topic(&NewTopic {
        name,
        partitions: arguments.partitions.unwrap_or(-1),
        replicas: arguments.replication_factor.unwrap_or(-1),
        configs: &configs,
        validate_only: arguments.validate_only,
    });
    match created {
        Err(error) if arguments.if_not_exists && error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
            Ok(format!("topic {name} exists already"))
        }
        Err(error) => Err(error.into()),
        Ok(_) if arguments.validate_only => Ok(format!("topic {name} could be created")),
        Ok(topic) if topic.num_partitions > 0 => Ok(format!(
            "created topic {name} with {}",
            super::partitions(topic.num_partitions)
        )),
        Ok(_) => Ok(format!("created topic {name}")),
    }
}
