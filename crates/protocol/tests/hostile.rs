//! Hostile bytes: no panic, and no memory beyond a small multiple of the bytes that were sent.
//!
//! The story behind it: a widely used decoder reserves room for as many elements as a length claims,
//! so that five bytes make it ask for 309 GB and abort.
#![expect(
    unsafe_code,
    reason = "an allocator that counts is the only witness of what was asked for"
)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hallows_protocol::fetch::FetchRequestView;
use hallows_protocol::messages::{AnyRequest, AnyResponse, JoinGroupRequest};
use hallows_protocol::produce::ProduceRequestView;
use hallows_protocol::records::{GroupRecordKey, GroupRecordValue};
use hallows_protocol::{ApiKey, DecodeError, Reader, RequestHeader, decode_any_request};
use proptest::prelude::*;
use support::definition::Kind;
use support::{make, messages, versions};

/// Notes the largest single allocation of each thread.
struct Witness;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that is ending has no cell any more; nothing is measured then.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Witness {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's obligations are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are those of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller's obligations are those of `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static WITNESS: Witness = Witness;

/// The largest single allocation while `work` runs.
fn largest_allocation(work: impl FnOnce()) -> usize {
    LARGEST.set(0);
    work();
    LARGEST.get()
}

/// The memory of one element for one byte of a frame, at most: the widest structure is a few hundred
/// bytes, and takes at least a few bytes of the frame.
const BYTES_PER_BYTE: usize = 128;

/// What formatting an error or a map may take besides.
const BYTES_BESIDES: usize = 4096;

fn decode_everything(key: ApiKey, version: i16, bytes: &[u8]) {
    let bound = bytes.len() * BYTES_PER_BYTE + BYTES_BESIDES;
    let largest = largest_allocation(|| {
        let _ = AnyRequest::decode(key, &mut Reader::new(bytes), version);
        let _ = AnyResponse::decode(key, &mut Reader::new(bytes), version);
        let _ = ProduceRequestView::parse(&mut Reader::new(bytes), version);
        let _ = FetchRequestView::parse(&mut Reader::new(bytes), version);
    });
    assert!(
        largest <= bound,
        "{key:?} version {version}: {largest} bytes for {} sent",
        bytes.len()
    );
}

#[test]
fn five_bytes_claim_309_gigabytes() {
    let bytes = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let largest = largest_allocation(|| {
        let result = AnyResponse::decode(ApiKey::DeleteAcls, &mut Reader::new(&bytes), 2);
        assert!(result.is_err());
        let mut reader = Reader::new(&bytes);
        let claimed = AnyRequest::decode(ApiKey::DeleteAcls, &mut reader, 2);
        assert!(matches!(claimed, Err(DecodeError::Truncated { needed, .. }) if needed > 1 << 32));
    });
    assert!(largest <= BYTES_BESIDES, "{largest} bytes");
    let request = JoinGroupRequest::decode(&mut Reader::new(&bytes), 6);
    assert!(request.is_err());
}

/// Every length of every message, replaced by the largest claim.
#[test]
fn no_claim_takes_memory() {
    let claims: [&[u8]; 4] = [
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0x7f, 0xff],
    ];
    for message in messages()
        .iter()
        .filter(|message| message.kind == Kind::Request || message.kind == Kind::Response)
    {
        let key = ApiKey::from_number(message.key.expect("an API has a key")).expect("a known key");
        for version in versions(message) {
            let bytes = make(message, version, 2);
            for place in 0..bytes.len() {
                for claim in claims {
                    let mut hostile = bytes[..place].to_vec();
                    hostile.extend_from_slice(claim);
                    hostile.extend_from_slice(&bytes[place..]);
                    decode_everything(key, version, &hostile);
                }
            }
        }
    }
}

#[test]
fn many_tiny_elements_are_refused_before_they_take_memory() {
    // Forty million empty strings of one byte each would take 640 MB decoded.
    let count: u32 = 40_000_000;
    let mut bytes = Vec::with_capacity(count as usize + 16);
    let mut rest = count + 1;
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
    bytes.resize(bytes.len() + count as usize + 8, 1);
    let largest = largest_allocation(|| {
        let result = AnyRequest::decode(ApiKey::DeleteGroups, &mut Reader::new(&bytes), 2);
        assert!(matches!(result, Err(DecodeError::TooLarge { .. })));
    });
    assert!(largest <= BYTES_BESIDES, "{largest} bytes");
}

/// An API and one of its versions.
fn api() -> impl Strategy<Value = (ApiKey, i16)> {
    let ranges = &hallows_protocol::api::API_VERSIONS;
    (0..ranges.len()).prop_flat_map(move |place| (Just(ranges[place].key), ranges[place].min..=ranges[place].max))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bodies_do_no_harm((key, version) in api(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode_everything(key, version, &bytes);
    }

    #[test]
    fn small_numbers_reach_deeper((key, version) in api(), bytes in proptest::collection::vec(0u8..4, 0..200)) {
        decode_everything(key, version, &bytes);
    }

    #[test]
    fn arbitrary_frames_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = RequestHeader::decode(&bytes);
        let _ = decode_any_request(&bytes);
        let _ = GroupRecordKey::decode(&bytes);
        for record_type in -1..30 {
            let _ = GroupRecordValue::decode(record_type, &bytes);
        }
    }

    #[test]
    fn changed_messages_do_no_harm(
        (key, version) in api(),
        seed in any::<u64>(),
        place in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        for message in MESSAGES.with(|messages| messages.clone()).iter().filter(|message| message.key == Some(key.number())) {
            let mut bytes = make(message, version, seed);
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            decode_everything(key, version, &bytes);
        }
    }
}

thread_local! {
    static MESSAGES: std::rc::Rc<Vec<support::definition::Message>> = std::rc::Rc::new(apis());
}

fn apis() -> Vec<support::definition::Message> {
    let mut apis = messages();
    apis.retain(|message| message.kind == Kind::Request || message.kind == Kind::Response);
    apis
}
