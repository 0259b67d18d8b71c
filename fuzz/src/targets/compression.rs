//! Compressed payloads of every codec: bounded output, and the same output under every bound that holds it.
//!
//! The input is the codec's number with a switch, two bytes of bound, and the payload. With the switch set the payload
//! is what gets compressed first, so that it must come back.

use hallows_record::{BATCH_HEADER_BYTES, Codec, CompressionError, Scratch, compress, compress_snappy_raw};

use crate::Source;
use crate::allocation::bounded;

/// The bound that nothing small reaches.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Tables of decoders and encoders, and errors.
const BYTES_BESIDES: usize = 512 << 10;

/// Set in the first byte: the payload is to be compressed, not uncompressed.
const PLAIN: u8 = 0x80;
/// Set in the first byte: snappy without framing.
const RAW: u8 = 0x40;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let switches = source.u8();
    let bound = source.length();
    let payload = source.rest();
    let Some(codec) = Codec::from_id(switches & 0x0f) else {
        return;
    };
    if switches & PLAIN != 0 {
        round_trip(codec, switches & RAW != 0, payload);
    } else {
        unpack(codec, payload, bound);
    }
}

fn round_trip(codec: Codec, raw: bool, plain: &[u8]) {
    let mut packed = Vec::new();
    if raw && codec == Codec::Snappy {
        compress_snappy_raw(plain, &mut packed).expect("small");
    } else {
        compress(codec, plain, &mut packed).expect("small");
    }
    if packed.is_empty() {
        return;
    }
    let mut scratch = Scratch::new(plain.len());
    let unpacked = scratch
        .decompress(codec, &packed)
        .expect("what was packed unpacks within its own size");
    assert_eq!(unpacked, plain);
}

fn unpack(codec: Codec, payload: &[u8], bound: usize) {
    let wide = bounded(OUTPUT_BYTES_MAX + BYTES_BESIDES, || {
        decompress(codec, payload, OUTPUT_BYTES_MAX)
    });
    let narrow = bounded(bound + BYTES_BESIDES, || decompress(codec, payload, bound));
    let Ok(wide) = wide else {
        assert!(
            narrow.is_err(),
            "{codec}: unpacks under a bound of {bound} and not under a larger one"
        );
        return;
    };
    if wide.len() <= bound {
        assert_eq!(narrow.as_ref(), Ok(&wide), "{codec} under a bound of {bound}");
    } else {
        let too_large = CompressionError::TooLarge {
            output_bytes_max: bound,
        };
        assert_eq!(narrow, Err(too_large), "{codec} under a bound of {bound}");
    }
    let exact = decompress(codec, payload, wide.len());
    assert_eq!(exact.as_ref(), Ok(&wide), "{codec} under the bound of its own size");
}

fn decompress(codec: Codec, payload: &[u8], bound: usize) -> Result<Vec<u8>, CompressionError> {
    let mut scratch = Scratch::new(bound);
    let unpacked = scratch.decompress(codec, payload)?;
    assert!(unpacked.len() <= bound);
    let unpacked = unpacked.to_vec();
    assert!(scratch.capacity_bytes() <= bound);
    // The buffer knows nothing of its last use.
    let again = scratch.decompress(codec, payload)?;
    assert_eq!(again, unpacked);
    Ok(unpacked)
}

macro_rules! batches {
    ($($name:literal)*) => {
        &[$(include_bytes!(concat!("../../../crates/record/testdata/", $name, ".bin"))),*]
    };
}

/// Batches that Java's and Python's clients wrote.
pub(super) const BATCHES: &[&[u8]] = batches! {
    "java-abort" "java-commit" "java-log-append-time" "java-transactional"
    "java-small-none" "java-small-gzip" "java-small-lz4" "java-small-snappy" "java-small-zstd"
    "python-small-none" "python-small-gzip" "python-small-lz4" "python-small-snappy" "python-small-snappy-raw"
    "python-small-zstd"
};

/// The payloads of these batches, and plain text.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for batch in BATCHES {
        let codec = batch[22] & 7;
        let payload = &batch[BATCH_HEADER_BYTES..];
        seeds.push([&[codec, 0xff, 0xff], payload].concat());
        seeds.push([&[codec, 16, 0], payload].concat());
    }
    for codec in Codec::ALL {
        seeds.push([&[codec.id() | PLAIN, 0, 0], &[b'a'; 300][..]].concat());
        seeds.push(
            [
                &[codec.id() | PLAIN | RAW, 0, 0],
                &b"every record is worth its bytes"[..],
            ]
            .concat(),
        );
        let mut packed = Vec::new();
        compress(codec, &[0; 70_000], &mut packed).expect("small");
        if packed.len() < 4096 {
            seeds.push([&[codec.id(), 0, 1], &packed[..]].concat());
        }
    }
    seeds
}
