//! The small files of a data directory: format, manifest, segment index, checkpoint.
//!
//! The input is the kind with a switch, and the file's bytes. What can be written again must be the same bytes.

use hallows_storage::format::{Checkpoint, Manifest, SegmentIndex, decode_identity};

use super::{damage, recovery};
use crate::Source;
use crate::allocation::bounded;

/// Set in the first byte: length and checksum are made right first.
const MEND: u8 = 0x80;
/// A record of a checkpoint is kept in maps, whose first node has room for eleven: one producer of 20 bytes and its
/// record of 56 take near 4 KiB.
const BYTES_PER_BYTE: usize = 64;
/// Memory of errors.
const BYTES_BESIDES: usize = 4096;
const KINDS: u8 = 4;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let switches = source.u8();
    let mut file = source.rest().to_vec();
    if switches & MEND != 0 {
        damage::mend_envelope(&mut file);
    }
    let limit = BYTES_PER_BYTE * file.len() + BYTES_BESIDES;
    bounded(limit, || decode(switches % KINDS, &file));
}

fn decode(kind: u8, file: &[u8]) {
    match kind {
        0 => drop(decode_identity(file)),
        1 => {
            if let Ok(manifest) = Manifest::decode(file) {
                assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
            }
        }
        2 => {
            let segment = file.get(damage::ENVELOPE_BYTES..).and_then(<[u8]>::first_chunk);
            drop(SegmentIndex::decode(file, segment.copied().unwrap_or_default()));
        }
        _ => drop(Checkpoint::decode(file)),
    }
}

/// The small files of a real directory.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (path, data) in recovery::example() {
        let kind = if path == "hallows.format" {
            0
        } else if path.ends_with(".manifest") {
            1
        } else if path.ends_with(".index") {
            2
        } else if path.starts_with("checkpoint-") {
            3
        } else {
            continue;
        };
        seeds.push([&[kind | MEND], &data[..]].concat());
        seeds.push([&[kind], &data[..]].concat());
    }
    seeds
}
