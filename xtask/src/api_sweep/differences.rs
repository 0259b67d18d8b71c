//! What differs between two answers, and the committed list of what may.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::normal::key_of;

/// One place where two answers differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Difference {
    /// Where: field names, and in brackets what names an element of a list.
    pub(crate) path: String,
    /// What Kafka says there.
    pub(crate) theirs: String,
    /// What we say there.
    pub(crate) ours: String,
}

/// Every place where `ours` is not `theirs`.
pub(crate) fn compare(theirs: &Value, ours: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(String::new(), Some(theirs), Some(ours), &mut found);
    found
}

fn walk(path: String, theirs: Option<&Value>, ours: Option<&Value>, found: &mut Vec<Difference>) {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs == ours => {}
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for name in names {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                walk(below, theirs.get(name), ours.get(name), found);
            }
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => lists(&path, theirs, ours, found),
        _ => {
            let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
            found.push(Difference {
                path,
                theirs: show(theirs),
                ours: show(ours),
            });
        }
    }
}

fn lists(path: &str, theirs: &[Value], ours: &[Value], found: &mut Vec<Difference>) {
    let keys = |items: &[Value]| -> Option<Vec<String>> {
        let keys: Vec<String> = items.iter().map(key_of).collect::<Option<_>>()?;
        let distinct: BTreeSet<&String> = keys.iter().collect();
        (distinct.len() == keys.len()).then_some(keys)
    };
    let (Some(their_keys), Some(our_keys)) = (keys(theirs), keys(ours)) else {
        for at in 0..theirs.len().max(ours.len()) {
            walk(format!("{path}[{at}]"), theirs.get(at), ours.get(at), found);
        }
        return;
    };
    let all: BTreeSet<&String> = their_keys.iter().chain(&our_keys).collect();
    let mut differ = false;
    for key in all {
        let of =
            |keys: &[String], items: &[Value]| keys.iter().position(|known| known == key).map(|at| items[at].clone());
        let (theirs, ours) = (of(&their_keys, theirs), of(&our_keys, ours));
        differ |= theirs != ours;
        walk(format!("{path}[{key}]"), theirs.as_ref(), ours.as_ref(), found);
    }
    if !differ {
        found.push(Difference {
            path: format!("{path} order"),
            theirs: their_keys.join(","),
            ours: our_keys.join(","),
        });
    }
}

/// One line of the committed list.
#[derive(Debug)]
struct Listed {
    line: usize,
    api: String,
    versions: (i16, i16),
    /// `scenario/label`, with `*` for anything.
    step: String,
    /// A path, with `*` for anything.
    path: String,
    reason: String,
    used: Cell<bool>,
}

/// The differences that are known, each with its reason.
#[derive(Debug)]
pub(crate) struct List {
    listed: Vec<Listed>,
}

impl List {
    /// Reads lines of `api | versions | step | path | reason`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut listed = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [api, versions, step, path, reason] = words[..] else {
                anyhow::bail!("line {}: not `api | versions | step | path | reason`", number + 1)
            };
            ensure!(!reason.is_empty(), "line {}: a difference needs its reason", number + 1);
            let (first, last) = versions.split_once('-').unwrap_or((versions, versions));
            let version = |text: &str| text.parse().with_context(|| format!("line {}: versions", number + 1));
            listed.push(Listed {
                line: number + 1,
                api: api.to_owned(),
                versions: (version(first)?, version(last)?),
                step: step.to_owned(),
                path: path.to_owned(),
                reason: reason.to_owned(),
                used: Cell::new(false),
            });
        }
        Ok(Self { listed })
    }

    /// Whether a difference is listed.
    pub(crate) fn knows(&self, api: &str, version: i16, step: &str, path: &str) -> bool {
        let mut known = false;
        for listed in &self.listed {
            let (first, last) = listed.versions;
            if listed.api == api
                && (first..=last).contains(&version)
                && matches(&listed.step, step)
                && matches(&listed.path, path)
            {
                listed.used.set(true);
                known = true;
            }
        }
        known
    }

    /// For each API, in order, what differs: versions and reason, each reason once.
    pub(crate) fn reasons(&self) -> Vec<(String, String, String)> {
        let mut reasons: Vec<(String, (i16, i16), String)> = Vec::new();
        for listed in &self.listed {
            let (first, last) = listed.versions;
            let same = reasons
                .iter_mut()
                .find(|(api, _, reason)| *api == listed.api && *reason == listed.reason);
            match same {
                Some((_, versions, _)) => *versions = (versions.0.min(first), versions.1.max(last)),
                None => reasons.push((listed.api.clone(), (first, last), listed.reason.clone())),
            }
        }
        reasons.sort_by(|one, other| one.0.cmp(&other.0));
        let text = |(first, last): (i16, i16)| {
            if first == last {
                format!("version {first}")
            } else {
                format!("versions {first} to {last}")
            }
        };
        reasons
            .into_iter()
            .map(|(api, versions, reason)| (api, text(versions), reason))
            .collect()
    }

    /// Lines that no difference needed.
    pub(crate) fn unused(&self) -> impl Iterator<Item = usize> {
        self.listed
            .iter()
            .filter(|listed| !listed.used.get())
            .map(|listed| listed.line)
    }
}

/// Whether `text` is `pattern`, where `*` stands for any run of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(after) = text.strip_prefix(head) else {
        return false;
    };
    (0..=after.len())
        .filter(|at| after.is_char_boundary(*at))
        .any(|at| matches(rest, &after[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_fields_and_keys() {
        let theirs = json!({"Topics": [{"Name": "a", "ErrorCode": 3}, {"Name": "b", "ErrorCode": 0}]});
        let ours = json!({"Topics": [{"Name": "a", "ErrorCode": 0}]});
        let paths: Vec<String> = compare(&theirs, &ours).into_iter().map(|found| found.path).collect();
        assert_eq!(paths, ["Topics[a].ErrorCode", "Topics[b]"]);
        assert_eq!(compare(&theirs, &theirs), []);
    }

    #[test]
    fn another_order_of_the_same_elements_is_a_difference() {
        let theirs = json!([{"Name": "a"}, {"Name": "b"}]);
        let ours = json!([{"Name": "b"}, {"Name": "a"}]);
        assert_eq!(compare(&theirs, &ours)[0].path, " order");
    }

    #[test]
    fn the_list_knows_what_it_names_and_tells_what_it_named_in_vain() {
        let list =
            List::parse("# why\nFetch | 4-6 | fetch/* | Responses*.Records | ours is longer\nFetch | 9 | x | y | z\n")
                .expect("well-formed");
        assert!(list.knows("Fetch", 5, "fetch/first", "Responses[a].Partitions[0].Records"));
        assert!(!list.knows("Fetch", 7, "fetch/first", "Responses[a].Partitions[0].Records"));
        assert!(!list.knows("Fetch", 5, "fetch/first", "ErrorCode"));
        assert_eq!(list.unused().collect::<Vec<_>>(), [3]);
        assert!(List::parse("Fetch | 4 | a | b").is_err());
    }
}
