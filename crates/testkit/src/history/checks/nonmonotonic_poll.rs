//! A consumer that reads an offset again, or an earlier one, without having been assigned anew.
//!
//! Source: Jepsen, `jepsen.tests.kafka` ("nonmonotonic-poll"; within one call "int-nonmonotonic-poll").

use super::super::index::Index;
use super::super::verdict::Found;
use super::spans::each_step;

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut found = Found::default();
    each_step(index, |step| {
        if step.to <= step.from {
            found.add(|| {
                let (process, key) = (step.process, step.key);
                format!(
                    "process {process} read {} of partition {key} after {}",
                    step.to, step.from
                )
            });
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::Action;

    fn two() -> History {
        History::new().acked(value(1, 0), 0).acked(value(1, 1), 1)
    }

    #[test]
    fn a_consumer_does_not_go_back() {
        let history = two()
            .poll(7, 0, value(1, 0))
            .poll(7, 1, value(1, 1))
            .poll(7, 0, value(1, 0));
        history.log(&[value(1, 0), value(1, 1)]).shows("went_back", 1);
    }

    #[test]
    fn it_does_not_read_an_offset_twice() {
        let history = two().poll(7, 0, value(1, 0)).poll(7, 0, value(1, 0));
        history.log(&[value(1, 0), value(1, 1)]).shows("went_back", 1);
    }

    #[test]
    fn a_new_assignment_begins_anew_and_another_process_is_another_reader() {
        let history = two().poll(7, 0, value(1, 0)).poll(7, 1, value(1, 1));
        let history = history
            .then(7, Action::Assigned { keys: vec![0] })
            .poll(7, 0, value(1, 0));
        history
            .poll(8, 0, value(1, 0))
            .log(&[value(1, 0), value(1, 1)])
            .passes();
    }
}
