//! Listeners: `NAME://host:port`, and which security protocol a name stands for.
//!
//! Only `PLAINTEXT` is served yet; a listener of any other protocol is an error, never silently plain.

use crate::value;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One address with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The listener's name, in upper case.
    pub name: String,
    /// The host name or address, without brackets; `None` means every interface, or, when advertised,
    /// this machine's own name.
    pub host: Option<String>,
    /// The port; 0 lets the system choose one.
    pub port: u16,
}

impl Listener {
    /// Whether the host stands for "every interface", which no client can connect to.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_deref(), Some("0.0.0.0" | "::" | "0:0:0:0:0:0:0:0"))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("");
        if host.contains(':') {
            write!(f, "{}://[{host}]:{}", self.name, self.port)
        } else {
            write!(f, "{}://{host}:{}", self.name, self.port)
        }
    }
}

/// Reads one `NAME://host:port`; an IPv6 address stands in brackets.
pub(crate) fn parse_one(text: &str) -> Option<Listener> {
    let (name, address) = text.trim().split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let plain_host = !host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '[' | ']'));
    (named && plain_host).then_some(())?;
    let host = (!host.is_empty()).then(|| host.to_string());
    Some(Listener {
        name: name.to_ascii_uppercase(),
        host,
        port: port.parse().ok()?,
    })
}

/// Reads a list of listeners, in order; `None` when one of them cannot be read.
pub(crate) fn parse_list(text: &str) -> Option<Vec<Listener>> {
    value::members(text).iter().map(|member| parse_one(member)).collect()
}

/// Reads `NAME:PROTOCOL` pairs; `None` when one of them is no pair.
pub(crate) fn protocol_map(text: &str) -> Option<BTreeMap<String, String>> {
    value::members(text)
        .iter()
        .map(|pair| {
            let (name, protocol) = pair.split_once(':')?;
            let known = matches!(protocol.trim(), "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL");
            (known && !name.trim().is_empty()).then(|| (name.trim().to_ascii_uppercase(), protocol.trim().to_string()))
        })
        .collect()
}
