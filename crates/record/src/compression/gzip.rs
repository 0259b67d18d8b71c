//! gzip, one member after the other, straight into the bounded output.

use crate::compression::Codec;
use crate::error::CompressionError;
use crate::scratch::Output;
use alloc::vec::Vec;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The largest window of the format: 2^15 bytes.
const WINDOW_BITS: u8 = 15;
/// How much room to offer per byte of input: text packs about this well.
const ROOM_RATIO: usize = 4;

const fn corrupt(reason: &'static str) -> CompressionError {
    CompressionError::Corrupt {
        codec: Codec::Gzip,
        reason,
    }
}

/// Appends what the members in `input` hold.
pub(crate) fn decompress(mut input: &[u8], output: &mut Output) -> Result<(), CompressionError> {
    if input.is_empty() {
        return Err(corrupt("no gzip member"));
    }
    while !input.is_empty() {
        let read = decompress_member(input, output)?;
        input = &input[read..];
    }
    Ok(())
}

/// Returns how many bytes of `input` the first member takes.
fn decompress_member(input: &[u8], output: &mut Output) -> Result<usize, CompressionError> {
    let mut state = Decompress::new_gzip(WINDOW_BITS);
    let mut read = 0;
    loop {
        // A member may end exactly at the bound, and only the codec knows: one spare byte tells.
        let mut probe = [0; 1];
        let at_bound = output.remaining() == 0;
        let rest = &input[read..];
        let room = if at_bound {
            &mut probe[..]
        } else {
            output.room_at_least(rest.len().saturating_mul(ROOM_RATIO).max(1))
        };
        let (read_before, written_before) = (state.total_in(), state.total_out());
        let status = state
            .decompress(rest, room, FlushDecompress::None)
            .map_err(|_| corrupt("damaged member, or its checksum"))?;
        let (just_read, written) = (
            moved(read_before, state.total_in()),
            moved(written_before, state.total_out()),
        );
        if at_bound && written > 0 {
            return Err(output.too_large());
        }
        output.advance(written);
        read += just_read;
        match status {
            Status::StreamEnd => return Ok(read),
            _ if just_read == 0 && written == 0 => return Err(corrupt("ends inside a member")),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// The distance between two totals of one call, which is bounded by its slices.
fn moved(before: u64, after: u64) -> usize {
    usize::try_from(after - before).expect("one call moves no more than a slice holds")
}

/// Appends `input` as one member.
pub(crate) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let mut state = Compress::new_gzip(Compression::default(), WINDOW_BITS);
    loop {
        let read = usize::try_from(state.total_in()).expect("no more was read than the slice holds");
        out.reserve((input.len() - read) / 2 + 64);
        match state.compress_vec(&input[read..], out, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return Ok(()),
            Ok(Status::Ok | Status::BufError) => {}
            Err(_) => return Err(corrupt("deflate failed")),
        }
    }
}
