//! From a response to the bytes of an answer.

use hallows_net::Answer;
use hallows_protocol::{Response, Writer, frame};
use hallows_runtime::Slice;
use smallvec::smallvec;

use crate::context::{Outcome, RequestContext};

/// Encodes a response at the version of its request.
///
/// A value that the version cannot carry is our own bug; it costs the connection, not the broker.
pub(crate) fn answer<R: Response>(context: &RequestContext, body: &R) -> Outcome {
    answer_at(context, body, context.version)
}

/// Encodes a response at another version than the request's.
pub(crate) fn answer_at<R: Response>(context: &RequestContext, body: &R, version: i16) -> Outcome {
    let mut writer = Writer::new();
    match frame::encode_response(&mut writer, version, context.correlation_id, body) {
        Ok(()) => Outcome::Answer(memory(writer)),
        Err(error) => Outcome::Close(format!("cannot encode the answer to {}: {error}", context.api.name())),
    }
}

/// An answer that is all in memory.
pub(crate) fn memory(writer: Writer) -> Answer {
    smallvec![Slice::Memory(writer.into_bytes())]
}
