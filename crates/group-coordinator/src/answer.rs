//! What a coordinator answers.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::group::GroupState;
use crate::row::CommittedOffset;

/// Why a request, or a part of it, was refused. Each is Kafka's error of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupError {
    /// COORDINATOR_LOAD_IN_PROGRESS.
    LoadInProgress,
    /// COORDINATOR_NOT_AVAILABLE.
    NotAvailable,
    /// NOT_COORDINATOR.
    NotCoordinator,
    /// INVALID_GROUP_ID.
    InvalidGroupId,
    /// INVALID_SESSION_TIMEOUT.
    InvalidSessionTimeout,
    /// UNKNOWN_MEMBER_ID.
    UnknownMemberId,
    /// MEMBER_ID_REQUIRED.
    MemberIdRequired,
    /// FENCED_INSTANCE_ID.
    FencedInstanceId,
    /// ILLEGAL_GENERATION.
    IllegalGeneration,
    /// INCONSISTENT_GROUP_PROTOCOL.
    InconsistentGroupProtocol,
    /// REBALANCE_IN_PROGRESS.
    RebalanceInProgress,
    /// GROUP_MAX_SIZE_REACHED.
    GroupMaxSizeReached,
    /// OFFSET_METADATA_TOO_LARGE.
    OffsetMetadataTooLarge,
    /// GROUP_ID_NOT_FOUND.
    GroupIdNotFound,
    /// NON_EMPTY_GROUP.
    NonEmptyGroup,
    /// GROUP_SUBSCRIBED_TO_TOPIC.
    GroupSubscribedToTopic,
    /// UNSTABLE_OFFSET_COMMIT.
    UnstableOffsetCommit,
    /// INVALID_COMMIT_OFFSET_SIZE. Not answered here any more: Kafka says UNKNOWN_SERVER_ERROR since version 4.
    InvalidCommitOffsetSize,
    /// UNKNOWN_SERVER_ERROR.
    UnknownServerError,
}

/// The answer to a request, one variant per kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// To [`crate::Request::Join`].
    Joined(Joined),
    /// To [`crate::Request::Sync`].
    Synced(Result<Synced, GroupError>),
    /// To [`crate::Request::Heartbeat`].
    Heartbeat(Result<(), GroupError>),
    /// To [`crate::Request::Leave`]: per member, or why none could leave. If the last member left, it is in the log.
    Left(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`crate::Request::CommitOffsets`]: per partition.
    Committed(Vec<Result<(), GroupError>>),
    /// To [`crate::Request::FetchOffsets`].
    Offsets(Result<Vec<Committed>, GroupError>),
    /// To [`crate::Request::DeleteOffsets`]: per partition.
    OffsetsDeleted(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`crate::Request::Describe`]; `None` where there is no such group.
    Described(Result<Option<DescribedGroup>, GroupError>),
    /// To [`crate::Request::List`].
    Listed(Result<Vec<ListedGroup>, GroupError>),
    /// To [`crate::Request::Delete`].
    Deleted(Result<(), GroupError>),
}

/// The answer to a join; with an error only `member_id` counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Joined {
    /// Why the member did not join.
    pub error: Option<GroupError>,
    /// The generation; -1 with an error.
    pub generation: i32,
    /// `consumer` for consumers.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: String,
    /// Whether the leader keeps the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// The member's own id.
    pub member_id: String,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member, as its leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// The answer to a sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    /// `consumer` for consumers.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// What the leader gave this member.
    pub assignment: Bytes,
}

/// One partition of the answer to a fetch of offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The commit, if there is one.
    pub committed: Option<CommittedOffset>,
    /// Whether it may be about to change, and the request wanted to be told: UNSTABLE_OFFSET_COMMIT.
    pub unstable: bool,
}

/// A group as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// Its state.
    pub state: GroupState,
    /// `consumer` for consumers, empty for a group that only commits.
    pub protocol_type: String,
    /// The chosen protocol; empty unless stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: String,
    /// Its static id.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where its client is.
    pub client_host: String,
    /// Its metadata; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it was last given; in a rebalance still that of the last generation.
    pub assignment: Bytes,
}

/// A group as ListGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// The group.
    pub group: String,
    /// `consumer` for consumers, empty for a group that only commits.
    pub protocol_type: String,
    /// Its state.
    pub state: GroupState,
}
