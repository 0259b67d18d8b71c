//! What hallows takes at its limits: memory, processor time and latencies where there is much of something.
//!
//! Each section starts brokers of its own and ends in one table. Nothing is compared with another program; the one
//! bar, on reads of cold data beside producers, is a ratio of hallows to itself.

#![expect(clippy::print_stderr, reason = "progress of a task, for the person at the terminal")]

mod catch_up;
mod connections;
mod group;
mod large_records;
mod paced;
mod partitions;
mod slow_consumers;
mod table;

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::machine;
use crate::run::commit;
use crate::subject::{HallowsOptions, Places, Subject};
use crate::topic;
use table::Table;

/// One section of the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Section {
    /// 1, 1,000 and 10,000 partitions.
    Partitions,
    /// 1, 1,000 and 10,000 connections.
    Connections,
    /// Consumers that ask for much and read next to nothing.
    SlowConsumers,
    /// Cold data is read beside producers.
    CatchUp,
    /// Records of 50 MB.
    LargeRecords,
    /// A group of 1,000 members.
    Group,
}

/// What a run does.
pub struct LimitsPlan {
    /// Sections, in order.
    pub sections: Vec<Section>,
    /// How much cold data is read.
    pub cold_bytes: u64,
    /// How long each load lasts, warm-up apart.
    pub length: Duration,
    /// Where programs and data lie.
    pub places: Places,
    /// How the run was asked for.
    pub command: String,
}

impl LimitsPlan {
    /// A broker with the defaults but for `settings`.
    fn start(&self, settings: &[(&str, &str)]) -> Result<Subject> {
        let options = HallowsOptions {
            settings,
            ..HallowsOptions::default()
        };
        let subject = Subject::hallows(&self.places, options)?;
        topic::await_broker(subject.address)?;
        Ok(subject)
    }
}

/// Runs the sections and returns the report. A section that fails is named in it, and the others go on.
///
/// # Errors
/// When the data directory cannot be made or the limit on open files not be raised.
pub fn run(plan: &LimitsPlan) -> Result<String> {
    machine::precise_sleeps();
    let files = machine::allow_open_files()?;
    std::fs::create_dir_all(&plan.places.data)
        .with_context(|| format!("cannot create {}", plan.places.data.display()))?;
    let mut text = format!(
        "- Command: `{}`\n- Commit: {}\n- Machine: {}, {files} open files at most\n\n",
        plan.command,
        commit(),
        machine::facts(&plan.places.data)
    );
    for &section in &plan.sections {
        let background = machine::background_percent();
        eprintln!("{section:?}, background {background:.0} % of a core");
        let part = match measure(section, plan) {
            Ok(table) => format!("{table}\nBackground before: {background:.0} % of one core.\n\n"),
            Err(error) => format!("**{section:?}**\n\nFailed: {error:#}\n\n"),
        };
        eprintln!("{part}");
        text.write_str(&part).context("writing to a string cannot fail")?;
    }
    Ok(text)
}

fn measure(section: Section, plan: &LimitsPlan) -> Result<Table> {
    match section {
        Section::Partitions => partitions::measure(plan),
        Section::Connections => connections::measure(plan),
        Section::SlowConsumers => slow_consumers::measure(plan),
        Section::CatchUp => catch_up::measure(plan),
        Section::LargeRecords => large_records::measure(plan),
        Section::Group => group::measure(plan),
    }
}

/// The id of a subject that was started here.
fn process(subject: &Subject) -> Result<u32> {
    subject.pid().context("a local subject has a process")
}

/// Runs `load` and returns what it gave and the percentage of one processor that the process used meanwhile.
fn with_cpu<T>(pid: u32, load: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let (before, start) = (machine::cpu_seconds(pid)?, std::time::Instant::now());
    let outcome = load()?;
    let used = machine::cpu_seconds(pid)? - before;
    Ok((outcome, used / start.elapsed().as_secs_f64() * 100.0))
}
