//! The LZ4 frame format around `lz4_flex`'s blocks.
//!
//! Framed here and not by the library, whose reader allocates what a header promises (up to 8 MiB, twice that
//! with linked blocks) and takes a truncated frame for a whole one. Blocks are unpacked straight into the output.
//! Linked blocks and dictionaries are refused: Kafka's own consumers cannot read them.
//! All integers are little-endian; checksums are xxHash32 with seed 0.

use crate::compression::Codec;
use crate::error::CompressionError;
use crate::scratch::Output;
use alloc::vec::Vec;
use lz4_flex::block::{DecompressError, compress_into, decompress_into, get_maximum_output_size};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184D_2204;
/// Descriptor flags. The upper two bits are the format's version, 01.
mod flag {
    pub(super) const VERSION_MASK: u8 = 0b1100_0000;
    pub(super) const VERSION: u8 = 0b0100_0000;
    pub(super) const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
    pub(super) const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
    pub(super) const CONTENT_SIZE: u8 = 0b0000_1000;
    pub(super) const CONTENT_CHECKSUM: u8 = 0b0000_0100;
    pub(super) const RESERVED: u8 = 0b0000_0010;
    pub(super) const DICTIONARY: u8 = 0b0000_0001;
}
/// The block size number for 64 KiB, in its place in the descriptor.
const BLOCK_SIZE_64K: u8 = 4 << 4;
const BLOCK_BYTES: usize = 64 * 1024;
/// Set in a block's length: the block is stored as it is.
const STORED_BIT: u32 = 1 << 31;
/// One more length byte adds at most 255 bytes of output, so a longer block is a lie.
const EXPANSION_MAX: usize = 255;
/// What the shortest sequence may hold besides.
const EXPANSION_SLACK: usize = 64;

const fn corrupt(reason: &'static str) -> CompressionError {
    CompressionError::Corrupt {
        codec: Codec::Lz4,
        reason,
    }
}

/// What a frame's descriptor says.
struct Descriptor {
    block_bytes_max: usize,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
}

/// Appends what the frame in `input` holds.
pub(crate) fn decompress(mut input: &[u8], output: &mut Output) -> Result<(), CompressionError> {
    let descriptor = read_descriptor(&mut input)?;
    loop {
        let length = take_u32(&mut input)?;
        if length == 0 {
            break;
        }
        decompress_block(length, &mut input, &descriptor, output)?;
    }
    let content = output.filled();
    if descriptor.content_checksum && take_u32(&mut input)? != XxHash32::oneshot(0, content) {
        return Err(corrupt("content checksum mismatch"));
    }
    if descriptor
        .content_size
        .is_some_and(|size| usize::try_from(size) != Ok(content.len()))
    {
        return Err(corrupt("content size mismatch"));
    }
    if input.is_empty() {
        Ok(())
    } else {
        Err(corrupt("bytes behind the frame"))
    }
}

fn read_descriptor(input: &mut &[u8]) -> Result<Descriptor, CompressionError> {
    if take_u32(input)? != MAGIC {
        return Err(corrupt("not an LZ4 frame"));
    }
    let start = *input;
    let [flags, block_descriptor] = *take(input)?;
    check_flags(flags)?;
    let content_size = match flags & flag::CONTENT_SIZE {
        0 => None,
        _ => Some(u64::from_le_bytes(*take(input)?)),
    };
    let checked = &start[..start.len() - input.len()];
    let [_, stored, ..] = XxHash32::oneshot(0, checked).to_le_bytes();
    let [header_checksum] = *take(input)?;
    if header_checksum != stored {
        return Err(corrupt("header checksum mismatch"));
    }
    let block_bytes_max = match block_descriptor {
        0x40 => BLOCK_BYTES,
        0x50 => 256 * 1024,
        0x60 => 1024 * 1024,
        0x70 => 4 * 1024 * 1024,
        _ => return Err(corrupt("unknown block size")),
    };
    Ok(Descriptor {
        block_bytes_max,
        block_checksums: flags & flag::BLOCK_CHECKSUMS != 0,
        content_checksum: flags & flag::CONTENT_CHECKSUM != 0,
        content_size,
    })
}

const fn check_flags(flags: u8) -> Result<(), CompressionError> {
    if flags & flag::VERSION_MASK != flag::VERSION {
        Err(corrupt("unknown frame version"))
    } else if flags & flag::RESERVED != 0 {
        Err(corrupt("reserved flag set"))
    } else if flags & flag::DICTIONARY != 0 {
        Err(corrupt("needs a dictionary"))
    } else if flags & flag::INDEPENDENT_BLOCKS == 0 {
        Err(corrupt("linked blocks, which Kafka's consumers cannot read"))
    } else {
        Ok(())
    }
}

fn decompress_block(
    length: u32,
    input: &mut &[u8],
    descriptor: &Descriptor,
    output: &mut Output,
) -> Result<(), CompressionError> {
    let size = usize::try_from(length & !STORED_BIT).map_err(|_| corrupt("block above memory"))?;
    if size > descriptor.block_bytes_max {
        return Err(corrupt("block larger than the frame allows"));
    }
    let (block, rest) = input.split_at_checked(size).ok_or(corrupt("ends inside a block"))?;
    *input = rest;
    if descriptor.block_checksums && take_u32(input)? != XxHash32::oneshot(0, block) {
        return Err(corrupt("block checksum mismatch"));
    }
    if length & STORED_BIT != 0 {
        return output.append(block);
    }
    let largest = size
        .saturating_mul(EXPANSION_MAX)
        .saturating_add(EXPANSION_SLACK)
        .min(descriptor.block_bytes_max);
    let room = output.room(largest);
    let bounded = room.len() < largest;
    match decompress_into(block, room) {
        Ok(written) => {
            output.advance(written);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if bounded => Err(output.too_large()),
        Err(_) => Err(corrupt("damaged block")),
    }
}

fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CompressionError> {
    let (taken, rest) = input.split_first_chunk().ok_or(corrupt("ends inside the frame"))?;
    *input = rest;
    Ok(taken)
}

fn take_u32(input: &mut &[u8]) -> Result<u32, CompressionError> {
    take(input).map(|bytes| u32::from_le_bytes(*bytes))
}

/// Appends `input` as a frame of independent 64 KiB blocks without checksums, as Kafka's clients do.
pub(crate) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let descriptor = [flag::VERSION | flag::INDEPENDENT_BLOCKS, BLOCK_SIZE_64K];
    let [_, header_checksum, ..] = XxHash32::oneshot(0, &descriptor).to_le_bytes();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&descriptor);
    out.push(header_checksum);
    for block in input.chunks(BLOCK_BYTES) {
        compress_block(block, out)?;
    }
    out.extend_from_slice(&0_u32.to_le_bytes());
    Ok(())
}

fn compress_block(block: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let prefix_at = out.len();
    let start = prefix_at + size_of::<u32>();
    out.resize(start + get_maximum_output_size(block.len()), 0);
    let written = compress_into(block, &mut out[start..]).map_err(|_| corrupt("block does not fit its bound"))?;
    out.truncate(start + written);
    let mut length = block_length(written);
    // Readers refuse blocks above the frame's size, so what does not shrink is stored.
    if written >= block.len() {
        out.truncate(start);
        out.extend_from_slice(block);
        length = block_length(block.len()) | STORED_BIT;
    }
    out[prefix_at..start].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn block_length(size: usize) -> u32 {
    u32::try_from(size).expect("a block has at most 64 KiB, and little more before it is stored")
}
