//! `hallows group delete`.

use clap::Args;

use crate::cluster::ClusterArguments;
use crate::outcome::Outcomes;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows group delete billing
  hallows group delete billing shipping";

/// Flags of `group delete`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DeleteArguments {
    /// The groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(super) fn run(arguments: &DeleteArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let mut outcomes = Outcomes::new();
    for group in &arguments.groups {
        let deleted = client.delete_group(group).map_err(Failure::from);
        outcomes.note(group, "deleted", deleted.map(|()| format!("deleted group {group}")));
    }
    outcomes.finish(&arguments.cluster)
}
