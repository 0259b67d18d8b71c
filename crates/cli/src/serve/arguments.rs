//! The flags of `serve`, and the settings they amount to.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hallows_config::{BrokerConfig, Loaded, Sources};

use crate::{Exit, Failure};

const EXAMPLES: &str = "\
Examples:
  hallows serve                                      127.0.0.1:9092, data in ./hallows-data
  hallows serve --listeners PLAINTEXT://0.0.0.0:9092 --data-dir /var/lib/hallows
  hallows serve --config server.properties --log.retention.hours 24
  HALLOWS_LOG_DURABILITY=written hallows serve       any setting is a variable, too

Stops cleanly on Ctrl-C (SIGINT) and SIGTERM; a second one ends it at once.
HALLOWS_LOG says what is logged: a level, or `warn,hallows_storage=debug`.";

/// The flags of `serve`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub struct ServeArguments {
    /// A file of settings, NAME=VALUE per line; Kafka's server.properties works where the meaning is the same.
    #[arg(long, short, env = "HALLOWS_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen: PLAINTEXT://HOST:PORT, separated by commas; an empty host is every interface, port 0 any free port.
    #[arg(long, value_name = "LIST")]
    pub listeners: Option<String>,
    /// Where the data lies [default: ./hallows-data].
    #[arg(long, value_name = "DIRECTORY")]
    pub data_dir: Option<String>,
    /// How many shards, each a thread with its own partitions; 0 is one per core.
    #[arg(long, value_name = "COUNT")]
    pub shards: Option<String>,
    /// Any setting of docs/config.md; `--NAME VALUE` works too where NAME has a dot in it.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Refuses to start where a setting changes nothing here, instead of warning about it.
    #[arg(long)]
    pub strict: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` has no value: give NAME=VALUE"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

impl ServeArguments {
    /// Reads the file, the environment and the flags.
    ///
    /// # Errors
    /// [`Exit::Usage`] with every mistake of every source, or when the file cannot be read.
    pub fn load(&self, environment: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Failure> {
        let sources = Sources {
            file: self.read_file().map_err(|error| Failure::new(Exit::Usage, error))?,
            environment: environment.into_iter().collect(),
            flags: self.flags(),
            strict: self.strict,
        };
        BrokerConfig::load_telling(&sources).map_err(|errors| Failure::new(Exit::Usage, errors))
    }

    fn read_file(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(path) = &self.config else {
            return Ok(None);
        };
        let name = path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| {
            format!("cannot read the configuration file {name}. Give a readable text file with --config, or none")
        })?;
        Ok(Some((name, text)))
    }

    /// What stands later on the command line is not known here; `--set` is the more deliberate word and comes last.
    fn flags(&self) -> Vec<(String, String)> {
        let named = [
            ("listeners", &self.listeners),
            ("log.dirs", &self.data_dir),
            ("shards", &self.shards),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        named.chain(self.set.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arguments, Verb, expand_settings};
    use clap::Parser;

    fn load(line: &str, environment: &[(&str, &str)]) -> Result<BrokerConfig, Failure> {
        load_telling(line, environment).map(|loaded| loaded.config)
    }

    fn load_telling(line: &str, environment: &[(&str, &str)]) -> Result<Loaded, Failure> {
        let words = expand_settings(line.split(' ').map(Into::into));
        let arguments = Arguments::try_parse_from(words).expect("the line parses");
        let serve = match arguments.verb {
            Some(Verb::Serve(serve)) => serve,
            _ => arguments.serve,
        };
        serve.load(
            environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn every_source_counts_and_flags_win() {
        let config = load(
            "hallows serve --data-dir /flags --log.segment.bytes 2097152",
            &[("HALLOWS_LOG_DIRS", "/environment"), ("HALLOWS_SHARDS", "3")],
        )
        .expect("all of it is right");
        assert_eq!(config.data_directory, "/flags");
        assert_eq!(config.segment_bytes, 2_097_152);
        assert_eq!(config.shards, 3);
    }

    #[test]
    fn the_default_needs_nothing() {
        let config = load("hallows", &[]).expect("defaults are right");
        assert_eq!(config.data_directory, "./hallows-data");
        assert_eq!(config.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let failure = load("hallows --shards many --host.name x --num.partitons 3", &[]).expect_err("three mistakes");
        let message = failure.to_string();
        assert_eq!(failure.exit(), Exit::Usage);
        for part in ["many", "host.name", "num.partitions"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn what_changes_nothing_is_told_or_with_strict_refused() {
        let loaded = load_telling("hallows --num.io.threads 8", &[]).expect("it is harmless");
        assert!(loaded.warnings.to_string().contains("`num.io.threads`"));
        let failure = load("hallows --strict --num.io.threads 8", &[]).expect_err("strict");
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("`num.io.threads`"), "{failure}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let failure = load("hallows --config /nowhere/server.properties", &[]).expect_err("no such file");
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("/nowhere/server.properties"), "{failure}");
    }
}
