//! What requests are planned and answered from besides what partitions, groups and sessions say.
//!
//! A value of its own, so that large requests can be decoded, planned and answered on the pool, with a clone of it.

use std::sync::Arc;

use hallows_config::BrokerConfig;
use hallows_types::{Now, PartitionId, ShardId};

use hallows_protocol::ErrorCode;

use crate::limits::Limits;
use crate::metadata::Image;
use crate::shard::NodeIdentity;

/// A shard's view of the node at one moment.
#[derive(Clone)]
pub struct View {
    /// The shard's own id.
    pub(crate) id: ShardId,
    pub(crate) shard_count: u16,
    pub(crate) now: Now,
    pub(crate) config: Arc<BrokerConfig>,
    pub(crate) limits: Limits,
    pub(crate) identity: Arc<NodeIdentity>,
    pub(crate) image: Arc<Image>,
}

impl View {
    /// The id of a partition named by a request.
    pub(crate) fn partition_id(&self, topic: &str, index: i32) -> Result<PartitionId, ErrorCode> {
        let topic = self.image.topic(topic).filter(|topic| topic.shard(index).is_some());
        topic
            .map(|topic| PartitionId { topic: topic.id, index })
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }
}
