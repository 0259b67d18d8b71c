//! A consumer that passes over offsets, or a log that has a gap when it is read whole.
//!
//! Source: Jepsen, `jepsen.tests.kafka` ("poll-skip"; within one call "int-poll-skip"). Where there are no transactions
//! and no compaction, offsets have no gaps (ARCHITECTURE.md), so that the next record is at the next offset.

use super::super::index::Index;
use super::super::verdict::Found;
use super::spans::each_step;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    each_step(index, |step| {
        if step.to > step.from + 1 {
            found.add(|| {
                let (process, key) = (step.process, step.key);
                format!(
                    "process {process} read {} of partition {key} after {}",
                    step.to, step.from
                )
            });
        }
    });
    for (key, log) in &index.finals {
        let first = log.records.keys().next().copied().unwrap_or(log.end);
        let after_last = log.records.keys().next_back().map_or(log.start, |last| last + 1);
        if log.start < log.end && (first != log.start || after_last != log.end) {
            let (start, end) = (log.start, log.end);
            found.add(|| format!("partition {key} has {start}..{end}, and {first}..{after_last} was read"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::{Action, Outcome};

    #[test]
    fn a_consumer_passes_over_nothing() {
        let values = [value(1, 0), value(1, 1), value(1, 2)];
        let history = History::new()
            .acked(values[0], 0)
            .acked(values[1], 1)
            .acked(values[2], 2);
        let history = history.poll(7, 0, values[0]).poll(7, 2, values[2]);
        history.log(&values).shows("skipped", 1);
    }

    #[test]
    fn the_last_read_reaches_the_end() {
        let bounds = Action::Bounds {
            key: 0,
            start: 0,
            end: 2,
        };
        let history = History::new().acked(value(1, 0), 0).send(value(1, 1), Outcome::Unknown);
        history.then(9, bounds).poll(9, 0, value(1, 0)).shows("skipped", 1);
    }

    #[test]
    fn a_consumer_may_begin_anywhere_and_again_after_an_assignment() {
        let values = [value(1, 0), value(1, 1), value(1, 2), value(1, 3)];
        let history = (0..)
            .zip(values)
            .fold(History::new(), |history, (offset, value)| history.acked(value, offset));
        let history = history
            .poll(7, 1, values[1])
            .then(7, Action::Assigned { keys: vec![0] });
        history.poll(7, 3, values[3]).log(&values).passes();
    }
}
