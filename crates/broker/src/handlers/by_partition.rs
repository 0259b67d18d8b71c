//! Requests that ask one thing of each of many partitions: the parts in the order of the request,
//! those that are refused at once and those that their owners answer.

use hallows_types::PartitionId;

use crate::context::{Outcome, RequestContext};
use crate::op::{Op, OpAnswer, PartitionOp};
use crate::shard::Shard;

/// One partition of the answer; `refused` holds its answer if no owner was asked.
struct Part<T> {
    index: i32,
    refused: Option<T>,
}

/// One topic of the answer.
struct TopicParts<T> {
    name: String,
    parts: Vec<Part<T>>,
}

/// What becomes of each partition of a request. `T` is the answer to one partition.
pub(crate) struct Plan<T> {
    topics: Vec<TopicParts<T>>,
    /// How many parts all topics have.
    count: usize,
    ops: Vec<Op>,
    /// Whether the request names its partitions, so that `request.partitions.max` holds for them.
    is_named: bool,
}

impl<T: Send + 'static> Plan<T> {
    pub(crate) const fn new() -> Self {
        Self {
            topics: Vec::new(),
            count: 0,
            ops: Vec::new(),
            is_named: true,
        }
    }

    /// For a request that means every partition there is without naming one: `partitions.max` bounds it.
    pub(crate) const fn of_everything() -> Self {
        let mut plan = Self::new();
        plan.is_named = false;
        plan
    }

    /// Begins a topic of the answer, even where it gets no partitions or stands behind itself.
    /// Without this, neighbours of one topic become one.
    pub(crate) fn begin(&mut self, topic: &str) {
        self.topics.push(TopicParts {
            name: topic.to_owned(),
            parts: Vec::new(),
        });
    }

    /// Begins a topic of the answer, which then is there even without partitions, unless it follows itself.
    pub(crate) fn enter(&mut self, topic: &str) {
        if self.topics.last().is_none_or(|last| last.name != topic) {
            self.begin(topic);
        }
    }

    /// Answers a partition without asking its owner.
    pub(crate) fn refuse(&mut self, topic: &str, index: i32, answer: T) {
        self.push(topic, index, Some(answer));
    }

    /// Asks the owner of a partition.
    pub(crate) fn ask(&mut self, topic: &str, id: PartitionId, op: PartitionOp) {
        self.push(topic, id.index, None);
        self.ops.push(Op::Partition(id, op));
    }

    fn push(&mut self, topic: &str, index: i32, refused: Option<T>) {
        self.enter(topic);
        let last = self.topics.last_mut().expect("a topic has begun");
        last.parts.push(Part { index, refused });
        self.count += 1;
    }

    /// Asks the owners, then finishes with the partitions' answers by topic, in the order of the request.
    /// `read` makes a partition's answer of what its owner told.
    pub(crate) fn run(
        self,
        shard: &mut Shard,
        context: RequestContext,
        read: impl Fn(i32, Option<OpAnswer>) -> T + Send + 'static,
        finish: impl FnOnce(&RequestContext, Vec<(String, Vec<T>)>) -> Outcome + Send + 'static,
    ) -> Outcome {
        if let Some(refused) = shard.refuse_named(self.count).filter(|_| self.is_named) {
            return refused;
        }
        let topics = self.topics;
        shard.gather(context, self.ops, move |_, context, answers| {
            let mut answers = answers.into_iter();
            let mut answer_of = |part: Part<T>| {
                part.refused
                    .unwrap_or_else(|| read(part.index, answers.next().flatten()))
            };
            let topics = topics
                .into_iter()
                .map(|topic| (topic.name, topic.parts.into_iter().map(&mut answer_of).collect()))
                .collect();
            finish(&context, topics)
        })
    }
}

impl Shard {
    /// The end of a request that names more partitions than one may.
    pub(crate) fn refuse_named(&self, count: usize) -> Option<Outcome> {
        (count > self.limits.request_partitions_max)
            .then(|| Outcome::Close("a request names more than request.partitions.max partitions".to_owned()))
    }
}
