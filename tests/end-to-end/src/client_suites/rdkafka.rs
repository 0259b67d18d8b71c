//! The tests in the package of crate `rdkafka`, at the version that `tests/librdkafka` is locked to.
//!
//! Cargo has unpacked the package to build it; a copy is built with the versions that it was published with, and with
//! the features that its own `test_suite.sh` uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::process::run_logged;
use super::{Arguments, Prepared, Test, Verdict};
use crate::clients::install::{Mark, absolute, librdkafka_needs, step};

/// How long one of its programs may run; the longest takes half a minute.
const LIMIT: Duration = Duration::from_secs(300);

/// Its tests take the broker's address from `KAFKA_HOST`, but for two that know port 9092 by heart.
const EDITS: &[Edit] = &[
    Edit {
        file: "tests/test_high_producers.rs",
        from: r#".set("bootstrap.servers", "localhost")"#,
        to: r#".set("bootstrap.servers", std::env::var("KAFKA_HOST").unwrap())"#,
    },
    Edit {
        file: "tests/test_metadata.rs",
        from: "broker_metadata[0].port(), 9092)",
        to: r#"broker_metadata[0].port().to_string(), std::env::var("KAFKA_HOST").unwrap().rsplit(':').next().unwrap())"#,
    },
    Edit {
        file: "Cargo.toml",
        from: "[package]",
        // The copy lies below this workspace and is no part of it.
        to: "[workspace]\n\n[package]",
    },
];

