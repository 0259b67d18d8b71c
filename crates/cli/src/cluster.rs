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
        value_name = "HOST:PORT"
    )]
    pub bootstrap_server: String,
    /// How long to go on trying before giving up.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub timeout: u64,
    /// How results are written.
    #[arg(long, value_enum, env = "HALLOWS_OUTPUT", hide_env_values = true, default_value_t = Format::Text)]
    pub output: Format,
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

    /// Writes a result in the format that was asked for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn print(&self, result: &(impl Serialize + Display)) -> io::Result<()> {
        match self.output {
            Format::Text => output::line(result),
            Format::Json => output::line(serde_json::to_string(result).map_err(io::Error::other)?),
        }
    }
}

fn with_port(address: &str) -> String {
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
        ] {
            assert_eq!(with_port(given), expected);
        }
    }
}
