//! What a coordinator keeps in its log.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use hallows_types::{LeaderEpoch, Offset, WallTime};

/// One record of `__consumer_offsets`: a key, and its value or a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// An offset of a group.
    Offset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The commit; `None` deletes it.
        value: Option<CommittedOffset>,
    },
    /// A group's generation and members.
    Group {
        /// The group.
        group: String,
        /// Its state; `None` deletes it.
        value: Option<GroupRow>,
    },
}

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: Offset,
    /// The epoch of the last read record; -1 if unknown (KIP-320).
    pub leader_epoch: LeaderEpoch,
    /// The client's own note.
    pub metadata: String,
    /// When it was committed.
    pub committed_at: WallTime,
    /// When it expires, where an old client said so.
    pub expires_at: Option<WallTime>,
}

/// A group as its log tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRow {
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The chosen protocol; `None` without members.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// Since when the group has been in this state.
    pub state_since: WallTime,
    /// The members.
    pub members: Vec<MemberRow>,
}

/// A member as its group's log tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberRow {
    /// Its id.
    pub member_id: String,
    /// Its static id (KIP-345).
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where its client is.
    pub client_host: String,
    /// In milliseconds.
    pub rebalance_timeout_ms: i32,
    /// In milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}
