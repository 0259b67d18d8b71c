//! What a request is besides its body, and how handling it can end.

use std::sync::Arc;

use hallows_net::{Answer, Slot};
use hallows_protocol::{ApiKey, ErrorCode};
use hallows_runtime::{ConnectionId, ListenerId};

/// Who sent a request, by which way, and where its answer goes.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    /// The connection it came on.
    pub(crate) connection: ConnectionId,
    /// The place of its answer; `None` for Produce with acks=0, which has none.
    pub(crate) slot: Option<Slot>,
    /// The API.
    pub(crate) api: ApiKey,
    /// The version of the API.
    pub(crate) version: i16,
    /// Given back in the answer.
    pub(crate) correlation_id: i32,
    /// The listener.
    pub(crate) listener: ListenerId,
    /// What the client calls itself; only read by those who need it.
    pub(crate) client_id: Option<Arc<str>>,
    /// The client's address, as groups show it.
    pub(crate) client_host: Arc<str>,
}

/// What a request wants to do, for authorisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Read records, or as a member of a group.
    Read,
    /// Write records.
    Write,
    /// Create a topic.
    Create,
    /// Delete something.
    Delete,
    /// Change something.
    Alter,
    /// Look at something.
    Describe,
    /// Change settings.
    AlterConfigs,
    /// Look at settings.
    DescribeConfigs,
}

/// What a request wants to do it with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Resource<'a> {
    /// A topic by name.
    Topic(&'a str),
    /// A consumer group by id.
    Group(&'a str),
    /// The cluster.
    Cluster,
}

impl RequestContext {
    /// The one place where a request is allowed or refused. Every handler asks here for everything it touches.
    ///
    /// Allows everything: there are no users and no access control lists yet (docs/protocol.md says so).
    ///
    /// # Errors
    /// The authorisation error of the resource's kind.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the seam for access control lists"
    )]
    pub(crate) const fn authorize(&self, _operation: Operation, _resource: Resource<'_>) -> Result<(), ErrorCode> {
        Ok(())
    }
}

/// How handling a request ended.
pub(crate) enum Outcome {
    /// With these bytes.
    Answer(Answer),
    /// Not yet; a row holds the request.
    Later,
    /// Without an answer, as acks=0 asks.
    Silent,
    /// The connection cannot go on: why.
    Close(String),
}
