//! `hallows log dump`.

use std::io;

use clap::Args;
use hallows_storage::Seen;
use serde::Serialize;

use super::DirectoryArguments;
use crate::cluster::Format;
use crate::{Exit, Failure, output};

const EXAMPLES: &str = "\
Prints journal blocks, manifests, batches, indexes and checkpoints, file by file. The broker must be stopped.

Examples:
  hallows log dump | less
  hallows log dump /var/lib/hallows --file .manifest
  hallows log dump --file journals/ --output json";

/// Flags of `log dump`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DumpArguments {
    #[command(flatten)]
    directory: DirectoryArguments,
    /// Only files whose path contains this.
    #[arg(long, value_name = "PART")]
    file: Option<String>,
}

/// One line for programs.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    File {
        path: &'a str,
        kind: &'a str,
        size_bytes: u64,
    },
    Item {
        path: &'a str,
        position: u64,
        holds: &'a str,
    },
    Finding {
        path: &'a str,
        position: u64,
        what: &'a str,
        damage: bool,
    },
}

/// Prints as things are seen.
struct Printer<'a> {
    arguments: &'a DumpArguments,
    /// The file that items belong to.
    path: String,
    damaged: bool,
    result: io::Result<()>,
}

pub(super) fn run(arguments: &DumpArguments) -> Result<Exit, Failure> {
    let mut printer = Printer {
        arguments,
        path: String::new(),
        damaged: false,
        result: Ok(()),
    };
    arguments.directory.inspect(&mut |seen| printer.print(seen))?;
    printer.result?;
    Ok(if printer.damaged {
        Exit::DataDirectory
    } else {
        Exit::Done
    })
}

impl Printer<'_> {
    fn print(&mut self, seen: Seen) {
        if let Seen::File { path, .. } = &seen {
            self.path.clone_from(path);
        }
        let about = match &seen {
            Seen::Finding { path, .. } => path,
            _ => &self.path,
        };
        let wanted = self.arguments.file.as_ref().is_none_or(|part| about.contains(part));
        if !wanted || self.result.is_err() {
            return;
        }
        self.damaged |= matches!(seen, Seen::Finding { is_damage: true, .. });
        self.result = match self.arguments.directory.output {
            Format::Text => output::line(self.text(&seen)),
            Format::Json => serde_json::to_string(&self.line(&seen))
                .map_err(io::Error::from)
                .and_then(output::line),
        };
    }

    fn text(&self, seen: &Seen) -> String {
        match seen {
            Seen::File { path, kind, size_bytes } => format!("{path}: {kind}, {size_bytes} bytes"),
            Seen::Item { position, text } => format!("  {position}: {text}"),
            Seen::Finding {
                path,
                position,
                what,
                is_damage,
            } => {
                let word = if *is_damage { "damaged" } else { "harmless" };
                format!("  {word}: {path} at {position}: {what}")
            }
        }
    }

    fn line<'a>(&'a self, seen: &'a Seen) -> Line<'a> {
        match seen {
            Seen::File { path, kind, size_bytes } => Line::File {
                path,
                kind,
                size_bytes: *size_bytes,
            },
            Seen::Item { position, text } => Line::Item {
                path: &self.path,
                position: *position,
                holds: text,
            },
            Seen::Finding {
                path,
                position,
                what,
                is_damage,
            } => Line::Finding {
                path,
                position: *position,
                what,
                damage: *is_damage,
            },
        }
    }
}
