//! Single steps of an installation: look for a language, fetch a package, run a command.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A client cannot be here, and nothing is wrong: its language is not on this machine. The cells are skipped.
///
/// Everything else that goes wrong while installing is a failure of the client's cells.
#[derive(Debug)]
pub(crate) struct Absent(String);

impl fmt::Display for Absent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// Says what is being done.
pub(crate) fn step(what: &str) {
    println!("{what}");
}

/// Refuses when a program is not on this machine.
pub(super) fn need(program: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    Err(Absent(format!("there is no {program} on this machine")).into())
}

/// Refuses when a program is not there, or is older than the client supports.
pub(super) fn need_version(program: &str, argument: &str, oldest: (u32, u32)) -> Result<()> {
    need(program)?;
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let found = version_in(&said).with_context(|| format!("`{program} {argument}` tells no version: {said}"))?;
    if found >= oldest {
        return Ok(());
    }
    let ((major, minor), (oldest_major, oldest_minor)) = (found, oldest);
    let told = format!("{program} is {major}.{minor}, and {oldest_major}.{oldest_minor} is needed");
    Err(Absent(told).into())
}

/// The first `number.number` in a text.
fn version_in(text: &str) -> Option<(u32, u32)> {
    text.split(|letter: char| !(letter.is_ascii_digit() || letter == '.'))
        .find_map(|word| {
            let mut numbers = word.split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs a Debian package unless its program is there.
pub(super) fn debian(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    debian_package(package).with_context(|| format!("there is no {program}"))
}

/// Installs a Debian package.
pub(super) fn debian_package(package: &str) -> Result<()> {
    let told = |why: &str| Absent(format!("{why} to install Debian's package {package}"));
    if !is_there("apt-get") {
        return Err(told("there is no apt-get").into());
    }
    if !is_root()? {
        return Err(told("only root may use apt-get").into());
    }
    step(&format!("installing Debian's package {package}"));
    let install = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.args(["install", "-y", "-q", "--no-install-recommends", package]);
        quiet(&mut command)
    };
    // The list of packages may be empty or old; it is fetched only when it has to be.
    install().or_else(|_| {
        quiet(Command::new("apt-get").args(["update", "-q"]))?;
        install()
    })
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot run id")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no absolute path of {}", path.display()))
}

/// A note beside an installation of what was installed, written last: an interrupted one is begun again, and so is
/// one of something else.
pub(crate) struct Mark {
    path: PathBuf,
    wanted: String,
}

impl Mark {
    pub(crate) fn new(folder: &Path, wanted: String) -> Self {
        let path = folder.join("installed.txt");
        Self { path, wanted }
    }

    pub(crate) fn holds(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|installed| installed == self.wanted)
    }

    pub(crate) fn write(self) -> Result<()> {
        let written = std::fs::write(&self.path, self.wanted);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

pub(super) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Runs a command and shows what it said only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let name = format!("{:?}", command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    // Maven, for one, complains on its standard output.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(8)..].join("; ");
    bail!("{name} ended with {}: {last}", output.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(version_in("Python 3.11.7"), Some((3, 11)));
        assert_eq!(version_in("v20.20.2"), Some((20, 20)));
        assert_eq!(version_in("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(version_in("openjdk version \"17.0.15\" 2025-04-15"), Some((17, 0)));
        assert_eq!(version_in("javac 17.0.15"), Some((17, 0)));
        assert_eq!(version_in("no version"), None);
    }

    #[test]
    fn what_is_not_there_is_absent_and_what_fails_is_not() {
        let absent = need("a-program-that-nobody-has").expect_err("nobody has it");
        assert!(absent.is::<Absent>());
        let old = need_version("rustc", "--version", (1_000, 0)).expect_err("no compiler is that new");
        assert!(old.is::<Absent>());
        let failed = quiet(&mut Command::new("false")).expect_err("it fails");
        assert!(!failed.is::<Absent>());
    }
}
