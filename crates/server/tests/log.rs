//! `hallows log` on the data directory of a real broker.

mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use process::{Broker, directory, hallows, run};
use serde_json::Value;

/// The segment that holds records of the topic; the metadata log has one of its own.
fn segment_with(directory: &Path, text: &str) -> PathBuf {
    let mut waiting = vec![directory.join("segments")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                waiting.push(path);
            } else if fs::read(&path)
                .expect("a readable file")
                .windows(text.len())
                .any(|part| part == text.as_bytes())
            {
                return path;
            }
        }
    }
    panic!("no segment holds {text}");
}

fn log(verb: &str, directory: &Path, flags: &[&str]) -> Output {
    let mut command = hallows();
    command.args(["log", verb]).arg(directory).args(flags);
    run(command, b"")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_directory_is_verified_and_dumped_offline() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed(&["topic", "create", "orders"]);
    broker.succeed_with_input(&["produce", "orders"], b"first\nsecond\n");
    let refused = log("verify", &data, &[]);
    assert_eq!(refused.status.code(), Some(4), "a broker has the directory");
    assert!(
        text(&refused.stderr).contains("has it open"),
        "{}",
        text(&refused.stderr)
    );
    assert!(broker.stop().success());

    let verified = log("verify", &data, &["--output", "json"]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));
    let report: Value = serde_json::from_slice(&verified.stdout).expect("it is JSON");
    assert_eq!(
        (&report["damaged"], report["findings"].as_array().map(Vec::len)),
        (&Value::from(0), Some(0))
    );

    let dumped = text(&log("dump", &data, &["--file", ".log"]).stdout);
    assert!(dumped.contains("offsets 0 to"), "{dumped}");
    assert!(!dumped.contains("manifest,"), "only what was asked for: {dumped}");

    let segment = segment_with(&data, "second");
    let mut bytes = fs::read(&segment).expect("a readable file");
    let at = bytes
        .windows(6)
        .position(|part| part == b"second")
        .expect("it was found before");
    bytes[at] ^= 1;
    fs::write(&segment, bytes).expect("a writable file");
    let damaged = log("verify", &data, &[]);
    assert_eq!(damaged.status.code(), Some(4));
    let told = text(&damaged.stdout);
    let name = segment.file_name().expect("a file").to_string_lossy().into_owned();
    assert!(
        told.contains("damaged: ") && told.contains(&name) && told.contains("wrong checksum"),
        "{told}"
    );
    assert_eq!(log("dump", &data, &[]).status.code(), Some(4));
}

#[test]
fn a_missing_directory_is_not_made() {
    let (_guard, data) = directory();
    let missing = data.join("nothing");
    let refused = log("verify", &missing, &[]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(
        text(&refused.stderr).contains("there is none"),
        "{}",
        text(&refused.stderr)
    );
    assert!(!missing.exists());
}
