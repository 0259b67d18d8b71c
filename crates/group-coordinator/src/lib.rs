//! Consumer groups as a pure state machine: events in, rows and answers out.
//!
//! One [`Coordinator`] per partition of `__consumer_offsets`. It reads no clock, knows no wire format and stores
//! nothing itself: what must survive leaves as [`Row`]s, and committed state changes only when it is told that those
//! are committed. The rules are those of Apache Kafka's classic groups.
//!
//! Deliberately absent: transactional offsets, and the consumer group protocol of KIP-848. A group that has never begun a
//! generation nor committed an offset is not in the log; Kafka writes an empty row for it.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answer;
mod appends;
mod coordinator;
mod event;
mod expiry;
mod group;
mod join;
mod leave;
mod load;
mod member;
mod membership;
mod offsets;
mod queries;
mod rebalance;
mod roster;
mod row;
mod settings;
mod static_member;
mod subscription;
mod timers;

#[cfg(test)]
mod tests;

pub use answer::{
    Answer, Committed, DescribedGroup, DescribedMember, GroupError, Joined, JoinedMember, ListedGroup, Synced,
};
pub use coordinator::Coordinator;
pub use event::{
    CommitOffsets, CommitPartition, DeleteOffsets, Effect, Event, Failure, FetchOffsets, Heartbeat, Join, Leave,
    LeavingMember, Request, RequestId, Sync, Ticket,
};
pub use group::GroupState;
pub use row::{CommittedOffset, GroupRow, MemberRow, Row};
pub use settings::Settings;
