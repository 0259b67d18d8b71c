//! Snappy in its two framings: raw (franz-go, librdkafka) and xerial (Java, Python).
//!
//! Xerial is a 16 byte header (magic, version, oldest compatible version) and then blocks,
//! each a big-endian length and that many bytes of raw snappy. Another header may stand between blocks,
//! where a writer was flushed and started anew.

use crate::compression::Codec;
use crate::error::CompressionError;
use crate::scratch::Output;
use alloc::vec::Vec;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// Starts a xerial stream. No raw block can: its third byte would copy from before the first.
const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const VERSION: i32 = 1;
const HEADER_BYTES: usize = 16;
/// What Java's library packs at a time.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element, a two-byte offset copy, makes 64 bytes of 3; so a longer promise is a lie.
const EXPANSION_MAX: usize = 22;

const _: () = assert!(HEADER_BYTES == MAGIC.len() + 2 * size_of::<i32>());
const _: () = assert!(EXPANSION_MAX * 3 > 64);

const fn corrupt(reason: &'static str) -> CompressionError {
    CompressionError::Corrupt {
        codec: Codec::Snappy,
        reason,
    }
}

/// Appends what `input` holds, in whichever framing it is.
pub(crate) fn decompress(input: &[u8], output: &mut Output) -> Result<(), CompressionError> {
    if input.starts_with(&MAGIC) {
        decompress_xerial(input, output)
    } else {
        decompress_block(input, output)
    }
}

fn decompress_xerial(mut input: &[u8], output: &mut Output) -> Result<(), CompressionError> {
    while !input.is_empty() {
        if input.starts_with(&MAGIC) {
            input = after_header(input)?;
            continue;
        }
        let (prefix, rest) = input.split_first_chunk().ok_or(corrupt("ends inside a block length"))?;
        let length = usize::try_from(i32::from_be_bytes(*prefix)).map_err(|_| corrupt("negative block length"))?;
        let (block, rest) = rest.split_at_checked(length).ok_or(corrupt("ends inside a block"))?;
        decompress_block(block, output)?;
        input = rest;
    }
    Ok(())
}

fn after_header(input: &[u8]) -> Result<&[u8], CompressionError> {
    let (header, rest) = input
        .split_at_checked(HEADER_BYTES)
        .ok_or(corrupt("ends inside the xerial header"))?;
    let (_, versions) = header.split_at(MAGIC.len());
    let version = versions
        .first_chunk()
        .map(|bytes| i32::from_be_bytes(*bytes))
        .unwrap_or_default();
    if version < VERSION {
        Err(corrupt("xerial version below 1"))
    } else {
        Ok(rest)
    }
}

fn decompress_block(block: &[u8], output: &mut Output) -> Result<(), CompressionError> {
    let promised = decompress_len(block).map_err(|_| corrupt("no decompressed length"))?;
    if promised > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(corrupt("promises more than its bytes can hold"));
    }
    let room = output.room(promised);
    if room.len() < promised {
        return Err(output.too_large());
    }
    let written = Decoder::new()
        .decompress(block, room)
        .map_err(|_| corrupt("damaged block"))?;
    output.advance(written);
    Ok(())
}

/// Appends `input` in xerial framing.
pub(crate) fn compress_xerial(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    for block in input.chunks(BLOCK_BYTES) {
        let prefix_at = out.len();
        out.extend_from_slice(&[0; 4]);
        compress_raw(block, out)?;
        let length = i32::try_from(out.len() - prefix_at - 4).map_err(|_| corrupt("block above 2 GiB"))?;
        out[prefix_at..prefix_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Appends `input` as one raw block.
pub(crate) fn compress_raw(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let start = out.len();
    out.resize(start + max_compress_len(input.len()), 0);
    let written = Encoder::new()
        .compress(input, &mut out[start..])
        .map_err(|_| corrupt("input above 4 GiB"))?;
    out.truncate(start + written);
    Ok(())
}
