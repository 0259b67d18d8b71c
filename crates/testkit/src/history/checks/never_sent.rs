//! A record that nobody sent, that is not as it was sent, or that was read before it was sent.
//!
//! Source: Jepsen, `jepsen.tests.kafka`, analysis 1: every observed value has a writer.

use super::super::Action;
use super::super::index::Index;
use super::super::verdict::Found;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    for operation in index.operations {
        let Action::Poll { key, offset, value } = &operation.action else {
            continue;
        };
        let sent = value.and_then(|value| index.sends.get(&value));
        if sent.is_some_and(|sent| sent.invoked_ns <= operation.completed_ns) {
            continue;
        }
        let what = match (value, sent) {
            (None, _) => "bytes that nobody sent".to_owned(),
            (Some(value), None) => format!("{value}, which was never sent"),
            (Some(value), Some(_)) => format!("{value} before it was sent"),
        };
        found.add(|| {
            format!(
                "process {} read {what} at {offset} of partition {key}",
                operation.process
            )
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::{Action, Outcome};

    #[test]
    fn every_value_has_a_sender() {
        let history = History::new().acked(value(1, 0), 0);
        history.log(&[value(1, 0), value(3, 0)]).shows("never_sent", 1);
    }

    #[test]
    fn bytes_are_as_they_were_sent() {
        let foreign = Action::Poll {
            key: 0,
            offset: 1,
            value: None,
        };
        let bounds = Action::Bounds {
            key: 0,
            start: 0,
            end: 2,
        };
        let history = History::new().acked(value(1, 0), 0).then(9, bounds);
        history.poll(9, 0, value(1, 0)).then(9, foreign).shows("never_sent", 1);
    }

    #[test]
    fn nothing_is_read_before_it_is_sent() {
        let history = History::new().poll(7, 0, value(1, 0)).acked(value(1, 0), 0);
        history.log(&[value(1, 0)]).shows("never_sent", 1);
    }

    #[test]
    fn a_value_may_be_read_while_it_is_being_sent() {
        let send = Action::Send {
            value: value(1, 0),
            outcome: Outcome::Acked((0, 0)),
        };
        let history = History::new().between(1, 10, 20, send);
        let poll = Action::Poll {
            key: 0,
            offset: 0,
            value: Some(value(1, 0)),
        };
        history.between(7, 5, 12, poll).log(&[value(1, 0)]).passes();
    }
}
