//! One client's connection: requests out, answers in, matched in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::{ApiKey, Reader, Request, ResponseHeader, Writer, frame};
use hallows_runtime::ConnectionId;

use super::Stage;
use crate::random::Choose;
use crate::violation::Violation;

const NAME: &str = "answers leave in the order of their requests";

/// A request that was sent and not yet answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    correlation: i32,
    pub(super) api: ApiKey,
    pub(super) version: i16,
    /// Whatever the client wants to remember of it.
    pub(super) tag: u64,
    /// When it was sent, in nanoseconds.
    pub(super) at: u64,
}

/// A connection that opens itself when something is sent.
#[derive(Debug)]
pub(super) struct Link {
    /// The client's place among the clients.
    owner: usize,
    connection: Option<ConnectionId>,
    received: BytesMut,
    asked: VecDeque<Asked>,
    next_correlation: i32,
}

impl Link {
    pub(super) fn new(owner: usize) -> Self {
        Self {
            owner,
            connection: None,
            received: BytesMut::new(),
            asked: VecDeque::new(),
            next_correlation: 0,
        }
    }

    /// How many requests wait for their answers.
    pub(super) fn waiting(&self) -> usize {
        self.asked.len()
    }

    /// Sends a request that will be answered.
    pub(super) fn send<R: Request>(&mut self, stage: &mut Stage<'_>, version: i16, tag: u64, request: &R) {
        let correlation = self.next_correlation;
        let asked = Asked {
            correlation,
            api: R::KEY,
            version,
            tag,
            at: stage.book.now,
        };
        self.asked.push_back(asked);
        self.send_silently(stage, version, request);
    }

    /// Sends a request that has no answer.
    ///
    /// # Panics
    /// When the request does not fit its version: the harness's own mistake.
    pub(super) fn send_silently<R: Request>(&mut self, stage: &mut Stage<'_>, version: i16, request: &R) {
        let connection = *self.connection.get_or_insert_with(|| stage.connect(self.owner));
        let correlation = self.next_correlation;
        self.next_correlation = correlation.wrapping_add(1);
        let mut writer = Writer::new();
        frame::encode_request(&mut writer, version, correlation, Some("sim"), request)
            .unwrap_or_else(|error| panic!("{} version {version}: {error}", R::KEY.name()));
        stage.world.transmit_to_server(connection, writer.as_slice());
        *stage.operations += 1;
    }

    /// Takes bytes of the server and gives the answers that are whole.
    ///
    /// # Errors
    /// Bytes that are no answers, or not in order.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<(Asked, AnyResponse)>, Violation> {
        self.received.extend_from_slice(bytes);
        let mut answers = Vec::new();
        while let Some(length) = self.received.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) {
            let whole = frame::LENGTH_BYTES + usize::try_from(length).expect("a usize has 32 bits at least");
            if self.received.len() < whole {
                break;
            }
            let frame = self.received.split_to(whole).freeze().slice(frame::LENGTH_BYTES..);
            answers.push(self.decode(&frame)?);
        }
        Ok(answers)
    }

    fn decode(&mut self, frame: &Bytes) -> Result<(Asked, AnyResponse), Violation> {
        let Some(asked) = self.asked.pop_front() else {
            return Err(Violation::new(NAME, "an answer came and nothing had been asked"));
        };
        let mut reader = Reader::shared(frame);
        let header_version = asked.api.response_header_version(asked.version);
        let decoded = ResponseHeader::decode(&mut reader, header_version).and_then(|header| {
            let answer = AnyResponse::decode(asked.api, &mut reader, asked.version)?;
            Ok((header.correlation_id, answer))
        });
        let (api, version) = (asked.api.name(), asked.version);
        match decoded {
            Ok((correlation, answer)) if correlation == asked.correlation => Ok((asked, answer)),
            Ok((correlation, _)) => {
                let expected = asked.correlation;
                let detail = format!("{api} version {version}: answer {correlation} came where {expected} was due");
                Err(Violation::new(NAME, detail))
            }
            Err(error) => {
                let detail = format!("{api} version {version}: {error}");
                Err(Violation::new("answers can be decoded", detail))
            }
        }
    }

    /// Whether the oldest request waits for longer than that.
    pub(super) fn is_overdue(&self, now: u64, patience: u64) -> bool {
        self.asked
            .front()
            .is_some_and(|asked| now.saturating_sub(asked.at) > patience)
    }

    /// The client gives the connection up and will open another one; the server may not notice for a while.
    /// Gives what will not be answered.
    pub(super) fn abandon(&mut self, stage: &mut Stage<'_>) -> Vec<Asked> {
        if let Some(id) = self.connection {
            stage.routes.remove(&id);
            if stage.random.one_in(2) {
                stage.world.cut(id);
            } else {
                stage.world.leave_behind();
            }
        }
        self.ended()
    }

    /// The connection is gone. Gives what will not be answered.
    pub(super) fn ended(&mut self) -> Vec<Asked> {
        self.connection = None;
        self.received.clear();
        self.asked.drain(..).collect()
    }
}
