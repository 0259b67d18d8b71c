//! The committed lists of tests that are not run, each with its reason.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What is skipped, and why.
pub(super) struct Skips(Vec<(String, String)>);

impl Skips {
    /// Reads lines of `test | reason`; empty lines and those with `#` in front say nothing.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let skips = lines.map(|line| {
            let (test, reason) = line.split_once('|').unwrap_or((line, ""));
            let (test, reason) = (test.trim().to_owned(), reason.trim().to_owned());
            ensure!(!test.is_empty() && !reason.is_empty(), "not `test | reason`: {line}");
            Ok((test, reason))
        });
        Ok(Self(skips.collect::<Result<_>>()?))
    }

    /// Refuses names that nothing has: such a line would hide that it does nothing.
    pub(super) fn check(&self, tests: &[String]) -> Result<()> {
        for (skipped, _) in &self.0 {
            let known = tests.iter().any(|test| names(skipped, test));
            ensure!(known, "{skipped} is to be skipped, and there is no such test");
        }
        Ok(())
    }

    pub(super) fn reason(&self, test: &str) -> Option<&str> {
        let found = self.0.iter().find(|(skipped, _)| names(skipped, test));
        found.map(|(_, reason)| reason.as_str())
    }
}

/// Whether a line means a test: by its whole name, or by the name before its parameters.
fn names(skipped: &str, test: &str) -> bool {
    let bare = test.split_once('[').map_or(test, |(bare, _)| bare);
    skipped == test || skipped == bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_skipped_with_and_without_its_parameters() {
        let skips = Skips::parse("# why\n\na::b | no users\na::c[2] | too many\n").expect("well formed");
        assert_eq!(skips.reason("a::b"), Some("no users"));
        assert_eq!(skips.reason("a::b[1]"), Some("no users"));
        assert_eq!(skips.reason("a::c[2]"), Some("too many"));
        assert_eq!(skips.reason("a::c[3]"), None);
        assert_eq!(skips.reason("a::bc"), None);
    }

    #[test]
    fn a_line_without_a_reason_or_without_a_test_is_refused() {
        assert!(Skips::parse("a::b").is_err());
        assert!(Skips::parse("a::b | ").is_err());
        let skips = Skips::parse("a::b | no users").expect("well formed");
        assert!(skips.check(&["a::c".to_owned()]).is_err());
        assert!(skips.check(&["a::b[1]".to_owned()]).is_ok());
    }
}
