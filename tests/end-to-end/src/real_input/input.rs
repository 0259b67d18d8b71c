//! The lines, and where they come from: Debian's package list keyed by package, or, where there is no apt, the sources
//! of the crates that this build uses, keyed by file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Arguments;
use crate::clients::quiet;

/// What is called real input has at least this many lines.
const LINES_MIN: usize = 1_000_000;
/// Larger sources stop here: enough lines, and not gigabytes of them.
const LINES_MAX: usize = 2_000_000;

/// One line of the input.
pub(super) struct Line {
    pub(super) key: String,
    pub(super) value: String,
}

pub(super) fn read(arguments: &Arguments) -> Result<Vec<Line>> {
    let path = match &arguments.input {
        Some(path) => path.clone(),
        None => unpacked(&arguments.directory)?,
    };
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(&text);
    let limit = arguments.lines.unwrap_or(usize::MAX);
    let lines: Vec<Line> = text
        .lines()
        .take(limit)
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| Line {
            key: key.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    ensure!(
        lines.len() >= LINES_MIN || arguments.lines.is_some(),
        "{} has only {} lines with a key; at least {LINES_MIN} are needed",
        path.display(),
        lines.len()
    );
    Ok(lines)
}

/// The file of lines, made when it is not there yet.
fn unpacked(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("lines.txt");
    if path.is_file() {
        return Ok(path);
    }
    std::fs::create_dir_all(directory)?;
    let part = path.with_extension("part");
    let mut file = BufWriter::new(std::fs::File::create(&part)?);
    let packages = write_packages(&mut file);
    if let Err(reason) = packages {
        println!("no Debian package list ({reason:#}); the lines are those of the sources this build uses");
        file = BufWriter::new(std::fs::File::create(&part)?);
        write_sources(&mut file)?;
    }
    file.into_inner()?.sync_all()?;
    std::fs::rename(part, &path)?;
    Ok(path)
}

/// What `apt-cache dumpavail` prints, each line keyed by its package.
fn write_packages(file: &mut impl Write) -> Result<()> {
    println!("unpacking what `apt-cache dumpavail` prints");
    let mut text = dump_packages()?;
    if text.lines().count() < LINES_MIN {
        println!("the package lists are missing or small: `apt-get update` fetches them");
        quiet(Command::new("apt-get").args(["update", "-q"]))?;
        text = dump_packages()?;
    }
    let mut package = "";
    let mut count = 0;
    for line in text.lines().filter(|line| !line.is_empty()).take(LINES_MAX) {
        package = line.strip_prefix("Package: ").unwrap_or(package);
        // A tab inside a line is a space: the first one ends the key.
        writeln!(file, "{package}\t{}", line.replace('\t', " "))?;
        count += 1;
    }
    ensure!(count >= LINES_MIN, "they have only {count} lines");
    Ok(())
}

fn dump_packages() -> Result<String> {
    let output = Command::new("apt-cache").arg("dumpavail").output();
    let output = output.context("there is no apt-cache here")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every line of Rust of the crates that cargo has fetched for this build, keyed by file.
fn write_sources(file: &mut impl Write) -> Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let root = home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    let mut folders = vec![root.clone()];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort_unstable();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && count < LINES_MAX {
                let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy();
                for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.is_empty()) {
                    writeln!(file, "{name}\t{}", line.replace('\t', " "))?;
                    count += 1;
                }
            }
        }
    }
    ensure!(count >= LINES_MIN, "{} has only {count} lines of Rust", root.display());
    Ok(())
}
