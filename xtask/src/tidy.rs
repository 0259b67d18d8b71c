//! `cargo xtask tidy`: what the compiler cannot check.
//!
//! Every module says what it is for; crates depend only on lower layers; links in the documents lead somewhere;
//! no function newly grows past what a reader can hold. The last one is a ratchet: `xtask/long-functions.txt` names
//! those that were longer before, with their lines; it may only shrink.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The layer of each crate (ARCHITECTURE.md); an edge must lead to a lower number.
const LAYERS: &[(&str, u32)] = &[
    ("types", 0),
    ("config", 0),
    ("record", 1),
    ("protocol", 1),
    ("group-coordinator", 1),
    ("runtime", 2),
    ("storage", 3),
    ("net", 3),
    ("client", 4),
    ("broker", 5),
    ("sim", 6),
    ("testkit", 6),
    ("bench", 6),
    ("cli", 7),
    ("server", 8),
];

/// Lines that a new function may have.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that were longer when the ratchet was made.
const LONG_FUNCTIONS: &str = "xtask/long-functions.txt";

/// Checks what the compiler cannot.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Writes the list of long functions anew, after some were shortened.
    #[arg(long)]
    write_long_functions: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let sources = sources()?;
    let mut findings = module_docs(&sources)?;
    findings.extend(layer_edges()?);
    findings.extend(broken_links()?);
    let long = long_functions(&sources)?;
    if arguments.write_long_functions {
        let lines: String = long.iter().map(|(name, lines)| format!("{lines} {name}\n")).collect();
        fs::write(LONG_FUNCTIONS, lines)?;
    }
    findings.extend(ratchet(&long)?);
    if findings.is_empty() {
        println!("tidy: {} files", sources.len());
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    bail!("{} places are untidy", findings.len());
}

/// Every source file of ours that is not generated.
fn sources() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in ["crates", "fuzz", "xtask", "tests"] {
        collect(Path::new(root), "rs", &mut found)?;
    }
    found.retain(|path| {
        !path
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("generated" | "target")))
    });
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
                collect(&path, extension, found)?;
            }
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    Ok(())
}

fn module_docs(sources: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in sources {
        let text = fs::read_to_string(path)?;
        if !text.starts_with("//!") {
            findings.push(format!("{}: begin with //! and what the module is for", path.display()));
        }
    }
    Ok(findings)
}

fn layer_edges() -> anyhow::Result<Vec<String>> {
    let layers: BTreeMap<&str, u32> = LAYERS.iter().copied().collect();
    let mut findings = Vec::new();
    for entry in fs::read_dir("crates")? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let Some(own) = layers.get(name.as_str()) else {
            findings.push(format!(
                "crates/{name}: give it a layer in xtask/src/tidy.rs and ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in dependencies(&folder.join("Cargo.toml"))? {
            match layers.get(dependency.as_str()) {
                Some(layer) if layer < own => {}
                _ => findings.push(format!(
                    "crates/{name} may not depend on crates/{dependency}: it is not below it"
                )),
            }
        }
    }
    Ok(findings)
}

/// The crates of ours that a manifest names outside its dev-dependencies.
fn dependencies(manifest: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let mut counts = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            counts = line.contains("dependencies]") && !line.contains("dev-dependencies");
        } else if counts && let Some(rest) = line.strip_prefix("hallows-") {
            let end = rest.find(['.', ' ', '=']).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
        }
    }
    Ok(found)
}

fn broken_links() -> anyhow::Result<Vec<String>> {
    let mut documents = vec![
        PathBuf::from("README.md"),
        "ARCHITECTURE.md".into(),
        "CHANGELOG.md".into(),
    ];
    collect(Path::new("docs"), "md", &mut documents)?;
    let mut findings = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).with_context(|| format!("reading {}", document.display()))?;
        let folder = document.parent().unwrap_or(Path::new(""));
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_local = !file.is_empty() && !file.contains("://");
            if is_local && !folder.join(file).exists() {
                findings.push(format!("{}: the link to {target} leads nowhere", document.display()));
            }
        }
    }
    Ok(findings)
}

/// Functions with more lines than [`FUNCTION_LINES_MAX`], by file and name.
fn long_functions(sources: &[PathBuf]) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut long = BTreeMap::new();
    for path in sources {
        let text = fs::read_to_string(path)?;
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[start..].iter().position(|line| *line == closing) else {
                continue;
            };
            if length > FUNCTION_LINES_MAX {
                long.insert(format!("{}:{name}", path.display()), length);
            }
        }
    }
    Ok(long)
}

/// The name of the function that a line begins, if its body does not end on the same line.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_item = before
        .split_whitespace()
        .all(|word| matches!(word, "pub" | "const" | "async" | "unsafe" | "extern") || word.starts_with("pub("));
    let ends_here = line.trim_end().ends_with(['}', ';']);
    let name = &after[..after.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?];
    (is_item && !ends_here && !name.is_empty()).then_some(name)
}

fn ratchet(long: &BTreeMap<String, usize>) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(LONG_FUNCTIONS).with_context(|| format!("reading {LONG_FUNCTIONS}"))?;
    let known: BTreeMap<&str, usize> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(lines, name)| Some((name, lines.parse().ok()?)))
        .collect();
    let grown = long
        .iter()
        .filter(|(name, lines)| known.get(name.as_str()).is_none_or(|before| *lines > before));
    Ok(grown
        .map(|(name, lines)| format!("{name} has {lines} lines: a function has at most {FUNCTION_LINES_MAX}"))
        .collect())
}
