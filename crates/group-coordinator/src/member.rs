//! One member of a group.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::event::{Join, RequestId};
use crate::row::MemberRow;

/// A member.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// Supported protocols, best first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// A join that waits for the others. A member waits for at most one of join and sync.
    pub(crate) joining: Option<RequestId>,
    /// A sync that waits for the leader.
    pub(crate) syncing: Option<RequestId>,
    /// Whether it has not been through a rebalance yet; such a member expires even while it waits.
    pub(crate) is_new: bool,
}

impl Member {
    pub(crate) fn new(join: &Join) -> Self {
        Self {
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: false,
        }
    }

    pub(crate) fn from_row(row: MemberRow, protocol: Option<&str>) -> Self {
        let protocol = protocol.unwrap_or_default();
        Self {
            instance_id: row.instance_id,
            client_id: row.client_id,
            client_host: row.client_host,
            rebalance_timeout_ms: row.rebalance_timeout_ms,
            session_timeout_ms: row.session_timeout_ms,
            protocols: alloc::vec![(protocol.into(), row.subscription)],
            assignment: row.assignment,
            joining: None,
            syncing: None,
            is_new: false,
        }
    }

    /// Takes over what a member says when it joins again.
    pub(crate) fn update(&mut self, join: &Join) {
        self.client_id.clone_from(&join.client_id);
        self.client_host.clone_from(&join.client_host);
        self.rebalance_timeout_ms = join.rebalance_timeout_ms;
        self.session_timeout_ms = join.session_timeout_ms;
        self.protocols.clone_from(&join.protocols);
    }

    /// Its metadata for a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|(name, _)| name == protocol);
        known.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    pub(crate) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(crate) fn session_timeout(&self) -> Duration {
        millis(self.session_timeout_ms)
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        millis(self.rebalance_timeout_ms)
    }
}

/// A duration in milliseconds; negative ones count as none.
pub(crate) fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
