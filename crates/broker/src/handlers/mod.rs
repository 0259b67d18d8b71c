//! One file per API. [`SERVED`] is what ApiVersions advertises, and nothing else is answered.

use bytes::BytesMut;
use hallows_protocol::ApiKey;

use crate::context::{Outcome, RequestContext};
use crate::shard::Shard;

pub(crate) mod admin;
pub(crate) mod api_versions;
mod create_topics;
mod fetch;
mod list_offsets;
mod metadata;
pub(crate) mod produce;

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
    served(ApiKey::ListOffsets, 0, 11),
    served(ApiKey::Metadata, 0, 13),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
];

/// Whether a request of this API and version has a handler.
pub(crate) fn is_served(api: ApiKey, version: i16) -> bool {
    SERVED.iter().any(|served| served.api == api && (served.min..=served.max).contains(&version))
}

/// Whether the handler of an API looks at the client's own name.
pub(crate) const fn needs_client_id(api: ApiKey) -> bool {
    matches!(api, ApiKey::JoinGroup)
}

/// Hands a request to its handler; [`is_served`] holds.
pub(crate) fn handle(shard: &mut Shard, context: RequestContext, frame: BytesMut, body_at: usize) -> Outcome {
    match context.api {
        ApiKey::Produce => produce::handle(shard, context, frame, body_at),
        ApiKey::Fetch => fetch::handle(shard, context, &frame[body_at..]),
        ApiKey::ListOffsets => list_offsets::handle(shard, context, &frame[body_at..]),
        ApiKey::Metadata => metadata::handle(shard, context, &frame[body_at..]),
        ApiKey::CreateTopics => create_topics::handle(shard, context, &frame[body_at..]),
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
