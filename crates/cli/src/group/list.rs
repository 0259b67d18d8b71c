//! `hallows group list`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::{Exit, Failure, output};

const EXAMPLES: &str = "\
Examples:
  hallows group list
  hallows group list --output json | jq -r '.[] | select(.state == \"Empty\").group'";

/// Flags of `group list`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListArguments {
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Serialize)]
struct Listed {
    group: String,
    state: String,
    protocol_type: String,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Groups(Vec<Listed>);

pub(super) fn run(arguments: &ListArguments) -> Result<Exit, Failure> {
    let mut client = arguments.cluster.connect()?;
    let listed = client.list_groups()?.into_iter().map(|group| Listed {
        group: group.group_id,
        state: group.group_state,
        protocol_type: group.protocol_type,
    });
    let listed: Vec<Listed> = listed.collect();
    if arguments.cluster.is_terse() {
        listed.iter().try_for_each(|listed| output::line(&listed.group))?;
        return Ok(Exit::Done);
    }
    arguments.cluster.print(&Groups(listed))?;
    Ok(Exit::Done)
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no groups");
        }
        let mut table = Table::new(["GROUP", "STATE", "TYPE"]);
        for group in &self.0 {
            table.row([group.group.clone(), group.state.clone(), group.protocol_type.clone()]);
        }
        table.fmt(f)
    }
}
