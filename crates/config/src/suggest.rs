//! "Did you mean": the closest name there is, or none when nothing is close.

use crate::setting::Resource;
use crate::settings;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// More than this share of a name may not differ (one letter in `1/DISTANCE_SHARE`), or a guess would be noise.
const DISTANCE_SHARE: usize = 4;

/// The name of `resource` most likely meant by `name`.
pub(crate) fn closest(resource: Resource, name: &str) -> Option<String> {
    if resource == Resource::Broker {
        // A topic's name in a broker's file means the default that topics inherit.
        if let Some(topic) = settings::find(Resource::Topic, name) {
            return topic.synonyms.first().map(ToString::to_string);
        }
    }
    if resource == Resource::Topic {
        let inheriting = settings::all(Resource::Topic).find(|setting| setting.synonyms.contains(&name));
        if let Some(topic) = inheriting {
            return Some(topic.name.to_string());
        }
    }
    let name = normal(name);
    settings::all(resource)
        .map(|setting| (distance(&name, &normal(setting.name)), setting.name))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().min(name.len()) / DISTANCE_SHARE)
        .map(|(_, candidate)| candidate.to_string())
}

/// Dots, dashes, underscores and case are what people most often get wrong, so they do not count.
fn normal(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c == '_' || c == '-' {
                '.'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// The number of letters to insert, remove or replace (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for column in 1..row.len() {
            let replaced = diagonal + usize::from(right[column - 1] != letter);
            diagonal = row[column];
            row[column] = replaced.min(diagonal + 1).min(row[column - 1] + 1);
        }
    }
    row[right.len()]
}
