//! Every codec: bounded output, truncation, and the variations that other writers produce.

use super::*;
use crate::Scratch;
use alloc::{vec, vec::Vec};
use core::iter;
use std::io::{Read, Write};

const COMPRESSING: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn compressed(codec: Codec, input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(codec, input, &mut out).expect("codecs take all input");
    out
}

fn raw_snappy(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress_snappy_raw(input, &mut out).expect("snappy takes all input");
    out
}

/// As Java's clients write it: without the content size, so that the room must be found.
fn streamed_zstd(input: &[u8]) -> Vec<u8> {
    ::zstd::stream::encode_all(input, 3).expect("memory never fails to write")
}

/// Every way to write `input`: snappy in both framings, zstd with and without its size.
fn all_forms(input: &[u8]) -> impl Iterator<Item = (Codec, Vec<u8>)> + use<'_> {
    let framed = COMPRESSING
        .into_iter()
        .map(move |codec| (codec, compressed(codec, input)));
    let raw = iter::once_with(move || (Codec::Snappy, raw_snappy(input)));
    framed
        .chain(raw)
        .chain(iter::once_with(move || (Codec::Zstd, streamed_zstd(input))))
}

/// Neither constant nor random: numbers as text.
fn text(lines: u32) -> Vec<u8> {
    (0..lines)
        .flat_map(|line| alloc::format!("line {} of {lines}\n", line * 7919).into_bytes())
        .collect()
}

/// Bytes no codec can shrink, from a multiplicative generator.
fn noise(size: usize) -> Vec<u8> {
    let step = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    iter::successors(Some(1_u64), step)
        .map(|state| state.to_be_bytes()[0])
        .take(size)
        .collect()
}

fn check_corrupt(codec: Codec, input: &[u8], reason: &'static str) {
    let expected = CompressionError::Corrupt { codec, reason };
    assert_eq!(Scratch::new(1 << 20).decompress(codec, input), Err(expected));
}

#[test]
fn names_and_numbers_are_kafkas() {
    for (id, name) in (0..).zip(["none", "gzip", "snappy", "lz4", "zstd"]) {
        let codec = Codec::from_id(id).expect("five codecs");
        assert_eq!(
            (codec.id(), codec.name(), Codec::from_name(name)),
            (id, name, Some(codec))
        );
    }
    assert_eq!((Codec::from_id(5), Codec::from_name("brotli")), (None, None));
}

#[test]
fn round_trips_with_one_scratch() {
    let mut scratch = Scratch::new(1 << 20);
    for input in [vec![], vec![7], text(3), text(20_000), noise(200_000), vec![0; 300_000]] {
        for (codec, form) in all_forms(&input) {
            assert_eq!(
                scratch.decompress(codec, &form),
                Ok(&input[..]),
                "{codec}, {} bytes",
                input.len()
            );
        }
        assert_eq!(scratch.decompress(Codec::None, &input), Ok(&input[..]));
    }
}

#[test]
fn output_may_reach_the_bound_and_not_pass_it() {
    for input in [text(5000), noise(100_000), vec![0; 100_000]] {
        for (codec, form) in all_forms(&input) {
            assert_eq!(
                Scratch::new(input.len()).decompress(codec, &form),
                Ok(&input[..]),
                "{codec}"
            );
            let output_bytes_max = input.len() - 1;
            let mut scratch = Scratch::new(output_bytes_max);
            let expected = CompressionError::TooLarge { output_bytes_max };
            assert_eq!(scratch.decompress(codec, &form), Err(expected), "{codec}");
            assert!(scratch.capacity_bytes() <= output_bytes_max, "{codec}");
        }
    }
}

#[test]
fn a_bomb_takes_no_more_memory_than_the_bound() {
    let bomb = vec![0; 8 << 20];
    for (codec, form) in all_forms(&bomb) {
        let mut scratch = Scratch::new(1 << 20);
        let expected = CompressionError::TooLarge {
            output_bytes_max: 1 << 20,
        };
        assert_eq!(scratch.decompress(codec, &form), Err(expected), "{codec}");
        assert!(scratch.capacity_bytes() <= 1 << 20, "{codec}");
    }
}

#[test]
fn a_truncated_stream_is_an_error_and_never_a_shorter_one() {
    let input = text(300);
    for (codec, form) in all_forms(&input) {
        let mut scratch = Scratch::new(1 << 20);
        for size in 0..form.len() {
            let cut = scratch.decompress(codec, &form[..size]);
            // A xerial stream has no end of its own, so it may end between blocks; the first block is the whole here.
            let between_blocks = codec == Codec::Snappy && size == 16;
            assert!(cut.is_err() || between_blocks, "{codec} cut at {size}");
        }
    }
}

