//! Zstandard in one step, so that the bounded output is the only window.
//!
//! The streaming decoder would allocate the window that a frame promises, up to 128 MiB; decoding in one step
//! needs none. Java's clients do not write the content size, so the room is found by growing: a warm scratch
//! has enough at the first try.

use crate::compression::Codec;
use crate::error::CompressionError;
use crate::scratch::Output;
use alloc::vec::Vec;
use zstd::zstd_safe::{self, CCtx, DCtx, ErrorCode, get_error_name, get_frame_content_size};

/// `ZSTD_error_dstSize_tooSmall`, which the binding reports as a negated code.
const DESTINATION_TOO_SMALL: ErrorCode = 0_usize.wrapping_sub(70);
/// The first guess of output per byte of input, where the frame does not say.
const ROOM_RATIO: usize = 8;
/// The most that a frame's promise is believed at the first try, per byte of input.
const PROMISE_RATIO_MAX: usize = 64;
/// Each further try has this much more room, so that failed tries cost less than a half of the last.
const GROWTH: usize = 4;

const fn corrupt(reason: &'static str) -> CompressionError {
    CompressionError::Corrupt {
        codec: Codec::Zstd,
        reason,
    }
}

/// The decoder's state, made at first use and kept.
#[derive(Default)]
pub(crate) struct Context(Option<DCtx<'static>>);

impl Context {
    /// Appends what the frames in `input` hold.
    pub(crate) fn decompress(&mut self, input: &[u8], output: &mut Output) -> Result<(), CompressionError> {
        if input.is_empty() {
            return Err(corrupt("no frame"));
        }
        let decoder = self.0.get_or_insert_with(DCtx::create);
        let mut wanted = first_room(input, output)?;
        loop {
            let room = output.room_at_least(wanted);
            let tried = room.len();
            match decoder.decompress(room, input) {
                Ok(written) => {
                    output.advance(written);
                    return Ok(());
                }
                Err(DESTINATION_TOO_SMALL) if tried >= output.remaining() => return Err(output.too_large()),
                Err(DESTINATION_TOO_SMALL) => wanted = tried.saturating_mul(GROWTH),
                Err(code) => return Err(corrupt(get_error_name(code))),
            }
        }
    }
}

fn first_room(input: &[u8], output: &Output) -> Result<usize, CompressionError> {
    let guess = input.len().saturating_mul(ROOM_RATIO);
    let Ok(Some(promised)) = get_frame_content_size(input) else {
        return Ok(guess);
    };
    match usize::try_from(promised) {
        Ok(promised) if promised <= output.remaining() => {
            Ok(promised.min(input.len().saturating_mul(PROMISE_RATIO_MAX)).max(1))
        }
        _ => Err(output.too_large()),
    }
}

/// Appends `input` as one frame.
pub(crate) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let start = out.len();
    out.resize(start + zstd_safe::compress_bound(input.len()), 0);
    let written = CCtx::create()
        .compress(&mut out[start..], input, zstd_safe::CLEVEL_DEFAULT)
        .map_err(|code| corrupt(get_error_name(code)))?;
    out.truncate(start + written);
    Ok(())
}
