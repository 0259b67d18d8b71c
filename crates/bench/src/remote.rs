//! The cells that make sense for a broker that somebody else started.

use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cell::{Cell, Settings, measure};
use crate::class::Class;
use crate::report::cell;
use crate::result::CellResult;
use crate::subject::{Kind, Subject};
use crate::{machine, topic};

/// The cells of a remote run, in order, when none are named.
const CELLS: [Cell; 6] = [
    Cell::OneInFlight,
    Cell::OpenLoop,
    Cell::EndToEnd,
    Cell::Throughput100,
    Cell::Throughput1k,
    Cell::Connections,
];

/// The settings of a topic that decide what an acknowledgement promises: of hallows, and of Apache Kafka.
const PROMISES: [&str; 3] = ["durability", "flush.messages", "flush.ms"];

/// Options of `hallows bench`.
#[derive(clap::Args, Debug)]
pub struct RemoteArguments {
    /// A broker of the cluster to measure: any that speaks Kafka's protocol.
    #[arg(
        long,
        short = 'b',
        env = "HALLOWS_BOOTSTRAP_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT"
    )]
    pub bootstrap_server: String,
    /// What to measure; everything that makes sense from afar when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub cells: Vec<Cell>,
    /// Runs of each cell.
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// Seconds that one run lasts.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// A setting of the topics that are made for the run, for example `durability=written`; may be repeated.
    #[arg(long = "topic-config", value_name = "NAME=VALUE")]
    pub topic_configs: Vec<String>,
}

/// Measures a broker from here; each cell gets a new topic, which is deleted afterwards. Returns markdown.
///
/// `progress` is told what runs next.
///
/// # Errors
/// When the broker cannot be reached, or refuses what a cell needs.
pub fn run_remote(arguments: &RemoteArguments, mut progress: impl FnMut(&str)) -> Result<String> {
    ensure!(arguments.repeats > 0, "--repeats must be at least 1");
    machine::precise_sleeps();
    let server = &arguments.bootstrap_server;
    let address = server
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {server}; give a host and a port, as in broker.example:9092"))?
        .next()
        .with_context(|| format!("{server} has no address"))?;
    let subject = Subject::remote(address, topic_configs(&arguments.topic_configs)?);
    topic::await_broker(address)?;
    let cells = if arguments.cells.is_empty() {
        &CELLS[..]
    } else {
        &arguments.cells
    };
    let settings = Settings {
        // Decides nothing here: a remote topic has the settings of the command line, and the broker's for the rest.
        class: Class::Written,
        length: Duration::from_secs(arguments.seconds),
    };
    let mut text = format!("{}\n\n", promise(&subject)?);
    for &named in cells {
        ensure!(
            !named.owns_subject(),
            "{named:?} needs a broker on this machine: use cargo xtask bench"
        );
        let mut result = CellResult::new(named, Class::Written);
        for repeat in 1..=arguments.repeats {
            progress(&format!("{}: run {repeat} of {}", named.title(), arguments.repeats));
            let figures = measure(named, &subject, settings)?;
            result.runs.entry(Kind::Remote).or_default().push(Some(figures));
        }
        text.push_str(&cell(&result));
    }
    Ok(text)
}

/// When the broker acknowledges records of the topics that the run makes, in its own words: figures of different
/// promises are not compared.
fn promise(subject: &Subject) -> Result<String> {
    let name = subject.create_topic(Class::Written, 1, &[])?;
    let told = topic::settings(subject.address, &name, &PROMISES);
    subject.drop_topic(&name)?;
    Ok(match told {
        Ok(told) if told.is_empty() => format!("Topics have none of the settings {}.", PROMISES.join(", ")),
        Ok(told) => format!("Topics have {}.", told.join(", ")),
        Err(error) => format!("The broker does not tell its topics' settings: {error:#}."),
    })
}

fn topic_configs(settings: &[String]) -> Result<Vec<(String, String)>> {
    let split = |setting: &String| {
        let (name, value) = setting
            .split_once('=')
            .with_context(|| format!("--topic-config {setting} is not of the form NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    settings.iter().map(split).collect()
}
