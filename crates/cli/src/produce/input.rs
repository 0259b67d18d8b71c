//! Lines of standard input, and the records they stand for.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use clap::ValueEnum;

use crate::record::InputRecord;

/// Lines read ahead of what is sent.
const LINES_AHEAD: usize = 4096;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum InputFormat {
    /// A value, or a key and a value with `--key-separator`.
    Lines,
    /// A JSON object: key, value, headers, partition, timestamp; key_base64 and value_base64 for what is not text.
    Json,
}

/// Reads lines on a thread of their own, so that a slow writer does not hold up what is ready to be sent.
pub(super) fn read_lines() -> Receiver<io::Result<Vec<u8>>> {
    let (lines, received) = sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            // Nobody receives any more once sending has failed.
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    received
}

/// The bytes of standard input, where it is a file.
pub(super) fn length() -> Option<u64> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = input.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Turns lines into records.
pub(crate) struct LineParser {
    format: InputFormat,
    key_separator: Option<Vec<u8>>,
    empty_is_null: bool,
    /// Lines seen, for messages.
    line: u64,
}

impl LineParser {
    pub(crate) fn new(format: InputFormat, key_separator: Option<String>, empty_is_null: bool) -> Self {
        Self {
            format,
            key_separator: key_separator
                .map(String::into_bytes)
                .filter(|separator| !separator.is_empty()),
            empty_is_null,
            line: 0,
        }
    }

    /// The record that a line stands for.
    ///
    /// # Errors
    /// What is wrong with which line, in words.
    pub(crate) fn parse(&mut self, line: &[u8]) -> Result<InputRecord, String> {
        self.line += 1;
        let mut record = match self.format {
            InputFormat::Lines => self.parse_line(line),
            InputFormat::Json => InputRecord::from_json(line),
        }
        .map_err(|why| format!("line {}: {why}", self.line))?;
        if self.empty_is_null && record.value.as_ref().is_some_and(Vec::is_empty) {
            record.value = None;
        }
        Ok(record)
    }

    fn parse_line(&self, line: &[u8]) -> Result<InputRecord, String> {
        let Some(separator) = &self.key_separator else {
            return Ok(InputRecord {
                value: Some(line.to_vec()),
                ..InputRecord::default()
            });
        };
        let at = line.windows(separator.len()).position(|window| window == separator);
        let at = at.ok_or_else(|| format!("there is no `{}` in it", String::from_utf8_lossy(separator)))?;
        Ok(InputRecord {
            key: Some(line[..at].to_vec()),
            value: Some(line[at + separator.len()..].to_vec()),
            ..InputRecord::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        separator: Option<&str>,
        empty_is_null: bool,
        line: &str,
        expected: Result<(Option<&str>, Option<&str>), &str>,
    ) {
        let mut parser = LineParser::new(InputFormat::Lines, separator.map(str::to_owned), empty_is_null);
        match (parser.parse(line.as_bytes()), expected) {
            (Ok(record), Ok((key, value))) => {
                assert_eq!(record.key.as_deref(), key.map(str::as_bytes), "{line}");
                assert_eq!(record.value.as_deref(), value.map(str::as_bytes), "{line}");
            }
            (Err(why), Err(expected)) => assert_eq!(why, expected),
            (got, _) => panic!("{line}: {got:?}"),
        }
    }

    #[test]
    fn lines_are_values_or_keys_and_values() {
        check(None, false, "a:b", Ok((None, Some("a:b"))));
        check(Some(":"), false, "a:b:c", Ok((Some("a"), Some("b:c"))));
        check(Some("=>"), false, "a=>b", Ok((Some("a"), Some("b"))));
        check(Some(":"), false, ":", Ok((Some(""), Some(""))));
        check(Some(":"), true, "a:", Ok((Some("a"), None)));
        check(None, true, "", Ok((None, None)));
        check(None, false, "", Ok((None, Some(""))));
        check(Some(":"), false, "ab", Err("line 1: there is no `:` in it"));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let mut parser = LineParser::new(InputFormat::Json, None, false);
        parser.parse(br#"{"value":"a"}"#).expect("a record");
        let why = parser.parse(b"{").expect_err("half a record");
        assert!(why.starts_with("line 2: "), "{why}");
    }
}
