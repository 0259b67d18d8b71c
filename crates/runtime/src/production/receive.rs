//! Memory to receive into.
//!
//! Received bytes are split off a chunk without a copy, and a chunk is used again once all its parts are dropped:
//! the first touch of fresh memory costs ten times a copy.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The most bytes received in one call.
const RECEIVE_BYTES_MAX: usize = 256 << 10;
/// The size of a chunk in bytes. A part that stays in use keeps its whole chunk, so a chunk is left only when nearly full.
const CHUNK_BYTES: usize = 1 << 20;
/// The least room for new bytes; with less, another chunk is taken.
const ROOM_MIN: usize = 64 << 10;
/// How many chunks whose parts are still in use are remembered for reuse; beyond it the oldest is left to its parts.
const RETIRED_MAX: usize = 16;

/// A frame up to this size is continued in the chunk: copying its start costs less than a receive of its own for its end.
const CONTINUE_BY_COPY_MAX: usize = 128 << 10;
/// A larger frame's own buffer grows at least by this, and by what it already has, but never beyond what is missing.
const KEPT_GROWTH_MIN: usize = 64 << 10;

const _: () = assert!(
    CHUNK_BYTES >= CONTINUE_BY_COPY_MAX + RECEIVE_BYTES_MAX,
    "a receive must fit behind a continued frame"
);

/// The receive memory of one shard.
pub(super) struct ReceiveBuffers {
    chunk: BytesMut,
    retired: VecDeque<BytesMut>,
}

impl ReceiveBuffers {
    pub(super) fn new() -> Self {
        Self {
            chunk: BytesMut::with_capacity(CHUNK_BYTES),
            retired: VecDeque::new(),
        }
    }

    /// An empty buffer with room for `kept` bytes and new ones behind them.
    fn chunk(&mut self, kept: usize) -> &mut BytesMut {
        debug_assert!(self.chunk.is_empty(), "what was received has been split off");
        // Nothing else refers to the chunk: start over at its beginning, whose memory is in the processor's cache.
        if !self.chunk.try_reclaim(CHUNK_BYTES) && self.chunk.capacity() < kept + ROOM_MIN {
            self.replace();
        }
        &mut self.chunk
    }

    fn replace(&mut self) {
        let reusable = self.retired.iter_mut().position(|chunk| chunk.try_reclaim(CHUNK_BYTES));
        let fresh = reusable
            .and_then(|index| self.retired.swap_remove_back(index))
            .unwrap_or_else(|| BytesMut::with_capacity(CHUNK_BYTES));
        if self.retired.len() == RETIRED_MAX {
            self.retired.pop_front();
        }
        self.retired.push_back(std::mem::replace(&mut self.chunk, fresh));
    }
}

/// An incomplete frame that the shard gave back.
pub(super) struct Kept {
    pub(super) bytes: BytesMut,
    /// How many more bytes make it worth a turn; at least 1.
    pub(super) missing: usize,
    /// Its rest did not come at once: what follows is received straight behind it.
    pub(super) dribbles: bool,
}

impl Kept {
    pub(super) fn new(bytes: BytesMut, missing: usize) -> Self {
        Self {
            bytes,
            missing: missing.max(1),
            dribbles: false,
        }
    }

    /// Whether its rest is received into the chunk, together with what follows it.
    pub(super) fn continues_in_chunk(&self) -> bool {
        !self.dribbles && self.bytes.len().saturating_add(self.missing) <= CONTINUE_BY_COPY_MAX
    }

    /// Makes room by what has been received, not by what was promised; returns how many bytes to receive at most.
    pub(super) fn grow(&mut self) -> usize {
        let spare = self.bytes.capacity() - self.bytes.len();
        if spare == 0 {
            let growth = self.bytes.len().max(KEPT_GROWTH_MIN).min(self.missing);
            self.bytes.reserve(growth);
        }
        let spare = self.bytes.capacity() - self.bytes.len();
        spare.min(self.missing).min(RECEIVE_BYTES_MAX)
    }
}

/// What a receive gave.
pub(super) enum Received {
    /// Bytes worth a turn, the kept ones before the new ones.
    Batch(BytesMut),
    /// Less than what is missing.
    Partial,
    /// The peer has closed its side.
    End,
}

