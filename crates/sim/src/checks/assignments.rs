//! No partition belongs to two members of one generation, members get what their leader said, and old generations
//! cannot commit.
//!
//! Source: Apache Kafka, `GroupCoordinator.doSyncGroup` and `validateHeartbeat` (ILLEGAL_GENERATION); KIP-394.

use std::collections::BTreeMap;

use crate::violation::{Verdict, ensure};

const NAME: &str = "a partition belongs to one member of a generation";

/// One generation of one group.
#[derive(Clone, Debug, Default)]
struct Generation {
    /// The leader, and what it gave to whom. A leader that asks again may give otherwise until one is taken.
    leader: Option<String>,
    given: Vec<BTreeMap<String, Vec<u8>>>,
    /// Who got what.
    owners: BTreeMap<(String, i32), String>,
    /// When the first answer told of it.
    known_since: Option<u64>,
}

/// Every generation of every group.
#[derive(Clone, Debug, Default)]
pub struct Assignments {
    generations: BTreeMap<(String, i32), Generation>,
    /// Assignments that members got.
    pub taken: u64,
}

impl Assignments {
    /// A member was told that it leads a generation.
    ///
    /// # Errors
    /// When another member does.
    pub fn leads(&mut self, group: &str, generation: i32, member: &str) -> Verdict {
        let known = self.generations.entry((group.to_owned(), generation)).or_default();
        let leader = known.leader.get_or_insert_with(|| member.to_owned());
        ensure!(
            "a generation has one leader",
            leader == member,
            "{group}, generation {generation}: {leader} and {member}"
        );
        Ok(())
    }

    /// The machine has ended: a generation that nobody was told of was perhaps never written, and comes again with
    /// another leader.
    pub fn machine_ended(&mut self) {
        for known in self
            .generations
            .values_mut()
            .filter(|known| known.known_since.is_none())
        {
            known.leader = None;
        }
    }

    /// The leader says who gets what.
    pub fn given(&mut self, group: &str, generation: i32, assignments: BTreeMap<String, Vec<u8>>) {
        let known = self.generations.entry((group.to_owned(), generation)).or_default();
        known.given.push(assignments);
    }

    /// A member was told its partitions; `bytes` as they came.
    ///
    /// # Errors
    /// A partition that another member of the generation has, or an assignment that no leader made.
    pub fn taken(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        (bytes, partitions): (&[u8], &[(String, i32)]),
        now: u64,
    ) -> Verdict {
        let known = self.generations.entry((group.to_owned(), generation)).or_default();
        known.known_since.get_or_insert(now);
        self.taken += 1;
        let by_leader = known
            .given
            .iter()
            .any(|given| given.get(member).map_or(&[][..], Vec::as_slice) == bytes);
        ensure!(
            "members get what their leader said",
            by_leader,
            "{group}, generation {generation}: {member} got {partitions:?}"
        );
        for partition in partitions {
            let owner = known
                .owners
                .entry(partition.clone())
                .or_insert_with(|| member.to_owned());
            ensure!(
                NAME,
                owner == member,
                "{group}, generation {generation}: {partition:?} belongs to {owner} and to {member}"
            );
        }
        Ok(())
    }

    /// A commit of a generation, sent at `sent`, was accepted.
    ///
    /// # Errors
    /// When a later generation was known before it was sent.
    pub fn committed(&self, group: &str, generation: i32, sent: u64) -> Verdict {
        let later = self
            .generations
            .range((group.to_owned(), generation + 1)..=(group.to_owned(), i32::MAX));
        for ((_, newer), known) in later {
            let too_late = known.known_since.is_some_and(|since| since < sent);
            ensure!(
                "old generations cannot commit",
                !too_late,
                "{group}: generation {generation} committed after generation {newer} had begun"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_shares_its_partitions() {
        let mut groups = Assignments::default();
        let given = BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])]);
        groups.leads("g", 1, "a").expect("the first");
        groups.leads("g", 1, "b").expect_err("the second");
        groups.given("g", 1, given);
        let [first, second] = [0, 1].map(|index| vec![("t".to_owned(), index)]);
        groups.taken("g", 1, "a", (&[1], &first), 10).expect("its own");
        groups.taken("g", 1, "a", (&[1], &first), 11).expect("again");
        groups.taken("g", 1, "b", (&[2], &first), 12).expect_err("of another");
        groups
            .taken("g", 1, "b", (&[1], &second), 12)
            .expect_err("not what the leader said");
        groups.taken("g", 1, "b", (&[2], &second), 12).expect("its own");
        groups.taken("g", 1, "c", (&[], &[]), 12).expect("nothing was given");
    }

    #[test]
    fn old_generations_cannot_commit() {
        let mut groups = Assignments::default();
        groups.given("g", 2, BTreeMap::new());
        groups.taken("g", 2, "a", (&[], &[]), 10).expect("nothing was given");
        groups.committed("g", 1, 9).expect("sent before");
        groups.committed("g", 1, 11).expect_err("sent after");
        groups.committed("g", 2, 11).expect("of now");
    }

    #[test]
    fn a_generation_that_was_never_told_may_come_again() {
        let mut groups = Assignments::default();
        groups.leads("g", 1, "a").expect("the first");
        groups.machine_ended();
        groups.leads("g", 1, "b").expect("nobody knew");
        groups.given("g", 1, BTreeMap::new());
        groups.taken("g", 1, "b", (&[], &[]), 10).expect("nothing was given");
        groups.machine_ended();
        groups.leads("g", 1, "a").expect_err("it is known");
    }
}
