//! The log only reports: whatever becomes of its reader, the broker serves, and stops when it is told to.

mod process;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, PipeWriter, Read, Write, pipe};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};

use process::{directory, hallows, run, signal, wait};
use tempfile::TempDir;

/// What a pipe holds on Linux when nobody has said otherwise.
const PIPE_BYTES: usize = 64 << 10;

struct Logged {
    child: Child,
    address: String,
    _stdout: BufReader<ChildStdout>,
    _data: TempDir,
}

impl Drop for Logged {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A broker whose standard error is `stderr`, once it serves.
fn start(stderr: impl Into<Stdio>) -> Logged {
    let (guard, data) = directory();
    let mut child = hallows()
        .args(["serve", "--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the program starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert!(
            stdout.read_line(&mut line).expect("it writes text") > 0,
            "it ended early"
        );
        if let Some(address) = line.trim_end().strip_prefix("listening on PLAINTEXT://") {
            break address.to_owned();
        }
    };
    Logged {
        child,
        address,
        _stdout: stdout,
        _data: guard,
    }
}

impl Logged {
    /// Sends what is no request, so that the broker has something to log, and waits until it has closed the connection.
    fn misbehave(&self) {
        let mut connection = TcpStream::connect(&self.address).expect("it listens");
        connection.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
        let mut answer = Vec::new();
        // A reset says as much as an end.
        let _ = connection.read_to_end(&mut answer);
        assert!(answer.is_empty(), "no answer to what is no request");
    }

    /// Misbehaves, then works as any client, then asks it to stop: all of that as if there were a log.
    fn serves_and_stops(mut self) {
        for _ in 0..100 {
            self.misbehave();
        }
        let mut produce = hallows();
        produce.args(["produce", "orders", "-b", &self.address]);
        let produced = run(produce, b"one\n");
        assert!(produced.status.success(), "{produced:?}");
        let mut consume = hallows();
        consume.args([
            "consume",
            "orders",
            "--from-beginning",
            "--exit-at-end",
            "-b",
            &self.address,
        ]);
        assert_eq!(run(consume, b"").stdout, b"one\n");
        signal(&self.child, "-TERM");
        assert_eq!(wait(&mut self.child).code(), Some(0), "a clean stop");
    }
}

#[test]
fn a_log_whose_reader_went_away_is_done_without() {
    let (reader, writer) = pipe().expect("a pipe");
    let broker = start(writer);
    drop(reader);
    broker.serves_and_stops();
}

#[test]
fn a_start_without_a_reader_of_the_log_serves() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    start(writer).serves_and_stops();
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_on_a_full_disk_is_done_without() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    start(full).serves_and_stops();
}

#[test]
fn standard_error_that_cannot_be_written_is_done_without() {
    let read_only = File::open("/dev/null").expect("every Unix has it");
    start(read_only).serves_and_stops();
}

/// A pipe that takes nothing more.
fn full_pipe() -> (std::io::PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    writer.write_all(&[b'.'; PIPE_BYTES]).expect("that much fits");
    (reader, writer)
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_of_the_log_that_stands_still_holds_up_nothing() {
    let (reader, writer) = full_pipe();
    start(writer).serves_and_stops();
    drop(reader);
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_of_the_banner_that_stands_still_holds_up_no_stop() {
    let (reader, writer) = full_pipe();
    let (_guard, data) = directory();
    let (mut log, log_writer) = pipe().expect("a pipe");
    let mut command = hallows();
    command
        .args(["serve", "--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .stdout(writer)
        .stderr(log_writer);
    let mut child = command.spawn().expect("the program starts");
    // The writers that this process holds would keep both pipes open.
    drop(command);
    let mut lines = BufReader::new(&mut log).lines().map(|line| line.expect("text"));
    assert!(
        lines.any(|line| line.contains("durable writes go through")),
        "the shards run"
    );
    signal(&child, "-TERM");
    assert_eq!(wait(&mut child).code(), Some(0), "a clean stop");
    assert!(data.join("clean").exists());
    drop(reader);
}

#[test]
fn what_one_cause_says_again_and_again_is_summed_up() {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut broker = start(log.reopen().expect("it is there"));
    for _ in 0..500 {
        broker.misbehave();
    }
    signal(&broker.child, "-TERM");
    assert_eq!(wait(&mut broker.child).code(), Some(0));
    let text = fs::read_to_string(log.path()).expect("the log is text");
    let closed: Vec<_> = text
        .lines()
        .filter(|line| line.contains("closing a connection"))
        .collect();
    assert_eq!(closed.len(), 21, "{text}");
    assert!(closed[20].contains("(480 lines like this one"), "{text}");
    assert!(text.contains("stopped cleanly"), "the last words are written: {text}");
}

#[test]
fn a_wrong_wish_for_the_log_is_refused_before_anything_is_done() {
    let (_guard, data) = directory();
    for wrong in ["verbose", "warn,loud", "hallows_storage=everything"] {
        let mut command = hallows();
        command
            .args(["serve", "--data-dir"])
            .arg(&data)
            .env("HALLOWS_LOG", wrong);
        let output = run(command, b"");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(
            message.contains(wrong) && message.contains("error, warn, info"),
            "{message}"
        );
        assert!(!data.exists(), "nothing is created");
    }
}
