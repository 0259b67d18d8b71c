//! The generated part of docs/reliability.md: a row per suite, what it ran and what that showed.
//!
//! A run of some suites replaces their rows and leaves the others, so each row has its own commit and date.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Outcome;

const BEGIN: &str = "<!-- what follows is written by `cargo xtask test --full` -->";
const END: &str = "<!-- end of what is written by `cargo xtask test --full` -->";
const HEAD: &str = "| Suite | Commands | Commit | Date | Minutes | Result | Showed |\n|---|---|---|---|---|---|---|\n";

/// One suite's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    name: String,
    /// The whole line of the table, without its end.
    line: String,
}

impl Row {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let cells = [
            outcome.name.to_owned(),
            lines(outcome.commands),
            commit(),
            said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(|| "unknown".to_owned()),
            outcome.minutes(),
            escape(&outcome.verdict()),
            lines(&outcome.showed),
        ];
        Self {
            name: outcome.name.to_owned(),
            line: format!("| {} |", cells.join(" | ")),
        }
    }

    /// A line of the table, unless it is its head.
    fn read(line: &str) -> Option<Self> {
        let name = line.strip_prefix("| ")?.split(" | ").next()?;
        (name != "Suite").then(|| Self {
            name: name.to_owned(),
            line: line.to_owned(),
        })
    }
}

/// Replaces the rows of these suites.
pub(super) fn write(rows: Vec<Row>) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a folder")?;
    let path = root.join("docs/reliability.md");
    let before = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let after = merge(&before, rows)?;
    std::fs::write(&path, after).with_context(|| format!("cannot write {}", path.display()))?;
    println!("docs/reliability.md says what ran and what it showed");
    Ok(())
}

fn merge(page: &str, rows: Vec<Row>) -> Result<String> {
    let parts = page
        .split_once(BEGIN)
        .and_then(|(above, rest)| Some((above, rest.split_once(END)?)));
    let (above, (generated, below)) =
        parts.with_context(|| format!("docs/reliability.md has no part between `{BEGIN}` and `{END}`"))?;
    let mut all: Vec<Row> = generated.lines().filter_map(Row::read).collect();
    for row in rows {
        match all.iter_mut().find(|old| old.name == row.name) {
            Some(old) => *old = row,
            None => all.push(row),
        }
    }
    let table: String = all.iter().map(|row| format!("{}\n", row.line)).collect();
    Ok(format!("{above}{BEGIN}\n\n{HEAD}{table}\n{END}{below}"))
}

/// Lines as one cell.
fn lines(lines: &[impl AsRef<str>]) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| format!("`{}`", escape(line.as_ref()).replace('`', "'")))
        .collect();
    lines.join("<br>")
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// The commit, and whether anything but this page was changed since.
fn commit() -> String {
    let Some(commit) = said("git", &["rev-parse", "--short", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = said("git", &["status", "--porcelain", "--", ".", ":!docs/reliability.md"]);
    if changed.is_some_and(|changed| changed.is_empty()) {
        commit
    } else {
        format!("{commit} with changes")
    }
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, text: &str) -> Row {
        Row {
            name: name.to_owned(),
            line: format!("| {name} | {text} |"),
        }
    }

    #[test]
    fn rows_that_ran_are_replaced_the_others_and_the_rest_of_the_page_stay() {
        let page = format!("above\n{BEGIN}\n{END}\nbelow\n");
        let first = merge(&page, vec![row("a", "1"), row("b", "1")]).expect("it has both marks");
        let second = merge(&first, vec![row("b", "2"), row("c", "2")]).expect("it has both marks");
        assert_eq!(
            second,
            format!("above\n{BEGIN}\n\n{HEAD}| a | 1 |\n| b | 2 |\n| c | 2 |\n\n{END}\nbelow\n")
        );
        assert!(merge("no marks", vec![]).is_err());
    }

    #[test]
    fn a_cell_stays_in_its_column() {
        assert_eq!(lines(&["a|b", "c\nd `e`"]), "`a\\|b`<br>`c d 'e'`");
    }
}