struct Edit {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// One program with tests.
struct Program {
    name: String,
    path: PathBuf,
    tests: Vec<String>,
}

struct Built {
    version: String,
    /// Its programs are run where its sources lie.
    source: PathBuf,
    logs: PathBuf,
    programs: Vec<Program>,
}

pub(super) fn prepare(arguments: &Arguments) -> Result<Box<dyn Prepared>> {
    librdkafka_needs()?;
    let (version, package) = package(&arguments.programs.join("../librdkafka"))?;
    let directory = absolute(&arguments.directory.join("rdkafka-suite"))?;
    let source = directory.join(&version);
    copy(&package, &source, &version)?;
    step(&format!(
        "building the tests of crate rdkafka {version}; librdkafka is compiled from source, a few minutes the first time"
    ));
    let programs = build(&source, &directory.join("target"))?;
    Ok(Box::new(Built {
        version,
        source,
        logs: directory.join("logs"),
        programs,
    }))
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What a command says, when it ends well.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    ensure!(
        output.status.success(),
        "{:?} ended with {}",
        command.get_program(),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Version and folder of the package, which cargo downloads when it is not there.
fn package(program: &Path) -> Result<(String, PathBuf)> {
    step("asking cargo for the sources of crate rdkafka");
    let mut command = cargo();
    command
        .args(["metadata", "--quiet", "--locked", "--format-version", "1"])
        .current_dir(program);
    let metadata: Value = serde_json::from_str(&said(&mut command)?)?;
    let packages = metadata["packages"].as_array().context("metadata names packages")?;
    let package = packages.iter().find(|package| package["name"] == "rdkafka");
    let package = package.context("tests/librdkafka depends on rdkafka")?;
    let manifest = Path::new(package["manifest_path"].as_str().context("a package has a manifest")?);
    let version = package["version"].as_str().context("a package has a version")?;
    Ok((
        version.to_owned(),
        manifest.parent().context("a manifest lies in a folder")?.to_owned(),
    ))
}

/// Copies the package and makes the edits, unless that was done before.
fn copy(package: &Path, to: &Path, version: &str) -> Result<()> {
    let done = EDITS.iter().map(|edit| format!("{}: {}\n", edit.file, edit.to));
    let done = done.fold(format!("{version}\n"), |all, edit| all + &edit);
    let mark = Mark::new(to, done);
    if mark.holds() {
        return Ok(());
    }
    step("copying its package; two tests that know port 9092 by heart get the broker's address");
    copy_folder(package, to)?;
    for edit in EDITS {
        let path = to.join(edit.file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            text.matches(edit.from).count() == 1,
            "{} has not exactly one `{}`; look at this version's tests and mend the edits",
            edit.file,
            edit.from
        );
        std::fs::write(&path, text.replace(edit.from, edit.to))?;
    }
    mark.write()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // As text, so that a read-only registry makes no read-only copy.
            std::fs::write(&target, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// Builds the tests of its library and its integration tests, and asks each program for its tests.
fn build(source: &Path, target: &Path) -> Result<Vec<Program>> {
    let mut command = cargo();
    command
        .args(["test", "--quiet", "--locked", "--no-run", "--lib", "--tests"])
        .args(["--message-format", "json-render-diagnostics", "--target-dir"])
        .arg(target)
        .current_dir(source);
    let mut programs = Vec::new();
    for line in said(&mut command)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let Some(path) = message["executable"].as_str() else {
            continue;
        };
        let name = message["target"]["name"].as_str().context("a target has a name")?;
        let mut list = Command::new(path);
        let listed = said(list.args(["--list", "--format", "terse"]).current_dir(source))?;
        let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
        programs.push(Program {
            name: name.to_owned(),
            path: path.into(),
            tests: tests.map(str::to_owned).collect(),
        });
    }
    if programs.is_empty() {
        bail!("the package has no tests");
    }
    Ok(programs)
}

impl Program {
    fn whole_name(&self, test: &str) -> String {
        format!("{}::{test}", self.name)
    }

    fn run(&self, wanted: &[&String], suite: &Built, bootstrap: &str) -> Result<Vec<Test>> {
        let mut command = Command::new(&self.path);
        command
            .arg("--exact")
            .args(wanted)
            .current_dir(&suite.source)
            .env("KAFKA_HOST", bootstrap)
            .env("RUST_BACKTRACE", "0");
        let output = run_logged(&mut command, &suite.logs, &self.name, LIMIT)?;
        let reasons = reasons(&output);
        let tests = output.lines().filter_map(|line| {
            let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
            let verdict = match verdict {
                "ok" => Verdict::Passed,
                "FAILED" => Verdict::Failed(reasons.get(name).cloned().unwrap_or_default()),
                ignored if ignored.starts_with("ignored") => Verdict::Skipped("the suite ignores it".into()),
                _ => return None,
            };
            Some(Test {
                name: self.whole_name(name),
                verdict,
            })
        });
        Ok(tests.collect())
    }
}

/// What failed tests wrote, by test: the first lines of their panic.
fn reasons(output: &str) -> BTreeMap<String, String> {
    const LINES: usize = 4;
    let mut reasons = BTreeMap::new();
    for part in output.split("\n---- ").skip(1) {
        if let Some((name, wrote)) = part.split_once(" stdout ----\n") {
            let lines: Vec<&str> = wrote.lines().skip_while(|line| !line.contains("panicked")).collect();
            let first = lines[..lines.len().min(LINES)].join("; ");
            reasons.insert(name.to_owned(), first);
        }
    }
    reasons
}

impl Prepared for Built {
    fn title(&self) -> String {
        format!("rdkafka {}", self.version)
    }

    fn tests(&self) -> Result<Vec<String>> {
        let names =
            |program: &Program| -> Vec<String> { program.tests.iter().map(|test| program.whole_name(test)).collect() };
        Ok(self.programs.iter().flat_map(names).collect())
    }

    fn run(&self, wanted: &[String], bootstrap: &str) -> Result<Vec<Test>> {
        let mut all = Vec::new();
        for program in &self.programs {
            let is_wanted = |test: &&String| wanted.contains(&program.whole_name(test));
            let wanted: Vec<&String> = program.tests.iter().filter(is_wanted).collect();
            if wanted.is_empty() {
                continue;
            }
            let tests = program.run(&wanted, self, bootstrap)?;
            println!("rdkafka, {}: {} tests ran", program.name, tests.len());
            all.extend(tests);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_panicked() {
        let output = "test a ... ok\ntest b::c ... FAILED\n\nfailures:\n\n---- b::c stdout ----\nStats: 7\n\n\
                      thread 'b::c' panicked at tests/b.rs:7:5:\nwakeups 2 exceeds target 1\n\n\nfailures:\n    b::c\n";
        let reasons = reasons(output);
        assert_eq!(reasons.len(), 1);
        assert!(reasons["b::c"].starts_with("thread 'b::c' panicked at tests/b.rs:7:5:; wakeups 2 exceeds target 1"));
    }
}
