//! A value that was read although its send had definitely failed.
//!
//! Source: Jepsen, `jepsen.tests.kafka`, analysis 1 ("G1a", aborted read): the writer of an observed value was not
//! refused. A send that timed out has not failed in this sense; its outcome is unknown.

use super::super::Outcome;
use super::super::index::Index;
use super::super::verdict::Found;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    for (process, key, offset, value) in index.polls() {
        let Some((value, sent)) = value.and_then(|value| Some((value, index.sends.get(&value)?))) else {
            continue;
        };
        if sent.outcome == Outcome::Failed {
            found.add(|| format!("process {process} read {value} at {offset} of partition {key}; it had been refused"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::Outcome;

    #[test]
    fn what_was_refused_is_not_read() {
        let history = History::new().acked(value(1, 0), 0).send(value(2, 0), Outcome::Failed);
        history.log(&[value(1, 0), value(2, 0)]).shows("aborted", 1);
    }

    #[test]
    fn what_timed_out_may_be_read() {
        let history = History::new().acked(value(1, 0), 0).send(value(2, 0), Outcome::Unknown);
        history.log(&[value(1, 0), value(2, 0)]).passes();
    }
}