/// Receives once. A call that returns less than there is room for has emptied the socket, so the next one waits without a system call.
pub(super) fn poll_receive(
    stream: &mut TcpStream,
    kept: &mut Option<Kept>,
    buffers: &mut ReceiveBuffers,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Received>> {
    match kept {
        None => {
            let chunk = buffers.chunk(0);
            let count = ready!(poll_read(stream, chunk, RECEIVE_BYTES_MAX, cx))?;
            Poll::Ready(Ok(if count == 0 {
                Received::End
            } else {
                Received::Batch(chunk.split())
            }))
        }
        Some(frame) if frame.continues_in_chunk() => {
            ready!(stream.poll_read_ready(cx))?;
            let len = frame.bytes.len();
            poll_continue(stream, kept, buffers.chunk(len), cx)
        }
        Some(frame) => {
            let room = frame.grow();
            let count = ready!(poll_read(stream, &mut frame.bytes, room, cx))?;
            frame.missing -= count;
            Poll::Ready(Ok(match (count, frame.missing) {
                (0, _) => Received::End,
                (_, 0) => Received::Batch(kept.take().map(|frame| frame.bytes).unwrap_or_default()),
                _ => Received::Partial,
            }))
        }
    }
}

/// Receives the rest of a small frame, and what follows it, behind a copy of its start.
fn poll_continue(
    stream: &mut TcpStream,
    kept: &mut Option<Kept>,
    chunk: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Received>> {
    let Some(frame) = kept else {
        return Poll::Ready(Ok(Received::Partial));
    };
    chunk.extend_from_slice(&frame.bytes);
    let count = match poll_read(stream, chunk, RECEIVE_BYTES_MAX, cx) {
        Poll::Ready(Ok(count)) => count,
        other => {
            chunk.clear();
            return other.map_ok(|_| Received::Partial);
        }
    };
    if count == 0 {
        chunk.clear();
        return Poll::Ready(Ok(Received::End));
    }
    if count < frame.missing {
        frame.bytes.extend_from_slice(&chunk[frame.bytes.len()..]);
        frame.missing -= count;
        frame.dribbles = true;
        chunk.clear();
        return Poll::Ready(Ok(Received::Partial));
    }
    *kept = None;
    Poll::Ready(Ok(Received::Batch(chunk.split())))
}

fn poll_read(stream: &mut TcpStream, into: &mut BytesMut, max: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    // Never more than there is room for: the buffer is not to grow.
    let max = max.min(into.capacity() - into.len());
    let mut room = into.limit(max);
    pin!(stream.read_buf(&mut room)).poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_used_again_from_its_start() {
        let mut buffers = ReceiveBuffers::new();
        let address = buffers.chunk(0).as_ptr();
        for _ in 0..10_000 {
            let chunk = buffers.chunk(0);
            chunk.extend_from_slice(&[1; 1000]);
            let part = chunk.split();
            assert_eq!(part.as_ptr(), address);
        }
        assert!(buffers.retired.is_empty());
    }

    #[test]
    fn chunks_in_use_are_replaced_and_come_back() {
        let mut buffers = ReceiveBuffers::new();
        let mut held = VecDeque::new();
        for round in 0..1000_usize {
            let kept = round % CONTINUE_BY_COPY_MAX;
            let chunk = buffers.chunk(kept);
            assert!(chunk.capacity() >= kept + ROOM_MIN);
            chunk.extend_from_slice(&vec![u8::try_from(round % 251).expect("below 256"); 60_000]);
            held.push_back((round, chunk.split()));
            if held.len() > 4 {
                held.pop_front();
            }
            for (round, part) in &held {
                assert!(
                    part.iter().all(|byte| usize::from(*byte) == round % 251),
                    "a part in use is never overwritten"
                );
            }
        }
        assert!(
            buffers.retired.len() <= 5,
            "{} chunks for four parts",
            buffers.retired.len()
        );
    }

    #[test]
    fn kept_frames_grow_by_what_they_have() {
        let mut kept = Kept::new(BytesMut::from(&b"four"[..]), 1 << 30);
        let mut received = kept.bytes.len();
        while received < 8 << 20 {
            let room = kept.grow();
            assert!(room > 0);
            kept.bytes.resize(received + room, 0);
            kept.missing -= room;
            received += room;
            assert!(
                kept.bytes.capacity() <= 2 * received + KEPT_GROWTH_MIN * 2,
                "{} for {received}",
                kept.bytes.capacity()
            );
        }
    }
}
