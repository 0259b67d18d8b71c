//! Which durability may have been in force since when: changes that are not answered may happen at any time.

use hallows_storage::Durability;

/// What may be in force of one topic.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Durabilities {
    /// What was answered last.
    settled: Durability,
    /// Changes that were asked for and whose fate is not known, by their number.
    open: Vec<(u64, Durability)>,
    /// When the weakest possible one changed, and to what.
    changes: Vec<(u64, Durability)>,
}

impl Durabilities {
    pub(in crate::broker) fn new(now: u64, durability: Durability) -> Self {
        Self {
            settled: durability,
            open: Vec::new(),
            changes: vec![(now, durability)],
        }
    }

    fn note(&mut self, now: u64) {
        let open = self.open.iter().map(|(_, durability)| *durability);
        let weakest = open.fold(self.settled, weaker);
        if self.changes.last().is_none_or(|(_, last)| *last != weakest) {
            self.changes.push((now, weakest));
        }
    }

    /// A change is asked for.
    pub(in crate::broker) fn asked(&mut self, now: u64, number: u64, durability: Durability) {
        self.open.push((number, durability));
        self.note(now);
    }

    /// A change was made, or refused.
    pub(in crate::broker) fn answered(&mut self, now: u64, number: u64, made: bool) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == number) else {
            return;
        };
        let (_, durability) = self.open.remove(place);
        if made {
            self.settled = durability;
        }
        self.note(now);
    }

    /// Whether a topic may say that this is in force, after a restart.
    pub(in crate::broker) fn may_be(&self, durability: Durability) -> bool {
        self.settled == durability || self.open.iter().any(|(_, open)| *open == durability)
    }

    /// After a restart: this is in force, and nothing is on its way.
    pub(in crate::broker) fn settle(&mut self, now: u64, durability: Durability) {
        *self = Self::new(now, durability);
    }

    /// The weakest that may have been in force at any time since then.
    pub(in crate::broker) fn weakest_since(&self, since: u64) -> Durability {
        let first = self.changes.partition_point(|(at, _)| *at <= since).saturating_sub(1);
        let later = self.changes[first..].iter().map(|(_, durability)| *durability);
        later.fold(Durability::Fsync, weaker)
    }
}

const fn weaker(one: Durability, other: Durability) -> Durability {
    match (one, other) {
        (Durability::Memory, _) | (_, Durability::Memory) => Durability::Memory,
        (Durability::Written, _) | (_, Durability::Written) => Durability::Written,
        (Durability::Fsync, Durability::Fsync) => Durability::Fsync,
    }
}

/// The word of the setting `durability`.
pub(in crate::broker) const fn name(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "fsync",
        Durability::Written => "written",
        Durability::Memory => "memory",
    }
}

/// The durability of a word.
pub(in crate::broker) fn parse(word: &str) -> Option<Durability> {
    [Durability::Fsync, Durability::Written, Durability::Memory]
        .into_iter()
        .find(|durability| name(*durability) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_may_be_in_force() {
        let mut known = Durabilities::new(0, Durability::Fsync);
        assert_eq!(known.weakest_since(0), Durability::Fsync);
        known.asked(10, 1, Durability::Memory);
        assert_eq!(known.weakest_since(5), Durability::Memory);
        known.answered(20, 1, false);
        assert_eq!(known.weakest_since(15), Durability::Memory);
        assert_eq!(known.weakest_since(20), Durability::Fsync);
        known.asked(30, 2, Durability::Written);
        known.answered(40, 2, true);
        known.asked(50, 3, Durability::Fsync);
        known.answered(60, 3, true);
        assert_eq!(known.weakest_since(45), Durability::Written);
        assert_eq!(known.weakest_since(60), Durability::Fsync);
        assert!(known.may_be(Durability::Fsync) && !known.may_be(Durability::Written));
    }
}
