//! A group that is at an offset which no commit explains: an acknowledged commit was lost, or taken back.
//!
//! Source: KIP-98 and Kafka's `GroupMetadataManager`: a commit that was answered survives the coordinator's death.
//! Jepsen's workload has no check of its own for it. The committed offset of a partition is a register: what is learned
//! was written by a commit that no other commit, begun after that one had ended, had replaced before the question was
//! asked. A commit without an answer may take effect at any time after it began.

use std::collections::HashMap;

use super::super::index::Index;
use super::super::verdict::Found;
use super::super::{Action, Key, Outcome};

/// A commit that may have taken effect.
struct Commit {
    offset: i64,
    invoked_ns: u64,
    /// `None` while nobody knows whether it has happened.
    completed_ns: Option<u64>,
}

pub(super) fn find(index: &Index<'_>) -> Found {
    let mut commits: HashMap<(u32, Key), Vec<Commit>> = HashMap::new();
    for operation in index.operations {
        if let Action::Commit {
            group,
            key,
            offset,
            outcome,
        } = operation.action
        {
            let completed_ns = match outcome {
                Outcome::Acked(()) => Some(operation.completed_ns),
                Outcome::Unknown => None,
                Outcome::Failed => continue,
            };
            commits.entry((group, key)).or_default().push(Commit {
                offset,
                invoked_ns: operation.invoked_ns,
                completed_ns,
            });
        }
    }
    let mut found = Found::default();
    for operation in index.operations {
        let Action::Committed { group, key, offset } = operation.action else {
            continue;
        };
        let of_key = commits.get(&(group, key)).map_or(&[][..], Vec::as_slice);
        if !is_explained(of_key, offset, operation.invoked_ns, operation.completed_ns) {
            let latest = of_key.iter().filter(|commit| is_before(commit, operation.invoked_ns));
            let latest = latest.map(|commit| commit.offset).max();
            found.add(|| {
                format!(
                    "group {group} is at {offset} of partition {key} for process {}; acknowledged was {latest:?}",
                    operation.process
                )
            });
        }
    }
    found
}

fn is_before(commit: &Commit, time_ns: u64) -> bool {
    commit.completed_ns.is_some_and(|completed_ns| completed_ns < time_ns)
}

fn is_explained(commits: &[Commit], offset: i64, asked_ns: u64, told_ns: u64) -> bool {
    // When the last of those began that had surely happened when the question was asked.
    let replaced_ns = commits
        .iter()
        .filter(|commit| is_before(commit, asked_ns))
        .map(|commit| commit.invoked_ns)
        .max();
    let Some(replaced_ns) = replaced_ns else {
        return offset == 0
            || commits
                .iter()
                .any(|commit| commit.offset == offset && commit.invoked_ns < told_ns);
    };
    commits.iter().any(|commit| {
        let may_stand = commit
            .completed_ns
            .is_none_or(|completed_ns| completed_ns >= replaced_ns);
        commit.offset == offset && commit.invoked_ns < told_ns && may_stand
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, commit, value};
    use crate::history::Outcome;

    fn history() -> History {
        History::new().acked(value(1, 0), 0).log(&[value(1, 0)])
    }

    const ACKED: Outcome<()> = Outcome::Acked(());

    #[test]
    fn an_acknowledged_commit_is_not_lost() {
        history().commit(1, ACKED).committed(0).shows("lost_commits", 1);
    }

    #[test]
    fn a_group_does_not_go_back_to_an_earlier_commit() {
        let history = history().commit(1, ACKED).commit(2, ACKED).committed(2).committed(1);
        history.shows("lost_commits", 1);
    }

    #[test]
    fn nobody_commits_by_itself() {
        history().committed(3).shows("lost_commits", 1);
        history()
            .commit(3, Outcome::Failed)
            .committed(3)
            .shows("lost_commits", 1);
    }

    #[test]
    fn a_commit_without_an_answer_may_have_happened_or_not() {
        history()
            .commit(1, ACKED)
            .commit(2, Outcome::Unknown)
            .committed(1)
            .committed(2)
            .passes();
    }

    #[test]
    fn commits_at_the_same_time_have_no_order() {
        let history = history().between(5, 100, 200, commit(1, ACKED));
        history.between(6, 150, 180, commit(2, ACKED)).committed(1).passes();
    }

    #[test]
    fn a_commit_under_way_may_be_seen() {
        let history = history().between(5, 100, 200, commit(4, ACKED));
        history
            .between(6, 150, 160, super::super::testing::committed(4))
            .between(6, 110, 120, super::super::testing::committed(0))
            .passes();
    }
}
