//! From a frame to its handler.
//!
//! The table of what is served: an API and version that is not in [`SERVED`] closes the connection,
//! except ApiVersions, which is answered at any version.

use std::sync::Arc;

use bytes::BytesMut;
use hallows_net::{Pace, Slot};
use hallows_protocol::produce::peek_acks;
use hallows_protocol::{ApiKey, RequestHeader};
use hallows_runtime::ConnectionId;

use crate::context::{Outcome, RequestContext};
use crate::handlers;
use crate::shard::Shard;

/// Where the API key stands in a frame that still has its length.
const KEY_AT: usize = hallows_net::FRAME_HEADER_BYTES;

/// Whether the first request of `held` may start behind unanswered ones.
pub(crate) fn pace(held: &[u8]) -> Pace {
    match held.get(KEY_AT..KEY_AT + 2) {
        Some([high, low]) if i16::from_be_bytes([*high, *low]) == ApiKey::Produce.number() => Pace::Pipelined,
        _ => Pace::Alone,
    }
}

/// Whether a frame gets an answer: everything but Produce with acks=0 does.
pub(crate) fn expects_answer(frame: &[u8]) -> bool {
    peek_acks(frame) != Some(0)
}

impl Shard {
    /// Decodes the header of a request and hands the request to its handler.
    pub(crate) fn route(&mut self, connection: ConnectionId, slot: Option<Slot>, frame: BytesMut) -> Outcome {
        let Some(state) = self.connections.get(&connection) else {
            return Outcome::Silent;
        };
        let (listener, client_host) = (state.listener, Arc::clone(&state.host));
        let (header, body_at) = match RequestHeader::decode(&frame) {
            Ok((header, reader)) => (header, frame.len() - reader.remaining()),
            Err(error) => return Outcome::Close(format!("malformed request header: {error}")),
        };
        let Some(api) = header.key() else {
            return Outcome::Close(format!("unknown API key {}", header.api_key));
        };
        let context = RequestContext {
            connection,
            slot,
            api,
            version: header.api_version,
            correlation_id: header.correlation_id,
            listener,
            client_id: handlers::needs_client_id(api)
                .then(|| header.client_id.map(Arc::from))
                .flatten(),
            client_host,
        };
        if !handlers::is_served(api, header.api_version) {
            let reason = format!("{} version {} is not served", api.name(), header.api_version);
            return Outcome::Close(reason);
        }
        // What waits for long must not keep out what is soon answered, so that has as much room again.
        let waits_long = matches!(api, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup);
        let waiting_max = self
            .limits
            .delayed_requests_max
            .saturating_mul(if waits_long { 1 } else { 2 });
        if self.waiting_count() >= waiting_max {
            return Outcome::Close("delayed.requests.max requests are waiting already; raise it".to_owned());
        }
        handlers::handle(self, context, frame, body_at)
    }
}
