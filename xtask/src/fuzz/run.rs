//! One target: letting libFuzzer run, reading what it says, merging corpora.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Places;

/// The longest input that is tried; every format and protocol says all it can in less.
const INPUT_BYTES_MAX: usize = 4096;
/// An input that takes longer is a finding.
const INPUT_SECONDS_MAX: u64 = 10;
/// A target that holds more is a finding; far above what the targets allow themselves, and seen for C code, too.
const RESIDENT_MB_MAX: u64 = 2048;
/// How many inputs the run of the corpus alone may take from the end of its log for a message.
const LOG_LINES_SHOWN: usize = 40;

/// What a run showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Inputs tried.
    pub(super) executions: u64,
    /// Inputs that each cover something the others do not.
    pub(super) corpus: u64,
    /// Inputs that broke a promise: libFuzzer ends at the first.
    pub(super) crashes: u64,
}

/// Runs a target over its corpora and then over changed inputs for so many seconds.
pub(super) fn fuzz(places: &Places, target: &str, seconds: u64) -> Result<Outcome> {
    let regressions = places.regressions(target);
    let folders = [places.found(target), places.corpus(target), regressions.clone()];
    for folder in &folders {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let log = places.scratch("logs", target).with_extension("log");
    fs::create_dir_all(log.parent().context("a log has a folder")?)?;
    let limit = if seconds == 0 {
        "-runs=0".to_owned()
    } else {
        format!("-max_total_time={seconds}")
    };
    let status = Command::new(places.programs.join(target))
        .args([limit, "-print_final_stats=1".to_owned()])
        .args(bounds())
        .arg(format!("-artifact_prefix={}/", regressions.display()))
        .args(&folders)
        // Errors that carry a backtrace would hold the program's debug information.
        .env("RUST_LIB_BACKTRACE", "0")
        .current_dir(&places.root)
        .stdout(fs::File::create(log.with_extension("out"))?)
        .stderr(fs::File::create(&log)?)
        .status()
        .with_context(|| format!("cannot run {target}"))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.len().saturating_sub(LOG_LINES_SHOWN);
        println!(
            "{target} ended with {status}; the end of {}:\n{}",
            log.display(),
            lines[shown..].join("\n")
        );
    }
    // Empty folders would be lost with the next checkout anyway.
    let _ = fs::remove_dir(&regressions);
    read_log(&text, status.success()).with_context(|| format!("{target} says nothing of what it did"))
}

fn bounds() -> [String; 3] {
    [
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={RESIDENT_MB_MAX}"),
    ]
}

/// What the log of a run says; `None` when it has no figures.
fn read_log(text: &str, success: bool) -> Option<Outcome> {
    let executions = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse().ok());
    // `#123 DONE cov: 1 ft: 2 corp: 3/4b ...`: the third is the number of inputs.
    let corpus = text.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" corp: ")?;
        rest.split(['/', ' ']).next()?.parse().ok()
    });
    if success {
        return Some(Outcome {
            executions: executions?,
            corpus: corpus.unwrap_or_default(),
            crashes: 0,
        });
    }
    Some(Outcome {
        executions: executions.unwrap_or_default(),
        corpus: corpus.unwrap_or_default(),
        crashes: 1,
    })
}

/// Replaces the committed corpus of a target.
pub(super) fn minimise(places: &Places, target: &str) -> Result<()> {
    let program = places.programs.join(target);
    let (seeds, merged) = (places.scratch("seeds", target), places.scratch("merged", target));
    for folder in [&seeds, &merged] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    let status = Command::new(&program).env("HALLOWS_FUZZ_SEEDS", &seeds).status()?;
    if !status.success() {
        bail!("{target} did not write its seeds: {status}");
    }
    let (corpus, found) = (places.corpus(target), places.found(target));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&found)?;
    let output = Command::new(&program)
        .arg("-set_cover_merge=1")
        .args(bounds())
        .arg(format!(
            "-artifact_prefix={}/",
            places.scratch("merge-crashes", target).display()
        ))
        .args([&merged, &corpus, &seeds, &found])
        .current_dir(&places.root)
        .output()?;
    if !output.status.success() {
        bail!(
            "{target} cannot be minimised: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let before = size(&corpus)?;
    fs::remove_dir_all(&corpus)?;
    fs::rename(&merged, &corpus)?;
    let after = size(&corpus)?;
    println!(
        "{target}: {} inputs of {} bytes; there were {} of {} bytes",
        after.0, after.1, before.0, before.1
    );
    Ok(())
}

/// How many files a folder has, and their bytes.
fn size(folder: &Path) -> Result<(u64, u64)> {
    let mut size = (0, 0);
    for entry in fs::read_dir(folder)? {
        size.0 += 1;
        size.1 += entry?.metadata()?.len();
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb
#9\tDONE   cov: 12 ft: 15 corp: 7/9b lim: 4 exec/s: 0 rss: 41Mb
stat::number_of_executed_units: 1234
";

    #[test]
    fn figures_are_read_from_the_log() {
        let outcome = read_log(LOG, true).expect("figures");
        assert_eq!((outcome.executions, outcome.corpus, outcome.crashes), (1234, 7, 0));
        assert!(
            read_log("nothing", true).is_none(),
            "a run without figures is no success"
        );
        assert_eq!(read_log("nothing", false).map(|outcome| outcome.crashes), Some(1));
    }
}
