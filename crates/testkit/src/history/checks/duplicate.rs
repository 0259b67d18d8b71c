//! A value that was read at two places.
//!
//! Source: Jepsen, `jepsen.tests.kafka` ("duplicate"). Allowed is it only to a producer that retries without being
//! idempotent: its retry is a new request for the broker. Which producers are idempotent they say themselves, with
//! [`Action::Producer`](super::super::Action::Producer); one that says nothing is plain.

use std::collections::{HashMap, HashSet};

use super::super::index::Index;
use super::super::verdict::Found;
use super::super::{Key, Value};

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    for (value, places) in repeats(index) {
        if index.is_idempotent(value.sender) {
            found.add(|| format!("{value} of an idempotent producer was read at {places:?} (partition, offset)"));
        }
    }
    found
}

/// How many records plain producers repeated.
pub(in super::super) fn repeated(index: &Index<'_>) -> u64 {
    let repeats = repeats(index);
    let plain = repeats.iter().filter(|(value, _)| !index.is_idempotent(value.sender));
    let more: usize = plain.map(|(_, places)| places.len() - 1).sum();
    u64::try_from(more).unwrap_or(u64::MAX)
}

/// The values that were read at more than one place.
fn repeats(index: &Index<'_>) -> Vec<(Value, Vec<(Key, i64)>)> {
    let mut first: HashMap<Value, (Key, i64)> = HashMap::new();
    let mut more: HashMap<Value, HashSet<(Key, i64)>> = HashMap::new();
    for (_, key, offset, value) in index.polls() {
        let Some(value) = value else { continue };
        let place = (key, offset);
        let before = *first.entry(value).or_insert(place);
        if before != place {
            more.entry(value)
                .or_insert_with(|| HashSet::from([before]))
                .insert(place);
        }
    }
    let sorted = |(value, places): (Value, HashSet<_>)| {
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_unstable();
        (value, places)
    };
    let mut repeats: Vec<_> = more.into_iter().map(sorted).collect();
    repeats.sort_unstable();
    repeats
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};

    #[test]
    fn an_idempotent_producer_repeats_nothing() {
        let history = History::new().acked(value(1, 0), 0);
        history.log(&[value(1, 0), value(1, 0)]).shows("duplicated", 1);
    }

    #[test]
    fn a_plain_producer_may_and_it_is_counted_apart() {
        let history = History::new().acked(value(2, 0), 1);
        let history = history.log(&[value(2, 0), value(2, 0), value(2, 0)]);
        let verdict = history.verdict();
        assert!(verdict.is_valid(), "{verdict}");
        assert_eq!(verdict.repeated, 2);
    }

    #[test]
    fn two_readers_of_one_place_are_no_duplicate() {
        let history = History::new().acked(value(1, 0), 0);
        history
            .poll(7, 0, value(1, 0))
            .poll(8, 0, value(1, 0))
            .log(&[value(1, 0)])
            .passes();
    }
}
