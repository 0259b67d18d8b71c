//! Recovery is idempotent: recovering again, with nothing in between, gives the same state.
//!
//! Source: issue "Nothing acknowledged is ever lost"; DESIGN 4, recovery replays every journal found and then removes them.

use bytes::Bytes;
use hallows_types::PartitionId;

use crate::violation::{Verdict, ensure};

const NAME: &str = "recovery is idempotent";

/// One recovered partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which.
    pub id: PartitionId,
    /// Its first readable offset.
    pub log_start: i64,
    /// The end of its log.
    pub log_end: i64,
    /// Its batches, from the one that contains the log start.
    pub batches: Vec<Bytes>,
}

/// Compares two recoveries.
///
/// # Errors
/// The first partition that differs.
pub fn check(first: &[Found], second: &[Found]) -> Verdict {
    ensure!(
        NAME,
        first.len() == second.len(),
        "{} partitions became {}",
        first.len(),
        second.len()
    );
    for (before, after) in first.iter().zip(second) {
        let spans = [before, after].map(|found| (found.log_start, found.log_end, found.batches.len()));
        ensure!(
            NAME,
            before == after,
            "{}: start, end and batches were {:?}, then {:?}",
            before.id,
            spans[0],
            spans[1]
        );
    }
    Ok(())
}
