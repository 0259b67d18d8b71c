//! The report: markdown that can be pasted into `docs/benchmarks.md`.

use std::fmt::Write;

use crate::bars::judge;
use crate::result::{CellResult, Spread};
use crate::subject::Kind;

/// What stands above the tables.
pub(crate) struct Preface {
    pub(crate) command: String,
    pub(crate) commit: String,
    pub(crate) machine: String,
    pub(crate) against: String,
}

/// The whole report.
pub(crate) fn render(preface: &Preface, results: &[CellResult]) -> String {
    let mut text = format!(
        "- Command: `{}`\n- Commit: {}\n- Machine: {}\n- {}\n\n",
        preface.command, preface.commit, preface.machine, preface.against
    );
    let verdicts = judge(results);
    if results.iter().any(|result| result.runs.contains_key(&Kind::Hallows)) {
        text.push_str("| Figure | Bar | Measured | |\n|---|---|---|---|\n");
        for verdict in verdicts {
            let met = match verdict.met {
                Some(true) => "met",
                Some(false) => "**MISSED**",
                None => "not judged",
            };
            let row = writeln!(
                text,
                "| {} | {} | {} | {met} |",
                verdict.subject, verdict.bar, verdict.measured
            );
            row.expect("writing to a string cannot fail");
        }
        text.push('\n');
    }
    results.iter().for_each(|result| text.push_str(&cell(result)));
    text
}

/// One cell's table.
pub(crate) fn cell(result: &CellResult) -> String {
    let kinds: Vec<Kind> = result.runs.keys().copied().collect();
    let compared: Vec<Kind> = [Kind::Floor, Kind::Kafka]
        .into_iter()
        .filter(|kind| kinds.contains(kind))
        .collect();
    let compared = if kinds.contains(&Kind::Hallows) {
        compared
    } else {
        Vec::new()
    };
    // What a remote broker promises is not ours to say.
    let class = match kinds[..] {
        [Kind::Remote] => String::new(),
        _ => format!("{}, ", result.class.name()),
    };
    let mut text = format!("**{class}{}**\n\n|", result.cell.title());
    let heads = kinds.iter().map(|kind| format!(" {} |", kind.name()));
    let ratios = compared.iter().map(|kind| format!(" hallows / {} |", kind.name()));
    text.push_str(" |");
    text.extend(heads.chain(ratios));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(kinds.len() + compared.len())));
    for metric in result.metrics() {
        text.push_str(&format!("| {} |", metric.label()));
        text.extend(kinds.iter().map(|&kind| match result.spread(kind, metric) {
            Some(spread) => format!(" {} |", spread_text(spread)),
            None => " |".to_owned(),
        }));
        text.extend(
            compared
                .iter()
                .map(|&kind| match result.ratio(Kind::Hallows, kind, metric) {
                    Some(ratio) => format!(" {ratio} |"),
                    None => " |".to_owned(),
                }),
        );
        text.push('\n');
    }
    let repeats = result.runs.values().map(Vec::len).max().unwrap_or(0);
    let background = match kinds[..] {
        [Kind::Remote] => String::new(),
        _ => format!(
            "; background before a run at most {:.0} % of one core",
            result.background_percent_max
        ),
    };
    text.push_str(&format!("\nRuns: {repeats}{background}.\n"));
    result
        .failures
        .iter()
        .for_each(|failure| text.push_str(&format!("Failed: {failure}\n")));
    text.push('\n');
    text
}

fn spread_text(spread: Spread) -> String {
    if spread.least < spread.most {
        let (least, most) = (figure(spread.least), figure(spread.most));
        format!("{} ({least} to {most})", figure(spread.median))
    } else {
        figure(spread.median)
    }
}

/// A figure with as many digits as it deserves.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000_000.0 => format!("{:.2} M", value / 1e6),
        size if size >= 10_000.0 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_keep_the_digits_they_deserve() {
        let check = |value, expected: &str| assert_eq!(figure(value), expected);
        check(0.094, "0.09");
        check(52.14, "52.1");
        check(1_338.0, "1338");
        check(82_412.0, "82.4 k");
        check(12_345_678.0, "12.35 M");
    }
}
