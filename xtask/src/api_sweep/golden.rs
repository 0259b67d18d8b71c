//! Kafka's answers as committed text, so that the sweep also runs where there is no Java.
//!
//! One file per scenario:
//!
//! ```text
//! @ Fetch 12                 a block: an API and the version under test; a release that lacks it is named: `without 3`
//! > a label | Fetch 12       a step
//! = {...}                    the answer of both releases
//! 3 {...}                    the answer of Kafka 3.9 alone
//! 4 ^                        that of 4.3: the same as in the block before
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::side::{Block, Step};

/// What both releases of Kafka answered: blocks in order, per release.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Golden {
    /// Kafka 3.9, then Kafka 4.3.
    pub(crate) releases: [Vec<Block>; 2],
}

/// The letters of the two releases.
const LETTERS: [char; 2] = ['3', '4'];
/// "The same as in the block before."
const SAME: &str = "^";

impl Golden {
    /// Reads every file of a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let mut golden = Self::default();
        let mut paths = fs::read_dir(folder)
            .with_context(|| format!("no golden data in {}; run with --live", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        {
            let scenario = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .context("a file has a name")?;
            let releases =
                parse(scenario, &fs::read_to_string(path)?).with_context(|| format!("{}", path.display()))?;
            for (all, blocks) in golden.releases.iter_mut().zip(releases) {
                all.extend(blocks);
            }
        }
        Ok(golden)
    }

    /// Writes one file per scenario that both releases have been asked.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut by_scenario: BTreeMap<&str, [Vec<&Block>; 2]> = BTreeMap::new();
        for (release, blocks) in self.releases.iter().enumerate() {
            for block in blocks {
                by_scenario.entry(&block.scenario).or_default()[release].push(block);
            }
        }
        for (scenario, [older, newer]) in by_scenario {
            fs::write(folder.join(format!("{scenario}.txt")), print(&older, &newer))?;
        }
        Ok(())
    }
}

fn print(older: &[&Block], newer: &[&Block]) -> String {
    let mut text = String::new();
    let mut before: [Option<&Block>; 2] = [None, None];
    for (older, newer) in older.iter().zip(newer) {
        let both = [*older, *newer];
        let lacking: Vec<String> = both
            .iter()
            .zip(LETTERS)
            .filter(|(block, _)| block.steps.is_none())
            .map(|(_, letter)| format!(" without {letter}"))
            .collect();
        text += &format!("@ {} {}{}\n", newer.api, newer.version, lacking.concat());
        print_steps(&mut text, both, before);
        for (release, block) in both.into_iter().enumerate() {
            if block.steps.is_some() {
                before[release] = Some(block);
            }
        }
    }
    text
}

fn print_steps(text: &mut String, both: [&Block; 2], before: [Option<&Block>; 2]) {
    let steps = both.map(|block| block.steps.as_deref().unwrap_or_default());
    for at in 0..steps[0].len().max(steps[1].len()) {
        let here = steps.map(|steps| steps.get(at));
        let Some(step) = here[0].or(here[1]) else { continue };
        *text += &format!("> {} | {} {}\n", step.label, step.api, step.version);
        let answer = |release: usize| {
            let step: &Step = here[release]?;
            let earlier = before[release].and_then(|block| block.steps.as_ref()?.get(at));
            let same = earlier.is_some_and(|earlier| earlier.answer == step.answer);
            Some(if same { SAME.to_owned() } else { step.answer.to_string() })
        };
        match (answer(0), answer(1)) {
            (Some(older), Some(newer)) if older == newer => *text += &format!("= {older}\n"),
            (older, newer) => {
                for (answer, letter) in [older, newer].into_iter().zip(LETTERS) {
                    *text += &answer.map_or(String::new(), |answer| format!("{letter} {answer}\n"));
                }
            }
        }
    }
}

fn parse(scenario: &str, text: &str) -> Result<[Vec<Block>; 2]> {
    let mut releases: [Vec<Block>; 2] = [Vec::new(), Vec::new()];
    let mut label = (String::new(), String::new(), 0);
    for (number, line) in text.lines().enumerate() {
        let (mark, rest) = line
            .split_once(' ')
            .with_context(|| format!("line {}: no mark", number + 1))?;
        match mark {
            "@" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [api, version, without @ ..] = words.as_slice() else {
                    bail!("line {}: no version", number + 1)
                };
                for (blocks, letter) in releases.iter_mut().zip(LETTERS) {
                    let lacks = without.contains(&letter.to_string().as_str());
                    blocks.push(Block {
                        scenario: scenario.to_owned(),
                        api: (*api).to_owned(),
                        version: version.parse()?,
                        steps: (!lacks).then(Vec::new),
                    });
                }
            }
            ">" => {
                let (text, asked) = rest.rsplit_once(" | ").context("a step names its API")?;
                let (api, version) = asked.split_once(' ').context("a step names its version")?;
                label = (text.to_owned(), api.to_owned(), version.parse()?);
            }
            _ => {
                for (blocks, letter) in releases.iter_mut().zip(LETTERS) {
                    if mark == "=" || mark == letter.to_string() {
                        keep(blocks, &label, rest).with_context(|| format!("line {}", number + 1))?;
                    }
                }
            }
        }
    }
    Ok(releases)
}

fn keep(blocks: &mut [Block], (label, api, version): &(String, String, i16), answer: &str) -> Result<()> {
    let (block, earlier) = blocks.split_last_mut().context("an answer stands in a block")?;
    let at = block.steps.as_ref().map_or(0, Vec::len);
    let answer = if answer == SAME {
        let before = earlier.iter().rev().find_map(|block| block.steps.as_ref());
        let step = before
            .and_then(|steps| steps.get(at))
            .context("there is no answer before")?;
        step.answer.clone()
    } else {
        serde_json::from_str::<Value>(answer)?
    };
    let step = Step {
        label: label.clone(),
        api: api.clone(),
        version: *version,
        answer,
    };
    block.steps.get_or_insert_default().push(step);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let step = |label: &str, version, answer| Step {
            label: label.to_owned(),
            api: "Fetch".to_owned(),
            version,
            answer,
        };
        let block = |version, steps| Block {
            scenario: "fetch".to_owned(),
            api: "Fetch".to_owned(),
            version,
            steps,
        };
        let one = |error: i16| {
            vec![
                step("a | b", 4, json!({"ErrorCode": error})),
                step("c", 1, json!("closed")),
            ]
        };
        let golden = Golden {
            releases: [
                vec![block(4, Some(one(0))), block(5, Some(one(0))), block(6, None)],
                vec![block(4, Some(one(0))), block(5, Some(one(3))), block(6, Some(one(3)))],
            ],
        };
        let older: Vec<&Block> = golden.releases[0].iter().collect();
        let newer: Vec<&Block> = golden.releases[1].iter().collect();
        let text = print(&older, &newer);
        assert!(text.contains("@ Fetch 6 without 3\n"), "{text}");
        assert_eq!(parse("fetch", &text).unwrap(), golden.releases);
    }
}
