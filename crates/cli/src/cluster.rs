//! What every verb that talks to a broker is told, and the connection it gets.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hallows_client::{Client, ClientOptions, ConnectionOptions};
use serde::Serialize;

use crate::{Failure, output};

/// The port of an address that names none.
const PORT_DEFAULT: u16 = 9092;

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; a sequence of records is one object per line.
    Json,
}

/// Where the cluster is and how results are written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct ClusterArguments {
    /// A broker of the cluster; several separated by commas.
    #[arg(
        long,
        short = 'b',
        visible_alias = "brokers",
        env = "HALLOWS_BOOTSTRAP_SERVER",
        hide_env_values = true,
        default_value = "127.0.0.1:9092",
        value_name = "HOST:PORT",
        value_parser = addresses
    )]
    pub bootstrap_server: String,
    /// How long to go on trying before giving up.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
    /// How results are written.
    #[arg(long, value_enum, env = "HALLOWS_OUTPUT", hide_env_values = true, default_value_t = Format::Text)]
    output: Format,
    /// The same as `--output json`.
    #[arg(long, short = 'J')]
    json: bool,
    /// Says less: no progress and no report of what went well; of what is listed, the names only.
    #[arg(long, short)]
    quiet: bool,
}

impl ClusterArguments {
    /// Connects.
    ///
    /// # Errors
    /// [`crate::Exit::Network`] when no broker answers.
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.addresses(), self.options())?)
    }

    /// Connects as a client whose questions may create topics, where the broker allows that.
    ///
    /// # Errors
    /// As [`ClusterArguments::connect`].
    pub(crate) fn connect_creating(&self) -> Result<Client, Failure> {
        let options = ClientOptions {
            create_topics: true,
            ..self.options()
        };
        Ok(Client::connect(&self.addresses(), options)?)
    }

    fn options(&self) -> ClientOptions {
        let timeout = Duration::from_secs(self.timeout);
        ClientOptions {
            connection: ConnectionOptions {
                client_id: "hallows-cli".to_owned(),
                connect_timeout: timeout,
                request_timeout: timeout,
            },
            retry_timeout: timeout,
            ..ClientOptions::default()
        }
    }

    fn addresses(&self) -> Vec<String> {
        let addresses = self.bootstrap_server.split(',').map(str::trim);
        addresses.filter(|address| !address.is_empty()).map(with_port).collect()
    }

    /// Whether people are told less; programs are told everything.
    pub(crate) fn is_terse(&self) -> bool {
        self.quiet && self.output() == Format::Text
    }

    /// How results are written.
    pub(crate) const fn output(&self) -> Format {
        if self.json { Format::Json } else { self.output }
    }

    /// Writes a result in the format that was asked for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn print(&self, result: &(impl Serialize + Display)) -> io::Result<()> {
        match self.output() {
            Format::Text => output::line(result),
            Format::Json => output::line(serde_json::to_string(result).map_err(io::Error::other)?),
        }
    }
}

/// Addresses as they were given, with the scheme that Kafka's listeners have where it is one that works.
fn addresses(text: &str) -> Result<String, String> {
    for address in text.split(',').map(str::trim) {
        match address.split_once("://") {
            None => {}
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("PLAINTEXT") => {}
            Some((scheme, rest)) => {
                return Err(format!(
                    "{scheme} is not spoken yet: give PLAINTEXT://{rest} or {rest}, of a listener without TLS and SASL"
                ));
            }
        }
    }
    Ok(text.to_owned())
}

fn with_port(address: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_scheme, rest)| rest);
    let port_follows = |rest: &str| rest.starts_with(':');
    let has_port = match address.rsplit_once(']') {
        Some((_, rest)) => port_follows(rest),
        None => address.contains(':'),
    };
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{PORT_DEFAULT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_port() {
        for (given, expected) in [
            ("broker", "broker:9092"),
            ("broker:1", "broker:1"),
            ("[::1]", "[::1]:9092"),
            ("[::1]:1", "[::1]:1"),
            ("PLAINTEXT://broker:1", "broker:1"),
            ("plaintext://broker", "broker:9092"),
        ] {
            assert_eq!(with_port(given), expected);
        }
    }
}
