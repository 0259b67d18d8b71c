//! What can be wrong with a configuration, said so that a person can mend it.
//!
//! Every message has three sentences: what, why, how to fix. [`ConfigErrors`] gathers all mistakes of all sources,
//! because mending a file one start at a time is no way to treat anybody.

use crate::setting::Scope;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of the configuration file, counted from 1.
    File {
        /// The file's name as it was given.
        file: String,
        /// The line on which the property begins.
        line: usize,
    },
    /// A variable of the environment, by its name.
    Environment(String),
    /// A flag on the command line, by the name of its setting.
    Flag(String),
    /// A request over the wire.
    Request,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}: "),
            Self::Environment(variable) => write!(f, "environment variable {variable}: "),
            Self::Flag(name) => write!(f, "flag for `{name}`: "),
            Self::Request => Ok(()),
        }
    }
}

/// What is wrong with one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No setting has this name.
    Unknown {
        /// The kind of resource, as a word.
        resource: &'static str,
        /// The closest name there is.
        suggestion: Option<String>,
    },
    /// A Kafka name that means nothing here.
    Meaningless {
        /// Why, and what to do instead.
        advice: &'static str,
    },
    /// A setting that is stored and described and changes nothing.
    Inert {
        /// Completes "because ...".
        reason: &'static str,
    },
    /// The text is not of the setting's type.
    Malformed {
        /// What was given; `None` when it must not be shown.
        value: Option<String>,
        /// What was expected.
        expected: String,
    },
    /// The value is of the right type but outside the bounds.
    OutOfBounds {
        /// What was given; `None` when it must not be shown.
        value: Option<String>,
        /// What is allowed.
        allowed: String,
    },
    /// The value is a valid one of Kafka's that cannot be honoured yet.
    FixedForNow {
        /// What was given; `None` when it must not be shown.
        value: Option<String>,
        /// The only values taken.
        allowed: String,
        /// Completes "because ...".
        reason: &'static str,
    },
    /// The setting cannot change in this way while the broker runs.
    NotDynamic {
        /// When it can change.
        scope: Scope,
    },
    /// Two settings, each valid, exclude each other.
    Contradiction {
        /// Why they do, as a whole sentence.
        why: String,
        /// What to do, as a whole sentence.
        fix: String,
    },
    /// One source gives the same name twice.
    Duplicate {
        /// The line of the first.
        first_line: usize,
    },
    /// Values can be appended to and subtracted from lists only.
    NotAList {
        /// The setting's type, as a word.
        kind: &'static str,
    },
    /// The line of the file cannot be read.
    Syntax {
        /// Why, as a whole sentence.
        why: &'static str,
    },
}

/// One mistake: where, in which setting, and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The name as it was given.
    pub name: String,
    /// Where it was given.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

impl ConfigError {
    pub(crate) fn new(name: &str, place: &Place, problem: Problem) -> Self {
        Self {
            name: name.into(),
            place: place.clone(),
            problem,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        self.place.fmt(f)?;
        match &self.problem {
            Problem::Unknown {
                resource,
                suggestion: Some(other),
            } => write!(
                f,
                "`{name}` is unknown: there is no {resource} setting of this name. Did you mean `{other}`? Correct the name or remove it."
            ),
            Problem::Unknown {
                resource,
                suggestion: None,
            } => {
                write!(
                    f,
                    "`{name}` is unknown: there is no {resource} setting of this name. Remove it; docs/config.md lists all names."
                )
            }
            Problem::Meaningless { advice } => write!(
                f,
                "`{name}` is a setting of Apache Kafka that means nothing here: {advice}"
            ),
            Problem::Inert { reason } => write!(f, "`{name}` changes nothing here, because {reason}. Remove it."),
            Problem::Malformed { value, expected } => {
                write!(
                    f,
                    "`{name}`{} cannot be read: it is not {expected}. Give {expected}.",
                    shown(value.as_deref())
                )
            }
            Problem::OutOfBounds { value, allowed } => {
                write!(
                    f,
                    "`{name}`{} is not allowed: it must be {allowed}. Give {allowed}.",
                    shown(value.as_deref())
                )
            }
            Problem::FixedForNow { value, allowed, reason } => write!(
                f,
                "`{name}`{} cannot be honoured yet, because {reason}. Remove it, or give {allowed}.",
                shown(value.as_deref())
            ),
            Problem::NotDynamic {
                scope: Scope::PerBroker,
            } => write!(
                f,
                "`{name}` cannot be set for all brokers at once: it is a setting of one broker. Name the broker's id instead."
            ),
            Problem::NotDynamic { .. } => write!(
                f,
                "`{name}` cannot be changed while the broker runs: it is read once, at the start. Change it in the configuration file and restart."
            ),
            Problem::Contradiction { why, fix } => write!(f, "`{name}` contradicts another setting: {why} {fix}"),
            Problem::Duplicate { first_line } => {
                write!(
                    f,
                    "`{name}` is given twice: line {first_line} has it already, and only one of them could hold. Remove one of the two."
                )
            }
            Problem::NotAList { kind } => write!(
                f,
                "`{name}` cannot be appended to or subtracted from: it is a {kind}, and only lists have members. Set the whole value instead."
            ),
            Problem::Syntax { why } => write!(f, "the line cannot be read: {why}"),
        }
    }
}

impl core::error::Error for ConfigError {}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| alloc::format!(" = `{value}`"))
}

/// What was given at the start and changes nothing here, in the order of the sources.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConfigWarnings(
    /// Each with [`Problem::Meaningless`] or [`Problem::Inert`].
    pub Vec<ConfigError>,
);

impl ConfigWarnings {
    /// One line per cause, with all names it holds for and where they stand.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<(&str, Vec<&ConfigError>)> = Vec::new();
        for warning in &self.0 {
            let (Problem::Meaningless { advice: why } | Problem::Inert { reason: why }) = &warning.problem else {
                continue;
            };
            match lines.iter_mut().find(|(known, _)| known == why) {
                Some((_, alike)) => alike.push(warning),
                None => lines.push((why, alloc::vec![warning])),
            }
        }
        lines.into_iter().map(|(why, alike)| Self::line(why, &alike)).collect()
    }

    fn line(why: &str, alike: &[&ConfigError]) -> String {
        let named: Vec<String> = alike
            .iter()
            .map(|warning| match &warning.place {
                // There is one file.
                Place::File { line, .. } => alloc::format!("`{}` (line {line})", warning.name),
                place => alloc::format!("{place}`{}`", warning.name),
            })
            .collect();
        let remove = if why.ends_with('.') { "" } else { ". Remove it." };
        alloc::format!("{}: {why}{remove}", named.join(", "))
    }
}

impl fmt::Display for ConfigWarnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let settings = if count == 1 { "setting" } else { "settings" };
        write!(
            f,
            "{count} {settings} of the configuration change nothing here; --strict refuses them:"
        )?;
        self.lines().iter().try_for_each(|line| write!(f, "\n  - {line}"))
    }
}

/// All mistakes of a configuration, in the order of the sources.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigErrors(
    /// At least one.
    pub Vec<ConfigError>,
);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "cannot use the configuration: {only}"),
            several => {
                write!(f, "cannot use the configuration, {} settings are wrong:", several.len())?;
                several.iter().try_for_each(|error| write!(f, "\n  - {error}"))
            }
        }
    }
}
