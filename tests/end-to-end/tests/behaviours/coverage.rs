//! The table in coverage.md: every fact has its tests, every test of this folder stands there, and none is invented.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/behaviours");

/// Names between backquotes that look like `file::test`.
fn named(table: &str) -> BTreeSet<(String, String)> {
    let quoted = table.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|name| name.rsplit_once("::"));
    names.map(|(file, test)| (file.to_owned(), test.to_owned())).collect()
}

/// A bare file name is one of this folder; a path is one from the root of the repository.
fn path_of(file: &str) -> PathBuf {
    if file.contains('/') {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(file)
            .with_extension("rs")
    } else {
        Path::new(FOLDER).join(file).with_extension("rs")
    }
}

/// The functions under `#[test]`; an ignored one does not count.
fn tests_in(source: &str) -> Vec<String> {
    let mut lines = source.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line == "#[test]"
            && let Some(test) = lines.next().and_then(|line| line.strip_prefix("fn "))
        {
            found.push(test.split('(').next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[test]
fn every_named_test_exists_and_every_test_of_this_folder_is_named() {
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let named = named(&read(&Path::new(FOLDER).join("coverage.md")));
    assert!(named.len() > 100, "{}", named.len());
    for (file, test) in &named {
        let tests = tests_in(&read(&path_of(file)));
        assert!(
            tests.contains(test),
            "coverage.md names {file}::{test}, which does not exist"
        );
    }
    for entry in std::fs::read_dir(FOLDER).expect("the folder of this file") {
        let path = entry.expect("it can be read").path();
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && file != "coverage" {
            for test in tests_in(&read(&path)) {
                let listed = named.contains(&(file.clone(), test.clone()));
                assert!(listed, "{file}::{test} is not in coverage.md");
            }
        }
    }
}
