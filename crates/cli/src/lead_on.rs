//! First words of other programs, and the line to type here instead.

use std::ffi::OsString;

/// What the person is likely to want, by what was typed after `hallows`; the rest of the line stays theirs.
const HABITS: &[(&[&str], &str)] = &[
    (&["-L"], "hallows cluster status"),
    (&["-C"], "hallows consume TOPIC --from-beginning --exit-at-end"),
    (&["-P"], "hallows produce TOPIC"),
    (&["topic", "--list"], "hallows topic list"),
    (&["topic", "--create"], "hallows topic create TOPIC"),
    (&["topic", "--describe"], "hallows topic describe TOPIC"),
    (&["topic", "--delete"], "hallows topic delete TOPIC"),
    (&["topic", "--alter"], "hallows topic alter TOPIC"),
    (&["topic", "produce"], "hallows produce TOPIC"),
    (&["topic", "consume"], "hallows consume TOPIC"),
    (
        &["topic", "add-partitions"],
        "hallows topic alter TOPIC --partitions COUNT",
    ),
    (
        &["topic", "alter-config"],
        "hallows topic alter TOPIC --config NAME=VALUE",
    ),
    (&["group", "--list"], "hallows group list"),
    (&["group", "--describe"], "hallows group describe GROUP"),
    (&["group", "--delete"], "hallows group delete GROUP"),
    (&["group", "--reset-offsets"], "hallows group reset GROUP --to-earliest"),
    (&["trim-prefix"], "hallows topic trim TOPIC --to-offset OFFSET"),
    (&["cluster", "info"], "hallows cluster status"),
    (&["cluster", "health"], "hallows health"),
    (&["config", "--describe"], "hallows config describe --topic TOPIC"),
    (
        &["config", "--alter"],
        "hallows config alter --topic TOPIC --set NAME=VALUE",
    ),
    (&["list"], "hallows topic list"),
    (&["create"], "hallows topic create TOPIC"),
    (&["start"], "hallows serve"),
    (&["broker"], "hallows serve"),
];

/// Names of verbs under which a habit may be typed.
fn verb(word: &str) -> &str {
    match word {
        "topics" => "topic",
        "groups" => "group",
        "configs" => "config",
        other => other,
    }
}

/// The line to type instead, if the arguments (the program's name first) begin as those of another program would.
#[must_use]
pub fn lead_on(arguments: &[OsString]) -> Option<&'static str> {
    let words = arguments.iter().skip(1).map(|word| word.to_str().unwrap_or_default());
    let words: Vec<&str> = words.take(2).map(verb).collect();
    let (_, line) = HABITS.iter().find(|(habit, _)| words.starts_with(habit))?;
    Some(line)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{Arguments, expand_settings};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn habits_lead_to_a_line_that_parses_and_what_parses_is_no_habit() {
        for (habit, line) in HABITS {
            let typed = format!("hallows {}", habit.join(" "));
            assert_eq!(lead_on(&words(&typed)), Some(*line), "{typed}");
            let line = line
                .replace("OFFSET", "1")
                .replace("COUNT", "1")
                .replace("NAME=VALUE", "a=b");
            Arguments::try_parse_from(expand_settings(words(&line))).expect("the line parses");
        }
        assert_eq!(lead_on(&words("hallows topics --list")), Some("hallows topic list"));
        for fine in [
            "hallows",
            "hallows topic list",
            "hallows consume -C",
            "hallows cluster status",
        ] {
            assert_eq!(lead_on(&words(fine)), None, "{fine}");
        }
    }
}
