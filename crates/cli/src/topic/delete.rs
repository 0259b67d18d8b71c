//! `hallows topic delete`.

use clap::Args;
use hallows_client::Client;

use crate::cluster::ClusterArguments;
use crate::names::Names;
use crate::outcome::Outcomes;
use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows topic delete greetings
  hallows topic delete greetings orders --if-exists";

/// Flags of `topic delete`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DeleteArguments {
    #[command(flatten)]
    names: Names,
    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

pub(super) fn run(arguments: &DeleteArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let mut outcomes = Outcomes::new();
    for name in arguments.names.all() {
        outcomes.note(name, "deleted", delete(&mut client, name, arguments.if_exists));
    }
    outcomes.finish(&arguments.cluster)
}

fn delete(client: &mut Client, name: &str, if_exists: bool) -> Result<String, Failure> {
    // A missing topic is told at once; deleting would wait for it.
    if let Err(error) = client.topic(name) {
        return if if_exists && error.code().is_some() {
            Ok(format!("topic {name} does not exist"))
        } else {
            Err(error.into())
        };
    }
    client.delete_topic(name)?;
    Ok(format!("deleted topic {name}"))
}
