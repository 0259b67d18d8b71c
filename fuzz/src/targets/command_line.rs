//! What people type and pipe in: arguments, lines of records, templates.
//!
//! The input is a byte that says which, and text. Arguments are words with zero bytes between them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::Parser;
use hallows_cli::{Arguments, Verb, expand_settings, readers};

use crate::Source;
use crate::allocation::bounded;

/// The table of arguments, and messages.
const BYTES_BESIDES: usize = 4 << 20;
/// A byte of input can become a word, a line, or a record with its own vectors.
const BYTES_PER_BYTE: usize = 1024;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let kind = source.u8() % 4;
    bounded(BYTES_BESIDES + BYTES_PER_BYTE * data.len(), || match kind {
        0 => parse_arguments(source.rest()),
        1 => drop(readers::read_records(true, None, source.rest())),
        2 => read_lines(&mut source),
        _ => format(&mut source),
    });
}

fn parse_arguments(words: &[u8]) {
    let words = words
        .split(|byte| *byte == 0)
        .map(|word| OsString::from_vec(word.to_vec()));
    let words = expand_settings(std::iter::once(OsString::from("hallows")).chain(words));
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => return drop(error.to_string()),
    };
    let serve = match arguments.verb {
        Some(Verb::Serve(serve)) => serve,
        None => arguments.serve,
        Some(_) => return,
    };
    // A file named by an input is not opened.
    if serve.config.is_none()
        && let Err(failure) = serve.load([])
    {
        drop(failure.to_string());
    }
}

fn read_lines(source: &mut Source<'_>) {
    let count = usize::from(source.u8() % 4);
    let separator = String::from_utf8_lossy(source.bytes(count)).into_owned();
    drop(readers::read_records(
        false,
        (count > 0).then_some(&separator),
        source.rest(),
    ));
}

fn format(source: &mut Source<'_>) {
    let timestamp = i64::from_le_bytes(std::array::from_fn(|_| source.u8()));
    let key = source.bytes(3);
    let template = String::from_utf8_lossy(source.rest());
    drop(readers::format_record(
        &template,
        timestamp,
        (!key.is_empty()).then_some(key),
        b"value",
    ));
}

/// What the help texts show.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "serve --listeners PLAINTEXT://0.0.0.0:9092 --data-dir /data --log.retention.hours 24 --shards 2",
        "--set node.id=7 --log.durability=written",
        "topic create orders --partitions 3 --config retention.ms=1000",
        "topic alter orders --config a=b --delete-config c",
        "topic list --output json",
        "produce orders -K : --header a=b --codec zstd --partition 3 --acks 1",
        "consume orders --from-beginning --exit-at-end --output json",
        "consume orders --offset @2026-01-31T12:00:00Z -n 5 --format %k:%v\\n",
        "consume orders --group g --bootstrap-server [::1]:9092",
        "group reset billing --topic orders:0,3 --shift-by -100 --execute",
        "group reset billing --to-datetime -15m",
        "bench --help",
        "--version",
    ];
    let mut seeds: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| [&[0], line.replace(' ', "\0").as_bytes()].concat())
        .collect();
    for json in [
        r#"{"key":"k","value":{"n":1},"headers":{"a":"1","b":null},"partition":2,"timestamp":5}"#,
        "{\"key_base64\":\"wyg=\",\"value\":\"a\",\"headers\":[{\"key\":\"raw\",\"value_base64\":\"/w==\"}]}\n{\"value\":null}",
    ] {
        seeds.push([&[1], json.as_bytes()].concat());
    }
    seeds.push([&[2, 1], &b":a:b\nc:d\n:\xff"[..]].concat());
    seeds.push([&[2, 0], &b"line\n\nline"[..]].concat());
    for template in ["%t/%p/%o: %k=%v\\n", "%K %V %h %T %d %e %% \\x41\\t\\\\\\0"] {
        seeds.push(
            [
                &[3][..],
                &1_767_225_600_000_i64.to_le_bytes(),
                b"key",
                template.as_bytes(),
            ]
            .concat(),
        );
    }
    seeds
}
