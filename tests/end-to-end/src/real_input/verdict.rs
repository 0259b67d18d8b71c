//! What was acknowledged beside what was read.

use std::collections::BTreeMap;
use std::fmt;

use super::input::Line;
use super::{Places, Received};
use crate::clients::crc32;

/// The counts of the closing line; everything behind `received` must be 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    sent: usize,
    acked: usize,
    received: usize,
    /// Acknowledged and not read.
    missing: usize,
    /// Another line was read where this one was acknowledged.
    moved: usize,
    /// Lines of one key whose order in the log is not that of the input, or that lie in several partitions.
    out_of_order: usize,
    /// Read where nothing was acknowledged: repeated, or never sent.
    pub(super) unasked: usize,
    /// Sent and never acknowledged, or acknowledged at two places.
    unsettled: usize,
}

impl Verdict {
    pub(super) fn of(lines: &[Line], places: &Places, received: &Received) -> Self {
        let missing = places.keys().filter(|place| !received.contains_key(place)).count();
        let differs = |(place, number): &(&(i32, i64), &usize)| {
            let line = &lines[**number];
            received
                .get(place)
                .is_some_and(|record| record.key != line.key || record.crc != crc32(line.value.as_bytes()))
        };
        let mut acknowledged = vec![0_u8; lines.len()];
        for number in places.values() {
            acknowledged[*number] = acknowledged[*number].saturating_add(1);
        }
        Self {
            sent: lines.len(),
            acked: places.len(),
            received: received.len(),
            missing,
            moved: places.iter().filter(differs).count(),
            out_of_order: out_of_order(lines, places),
            unasked: received.keys().filter(|place| !places.contains_key(place)).count(),
            unsettled: acknowledged.iter().filter(|count| **count != 1).count(),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.missing + self.moved + self.out_of_order + self.unasked + self.unsettled == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            acked,
            received,
            missing,
            moved,
            out_of_order,
            ..
        } = self;
        write!(
            f,
            "sent {sent} acked {acked} received {received} missing={missing} moved={moved} out_of_order={out_of_order}"
        )
    }
}

fn out_of_order(lines: &[Line], places: &Places) -> usize {
    let mut last: BTreeMap<&str, (i32, usize)> = BTreeMap::new();
    let mut count = 0;
    for ((partition, _), number) in places {
        let key = lines[*number].key.as_str();
        if let Some((before_in, before)) = last.insert(key, (*partition, *number))
            && (before_in != *partition || before >= *number)
        {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Record;

    fn line(key: &str, value: &str) -> Line {
        Line {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    fn record(line: &Line) -> Record {
        Record {
            key: line.key.clone(),
            crc: crc32(line.value.as_bytes()),
            ..Record::default()
        }
    }

    /// Three lines of two keys, all acknowledged and all read.
    fn history() -> (Vec<Line>, Places, Received) {
        let lines = vec![line("a", "1"), line("b", "2"), line("a", "3")];
        let places: Places = [((0, 0), 0), ((1, 0), 1), ((0, 1), 2)].into_iter().collect();
        let received = places.iter().map(|(&place, &number)| (place, record(&lines[number])));
        let received = received.collect();
        (lines, places, received)
    }

    #[test]
    fn a_history_without_fault_is_good() {
        let (lines, places, received) = history();
        let verdict = Verdict::of(&lines, &places, &received);
        assert!(verdict.is_good());
        assert_eq!(
            verdict.to_string(),
            "sent 3 acked 3 received 3 missing=0 moved=0 out_of_order=0"
        );
    }

    #[test]
    fn a_lost_a_moved_a_repeated_and_an_unsettled_line_are_each_noticed() {
        let check = |change: fn(&[Line], &mut Places, &mut Received), expected: fn(&Verdict) -> usize| {
            let (lines, mut places, mut received) = history();
            change(&lines, &mut places, &mut received);
            let verdict = Verdict::of(&lines, &places, &received);
            assert!(!verdict.is_good(), "{verdict:?}");
            assert_eq!(expected(&verdict), 1, "{verdict:?}");
        };
        check(|_, _, received| _ = received.remove(&(0, 1)), |verdict| verdict.missing);
        check(
            |lines, _, received| _ = received.insert((0, 1), record(&lines[1])),
            |verdict| verdict.moved,
        );
        check(
            |lines, _, received| _ = received.insert((0, 2), record(&lines[2])),
            |verdict| verdict.unasked,
        );
        check(
            |_, places, received| {
                places.remove(&(1, 0));
                received.remove(&(1, 0));
            },
            |verdict| verdict.unsettled,
        );
    }

    #[test]
    fn order_is_that_of_each_key() {
        let (lines, _, _) = history();
        let places = |all: [((i32, i64), usize); 3]| all.into_iter().collect::<Places>();
        assert_eq!(
            out_of_order(&lines, &places([((0, 0), 2), ((1, 0), 1), ((0, 1), 0)])),
            1
        );
        assert_eq!(
            out_of_order(&lines, &places([((0, 0), 0), ((0, 1), 1), ((1, 0), 2)])),
            1
        );
    }
}
