//! The integration tests in kafka-python's source distribution, at the version that the matrix of clients uses.
//!
//! They know a broker that runs already (`KAFKA_URI`). What they lack in the distribution, and how they report, is in
//! `tests/clients/suites/kafka-python/beside_broker.py`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::process::run_logged;
use super::{Arguments, Prepared, Test, Verdict};
use crate::clients::install::{Mark, PYTHON_PACKAGES, absolute, python_of, quiet, step};

/// How long all of them may run together; they take about a quarter of a minute.
const LIMIT: Duration = Duration::from_secs(600);

/// What the tests need beside the clients.
const TEST_PACKAGES: &[&str] = &["pytest==9.2.0", "pytest-mock==3.17.0", "pytest-timeout==2.4.0"];

/// The release of Kafka that the client is told to talk to; `hallows` serves what that one serves.
const KAFKA_VERSION: &str = "4.3";

struct Unpacked {
    python: PathBuf,
    version: &'static str,
    source: PathBuf,
    plugin: PathBuf,
    logs: PathBuf,
}

pub(super) fn prepare(arguments: &Arguments) -> Result<Box<dyn Prepared>> {
    let pinned = PYTHON_PACKAGES
        .iter()
        .find_map(|package| package.strip_prefix("kafka-python=="));
    let version = pinned.context("kafka-python is pinned")?;
    let python = python_of(&arguments.directory)?;
    let directory = absolute(&arguments.directory.join("kafka-python-suite"))?;
    std::fs::create_dir_all(&directory)?;
    test_packages(&python, &directory)?;
    let source = unpack(&python, version, &directory)?;
    Ok(Box::new(Unpacked {
        python,
        version,
        source,
        plugin: absolute(&arguments.programs.join("suites/kafka-python"))?,
        logs: directory.join("logs"),
    }))
}

fn test_packages(python: &Path, directory: &Path) -> Result<()> {
    let mark = Mark::new(directory, TEST_PACKAGES.join("\n"));
    if mark.holds() {
        return Ok(());
    }
    step("installing pytest and two of its plugins from PyPI");
    quiet(
        Command::new(python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(TEST_PACKAGES),
    )?;
    mark.write()
}

/// Fetches and unpacks the source distribution, unless that was done before; returns where it lies.
fn unpack(python: &Path, version: &str, directory: &Path) -> Result<PathBuf> {
    let source = directory.join(format!("kafka_python-{version}"));
    let mark = Mark::new(&source, version.to_owned());
    if mark.holds() {
        return Ok(source);
    }
    step(&format!(
        "fetching the source distribution of kafka-python {version} from PyPI"
    ));
    quiet(
        Command::new(python)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                "kafka-python",
            ])
            .arg(format!("kafka-python=={version}"))
            .arg("--dest")
            .arg(directory),
    )?;
    let archive = directory.join(format!("kafka_python-{version}.tar.gz"));
    ensure!(archive.is_file(), "PyPI's file is not {}", archive.display());
    quiet(
        Command::new(python)
            .args(["-m", "tarfile", "--extract"])
            .arg(&archive)
            .arg(directory),
    )?;
    ensure!(
        source.join("test/integration").is_dir(),
        "the source distribution has no test/integration"
    );
    mark.write()?;
    Ok(source)
}

impl Unpacked {
    fn pytest(&self, bootstrap: &str) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args([
                "-m",
                "pytest",
                "-p",
                "beside_broker",
                "-p",
                "no:cacheprovider",
                "--quiet",
            ])
            .args(["--tb=short", "--show-capture=no"])
            .current_dir(&self.source)
            .env("PYTHONPATH", &self.plugin)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("KAFKA_VERSION", KAFKA_VERSION)
            // Where a Kafka of their own would lie; the folder must exist, and nothing in it is used.
            .env("KAFKA_ROOT", &self.source)
            .env("KAFKA_URI", format!("kafka://{bootstrap}"));
        command
    }
}

impl Prepared for Unpacked {
    fn title(&self) -> String {
        format!("kafka-python {}", self.version)
    }

    fn tests(&self) -> Result<Vec<String>> {
        let mut command = self.pytest("127.0.0.1:9092");
        command.args(["--collect-only", "test/integration"]);
        let said = run_logged(&mut command, &self.logs, "collect", LIMIT)?;
        let tests: Vec<String> = said
            .lines()
            .filter_map(|line| line.strip_prefix("collected\t"))
            .map(str::to_owned)
            .collect();
        ensure!(!tests.is_empty(), "pytest finds no tests; it said: {said}");
        Ok(tests)
    }

    fn run(&self, wanted: &[String], bootstrap: &str) -> Result<Vec<Test>> {
        let mut command = self.pytest(bootstrap);
        command.args(wanted);
        let said = run_logged(&mut command, &self.logs, "tests", LIMIT)?;
        Ok(verdicts(&said))
    }
}

/// Reads lines of `verdict TAB test TAB outcome TAB reason`; a test has one for each phase that says something.
fn verdicts(said: &str) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for line in said.lines() {
        let fields: Vec<&str> = line.splitn(4, '\t').collect();
        let ["verdict", name, outcome, reason] = fields[..] else {
            continue;
        };
        let verdict = match outcome {
            "passed" => Verdict::Passed,
            "skipped" => Verdict::Skipped(reason.to_owned()),
            _ => Verdict::Failed(reason.to_owned()),
        };
        match tests.iter_mut().find(|test| test.name == name) {
            // It passed, and then could not be cleaned up after.
            Some(test) if matches!(verdict, Verdict::Failed(_)) => test.verdict = verdict,
            Some(_) => {}
            None => tests.push(Test {
                name: name.to_owned(),
                verdict,
            }),
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_phase_decides() {
        let said = "verdict\tt.py::a\tpassed\t\nverdict\tt.py::a\tfailed\tstill runs\nverdict\tt.py::b\tskipped\told\n\
                    verdict\tt.py::c\tfailed\tboom\n...F [100%]\n";
        let tests = verdicts(said);
        assert_eq!(tests.len(), 3);
        assert!(matches!(&tests[0].verdict, Verdict::Failed(reason) if reason == "still runs"));
        assert!(matches!(&tests[1].verdict, Verdict::Skipped(reason) if reason == "old"));
        assert!(matches!(&tests[2].verdict, Verdict::Failed(reason) if reason == "boom"));
    }
}
