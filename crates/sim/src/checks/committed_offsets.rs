//! A group never loses a committed offset: what is fetched is the last commit, or one whose fate is not known.
//!
//! Source: Apache Kafka, `GroupMetadataManager.storeOffsets` (answered once its log has it); issue "Nothing acknowledged
//! is ever lost". Each partition of a group is a register; a read must see a write that no completed later write hides.

use std::collections::BTreeMap;

use crate::violation::{Verdict, ensure};

const NAME: &str = "groups keep their committed offsets";

/// No reader waits for longer for its answer, in nanoseconds; clients give up after a few seconds.
const READER_WAIT_MAX: u64 = 10_000_000_000;

/// Group, topic and partition.
pub type Place = (String, String, i32);

/// One commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Write {
    offset: i64,
    sent: u64,
    /// When it was known to have happened, or to never happen later.
    done: Option<u64>,
    /// Whether it happened for certain.
    acknowledged: bool,
}

/// Every commit that may still be seen.
#[derive(Clone, Debug, Default)]
pub struct CommittedOffsets {
    writes: BTreeMap<Place, Vec<Write>>,
    /// Commits that were acknowledged.
    pub acknowledged: u64,
}

impl CommittedOffsets {
    /// A commit was sent.
    pub fn sent(&mut self, place: Place, offset: i64, now: u64) {
        let write = Write {
            offset,
            sent: now,
            done: None,
            acknowledged: false,
        };
        self.writes.entry(place).or_default().push(write);
    }

    /// A commit was answered: it happened, or it did not.
    pub fn answered(&mut self, place: &Place, offset: i64, happened: bool, now: u64) {
        let Some(writes) = self.writes.get_mut(place) else {
            return;
        };
        if !happened {
            writes.retain(|write| write.offset != offset);
            return;
        }
        for write in writes.iter_mut().filter(|write| write.offset == offset) {
            write.done = Some(now);
            write.acknowledged = true;
        }
        self.acknowledged += 1;
        forget_hidden(writes, now);
    }

    /// The machine has ended: what was on its way has happened before, or never will.
    pub fn machine_ended(&mut self, now: u64) {
        for write in self.writes.values_mut().flatten() {
            write.done.get_or_insert(now);
        }
    }

    /// A fetch that was sent at `since` was answered with an offset, or with none (-1).
    ///
    /// # Errors
    /// An offset that was hidden, or never committed, or none where there is one.
    pub fn check(&self, place: &Place, answer: i64, since: u64) -> Verdict {
        let writes = self.writes.get(place).map_or(&[][..], Vec::as_slice);
        let possible: Vec<i64> = writes
            .iter()
            .filter(|write| !is_hidden(writes, write, since))
            .map(|write| write.offset)
            .collect();
        let nothing = !writes
            .iter()
            .any(|write| write.acknowledged && write.done.is_some_and(|done| done <= since));
        ensure!(
            NAME,
            possible.contains(&answer) || answer == -1 && nothing,
            "{place:?}: {answer} was answered, possible are {possible:?}{}",
            if nothing { " and none" } else { "" }
        );
        Ok(())
    }

    /// Every group and the places it has committed to.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.writes.keys().cloned().collect()
    }
}

/// Whether another commit happened, as far as a reader since then can tell, after this one was over.
fn is_hidden(writes: &[Write], write: &Write, since: u64) -> bool {
    let Some(over) = write.done else { return false };
    writes
        .iter()
        .any(|other| other.acknowledged && other.sent > over && other.done.is_some_and(|done| done <= since))
}

/// Forgets what no reader can see any more, not even one that asked long ago and is answered only now.
fn forget_hidden(writes: &mut Vec<Write>, now: u64) {
    let oldest_reader = now.saturating_sub(READER_WAIT_MAX);
    let completed = |write: &&Write| write.acknowledged && write.done.is_some_and(|done| done <= oldest_reader);
    let latest = writes.iter().filter(completed).map(|write| write.sent).max();
    if let Some(latest) = latest {
        writes.retain(|write| write.done.is_none_or(|done| done >= latest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        ("group".to_owned(), "topic".to_owned(), 0)
    }

    fn allows(offsets: &CommittedOffsets, answer: i64, since: u64) -> bool {
        offsets.check(&place(), answer, since).is_ok()
    }

    #[test]
    fn a_read_sees_the_last_commit_or_one_on_its_way() {
        let mut offsets = CommittedOffsets::default();
        assert!(allows(&offsets, -1, 0) && !allows(&offsets, 1, 0));
        offsets.sent(place(), 1, 10);
        assert!(allows(&offsets, -1, 15) && allows(&offsets, 1, 15));
        offsets.answered(&place(), 1, true, 20);
        assert!(!allows(&offsets, -1, 25) && allows(&offsets, 1, 25));
        assert!(allows(&offsets, -1, 15), "a read that began before");
        offsets.sent(place(), 2, 30);
        offsets.sent(place(), 3, 40);
        offsets.answered(&place(), 3, true, 50);
        assert!(!allows(&offsets, 1, 60), "hidden");
        assert!(allows(&offsets, 2, 60), "its fate is not known");
        assert!(allows(&offsets, 3, 60));
    }

    #[test]
    fn after_the_end_nothing_is_on_its_way() {
        let mut offsets = CommittedOffsets::default();
        offsets.sent(place(), 1, 10);
        offsets.machine_ended(20);
        assert!(allows(&offsets, -1, 30) && allows(&offsets, 1, 30));
        offsets.sent(place(), 2, 40);
        offsets.answered(&place(), 2, true, 50);
        assert!(!allows(&offsets, 1, 60), "it cannot happen any more");
    }

    /// Seed 1844 of the simulation: many commits came while the answer to a reader was on its way.
    #[test]
    fn a_reader_that_waits_long_may_see_what_was_hidden_since() {
        let mut offsets = CommittedOffsets::default();
        for offset in 1..200 {
            let at = u64::try_from(offset).expect("positive") * 10_000_000;
            offsets.sent(place(), offset, at);
            offsets.answered(&place(), offset, true, at + 1);
        }
        assert!(allows(&offsets, 3, 35_000_000) && !allows(&offsets, 2, 35_000_000));
        let later = READER_WAIT_MAX + 2_000_000_000;
        offsets.sent(place(), 200, later);
        offsets.answered(&place(), 200, true, later + 1);
        assert!(offsets.writes[&place()].len() < 5, "what nobody can see is forgotten");
    }

    #[test]
    fn a_refused_commit_never_happened() {
        let mut offsets = CommittedOffsets::default();
        offsets.sent(place(), 1, 10);
        offsets.answered(&place(), 1, false, 20);
        assert!(!allows(&offsets, 1, 30));
    }
}
