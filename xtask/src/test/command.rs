//! Runs one command of a suite: its output goes to the terminal, and what is worth remembering is kept.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::suites::Shows;

/// A task that prints more lines worth remembering keeps the last ones.
const LINES_MAX: usize = 24;

/// Runs a command line, split at spaces, and adds the lines that `shows` names to `showed`.
pub(super) fn run(line: &str, shows: &Shows, showed: &mut Vec<String>) -> Result<()> {
    let mut words = line.split(' ');
    let program = words.next().context("a command has a program")?;
    let mut child = Command::new(program)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}: is it installed?"))?;
    let output = child.stdout.take().context("the output is a pipe")?;
    let mut kept = Kept::new(shows);
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what the command prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        kept.take(&line);
    }
    let status = child.wait().context("cannot wait for the command")?;
    showed.extend(kept.end());
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// The lines of one command that are worth remembering.
struct Kept<'a> {
    shows: &'a Shows,
    lines: Vec<String>,
    counts: TestCounts,
}

/// Sums over the programs that `cargo test` runs.
#[derive(Default)]
struct TestCounts {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl<'a> Kept<'a> {
    fn new(shows: &'a Shows) -> Self {
        Self {
            shows,
            lines: Vec::new(),
            counts: TestCounts::default(),
        }
    }

    fn take(&mut self, line: &str) {
        match self.shows {
            Shows::Nothing => {}
            Shows::TestCounts => self.counts.take(line),
            Shows::Lines(words) => {
                if words.iter().any(|word| line.contains(word)) {
                    if self.lines.len() == LINES_MAX {
                        self.lines.remove(0);
                    }
                    self.lines.push(line.trim().to_owned());
                }
            }
        }
    }

    fn end(self) -> Vec<String> {
        let mut lines = self.lines;
        if self.counts.programs > 0 {
            let TestCounts {
                programs,
                passed,
                failed,
                ignored,
            } = self.counts;
            lines.push(format!(
                "{programs} test programs: {passed} passed, {failed} failed, {ignored} ignored"
            ));
        }
        lines
    }
}

impl TestCounts {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
    fn take(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let words: Vec<&str> = result.split(' ').collect();
        let count = |what: &str| {
            let place = words.iter().position(|word| word.trim_end_matches(';') == what);
            let number = place.and_then(|place| words.get(place.checked_sub(1)?));
            number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        self.programs += 1;
        self.passed += count("passed");
        self.failed += count("failed");
        self.ignored += count("ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_several_test_programs_are_summed() {
        let mut kept = Kept::new(&Shows::TestCounts);
        kept.take("running 3 tests");
        kept.take("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        kept.take("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(kept.end(), ["2 test programs: 7 passed, 2 failed, 1 ignored"]);
    }

    #[test]
    fn lines_with_a_word_are_kept_and_of_too_many_the_last_ones() {
        let mut kept = Kept::new(&Shows::Lines(&["lost="]));
        kept.take("nothing");
        for number in 0..=LINES_MAX {
            kept.take(&format!("  lost={number}"));
        }
        let lines = kept.end();
        assert_eq!(
            (lines.len(), lines[0].as_str(), lines[LINES_MAX - 1].as_str()),
            (LINES_MAX, "lost=1", "lost=24")
        );
    }

    #[test]
    fn a_command_that_fails_says_so_and_what_it_showed_is_kept() {
        let mut showed = Vec::new();
        let shows = Shows::Lines(&["release"]);
        run("rustc --version --verbose", &shows, &mut showed).expect("there is a compiler");
        assert_eq!(showed.len(), 1);
        let refused = run("rustc --no-such-flag", &shows, &mut showed).expect_err("there is no such flag");
        assert!(refused.to_string().contains("rustc --no-such-flag"), "{refused}");
    }
}
