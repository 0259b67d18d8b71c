//! One file per anomaly, each headed by its source and followed by the smallest history that has it, and one that
//! nearly has it.

mod aborted_read;
mod duplicate;
mod inconsistent_offset;
mod lost_commit;
mod lost_write;
mod never_sent;
mod nonmonotonic_poll;
mod poll_skip;
mod read_above_acknowledged;
mod reordered_send;
mod spans;
#[cfg(test)]
mod testing;

use super::index::Index;
use super::verdict::Found;

pub(super) use duplicate::repeated;

/// A check: what the summary line calls its anomaly, and how it is looked for.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) run: fn(&Index<'_>) -> Found,
}

const fn check(name: &'static str, run: fn(&Index<'_>) -> Found) -> Check {
    Check { name, run }
}

/// In the order of the summary line.
pub(super) const CHECKS: &[Check] = &[
    check("lost", lost_write::find),
    check("duplicated", duplicate::find),
    check("reordered", reordered_send::find),
    check("inconsistent", inconsistent_offset::find),
    check("above_acknowledged", read_above_acknowledged::find),
    check("never_sent", never_sent::find),
    check("aborted", aborted_read::find),
    check("skipped", poll_skip::find),
    check("went_back", nonmonotonic_poll::find),
    check("lost_commits", lost_commit::find),
];
