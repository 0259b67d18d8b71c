//! Disk operations on their way.
//!
//! The seam promises no order between operations, so there is none; steps of one sequence keep theirs.

use std::collections::VecDeque;

use hallows_runtime::{DiskCompletion, DiskOp, DiskOutcome, DiskToken, Event, Turn};
use hallows_types::ShardId;

use super::{Due, World};
use crate::disk::SimDisk;

/// A disk operation on its way.
pub(super) struct DiskWork {
    shard: ShardId,
    token: DiskToken,
    pub(super) steps: VecDeque<DiskOp>,
    done: Vec<DiskOutcome>,
    is_sequence: bool,
}

impl<T: Turn> World<T> {
    pub(super) fn begin(&mut self, shard: ShardId, token: DiskToken, op: DiskOp) {
        let (steps, is_sequence) = match op {
            DiskOp::Sequence(steps) => (steps.into(), true),
            op => (VecDeque::from([op]), false),
        };
        let wait = self.latencies.disk(&mut self.random);
        let work = DiskWork {
            shard,
            token,
            steps,
            done: Vec::new(),
            is_sequence,
        };
        self.schedule(wait, Due::Disk(work));
    }

    /// Performs the next step of an operation. Steps of one operation keep their order; operations do not.
    pub(super) fn disk_step(&mut self, mut work: DiskWork) {
        let result = work.advance(&self.disk);
        let wait = self.latencies.disk(&mut self.random) / 2;
        self.trace.note(
            "disk",
            &[
                u64::from(work.shard.0),
                work.token.0,
                self.now,
                u64::from(result.is_ok()),
            ],
        );
        match result {
            Ok(()) if work.steps.is_empty() => {
                let (shard, completion) = work.finish();
                self.schedule(wait, Due::Completion(shard, completion));
            }
            Ok(()) => self.schedule(wait, Due::Disk(work)),
            Err(error) => {
                let completion = DiskCompletion {
                    token: work.token,
                    result: Err(error),
                };
                self.schedule(wait, Due::Completion(work.shard, completion));
            }
        }
    }

    pub(super) fn complete(&mut self, shard: ShardId, completion: DiskCompletion) {
        self.trace
            .note("completion", &[u64::from(shard.0), completion.token.0, self.now]);
        if let Ok(DiskOutcome::Data(data)) = &completion.result {
            self.trace.bytes(data);
        }
        self.deliver(shard, Event::Disk(completion));
    }
}

impl DiskWork {
    /// Performs one step.
    pub(super) fn advance(&mut self, disk: &SimDisk) -> std::io::Result<()> {
        if let Some(step) = self.steps.pop_front() {
            self.done.push(step.perform(disk)?);
        }
        Ok(())
    }

    fn finish(mut self) -> (ShardId, DiskCompletion) {
        let outcome = match (self.is_sequence, self.done.pop()) {
            (false, Some(only)) => only,
            (_, last) => {
                self.done.extend(last);
                DiskOutcome::Sequence(self.done)
            }
        };
        (
            self.shard,
            DiskCompletion {
                token: self.token,
                result: Ok(outcome),
            },
        )
    }
}
