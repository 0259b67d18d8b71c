//! The help texts, word for word: they are what most people will ever read about the program.
//!
//! After a change that is meant, `BLESS=1 cargo test -p hallows-cli --test help` writes them anew; then read the diff.

use std::fs;
use std::path::PathBuf;

use clap::{Command, CommandFactory};
use hallows_cli::Arguments;

#[test]
fn help_texts_are_as_committed() {
    let mut command = Arguments::command();
    // Fills in what is only known when a command is run: full names and inherited flags.
    command.build();
    let mut wrong = Vec::new();
    check(&mut command, &mut Vec::new(), &mut wrong);
    assert!(
        wrong.is_empty(),
        "these help texts changed: {}. If that is meant, run BLESS=1 cargo test -p hallows-cli --test help",
        wrong.join(", ")
    );
}

fn check(command: &mut Command, path: &mut Vec<String>, wrong: &mut Vec<String>) {
    path.push(command.get_name().to_owned());
    let text = command.render_long_help().to_string();
    let name = path.join("-");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/help/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &text).expect("the folder is in the repository");
    } else if fs::read_to_string(&file).ok().as_deref() != Some(&text) {
        wrong.push(name);
    }
    for verb in command.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        check(verb, path, wrong);
    }
    path.pop();
}

#[test]
fn every_verb_has_examples() {
    let mut command = Arguments::command();
    command.build();
    let mut pending: Vec<&Command> = command.get_subcommands().collect();
    while let Some(verb) = pending.pop() {
        if verb.get_name() == "help" {
            continue;
        }
        if verb.has_subcommands() {
            pending.extend(verb.get_subcommands());
        } else {
            let examples = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("Examples:"), "{} has no examples", verb.get_name());
        }
    }
}
