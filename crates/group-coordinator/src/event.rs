//! What can happen to a coordinator, and what it wants.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::{LeaderEpoch, Offset, WallTime};

use crate::answer::Answer;
use crate::row::Row;

/// Names a request; every request is answered exactly once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// Names rows on their way into the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Why rows did not reach the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The log is elsewhere, or its storage failed: clients look for the coordinator again.
    NotCoordinator,
    /// Not now: the disk is full, or time ran out. Clients try again here.
    NotAvailable,
    /// The rows are more than one batch of the log may hold: trying again does not help.
    TooLarge,
}

/// Everything that can happen to a coordinator.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks.
    Request {
        /// Its name.
        id: RequestId,
        /// What it asks.
        request: Request,
    },
    /// Rows of an [`Effect::Append`] are in the log. These come in the order of the appends.
    Committed(Ticket),
    /// Rows of an [`Effect::Append`] will never be in the log.
    NotCommitted(Ticket, Failure),
    /// Time went on.
    Tick,
    /// A topic is gone; so are its committed offsets.
    TopicDeleted(String),
    /// A row of the log, in order, before [`Event::LoadFinished`].
    Loaded(Row),
    /// The log is read; requests are served from here on.
    LoadFinished,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Request {
    /// JoinGroup.
    Join(Join),
    /// SyncGroup.
    Sync(Sync),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(Leave),
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch for one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// DescribeGroups for one group.
    Describe {
        /// The group.
        group: String,
    },
    /// ListGroups: every group here.
    List,
    /// DeleteGroups for one group.
    Delete {
        /// The group.
        group: String,
    },
}

/// JoinGroup.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The group.
    pub group: String,
    /// Empty for a new member.
    pub member_id: String,
    /// The static id (KIP-345).
    pub instance_id: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where the client is.
    pub client_host: String,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// In milliseconds.
    pub rebalance_timeout_ms: i32,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// Supported protocols, best first, with the member's metadata for each.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a new member must come again with the id it is given (version 4, KIP-394).
    pub member_id_required: bool,
    /// Whether the leader can be told to skip the assignment (version 9, KIP-814).
    pub skip_assignment: bool,
    /// A UUID's text, which makes a new member's id unique.
    pub unique: String,
}

/// SyncGroup.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    /// The group.
    pub group: String,
    /// The generation.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// The static id.
    pub instance_id: Option<String>,
    /// Checked if given (version 5).
    pub protocol_type: Option<String>,
    /// Checked if given (version 5).
    pub protocol: Option<String>,
    /// The leader's assignments by member id.
    pub assignments: Vec<(String, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// The group.
    pub group: String,
    /// The generation.
    pub generation: i32,
    /// The member.
    pub member_id: String,
    /// The static id.
    pub instance_id: Option<String>,
}

/// LeaveGroup.
#[derive(Clone, Debug, Default)]
pub struct Leave {
    /// The group.
    pub group: String,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// A member that leaves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeavingMember {
    /// Empty to name a static member by its instance id alone.
    pub member_id: String,
    /// The static id.
    pub instance_id: Option<String>,
}

/// OffsetCommit.
#[derive(Clone, Debug, Default)]
pub struct CommitOffsets {
    /// The group.
    pub group: String,
    /// -1 outside any generation.
    pub generation: i32,
    /// Empty outside any generation.
    pub member_id: String,
    /// The static id.
    pub instance_id: Option<String>,
    /// Whether an unknown group with a generation is GROUP_ID_NOT_FOUND (version 9) instead of ILLEGAL_GENERATION.
    pub group_id_not_found: bool,
    /// What to commit.
    pub partitions: Vec<CommitPartition>,
}

/// One offset to commit.
#[derive(Clone, Debug, Default)]
pub struct CommitPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the last read record; -1 if unknown.
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
    /// When it expires, where an old client says so.
    pub expires_at: Option<WallTime>,
}

/// OffsetFetch for one group.
#[derive(Clone, Debug, Default)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// The member that asks, where the version has one (version 9, KIP-848).
    pub member_id: Option<String>,
    /// Its generation; -1 without one. Meaningless in a classic group, as in Kafka.
    pub generation: i32,
    /// Whether offsets that a transaction may still change are UNSTABLE_OFFSET_COMMIT (version 7, KIP-447).
    pub require_stable: bool,
    /// `None` asks for everything the group has.
    pub partitions: Option<Vec<(String, i32)>>,
}

/// OffsetDelete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOffsets {
    /// The group.
    pub group: String,
    /// What to delete.
    pub partitions: Vec<(String, i32)>,
}

/// What a coordinator wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Write these rows, in order, in one batch; say how it ended.
    Append {
        /// For [`Event::Committed`] or [`Event::NotCommitted`].
        ticket: Ticket,
        /// The rows, at least one.
        rows: Vec<Row>,
    },
    /// Answer a request.
    Answer {
        /// Which.
        id: RequestId,
        /// With what.
        answer: Answer,
    },
}
