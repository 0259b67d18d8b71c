//! An offset that names two values, or a value that is not where it was acknowledged.
//!
//! Source: Jepsen, `jepsen.tests.kafka`, analysis 2 ("inconsistent-offsets"): all sends and polls agree on the value
//! at a partition's offset.

use std::collections::HashMap;

use super::super::index::Index;
use super::super::verdict::Found;
use super::super::{Key, Value};

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    let mut at: HashMap<(Key, i64), Vec<Value>> = HashMap::new();
    let acked = index.acked().map(|(value, key, offset)| (key, offset, value));
    let polled = index
        .polls()
        .filter_map(|(_, key, offset, value)| Some((key, offset, value?)));
    for (key, offset, value) in acked.chain(polled) {
        let values = at.entry((key, offset)).or_default();
        if values.contains(&value) {
            continue;
        }
        if let Some(other) = values.first() {
            found.add(|| format!("offset {offset} of partition {key} is {other} and {value}"));
        }
        values.push(value);
    }
    for (value, key, offset) in index.acked() {
        let log = index.finals.get(&key);
        let Some(places) = log.and_then(|log| log.places.get(&value)) else {
            continue;
        };
        // Where another value stands at that offset, it was told above.
        let told = at.get(&(key, offset)).is_some_and(|values| values.len() > 1);
        if !told && !places.contains(&offset) {
            found.add(|| format!("{value} was acknowledged at {offset} of partition {key} and is at {places:?}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};

    #[test]
    fn an_offset_has_one_value() {
        let history = History::new().acked(value(1, 0), 0).acked(value(2, 0), 1);
        let history = history.poll(7, 0, value(2, 0));
        // That the plain producer's value was read twice is its own affair.
        history.log(&[value(1, 0), value(2, 0)]).shows("inconsistent", 1);
    }

    #[test]
    fn two_acknowledgements_of_one_offset_are_two_values() {
        let history = History::new().acked(value(2, 0), 0).acked(value(2, 1), 0);
        history.log(&[value(2, 0), value(2, 1)]).shows("inconsistent", 1);
    }

    #[test]
    fn a_value_is_where_it_was_acknowledged() {
        let history = History::new().acked(value(1, 0), 1);
        history.log(&[value(1, 0)]).shows("inconsistent", 1);
    }

    #[test]
    fn a_retry_may_have_another_place_beside_the_acknowledged_one() {
        let history = History::new().acked(value(2, 0), 1);
        history.log(&[value(2, 0), value(2, 0)]).passes();
    }
}
