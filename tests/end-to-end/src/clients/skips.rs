//! The committed list of cells that are not run, each with its reason.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::scenarios::SCENARIOS;

/// What is skipped, and why.
pub(crate) struct Skips(Vec<(String, String, String)>);

impl Skips {
    /// Reads lines of `client | scenario | reason`; empty lines and those with `#` in front say nothing.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let skips = lines.map(|line| {
            let fields: Vec<&str> = line.splitn(3, '|').map(str::trim).collect();
            match fields[..] {
                [client, scenario, reason] if !reason.is_empty() => Ok((client.into(), scenario.into(), reason.into())),
                _ => bail!("{}: not `client | scenario | reason`: {line}", path.display()),
            }
        });
        Ok(Self(skips.collect::<Result<_>>()?))
    }

    /// Refuses names that nothing has: such a line would hide that it does nothing.
    pub(crate) fn check(&self, clients: &[&str]) -> Result<()> {
        for (client, scenario, _) in &self.0 {
            let known = SCENARIOS.iter().any(|known| known.name == scenario);
            if !known || !clients.contains(&client.as_str()) {
                bail!("skips.txt names {client}, {scenario}, and there is no such cell");
            }
        }
        Ok(())
    }

    pub(crate) fn reason(&self, client: &str, scenario: &str) -> Option<&str> {
        let found = self
            .0
            .iter()
            .find(|(known, named, _)| known == client && named == scenario);
        found.map(|(_, _, reason)| reason.as_str())
    }
}