#[test]
fn a_promise_of_much_output_allocates_little() {
    // A raw block that says it holds 512 MiB, in seven bytes.
    let mut scratch = Scratch::new(1 << 30);
    let promise = [0x80, 0x80, 0x80, 0x80, 0x02, 0x00, 0x41];
    assert!(scratch.decompress(Codec::Snappy, &promise).is_err());
    // An LZ4 frame of 4 MiB blocks with a block of one byte.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    frame.extend_from_slice(&[1, 0, 0, 0, 0x00, 0, 0, 0, 0]);
    let _ = scratch.decompress(Codec::Lz4, &frame);
    // A zstd frame of one segment that says it holds 512 MiB, and one that asks for a window of as much.
    for head in [&[0xa0, 0, 0, 0, 0x20][..], &[0x00, 0x98][..]] {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
        frame.extend_from_slice(head);
        frame.extend_from_slice(&[0x09, 0, 0, 0x41]);
        let _ = scratch.decompress(Codec::Zstd, &frame);
    }
    assert!(
        scratch.capacity_bytes() <= 64 << 10,
        "{} bytes",
        scratch.capacity_bytes()
    );
}

#[test]
fn a_warm_scratch_does_not_grow_and_can_shrink() {
    let input = text(20_000);
    let mut scratch = Scratch::new(1 << 20);
    for (codec, form) in all_forms(&input) {
        scratch.decompress(codec, &form).expect("fits");
    }
    let capacity_bytes = scratch.capacity_bytes();
    for (codec, form) in all_forms(&input) {
        scratch.decompress(codec, &form).expect("fits");
        assert_eq!(scratch.capacity_bytes(), capacity_bytes, "{codec}");
    }
    scratch.shrink_to(1000);
    assert!(scratch.capacity_bytes() < capacity_bytes);
    let (codec, form) = all_forms(&input).next().expect("six forms");
    assert_eq!(scratch.decompress(codec, &form), Ok(&input[..]));
}

#[test]
fn gzip_members_follow_each_other() {
    let input = text(100);
    let two = [
        compressed(Codec::Gzip, &input[..500]),
        compressed(Codec::Gzip, &input[500..]),
    ]
    .concat();
    assert_eq!(Scratch::new(1 << 20).decompress(Codec::Gzip, &two), Ok(&input[..]));
    check_corrupt(Codec::Gzip, &[], "no gzip member");
    let mut damaged = compressed(Codec::Gzip, &input);
    let checksum_at = damaged.len() - 8;
    damaged[checksum_at] ^= 1;
    check_corrupt(Codec::Gzip, &damaged, "damaged member, or its checksum");
}

#[test]
fn snappy_streams_may_start_anew() {
    let input = text(100);
    let two = [
        compressed(Codec::Snappy, &input[..500]),
        compressed(Codec::Snappy, &input[500..]),
    ]
    .concat();
    assert_eq!(Scratch::new(1 << 20).decompress(Codec::Snappy, &two), Ok(&input[..]));
    let mut old = compressed(Codec::Snappy, &input);
    old[11] = 0;
    check_corrupt(Codec::Snappy, &old, "xerial version below 1");
    let mut negative = compressed(Codec::Snappy, &input);
    negative[16] = 0x80;
    check_corrupt(Codec::Snappy, &negative, "negative block length");
}

#[test]
fn zstd_frames_follow_each_other_and_need_no_content_size() {
    let input = text(20_000);
    let two = [streamed_zstd(&input), compressed(Codec::Zstd, &input)].concat();
    let mut scratch = Scratch::new(2 << 20);
    let output = scratch.decompress(Codec::Zstd, &two).expect("two frames");
    assert_eq!(output, [&input[..], &input[..]].concat());
    check_corrupt(Codec::Zstd, &[], "no frame");
}

mod lz4_frames {
    use super::*;
    use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

    fn written(info: FrameInfo, input: &[u8]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(input).expect("memory never fails to write");
        encoder.finish().expect("memory never fails to write")
    }

    #[test]
    fn every_option_but_linked_blocks_is_read() {
        let input = text(20_000);
        let size = u64::try_from(input.len()).expect("small");
        for block_size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            let info = FrameInfo::new()
                .block_size(block_size)
                .block_checksums(true)
                .content_checksum(true);
            let frame = written(info.content_size(Some(size)), &input);
            assert_eq!(Scratch::new(1 << 20).decompress(Codec::Lz4, &frame), Ok(&input[..]));
        }
        let linked = written(FrameInfo::new().block_mode(BlockMode::Linked), &input);
        check_corrupt(
            Codec::Lz4,
            &linked,
            "linked blocks, which Kafka's consumers cannot read",
        );
    }

    #[test]
    fn the_library_reads_what_is_written_here() {
        for input in [vec![], text(20_000), noise(200_000)] {
            let mut output = Vec::new();
            let frame = compressed(Codec::Lz4, &input);
            FrameDecoder::new(&frame[..])
                .read_to_end(&mut output)
                .expect("a whole frame");
            assert_eq!(output, input);
        }
    }

    #[test]
    fn every_checksum_is_compared() {
        let input = noise(1000);
        let info = FrameInfo::new().block_checksums(true).content_checksum(true);
        let frame = written(info, &input);
        let check = |position: usize, reason| {
            let mut damaged = frame.clone();
            damaged[position] ^= 1;
            check_corrupt(Codec::Lz4, &damaged, reason);
        };
        check(0, "not an LZ4 frame");
        check(6, "header checksum mismatch");
        check(11, "block checksum mismatch");
        check(frame.len() - 1, "content checksum mismatch");
        check_corrupt(Codec::Lz4, &[&frame[..], &[0]].concat(), "bytes behind the frame");
    }
}
