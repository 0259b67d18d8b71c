//! The generated tables: API keys with their versions, error codes, the enums over all messages.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::definition::{Kind, Message};
use super::names;
use super::rust::{HEADER, api_name};

/// The requests in order of their keys.
fn requests(messages: &[Message]) -> Vec<&Message> {
    let mut requests: Vec<_> = messages
        .iter()
        .filter(|message| message.kind == Kind::Request)
        .collect();
    requests.sort_by_key(|message| message.key);
    requests
}

/// The enum of API keys and the table of their versions.
pub(crate) fn api_keys(messages: &[Message]) -> Result<String> {
    let (mut variants, mut rows, mut from) = (String::new(), String::new(), String::new());
    let requests = requests(messages);
    for message in &requests {
        let (name, key) = (api_name(message), message.key.context("a request has a key")?);
        let response = messages.iter().find(|other| other.name == format!("{name}Response"));
        let response = response.with_context(|| format!("{name} has no response"))?;
        ensure!(
            response.versions == message.versions,
            "{name}: versions of the response differ"
        );
        ensure!(
            response.flexible == message.flexible,
            "{name}: flexible versions differ"
        );
        let range = message.versions;
        let flexible = message
            .flexible
            .map_or("i16::MAX".to_owned(), |found| found.first.to_string());
        let stable = if message.unstable { range.last - 1 } else { range.last };
        writeln!(variants, "/// Key {key}, versions {range}.\n{name} = {key},")?;
        writeln!(from, "{key} => Self::{name},")?;
        writeln!(
            rows,
            "ApiVersionRange {{ key: ApiKey::{name}, name: {name:?}, min: {}, max: {}, max_stable: {stable}, flexible_from: {flexible} }},",
            range.first, range.last
        )?;
    }
    Ok(format!(
        "//! The API keys and the versions known of each.\n{HEADER}use crate::api::ApiVersionRange;\n\n\
         /// An API that this crate can decode and encode.\n\
         #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(i16)]\npub enum ApiKey {{\n{variants}}}\n\n\
         impl ApiKey {{\n/// The API of a number, or `None` for one that clients do not use or that is newer than this table.\n\
         #[must_use]\npub const fn from_number(number: i16) -> Option<Self> {{\nSome(match number {{\n{from}_ => return None,\n}})\n}}\n}}\n\n\
         /// Every API in the order of its key.\npub static API_VERSIONS: [ApiVersionRange; {}] = [\n{rows}];\n",
        requests.len()
    ))
}

/// The constants of `ErrorCode` from lines `code NAME retriable|final`.
pub(crate) fn error_codes(text: &str) -> Result<String> {
    let (mut constants, mut rows) = (String::new(), String::new());
    for (index, line) in text.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [code, name, retry] = words[..] else {
            anyhow::bail!("error codes: {line:?}")
        };
        ensure!(
            code.parse::<i16>()? == i16::try_from(index)? - 1,
            "{name}: codes have a gap"
        );
        ensure!(["retriable", "final"].contains(&retry), "{name}: {retry}");
        writeln!(
            constants,
            "/// Code {code}, {retry}.\npub const {name}: Self = Self({code});"
        )?;
        writeln!(rows, "({name:?}, {}),", retry == "retriable")?;
    }
    let count = rows.lines().count();
    Ok(format!(
        "//! The error codes, their names, and whether clients retry them.\n{HEADER}\
         /// An error code as the wire carries it; numbers newer than this table are kept.\n\
         #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]\npub struct ErrorCode(pub i16);\n\n\
         impl ErrorCode {{\n{constants}}}\n\n\
         /// Name and retriability, from code -1 on.\npub(crate) static ERROR_CODES: [(&str, bool); {count}] = [\n{rows}];\n"
    ))
}

/// The enums over all requests and all responses.
pub(crate) fn any(messages: &[Message]) -> String {
    let mut out = format!(
        "//! Enums over every request and every response, for code that treats all of them alike.\n{HEADER}\
         use super::api_key::ApiKey;\nuse super::*;\nuse crate::error::{{DecodeError, EncodeError}};\nuse crate::reader::Reader;\nuse crate::writer::Writer;\n\n"
    );
    let requests = requests(messages);
    for kind in [Kind::Request, Kind::Response] {
        let (word, article) = if kind == Kind::Request {
            ("Request", "request")
        } else {
            ("Response", "response")
        };
        let found: Vec<(&str, String)> = requests
            .iter()
            .filter_map(|request| {
                let name = format!("{}{word}", api_name(request));
                let message = messages.iter().find(|message| message.name == name)?;
                let generics = if kind == Kind::Request && borrows(message) {
                    "<'a>"
                } else {
                    ""
                };
                Some((api_name(request), format!("{name}{generics}")))
            })
            .collect();
        let generics = if kind == Kind::Request { "<'a>" } else { "" };
        let reader = if kind == Kind::Request {
            "Reader<'a>"
        } else {
            "Reader<'_>"
        };
        out += &format!(
            "/// Any {article}.\n#[derive(Clone, Debug, PartialEq)]\n#[allow(clippy::large_enum_variant, reason = \"it lives on a stack, one at a time\")]\npub enum Any{word}{generics} {{\n"
        );
        for (name, rust) in &found {
            out += &format!("/// [`{name}{word}`].\n{name}({rust}),\n");
        }
        out += &format!(
            "}}\n\nimpl{generics} Any{word}{generics} {{\n/// Reads the body of the {article} of `key` at `version`.\n///\n/// # Errors\n/// [`DecodeError`] when the bytes are not one.\n\
             pub fn decode(key: ApiKey, reader: &mut {reader}, version: i16) -> Result<Self, DecodeError> {{\nOk(match key {{\n"
        );
        for (name, _) in &found {
            out += &format!("ApiKey::{name} => Self::{name}({name}{word}::decode(reader, version)?),\n");
        }
        out += "})\n}\n\n/// Writes the body at `version`.\n///\n/// # Errors\n/// [`EncodeError`] when `version` cannot carry this value.\n\
                pub fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {\nmatch self {\n";
        for (name, _) in &found {
            out += &format!("Self::{name}(body) => body.encode(writer, version),\n");
        }
        out += "}\n}\n\n/// The API it belongs to.\n#[must_use]\npub const fn key(&self) -> ApiKey {\nmatch self {\n";
        for (name, _) in &found {
            out += &format!("Self::{name}(_) => ApiKey::{name},\n");
        }
        out += "}\n}\n}\n\n";
    }
    out
}

