//! What a client sent on one connection, and whether the answers are those that the protocol promises.

use std::collections::VecDeque;

use bytes::BytesMut;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::produce::peek_acks;
use hallows_protocol::{ApiKey, Reader, RequestHeader, ResponseHeader};

/// A request that must be answered, or have its connection closed.
#[derive(Clone, Copy, Debug)]
struct Asked {
    key: ApiKey,
    version: i16,
    correlation_id: i32,
}

/// One connection from the client's side.
pub(super) struct Client {
    /// The shard it was handed to.
    pub(super) seat: usize,
    /// What the shard gave back to be continued.
    pub(super) kept: BytesMut,
    pub(super) paused: bool,
    /// The shard was told of bytes and has not had its turn.
    pub(super) told: bool,
    waiting: BytesMut,
    open: bool,
    /// Bytes sent that are no whole frame yet.
    unframed: BytesMut,
    /// Set once what was sent is no stream of requests any more: the broker will close.
    garbage: bool,
    frame_bytes_max: usize,
    asked: VecDeque<Asked>,
    received: BytesMut,
    /// The last answer, for those who look at it.
    pub(super) last_answer: Option<AnyResponse>,
}

impl Client {
    pub(super) fn new(seat: usize, frame_bytes_max: usize) -> Self {
        Self {
            seat,
            kept: BytesMut::new(),
            paused: false,
            told: false,
            waiting: BytesMut::new(),
            open: true,
            unframed: BytesMut::new(),
            garbage: false,
            frame_bytes_max,
            asked: VecDeque::new(),
            received: BytesMut::new(),
            last_answer: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether every request was answered, or the connection is gone.
    pub(super) fn is_served(&self) -> bool {
        !self.open || self.asked.is_empty()
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    /// Bytes that the shard may be told of now.
    pub(super) fn arrived(&mut self) -> Option<BytesMut> {
        if !self.open || self.paused || self.told || self.waiting.is_empty() {
            return None;
        }
        self.told = true;
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.extend_from_slice(&std::mem::take(&mut self.waiting));
        Some(bytes)
    }

    /// The connection goes to another shard, with what was received and not worked off.
    pub(super) fn moves(&mut self, seat: usize, received: BytesMut) {
        let mut bytes = received;
        bytes.extend_from_slice(&std::mem::take(&mut self.kept));
        bytes.extend_from_slice(&self.waiting);
        self.waiting = bytes;
        (self.seat, self.paused, self.told) = (seat, false, false);
    }

    /// Notes bytes sent, and which requests they complete.
    pub(super) fn sends(&mut self, bytes: &[u8]) {
        if !self.open {
            return;
        }
        self.waiting.extend_from_slice(bytes);
        self.unframed.extend_from_slice(bytes);
        while !self.garbage
            && let Some(prefix) = self.unframed.first_chunk::<4>()
        {
            let length = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
            if length > self.frame_bytes_max {
                self.garbage = true;
            } else if self.unframed.len() < 4 + length {
                break;
            } else {
                let frame = self.unframed.split_to(4 + length);
                self.asks(&frame[4..]);
            }
        }
    }

    fn asks(&mut self, frame: &[u8]) {
        let header = RequestHeader::decode(frame).ok().map(|(header, _)| header);
        let Some((header, key)) = header.and_then(|header| Some((header, header.key()?))) else {
            self.garbage = true;
            return;
        };
        if peek_acks(frame) == Some(0) {
            return;
        }
        self.asked.push_back(Asked {
            key,
            version: header.api_version,
            correlation_id: header.correlation_id,
        });
    }

    /// Checks what the broker sent.
    pub(super) fn receives(&mut self, bytes: &[u8]) {
        assert!(self.open, "nothing is sent on a connection that was closed");
        self.received.extend_from_slice(bytes);
        while let Some(prefix) = self.received.first_chunk::<4>() {
            let length = usize::try_from(i32::from_be_bytes(*prefix)).expect("no length is negative");
            if self.received.len() < 4 + length {
                return;
            }
            let frame = self.received.split_to(4 + length);
            self.is_answered(&frame[4..]);
        }
    }

    fn is_answered(&mut self, frame: &[u8]) {
        let asked = self.asked.pop_front().expect("every answer is to a request");
        // An ApiVersions request of an unknown version is answered at version 0.
        let is_known = asked.key.versions().contains(asked.version);
        let version = if is_known { asked.version } else { 0 };
        assert!(
            is_known || asked.key == ApiKey::ApiVersions,
            "{asked:?} is answered although it is not known"
        );
        let mut reader = Reader::new(frame);
        let header = ResponseHeader::decode(&mut reader, asked.key.response_header_version(version));
        let header = header.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        assert_eq!(header.correlation_id, asked.correlation_id, "answers come in order");
        let answer = AnyResponse::decode(asked.key, &mut reader, version);
        let answer = answer.unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        assert_eq!(reader.remaining(), 0, "{asked:?}: bytes behind the answer");
        self.last_answer = Some(answer);
    }
}
