//! A real `hallows` process on a free port, and its command line.
#![allow(dead_code, reason = "each test program uses its part of it")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a program may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test, with an environment of its own.
pub(crate) fn hallows() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallows"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HALLOWS_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running broker. Killed when dropped.
pub(crate) struct Broker {
    child: Child,
    /// What it said until it was ready, and after.
    pub(crate) banner: String,
    /// HOST:PORT of its listener.
    pub(crate) address: String,
}

impl Broker {
    /// Starts a broker on a free port and waits until it says that it listens.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    pub(crate) fn start_with(directory: &Path, flags: &[&str]) -> Self {
        let mut child = hallows()
            .args(["serve", "--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
            .arg(directory)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            let count = output.read_line(&mut banner).expect("it writes text");
            assert!(count > 0, "the broker ended early, after saying: {banner}");
        }
        let line = banner
            .lines()
            .find_map(|line| line.strip_prefix("listening on PLAINTEXT://"));
        let address = line.expect("it says where it listens").to_owned();
        Self { child, banner, address }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        signal(&self.child, "-INT");
        wait(&mut self.child)
    }

    /// Ends it as a power switch would, as far as a process can tell.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }

    /// Runs a verb of the command line against it.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Output {
        self.run_with_input(words, b"")
    }

    pub(crate) fn run_with_input<S: AsRef<OsStr>>(&self, words: &[S], input: &[u8]) -> Output {
        let mut command = hallows();
        command.args(words).env("HALLOWS_BOOTSTRAP_SERVER", &self.address);
        run(command, input)
    }

    /// Runs a verb that must succeed and returns what it printed.
    pub(crate) fn succeed<S: AsRef<OsStr>>(&self, words: &[S]) -> String {
        self.succeed_with_input(words, b"")
    }

    pub(crate) fn succeed_with_input<S: AsRef<OsStr>>(&self, words: &[S], input: &[u8]) -> String {
        let output = self.run_with_input(words, input);
        let words: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        assert!(
            output.status.success(),
            "`{}` failed with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("these tests print text")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that has heard enough closes its end.
    let _ = stdin.write_all(input);
    drop(stdin);
    let mut stderr = child.stderr.take().expect("it is piped");
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).map(|_| text)
    });
    let mut stdout = Vec::new();
    let mut out = child.stdout.take().expect("it is piped");
    let printed = std::thread::spawn(move || out.read_to_end(&mut stdout).map(|_| stdout));
    let status = wait(&mut child);
    Output {
        status,
        stdout: printed.join().expect("no panic").expect("a pipe can be read"),
        stderr: errors.join().expect("no panic").expect("a pipe can be read"),
    }
}

/// Sends a signal by the name that `kill` knows.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(sent.expect("kill is on every machine").success());
}

/// Waits for the end of a process, but not for ever.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        assert!(Instant::now() < deadline, "the process did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A fresh data directory; it goes away with the first value.
pub(crate) fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("data");
    (directory, path)
}
