//! What one process reads of one partition between two assignments: there it goes from offset to offset.

use std::collections::HashMap;

use super::super::index::Index;
use super::super::{Action, Key, Process};

/// Two polls, one directly after the other.
pub(super) struct Step {
    pub(super) process: Process,
    pub(super) key: Key,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Calls `each` with every two neighbouring polls of a process and a partition that no assignment lies between.
pub(super) fn each_step(index: &Index<'_>, mut each: impl FnMut(&Step)) {
    let mut last: HashMap<(Process, Key), i64> = HashMap::new();
    for operation in index.operations {
        let process = operation.process;
        match &operation.action {
            Action::Assigned { keys } | Action::Revoked { keys } => {
                for key in keys {
                    last.remove(&(process, *key));
                }
            }
            Action::Poll { key, offset, .. } => {
                if let Some(from) = last.insert((process, *key), *offset) {
                    each(&Step {
                        process,
                        key: *key,
                        from,
                        to: *offset,
                    });
                }
            }
            _ => {}
        }
    }
}
