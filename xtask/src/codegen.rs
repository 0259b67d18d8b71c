//! `cargo xtask codegen`: from the compact definitions to the generated part of `crates/protocol`.
//!
//! The definitions in `crates/protocol/definitions` are the source; they are edited by hand or
//! imported once per Kafka release, and the generated files are committed so that no build needs this.

pub(crate) mod definition;
mod import;
mod names;
mod rust;
mod rust_decode;
mod rust_encode;
mod rust_tables;
mod rust_types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// What `cargo xtask codegen` can be asked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Changes nothing; fails when a committed file is not what the definitions give.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    step: Option<Step>,
}

/// A step before generating.
#[derive(clap::Subcommand)]
enum Step {
    /// Replaces the definitions by the union of two Kafka releases. Unpack the jars first, for
    /// example with `unzip kafka-clients-4.3.1.jar 'common/message/*' -d clients-4`.
    Import {
        /// Folders of the older release, which still has the old versions: its unpacked kafka-clients.
        #[arg(long = "clients-3", required = true)]
        older: Vec<PathBuf>,
        /// Folders of the newer release: its unpacked kafka-clients, kafka-group-coordinator and
        /// kafka-transaction-coordinator.
        #[arg(long = "clients-4", required = true)]
        newer: Vec<PathBuf>,
    },
}

/// Runs the task.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let protocol = root.join("crates/protocol");
    let definitions = protocol.join("definitions");
    if let Some(Step::Import { older, newer }) = arguments.step {
        let files = import::import(&older, &newer)?;
        return replace(&definitions, files, "txt");
    }
    let files = formatted(generate(&definitions)?, &root)?;
    let folder = protocol.join("src/generated");
    if arguments.check {
        compare(&folder, &files)
    } else {
        replace(&folder, files, "rs")
    }
}

/// The text of every generated file by its name, not yet formatted.
fn generate(definitions: &Path) -> Result<BTreeMap<String, String>> {
    let mut messages = Vec::new();
    for (name, text) in read(definitions, "txt")? {
        if name != ERRORS {
            messages.extend(definition::parse(&text).with_context(|| name)?);
        }
    }
    let errors = std::fs::read_to_string(definitions.join(ERRORS))?;
    let mut files = BTreeMap::new();
    for message in &messages {
        let text = rust::module(message).with_context(|| message.name.clone())?;
        files.insert(format!("{}.rs", names::snake(&message.name)), text);
    }
    files.insert("api_key.rs".to_owned(), rust_tables::api_keys(&messages)?);
    files.insert("any.rs".to_owned(), rust_tables::any(&messages));
    files.insert("error_code.rs".to_owned(), rust_tables::error_codes(&errors)?);
    files.insert("coordinator.rs".to_owned(), rust_tables::coordinator(&messages)?);
    files.insert("mod.rs".to_owned(), rust_tables::root(&messages));
    Ok(files)
}

/// The one definition file that holds no messages.
const ERRORS: &str = "error_codes.txt";

/// How many stale files a message names.
const STALE_NAMED_MAX: usize = 3;

/// Every file of a folder with one extension, by name.
fn read(folder: &Path, extension: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let (Some(name), true) = (name, path.extension().is_some_and(|found| found == extension)) {
            files.insert(name.to_owned(), std::fs::read_to_string(&path)?);
        }
    }
    Ok(files)
}

/// Formats with rustfmt in a folder of its own, so that a failure leaves the tree as it was.
fn formatted(files: BTreeMap<String, String>, root: &Path) -> Result<BTreeMap<String, String>> {
    let folder = std::env::temp_dir().join(format!("hallows-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let paths: Vec<PathBuf> = files.keys().map(|name| folder.join(name)).collect();
    for (path, text) in paths.iter().zip(files.values()) {
        std::fs::write(path, text)?;
    }
    let mut rustfmt = Command::new("rustfmt");
    rustfmt
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .args(&paths);
    let status = rustfmt.status().context("rustfmt does not start")?;
    ensure!(status.success(), "rustfmt refuses the files in {}", folder.display());
    let formatted = read(&folder, "rs")?;
    std::fs::remove_dir_all(&folder)?;
    Ok(formatted)
}

/// Makes the files of a folder with one extension exactly `files`.
fn replace(folder: &Path, files: BTreeMap<String, String>, extension: &str) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for name in read(folder, extension)?.into_keys() {
        if !files.contains_key(&name) && name != ERRORS {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn compare(folder: &Path, expected: &BTreeMap<String, String>) -> Result<()> {
    let found = read(folder, "rs")?;
    let mut stale: Vec<&String> = expected
        .iter()
        .filter(|(name, text)| found.get(*name) != Some(text))
        .map(|(name, _)| name)
        .collect();
    stale.extend(found.keys().filter(|name| !expected.contains_key(*name)));
    let count = stale.len();
    if count == 0 {
        return Ok(());
    }
    stale.truncate(STALE_NAMED_MAX);
    bail!(
        "{count} generated files in {} are not what the definitions give, among them {stale:?}; \
         run `cargo xtask codegen` and commit the result",
        folder.display()
    )
}
