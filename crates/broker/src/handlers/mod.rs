//! One file per API. [`SERVED`] is what ApiVersions advertises, and nothing else is answered.

use bytes::BytesMut;
use hallows_protocol::ApiKey;

use crate::context::{Outcome, RequestContext};
use crate::shard::Shard;

pub(crate) mod admin;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod by_partition;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;

/// An API and the versions of it that really work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Served {
    /// The API.
    pub(crate) api: ApiKey,
    /// The oldest version advertised.
    pub(crate) min: i16,
    /// The newest version served.
    pub(crate) max: i16,
}

const fn served(api: ApiKey, min: i16, max: i16) -> Served {
    Served { api, min, max }
}

/// Everything that is served, by key. docs/protocol.md says what is missing in each.
pub(crate) const SERVED: &[Served] = &[
    // Advertised from 0, though 0 to 2 are refused: see handlers/produce.rs.
    served(ApiKey::Produce, 0, 13),
    served(ApiKey::Fetch, 4, 18),
    served(ApiKey::ListOffsets, 1, 11),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::OffsetCommit, 2, 10),
    served(ApiKey::OffsetFetch, 1, 10),
    served(ApiKey::FindCoordinator, 0, 6),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::AlterReplicaLogDirs, 1, 2),
    served(ApiKey::DescribeLogDirs, 1, 5),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 2),
    served(ApiKey::ElectLeaders, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::AlterPartitionReassignments, 0, 1),
    served(ApiKey::ListPartitionReassignments, 0, 0),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeQuorum, 0, 2),
    served(ApiKey::DescribeCluster, 0, 2),
    served(ApiKey::DescribeProducers, 0, 0),
    served(ApiKey::ListConfigResources, 0, 1),
    served(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// Whether a request of this API and version has a handler.
///
/// ApiVersions has one for every version: it answers an unknown one itself.
pub(crate) fn is_served(api: ApiKey, version: i16) -> bool {
    api == ApiKey::ApiVersions
        || SERVED
            .iter()
            .any(|served| served.api == api && (served.min..=served.max).contains(&version))
}

/// Whether the handler of an API looks at the client's own name.
pub(crate) const fn needs_client_id(api: ApiKey) -> bool {
    matches!(api, ApiKey::JoinGroup)
}

/// Hands a request to its handler; [`is_served`] holds.
pub(crate) fn handle(shard: &mut Shard, context: RequestContext, frame: BytesMut, body_at: usize) -> Outcome {
    if context.api == ApiKey::Produce {
        return produce::handle(shard, context, frame, body_at);
    }
    let body = &frame[body_at..];
    match context.api {
        ApiKey::ApiVersions => api_versions::handle(&context, body),
        ApiKey::Fetch => fetch::handle(shard, context, body),
        ApiKey::OffsetCommit => offset_commit::handle(shard, context, body),
        ApiKey::OffsetFetch => offset_fetch::handle(shard, context, body),
        ApiKey::OffsetDelete => offset_delete::handle(shard, context, body),
        ApiKey::FindCoordinator => find_coordinator::handle(shard, context, body),
        ApiKey::JoinGroup => join_group::handle(shard, context, body),
        ApiKey::SyncGroup => sync_group::handle(shard, context, body),
        ApiKey::Heartbeat => heartbeat::handle(shard, context, body),
        ApiKey::LeaveGroup => leave_group::handle(shard, context, body),
        ApiKey::DescribeGroups => describe_groups::handle(shard, context, body),
        ApiKey::ListGroups => list_groups::handle(shard, context, body),
        ApiKey::DeleteGroups => delete_groups::handle(shard, context, body),
        ApiKey::ListOffsets => list_offsets::handle(shard, context, body),
        ApiKey::Metadata => metadata::handle(shard, context, body),
        ApiKey::CreateTopics => create_topics::handle(shard, context, body),
        ApiKey::DeleteTopics => delete_topics::handle(shard, context, body),
        ApiKey::DeleteRecords => delete_records::handle(shard, context, body),
        ApiKey::InitProducerId => init_producer_id::handle(shard, context, body),
        ApiKey::OffsetForLeaderEpoch => offset_for_leader_epoch::handle(shard, context, body),
        ApiKey::DescribeConfigs => describe_configs::handle(shard, &context, body),
        ApiKey::AlterConfigs => alter_configs::handle(shard, context, body),
        ApiKey::DescribeLogDirs => describe_log_dirs::handle(shard, context, body),
        ApiKey::CreatePartitions => create_partitions::handle(shard, context, body),
        ApiKey::IncrementalAlterConfigs => incremental_alter_configs::handle(shard, context, body),
        ApiKey::DescribeCluster => describe_cluster::handle(shard, &context, body),
        ApiKey::DescribeProducers => describe_producers::handle(shard, context, body),
        ApiKey::DescribeTopicPartitions => describe_topic_partitions::handle(shard, &context, body),
        ApiKey::ListConfigResources => list_config_resources::handle(shard, &context, body),
        ApiKey::ElectLeaders => elect_leaders::handle(shard, context, body),
        ApiKey::AlterReplicaLogDirs => alter_replica_log_dirs::handle(shard, context, body),
        ApiKey::AlterPartitionReassignments => alter_partition_reassignments::handle(shard, &context, body),
        ApiKey::ListPartitionReassignments => list_partition_reassignments::handle(shard, &context, body),
        ApiKey::DescribeQuorum => describe_quorum::handle(shard, context, body),
        api => Outcome::Close(format!("{} is advertised and has no handler", api.name())),
    }
}

/// Decodes a request's body, or ends the request: Kafka closes the connection of a malformed one.
macro_rules! decode_or_close {
    ($request:ty, $context:expr, $body:expr) => {
        match <$request>::decode(&mut hallows_protocol::Reader::new($body), $context.version) {
            Ok(request) => request,
            Err(error) => {
                let api = $context.api.name();
                return crate::context::Outcome::Close(format!("malformed {api} request: {error}"));
            }
        }
    };
}
pub(crate) use decode_or_close;
pub(crate) use produce::{REPLICAS, Validating};

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");

    /// Every line that docs/protocol.md should have begins like this.
    fn row(served: &Served) -> String {
        let Served { api, min, max } = *served;
        let versions = if min == max {
            min.to_string()
        } else {
            format!("{min} to {max}")
        };
        format!("| {} | {} | {versions} |", api.number(), api.name())
    }

    #[test]
    fn the_document_has_exactly_what_is_served() {
        let (_, table) = DOCUMENT.split_once("## Served").expect("the document has the section");
        let (table, _) = table.split_once("\n## ").expect("another section follows");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        assert_eq!(rows.len(), SERVED.len());
        for (served, found) in SERVED.iter().zip(rows) {
            let expected = row(served);
            assert!(found.starts_with(&expected), "{found} does not begin with {expected}");
        }
    }

    #[test]
    fn what_is_served_stands_once_and_in_order() {
        assert!(SERVED.is_sorted_by(|one, next| one.api.number() < next.api.number()));
        for served in SERVED {
            let known = served.api.versions();
            assert!(served.min <= served.max && served.max <= known.max_stable, "{served:?}");
        }
    }
}
