//! A record that somebody read and that the log does not have any more: it was shown before it was safe.
//!
//! Source: KIP-101 and KIP-392, no read above the high watermark; ARCHITECTURE.md, "What must always hold", 2 and 3.
//! Jepsen's workload tells it only where the same offset is read again. An offset that names another value at the end
//! is `inconsistent`.

use super::super::index::Index;
use super::super::verdict::Found;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    for (process, key, offset, value) in index.polls() {
        let Some(log) = index.finals.get(&key) else { continue };
        let gone = offset >= log.start && !log.records.contains_key(&offset);
        if gone && !index.is_last_reader(process, key) {
            let what = value.map_or_else(|| "something".to_owned(), |value| value.to_string());
            found.add(|| {
                format!(
                    "process {process} read {what} at {offset} of partition {key}, which ends at {}",
                    log.end
                )
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::{Action, Outcome};

    #[test]
    fn what_was_read_stays_even_when_nobody_acknowledged_it() {
        let history = History::new().acked(value(1, 0), 0).send(value(1, 1), Outcome::Unknown);
        let history = history.poll(7, 0, value(1, 0)).poll(7, 1, value(1, 1));
        history.log(&[value(1, 0)]).shows("above_acknowledged", 1);
    }

    #[test]
    fn an_unacknowledged_value_may_be_read_when_it_stays() {
        let history = History::new().acked(value(1, 0), 0).send(value(1, 1), Outcome::Unknown);
        let history = history.poll(7, 0, value(1, 0)).poll(7, 1, value(1, 1));
        history.log(&[value(1, 0), value(1, 1)]).passes();
    }

    #[test]
    fn what_retention_removed_may_have_been_read_before() {
        let history = History::new().acked(value(1, 0), 0).acked(value(1, 1), 1);
        let bounds = Action::Bounds {
            key: 0,
            start: 1,
            end: 2,
        };
        history
            .poll(7, 0, value(1, 0))
            .then(9, bounds)
            .poll(9, 1, value(1, 1))
            .passes();
    }
}
