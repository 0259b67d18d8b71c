//! The table of the sweep, and the verdict.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::differences::{Difference, List, compare};
use super::golden::Golden;
use super::side::{Block, Step};

/// The longest text of one answer that is shown.
const SHOWN_CHARS: usize = 160;

/// One row of the table.
#[derive(Default)]
struct Row {
    sent: usize,
    equal_older: usize,
    equal_newer: usize,
    differs: usize,
    unlisted: usize,
}

/// What is counted over the whole sweep.
#[derive(Default)]
struct Verdict {
    rows: BTreeMap<String, Row>,
    skipped: BTreeMap<String, Vec<i16>>,
    unlisted: Vec<String>,
}

/// Prints the table and every unlisted difference; fails when there is one.
pub(crate) fn report(ours: &[Block], golden: &Golden, list: &List, whole: bool, verbose: bool) -> Result<()> {
    let mut verdict = Verdict::default();
    for block in ours {
        block_against(block, golden, list, verbose, &mut verdict);
    }
    print_table(&verdict);
    for line in &verdict.unlisted {
        println!("UNLISTED {line}");
    }
    let unused: Vec<usize> = if whole { list.unused().collect() } else { Vec::new() };
    for line in &unused {
        println!("differences.txt line {line} explains nothing any more: remove it");
    }
    ensure!(
        verdict.unlisted.is_empty() && unused.is_empty(),
        "{} differences are not listed in tests/conformance/differences.txt, {} lines there explain nothing; \
         make hallows answer as Kafka does, or list the difference with its reason",
        verdict.unlisted.len(),
        unused.len()
    );
    Ok(())
}

fn find<'a>(blocks: &'a [Block], like: &Block) -> Option<&'a [Step]> {
    let same =
        |block: &&Block| block.scenario == like.scenario && block.api == like.api && block.version == like.version;
    blocks.iter().find(same).and_then(|block| block.steps.as_deref())
}

fn block_against(block: &Block, golden: &Golden, list: &List, verbose: bool, verdict: &mut Verdict) {
    let theirs = [0, 1].map(|release| find(&golden.releases[release], block));
    let Some(steps) = block.steps.as_deref() else {
        if theirs.iter().any(Option::is_some) {
            verdict
                .skipped
                .entry(block.api.clone())
                .or_default()
                .push(block.version);
        }
        return;
    };
    for (at, step) in steps.iter().enumerate() {
        let theirs = theirs.map(|steps| steps.and_then(|steps| steps.get(at)));
        let [older, newer] = theirs.map(|theirs| theirs.map(|theirs| step_differences(theirs, step)));
        let row = verdict.rows.entry(step.api.clone()).or_default();
        row.sent += 1;
        let equal = |found: &Option<Vec<Difference>>| usize::from(found.as_ref().is_some_and(Vec::is_empty));
        row.equal_older += equal(&older);
        row.equal_newer += equal(&newer);
        let Some(found) = newer.or(older).filter(|found| !found.is_empty()) else {
            continue;
        };
        row.differs += 1;
        let name = format!("{}/{}", block.scenario, step.label);
        let (known, unknown): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|difference| list.knows(&step.api, step.version, &name, &difference.path));
        row.unlisted += usize::from(!unknown.is_empty());
        let shown = known.iter().filter(|_| verbose).chain(&unknown);
        for difference in shown {
            let line = describe(block, step, &name, difference);
            if known.contains(difference) {
                println!("listed   {line}");
            } else {
                verdict.unlisted.push(line);
            }
        }
    }
    let missing = theirs[1]
        .or(theirs[0])
        .map_or(0, <[Step]>::len)
        .saturating_sub(steps.len());
    if missing > 0 {
        let place = format!("{} {} {}", block.scenario, block.api, block.version);
        verdict
            .unlisted
            .push(format!("{place}: {missing} steps fewer than Kafka"));
    }
}

fn step_differences(theirs: &Step, ours: &Step) -> Vec<Difference> {
    if theirs.label != ours.label {
        return vec![Difference {
            path: "step".to_owned(),
            theirs: theirs.label.clone(),
            ours: ours.label.clone(),
        }];
    }
    compare(&theirs.answer, &ours.answer)
}

fn describe(block: &Block, step: &Step, name: &str, difference: &Difference) -> String {
    let cut = |text: &str| -> String { text.chars().take(SHOWN_CHARS).collect() };
    format!(
        "{} {} | {name} (at {} {}) | {} | kafka {} | hallows {}",
        step.api,
        step.version,
        block.api,
        block.version,
        difference.path,
        cut(&difference.theirs),
        cut(&difference.ours)
    )
}

fn print_table(verdict: &Verdict) {
    println!(
        "{:<28} {:>6} {:>10} {:>10} {:>8} {:>9}",
        "API", "sent", "equal-3.9", "equal-4.3", "differs", "unlisted"
    );
    let mut sum = Row::default();
    for (api, row) in &verdict.rows {
        print_row(api, row);
        sum.sent += row.sent;
        sum.equal_older += row.equal_older;
        sum.equal_newer += row.equal_newer;
        sum.differs += row.differs;
        sum.unlisted += row.unlisted;
    }
    print_row("all", &sum);
    for (api, versions) in &verdict.skipped {
        let mut versions = versions.clone();
        versions.sort_unstable();
        versions.dedup();
        let versions: Vec<String> = versions.iter().map(i16::to_string).collect();
        println!(
            "skipped, as hallows does not advertise it: {api} {}",
            versions.join(",")
        );
    }
}

fn print_row(name: &str, row: &Row) {
    println!(
        "{name:<28} {:>6} {:>10} {:>10} {:>8} {:>9}",
        row.sent, row.equal_older, row.equal_newer, row.differs, row.unlisted
    );
}
