//! An acknowledged value that is not in its log any more.
//!
//! Source: Jepsen, `jepsen.tests.kafka`, analysis 3 ("lost-write"): every acknowledged send at or below the highest
//! offset read was read by somebody. Here the log is read whole at the end, so that a lost tail counts, and so does a
//! value that somebody read before it was lost.

use super::super::index::Index;
use super::super::verdict::Found;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    for (value, key, offset) in index.acked() {
        let log = index.finals.get(&key);
        // What retention removed was not lost.
        if log.is_some_and(|log| offset < log.start || log.places.contains_key(&value)) {
            continue;
        }
        found.add(|| format!("{value}, acknowledged at offset {offset} of partition {key}, is not in the log"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::{Action, Outcome};

    #[test]
    fn an_acknowledged_value_that_is_gone_is_lost() {
        let history = History::new().acked(value(1, 0), 0).acked(value(1, 1), 1);
        history.log(&[value(1, 0)]).shows("lost", 1);
    }

    #[test]
    fn it_is_lost_even_where_nobody_read_the_log() {
        let history = History::new().acked(value(1, 0), 0).log(&[value(1, 0)]);
        let elsewhere = value(1, 1);
        history.send(elsewhere, Outcome::Acked((1, 0))).shows("lost", 1);
    }

    #[test]
    fn a_value_that_nobody_acknowledged_may_be_gone() {
        let history = History::new().acked(value(1, 0), 0).send(value(1, 1), Outcome::Unknown);
        history.send(value(1, 2), Outcome::Failed).log(&[value(1, 0)]).passes();
    }

    #[test]
    fn what_was_removed_from_the_front_was_not_lost() {
        let bounds = Action::Bounds {
            key: 0,
            start: 1,
            end: 2,
        };
        let history = History::new().acked(value(1, 0), 0).acked(value(1, 1), 1);
        history.then(9, bounds).poll(9, 1, value(1, 1)).passes();
    }
}
