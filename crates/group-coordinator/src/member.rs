//! One member of a group.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::event::Join;
use crate::row::MemberRow;

/// The rebalance timeout of rows that older versions wrote, which had none: the session timeout counts.
const NO_REBALANCE_TIMEOUT_MS: i32 = -1;

/// What a member says of itself whenever it joins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Profile {
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Supported protocols, best first.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// A member. What it waits for is in its [`crate::roster::Roster`].
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) profile: Profile,
    /// What the leader gave it, once that is in the log.
    pub(crate) assignment: Bytes,
    /// Whether it has not been through a rebalance yet; such a member expires even while it waits.
    pub(crate) is_new: bool,
}

impl Profile {
    pub(crate) fn of(join: &Join) -> Self {
        Self {
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols.clone(),
        }
    }
}

impl Member {
    pub(crate) fn new(join: &Join) -> Self {
        Self {
            instance_id: join.instance_id.clone(),
            profile: Profile::of(join),
            assignment: Bytes::new(),
            is_new: true,
        }
    }

    pub(crate) fn from_row(row: MemberRow, protocol: Option<&str>) -> Self {
        let rebalance_timeout_ms = match row.rebalance_timeout_ms {
            NO_REBALANCE_TIMEOUT_MS => row.session_timeout_ms,
            timeout => timeout,
        };
        Self {
            instance_id: row.instance_id,
            profile: Profile {
                client_id: row.client_id,
                client_host: row.client_host,
                rebalance_timeout_ms,
                session_timeout_ms: row.session_timeout_ms,
                protocols: alloc::vec![(protocol.unwrap_or_default().into(), row.subscription)],
            },
            assignment: row.assignment,
            is_new: false,
        }
    }

    pub(crate) fn row(&self, member_id: &str, protocol: &str, assignment: Bytes) -> MemberRow {
        MemberRow {
            member_id: member_id.into(),
            instance_id: self.instance_id.clone(),
            client_id: self.profile.client_id.clone(),
            client_host: self.profile.client_host.clone(),
            rebalance_timeout_ms: self.profile.rebalance_timeout_ms,
            session_timeout_ms: self.profile.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// Its metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.profile.protocols.iter().find(|(name, _)| name == protocol);
        known.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    pub(crate) fn session_timeout(&self) -> Duration {
        millis(self.profile.session_timeout_ms)
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        millis(self.profile.rebalance_timeout_ms)
    }
}

/// A duration in milliseconds; negative ones count as none.
pub(crate) fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