/// Whether a request holds text or bytes anywhere, so that its Rust type has a lifetime.
fn borrows(message: &Message) -> bool {
    let text = message.to_string();
    text.split_whitespace()
        .any(|word| ["string", "[]string", "bytes", "records"].contains(&word))
}

/// The enums over the keys and the values of `__consumer_offsets`.
pub(crate) fn coordinator(messages: &[Message]) -> Result<String> {
    let mut out = format!(
        "//! The records of `__consumer_offsets`, keys and values.\n{HEADER}\
         use super::*;\nuse crate::error::{{DecodeError, EncodeError}};\nuse crate::reader::Reader;\nuse crate::writer::Writer;\n\n"
    );
    for (kind, word, enumeration) in [
        (Kind::Key, "Key", "GroupRecordKey"),
        (Kind::Value, "Value", "GroupRecordValue"),
    ] {
        let mut found: Vec<_> = messages
            .iter()
            .filter(|message| message.kind == kind && !message.name.starts_with("Transaction"))
            .collect();
        found.sort_by_key(|message| message.key);
        let short = |message: &Message| message.name.trim_end_matches(word).to_owned();
        writeln!(
            out,
            "/// The {} of a record of `__consumer_offsets`.\n#[derive(Clone, Debug, PartialEq)]\npub enum {enumeration}<'a> {{",
            word.to_lowercase()
        )?;
        for message in &found {
            let generics = if borrows(message) { "<'a>" } else { "" };
            writeln!(
                out,
                "/// [`{}`].\n{}({}{generics}),",
                message.name,
                short(message),
                message.name
            )?;
        }
        writeln!(
            out,
            "}}\n\nimpl<'a> {enumeration}<'a> {{\n/// Reads one of the type `record_type` at `version`.\n///\n/// # Errors\n/// [`DecodeError`] when the bytes are not one or the type is unknown."
        )?;
        writeln!(
            out,
            "pub fn decode_body(record_type: i16, reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {{\nOk(match record_type {{"
        )?;
        for message in &found {
            writeln!(
                out,
                "{0}::RECORD_TYPE => Self::{1}({0}::decode(reader, version)?),",
                message.name,
                short(message)
            )?;
        }
        writeln!(
            out,
            "_ => return Err(DecodeError::UnknownRecordType {{ record_type }}),\n}})\n}}\n"
        )?;
        writeln!(
            out,
            "/// Writes it at `version`, without a prefix.\n///\n/// # Errors\n/// [`EncodeError`] when `version` cannot carry this value.\npub fn encode_body(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {{\nmatch self {{"
        )?;
        for message in &found {
            writeln!(out, "Self::{}(body) => body.encode(writer, version),", short(message))?;
        }
        writeln!(
            out,
            "}}\n}}\n\n/// The number of its type.\n#[must_use]\npub const fn record_type(&self) -> i16 {{\nmatch self {{"
        )?;
        for message in &found {
            writeln!(out, "Self::{}(_) => {}::RECORD_TYPE,", short(message), message.name)?;
        }
        writeln!(out, "}}\n}}\n}}\n")?;
    }
    Ok(out)
}

/// The root of the generated modules.
pub(crate) fn root(messages: &[Message]) -> String {
    let mut out = format!(
        "//! One module per message, and the tables over them.\n{HEADER}\
         #![allow(\n    clippy::field_reassign_with_default,\n    clippy::nonminimal_bool,\n    \
         reason = \"one shape of code for every field keeps the generator simple\"\n)]\n\n"
    );
    let mut uses = String::new();
    for module in ["any", "api_key", "coordinator", "error_code"] {
        out += &format!("pub(crate) mod {module};\n");
    }
    let mut names: Vec<&str> = messages.iter().map(|message| message.name.as_str()).collect();
    names.sort_unstable();
    for name in names {
        let module = names::snake(name);
        out += &format!("pub mod {module};\n");
        uses += &format!("pub use {module}::{name};\n");
    }
    format!("{out}\n{uses}")
}
