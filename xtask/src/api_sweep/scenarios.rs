//! What is asked: one scenario per subject, each run at every version of the API it is about.
//!
//! A scenario only sees the broker through its [`Side`]; it makes topics and groups of its own, and keeps nothing
//! between versions.

mod admin;
mod configs;
mod every_api;
mod fetch;
mod group_offsets;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod producer;
mod replicas;
mod sessions;
mod timeouts;
mod topics;
mod two_faults;

use anyhow::Result;

use super::schema::Schema;
use super::side::Side;

/// One subject.
pub(crate) struct Scenario {
    /// What it is called; also the file of its golden data.
    pub(crate) name: &'static str,
    /// The APIs it is about, which decide the versions it runs at.
    pub(crate) apis: &'static [&'static str],
    /// What it asks, at one version.
    pub(crate) run: fn(&mut Side<'_>, i16) -> Result<()>,
    /// The only version at which it is run, for what does not depend on versions.
    pub(crate) only_version: Option<i16>,
}

impl Scenario {
    /// The APIs and versions it is run at.
    pub(crate) fn versions(&self, schema: &Schema) -> Vec<(&'static str, i16)> {
        let of_api = |api: &&'static str| {
            let name = *api;
            let all = match self.only_version {
                Some(version) => version..=version,
                None => schema.api(name).versions(),
            };
            all.map(move |version| (name, version))
        };
        self.apis.iter().flat_map(of_api).collect()
    }
}

type Run = fn(&mut Side<'_>, i16) -> Result<()>;

const fn each(name: &'static str, apis: &'static [&'static str], run: Run) -> Scenario {
    Scenario {
        name,
        apis,
        run,
        only_version: None,
    }
}

const fn once(name: &'static str, apis: &'static [&'static str], version: i16, run: Run) -> Scenario {
    Scenario {
        name,
        apis,
        run,
        only_version: Some(version),
    }
}

/// Every scenario, in the order they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    each("metadata", &["Metadata"], metadata::by_name),
    each("metadata-all", &["Metadata"], metadata::all),
    each("metadata-ids", &["Metadata"], metadata::by_id),
    each("metadata-creates", &["Metadata"], metadata::creates),
    each("create-topics", &["CreateTopics"], topics::create),
    each("create-topics-refused", &["CreateTopics"], topics::create_refused),
    each("create-topics-configs", &["CreateTopics"], topics::create_configs),
    each("delete-topics", &["DeleteTopics"], topics::delete),
    each("create-partitions", &["CreatePartitions"], topics::create_partitions),
    each(
        "describe-topic-partitions",
        &["DescribeTopicPartitions"],
        topics::describe_partitions,
    ),
    each("produce", &["Produce"], produce::plain),
    each("produce-codecs", &["Produce"], produce::codecs),
    each("produce-refused", &["Produce"], produce::refused),
    each("produce-times", &["Produce"], produce::times),
    each("produce-acks", &["Produce"], produce::acks),
    each("produce-idempotent", &["Produce"], producer::idempotent),
    once("produce-sequences", &["Produce"], 9, producer::sequences),
    each("init-producer-id", &["InitProducerId"], producer::init),
    each("describe-producers", &["DescribeProducers"], producer::describe),
    each("fetch", &["Fetch"], fetch::plain),
    each("fetch-refused", &["Fetch"], fetch::refused),
    each("fetch-limits", &["Fetch"], fetch::limits),
    each("fetch-epochs", &["Fetch"], fetch::epochs),
    once("fetch-waits", &["Fetch"], 12, fetch::waits),
    each("fetch-sessions", &["Fetch"], sessions::life),
    each("fetch-sessions-refused", &["Fetch"], sessions::refused),
    each("fetch-sessions-recreated", &["Fetch"], sessions::recreated),
    each("list-offsets", &["ListOffsets"], offsets::list),
    each("list-offsets-refused", &["ListOffsets"], offsets::list_refused),
    each(
        "offset-for-leader-epoch",
        &["OffsetForLeaderEpoch"],
        offsets::for_leader_epoch,
    ),
    each("delete-records", &["DeleteRecords"], offsets::delete_records),
    each("describe-configs", &["DescribeConfigs"], configs::describe),
    each(
        "describe-configs-refused",
        &["DescribeConfigs"],
        configs::describe_refused,
    ),
    each("alter-configs", &["AlterConfigs"], configs::alter),
    each(
        "incremental-alter-configs",
        &["IncrementalAlterConfigs"],
        configs::incremental,
    ),
    each(
        "list-config-resources",
        &["ListConfigResources"],
        configs::list_resources,
    ),
    each("elect-leaders", &["ElectLeaders"], replicas::elect),
    each(
        "alter-replica-log-dirs",
        &["AlterReplicaLogDirs"],
        replicas::alter_log_dirs,
    ),
    each(
        "alter-partition-reassignments",
        &["AlterPartitionReassignments"],
        replicas::alter_reassignments,
    ),
    each(
        "list-partition-reassignments",
        &["ListPartitionReassignments"],
        replicas::list_reassignments,
    ),
    each("describe-quorum", &["DescribeQuorum"], replicas::describe_quorum),
    each("describe-cluster", &["DescribeCluster"], admin::describe_cluster),
    each("describe-log-dirs", &["DescribeLogDirs"], admin::describe_log_dirs),
    each("api-versions", &["ApiVersions"], admin::api_versions),
    once("unknown-apis", &["ApiVersions"], 0, admin::unknown),
    each("find-coordinator", &["FindCoordinator"], groups::find),
    each("group-rebalance", &["JoinGroup"], groups::rebalance),
    each("group-join-refused", &["JoinGroup"], groups::join_refused),
    each("group-static", &["JoinGroup"], groups::static_members),
    each("group-sync", &["SyncGroup"], groups::sync),
    each("group-heartbeat", &["Heartbeat"], groups::heartbeat),
    each("group-leave", &["LeaveGroup"], groups::leaving),
    each("offset-commit", &["OffsetCommit"], group_offsets::commit),
    each("offset-fetch", &["OffsetFetch"], group_offsets::fetch),
    each("offset-delete", &["OffsetDelete"], group_offsets::delete_offsets),
    each("describe-groups", &["DescribeGroups"], group_offsets::describe),
    each("list-groups", &["ListGroups"], group_offsets::list),
    each("delete-groups", &["DeleteGroups"], group_offsets::delete),
    each("timeouts", timeouts::APIS, timeouts::run),
    each("two-faults", two_faults::APIS, two_faults::run),
    each("empty-requests", every_api::APIS, every_api::empty),
    each("torn-requests", every_api::APIS, every_api::torn),
];
