//! Writes `docs/config.md` from the table, so that the two cannot disagree.

use crate::meaningless::{AtStart, MEANINGLESS, MEANINGLESS_FOR_TOPICS, Meaningless};
use crate::setting::{Bounds, Honoured, Kind, Origin, Resource, Setting};
use crate::settings;
use crate::value;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const HEAD: &str = "\
# Settings

<!-- Generated from the table in crates/config; `cargo run -p hallows-config --example config_md` writes it anew. -->

A broker reads its settings from four layers, each stronger than the one before: the defaults below, a file in the
syntax of Kafka's `.properties`, the environment (`log.segment.bytes` is `HALLOWS_LOG_SEGMENT_BYTES`), and flags.
All mistakes of all layers are reported at once, and nothing starts until they are mended.

Names that Apache Kafka has too mean the same as there.
*Changes* tells when a broker setting may change: before the start only, for one broker, or cluster-wide.
A setting marked *fixed* is described to clients, but any other value is refused, for the reason given.
A setting marked *inert* takes every value and is described with it, but changes nothing, for the reason given; at a start with another value than the default, a warning says so.
Names marked † exist only here.
";

/// The whole document.
#[must_use]
pub fn render() -> String {
    let mut text = HEAD.to_string();
    text.push_str(&section("Broker settings", Resource::Broker));
    text.push_str(&section("Topic settings", Resource::Topic));
    text.push_str(&section("Group settings", Resource::Group));
    text.push_str("\n## Kafka's names that mean nothing here\n\n");
    text.push_str(
        "A broker that is started with one of these passes it over with a warning that names all of them at once, or \
         refuses to start where the value expects something that would not come; `--strict` refuses them all. \
         A topic, or a change over the wire, with one of them is always refused.\n\n\
         | name | at the start | why |\n|---|---|---|\n",
    );
    for line in MEANINGLESS.iter().chain(MEANINGLESS_FOR_TOPICS) {
        text.push_str(&meaningless_row(line));
    }
    text
}

fn section(title: &str, resource: Resource) -> String {
    let mut rows: Vec<&Setting> = settings::all(resource).collect();
    rows.sort_by_key(|setting| setting.name);
    let mut text = format!("\n## {title}\n\n");
    text.push_str(match resource {
        Resource::Broker => "| name | type | default | values | changes | meaning |\n|---|---|---|---|---|---|\n",
        Resource::Topic | Resource::Group => {
            "| name | type | default | values | inherits from | meaning |\n|---|---|---|---|---|---|\n"
        }
    });
    for setting in rows {
        text.push_str(&row(setting));
    }
    text
}

fn row(setting: &Setting) -> String {
    let mark = if setting.origin == Origin::Own { " †" } else { "" };
    let default = match setting.default {
        None => "none".to_string(),
        Some("") => "empty".to_string(),
        Some(text) => format!("`{text}`"),
    };
    let fifth = match setting.resource {
        Resource::Broker => setting.scope.words().to_string(),
        Resource::Topic | Resource::Group => inherited(setting),
    };
    let fixed = match setting.honoured {
        Honoured::Honoured => String::new(),
        Honoured::Inert { reason } => format!(" *Inert: {reason}.*"),
        Honoured::FixedForNow { reason, .. } => format!(" *Fixed: {reason}.*"),
    };
    format!(
        "| `{}`{mark} | {} | {default} | {} | {fifth} | {}{fixed} |\n",
        setting.name,
        setting.kind.word(),
        values(setting),
        setting.doc
    )
}

fn inherited(setting: &Setting) -> String {
    let names: Vec<String> = setting.synonyms.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn values(setting: &Setting) -> String {
    match setting.bounds {
        Bounds::Any if setting.kind == Kind::Boolean => "`true`, `false`".to_string(),
        Bounds::Any => setting.unit.word().to_string(),
        Bounds::OnePath => "one directory".to_string(),
        Bounds::Listeners => "`NAME://host:port`, ...".to_string(),
        Bounds::ProtocolMap => "`NAME:PROTOCOL`, ...".to_string(),
        Bounds::Replicas => "`*`, `PARTITION:BROKER`, ...".to_string(),
        _ => value::bounds_in_words(setting),
    }
}

fn meaningless_row(line: &Meaningless) -> String {
    let mut letters = line.advice.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string())
        .unwrap_or_default();
    let at_start = match line.at_start {
        AtStart::Warned => "warned".to_string(),
        AtStart::Refused { words, .. } => format!("refused {words}"),
    };
    format!("| `{}` | {at_start} | {first}{} |\n", line.name, letters.as_str())
}
