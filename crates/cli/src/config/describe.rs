//! `hallows config describe`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::SubjectArguments;
use crate::cluster::ClusterArguments;
use crate::table::Table;
use crate::topic::source_word;
use crate::{Exit, Failure};

/// What DescribeConfigs says of a value that nobody has set.
const SOURCE_DEFAULT: i8 = 5;

const EXAMPLES: &str = "\
Examples:
  hallows config describe --topic greetings
  hallows config describe --topic greetings --all
  hallows config describe --broker 1 --name num.partitions --output json";

/// Flags of `config describe`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DescribeArguments {
    #[command(flatten)]
    subject: SubjectArguments,
    /// Only this setting; may be repeated.
    #[arg(long, short, value_name = "NAME")]
    name: Vec<String>,
    /// Shows every setting, those that nobody has changed as well.
    #[arg(long, short)]
    all: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Settings(Vec<Setting>);

#[derive(Serialize)]
struct Setting {
    name: String,
    value: Option<String>,
    source: &'static str,
    read_only: bool,
}

pub(super) fn run(arguments: &DescribeArguments) -> Result<Exit, Failure> {
    let resource = arguments.subject.resource()?;
    let mut client = arguments.cluster.connect()?;
    let names: Vec<&str> = arguments.name.iter().map(String::as_str).collect();
    let everything = arguments.all || !names.is_empty();
    let settings = client.describe_configs(resource, &names)?.into_iter();
    let settings = settings.filter(|setting| everything || setting.config_source != SOURCE_DEFAULT);
    let settings = settings.map(|setting| Setting {
        name: setting.name,
        value: setting.value,
        source: source_word(setting.config_source),
        read_only: setting.read_only,
    });
    arguments.cluster.print(&Settings(settings.collect()))?;
    Ok(Exit::Done)
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing differs from the defaults; --all shows those");
        }
        let mut table = Table::new(["SETTING", "VALUE", "SOURCE"]);
        for setting in &self.0 {
            table.row([
                setting.name.clone(),
                setting.value.clone().unwrap_or_else(|| "(not told)".to_owned()),
                setting.source.to_owned(),
            ]);
        }
        table.fmt(f)
    }
}
