//! `hallows config alter`.

use clap::Args;
use hallows_client::ConfigChange;

use super::SubjectArguments;
use crate::cluster::ClusterArguments;
use crate::outcome::Outcomes;
use crate::{Exit, Failure, topic};

const EXAMPLES: &str = "\
Examples:
  hallows config alter --topic greetings --set retention.ms=3600000
  hallows config alter --topic greetings --delete retention.ms";

/// Flags of `config alter`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AlterArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// Sets a setting; may be repeated.
    #[arg(long, short, visible_aliases = ["config", "add-config"], value_name = "NAME=VALUE", value_parser = topic::setting)]
    set: Vec<(String, String)>,
    /// Takes a setting back to its default; may be repeated.
    #[arg(long, short, visible_alias = "delete-config", value_name = "NAME")]
    delete: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(super) fn run(arguments: &AlterArguments) -> Result<Exit, Failure> {
    let resource = arguments.subject.resource()?;
    let set = arguments.set.iter().map(|(name, value)| ConfigChange::Set(name, value));
    let deleted = arguments.delete.iter().map(|name| ConfigChange::Delete(name));
    let changes: Vec<_> = set.chain(deleted).collect();
    if changes.is_empty() {
        let nothing = anyhow::anyhow!("nothing to alter: give --set or --delete");
        return Err(Failure::new(Exit::Usage, nothing));
    }
    let mut client = arguments.cluster.connect()?;
    let subject = resource.to_string();
    let altered = client.alter_configs(resource, &changes).map_err(Failure::from);
    let mut outcomes = Outcomes::new();
    outcomes.note(&subject, "altered", altered.map(|()| format!("altered {subject}")));
    outcomes.finish(&arguments.cluster)
}
