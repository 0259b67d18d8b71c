//! `hallows log verify`.

use std::fmt;

use clap::Args;
use hallows_storage::Seen;
use serde::Serialize;

use super::DirectoryArguments;
use crate::cluster::Format;
use crate::{Exit, Failure, output};

/// The most findings that are listed; the others are counted.
const FINDINGS_MAX: usize = 10_000;

const EXAMPLES: &str = "\
Checks lengths, checksums, offsets, records and indexes of every file, and changes nothing. The broker must be stopped.
What the next start mends by itself, such as the torn end of a journal after a crash, is told and is no damage.
Ends with 0 when nothing is damaged, with 4 otherwise.

Examples:
  hallows log verify
  hallows log verify /var/lib/hallows --output json | jq '.findings[] | select(.damage)'";

/// Flags of `log verify`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct VerifyArguments {
    #[command(flatten)]
    directory: DirectoryArguments,
}

/// What was found.
#[derive(Default, Serialize)]
struct Report {
    files: u64,
    bytes: u64,
    /// Blocks, batches and entries.
    items: u64,
    damaged: u64,
    harmless: u64,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    path: String,
    position: u64,
    what: String,
    damage: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let mut report = Report::default();
    arguments.directory.inspect(&mut |seen| report.note(seen))?;
    match arguments.directory.output {
        Format::Text => output::line(&report)?,
        Format::Json => output::line(serde_json::to_string(&report)?)?,
    }
    Ok(if report.damaged == 0 {
        Exit::Done
    } else {
        Exit::DataDirectory
    })
}

impl Report {
    fn note(&mut self, seen: Seen) {
        match seen {
            Seen::File { size_bytes, .. } => {
                self.files += 1;
                self.bytes += size_bytes;
            }
            Seen::Item { .. } => self.items += 1,
            Seen::Finding {
                path,
                position,
                what,
                is_damage: damage,
            } => {
                self.damaged += u64::from(damage);
                self.harmless += u64::from(!damage);
                if self.findings.len() < FINDINGS_MAX {
                    self.findings.push(Finding {
                        path,
                        position,
                        what,
                        damage,
                    });
                }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let word = if finding.damage { "damaged" } else { "harmless" };
            writeln!(f, "{word}: {} at {}: {}", finding.path, finding.position, finding.what)?;
        }
        let Self {
            files,
            bytes,
            items,
            damaged,
            harmless,
            ..
        } = self;
        write!(
            f,
            "files={files} bytes={bytes} items={items} damaged={damaged} harmless={harmless}"
        )
    }
}
