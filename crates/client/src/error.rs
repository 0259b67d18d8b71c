//! What can go wrong between a client and a cluster.

use std::io;
use std::time::Duration;

use hallows_protocol::{DecodeError, EncodeError, ErrorCode};
use hallows_record::{BatchError, BuildError, RecordError};

/// What calls return.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A broker could not be reached.
    #[error("cannot reach a broker at {address}: {source}. Is it running there, and does it listen on that address?")]
    Connect {
        /// What was tried.
        address: String,
        /// What the last attempt said.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {address} broke: {source}")]
    Connection {
        /// The broker.
        address: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// No answer came in time.
    #[error("no answer from {address} within {} s", waited.as_secs_f32())]
    TimedOut {
        /// The broker.
        address: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The broker does not know the API, or none of the versions this client knows.
    #[error("{address} does not offer {api} in a version this client speaks")]
    Unsupported {
        /// The broker.
        address: String,
        /// The API.
        api: &'static str,
    },
    /// The request cannot be written.
    #[error("the request cannot be written: {0}")]
    Encode(#[from] EncodeError),
    /// The answer cannot be read.
    #[error("the answer of {address} cannot be read: {source}")]
    Decode {
        /// The broker.
        address: String,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The answer is not one to the request.
    #[error("{address} answered request {answered} where {expected} was next")]
    OutOfOrder {
        /// The broker.
        address: String,
        /// The request that was next.
        expected: i32,
        /// The one that was answered.
        answered: i32,
    },
    /// The broker said no.
    #[error("{api}, {subject}: {code}{}", message.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Broker {
        /// The API.
        api: &'static str,
        /// What it was asked about.
        subject: String,
        /// The error code.
        code: ErrorCode,
        /// The broker's words, if any.
        message: Option<String>,
    },
    /// The answer says nothing about what was asked.
    #[error("the answer to {api} says nothing about {subject}")]
    Missing {
        /// The API.
        api: &'static str,
        /// What it was asked about.
        subject: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}: it has {count} of them, counted from 0")]
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// What was asked for.
        partition: i32,
        /// How many it has.
        count: usize,
    },
    /// Nobody has the role that is needed.
    #[error("nobody is {role} of {subject}")]
    NobodyIs {
        /// The role.
        role: &'static str,
        /// Of what.
        subject: String,
    },
    /// A batch cannot be put together.
    #[error("a record for partition {partition} of {topic} cannot be sent: {source}")]
    Build {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// A fetched batch is damaged.
    #[error("a batch of partition {partition} of {topic} near offset {offset} is damaged: {source}")]
    Batch {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// What another member of a group sent cannot be read.
    #[error("cannot read what the members of group {group} sent: {source}")]
    GroupPayload {
        /// The group.
        group: String,
        /// What is wrong.
        #[source]
        source: DecodeError,
    },
    /// A batch cannot be taken apart.
    #[error("a batch of partition {partition} of {topic} cannot be read: {source}")]
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why.
        #[source]
        source: RecordError,
    },
}

impl ClientError {
    /// The broker's error code, if it was the broker that said no.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether asking again, perhaps of another broker, may help.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Broker { code, .. } => code.is_retriable(),
            Self::Connect { .. } | Self::Connection { .. } | Self::TimedOut { .. } | Self::NobodyIs { .. } => true,
            _ => false,
        }
    }

    /// Whether the connection it happened on cannot be used any more.
    #[must_use]
    pub const fn breaks_connection(&self) -> bool {
        matches!(
            self,
            Self::Connection { .. } | Self::TimedOut { .. } | Self::Decode { .. } | Self::OutOfOrder { .. }
        )
    }
}

/// An error, unless `code` is none.
pub(crate) fn check(
    api: &'static str,
    code: ErrorCode,
    message: Option<&str>,
    subject: impl FnOnce() -> String,
) -> Result<()> {
    if !code.is_error() {
        return Ok(());
    }
    Err(ClientError::Broker {
        api,
        subject: subject(),
        code,
        message: message.map(str::to_owned),
    })
}
