//! Values of an idempotent producer that stand in a log in another order than they were sent.
//!
//! Source: Jepsen, `jepsen.tests.kafka`, analysis 6 ("nonmonotonic-send"), and KIP-98, which promises idempotent
//! producers their order with up to five requests on their way. Without idempotence a retry may change the order.

use std::collections::HashMap;

use super::super::index::Index;
use super::super::verdict::Found;
use super::super::{Key, Process};

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut places: HashMap<(Process, Key), Vec<(u32, i64)>> = HashMap::new();
    let logs = index.finals.iter().flat_map(|(key, log)| {
        let records = log.records.iter();
        records.filter_map(|(offset, value)| value.map(|value| (value, *key, *offset)))
    });
    for (value, key, offset) in index.acked().chain(logs) {
        if index.is_idempotent(value.sender) {
            let of_sender = places.entry((value.sender, key)).or_default();
            of_sender.push((value.number, offset));
        }
    }
    let mut found = Found::default();
    for ((sender, key), mut order) in places {
        order.sort_unstable();
        order.dedup();
        for pair in order.windows(2) {
            let ((before, at), (after, later)) = (pair[0], pair[1]);
            // One value at two places is a duplicate, not a change of order.
            if before != after && later < at {
                found.add(|| {
                    format!(
                        "process {sender} sent {before} before {after}; partition {key} has them at {at} and {later}"
                    )
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, value};
    use crate::history::Outcome;

    #[test]
    fn an_idempotent_producer_keeps_its_order() {
        let history = History::new().acked(value(1, 0), 1).acked(value(1, 1), 0);
        history.log(&[value(1, 1), value(1, 0)]).shows("reordered", 1);
    }

    #[test]
    fn values_that_nobody_acknowledged_keep_it_too() {
        let history = History::new().acked(value(1, 1), 0).send(value(1, 0), Outcome::Unknown);
        history.log(&[value(1, 1), value(1, 0)]).shows("reordered", 1);
    }

    #[test]
    fn a_plain_producer_may_change_it_and_partitions_have_no_common_order() {
        let history = History::new().acked(value(2, 0), 1).acked(value(2, 1), 0);
        history.log(&[value(2, 1), value(2, 0)]).passes();
        let history = History::new().acked(value(1, 0), 1).acked(value(1, 2), 2);
        // Another producer's values in between change nothing.
        history
            .acked(value(2, 0), 0)
            .log(&[value(2, 0), value(1, 0), value(1, 2)])
            .passes();
    }
}
