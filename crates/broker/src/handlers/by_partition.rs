//! Requests that ask one thing of each of many partitions: the parts in the order of the request,
//! those that are refused at once and those that their owners answer.

use hallows_protocol::ErrorCode;
use hallows_types::{Monotonic, PartitionId};

use crate::context::{Outcome, RequestContext};
use crate::op::{Op, OpAnswer, PartitionOp};
use crate::shard::Shard;

/// One partition of the answer; `refused` holds its answer if no owner was asked.
struct Part<T> {
    topic: String,
    index: i32,
    refused: Option<T>,
}

/// What becomes of each partition of a request. `T` is the answer to one partition.
pub(crate) struct Plan<T> {
    parts: Vec<Part<T>>,
    ops: Vec<Op>,
}

impl<T: Send + 'static> Plan<T> {
    pub(crate) const fn new() -> Self {
        Self {
            parts: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// Answers a partition without asking its owner.
    pub(crate) fn refuse(&mut self, topic: &str, index: i32, answer: T) {
        self.parts.push(Part {
            topic: topic.to_owned(),
            index,
            refused: Some(answer),
        });
    }

    /// Asks the owner of a partition.
    pub(crate) fn ask(&mut self, topic: &str, id: PartitionId, op: PartitionOp) {
        self.parts.push(Part {
            topic: topic.to_owned(),
            index: id.index,
            refused: None,
        });
        self.ops.push(Op::Partition(id, op));
    }

    /// Asks the owners, then finishes with the partitions' answers by topic, in the order of the request.
    /// `read` makes a partition's answer of what its owner told, `None` if the deadline came first.
    pub(crate) fn run(
        self,
        shard: &mut Shard,
        context: RequestContext,
        deadline: Monotonic,
        read: impl Fn(i32, Option<OpAnswer>) -> T + Send + 'static,
        finish: impl FnOnce(&RequestContext, Vec<(String, Vec<T>)>) -> Outcome + Send + 'static,
    ) -> Outcome {
        if self.parts.len() > shard.limits.request_partitions_max {
            return Outcome::Close("a request names more than request.partitions.max partitions".to_owned());
        }
        let parts = self.parts;
        shard.gather(context, self.ops, deadline, move |_, context, answers| {
            let mut answers = answers.into_iter();
            let mut topics: Vec<(String, Vec<T>)> = Vec::new();
            for part in parts {
                let answer = part
                    .refused
                    .unwrap_or_else(|| read(part.index, answers.next().flatten()));
                match topics.last_mut() {
                    Some((topic, partitions)) if *topic == part.topic => partitions.push(answer),
                    _ => topics.push((part.topic, vec![answer])),
                }
            }
            finish(&context, topics)
        })
    }
}

impl Shard {
    /// The id of a partition named by a request.
    pub(crate) fn partition_id(&self, topic: &str, index: i32) -> Result<PartitionId, ErrorCode> {
        let topic = self.image.topic(topic).filter(|topic| topic.shard(index).is_some());
        topic
            .map(|topic| PartitionId { topic: topic.id, index })
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}
