//! Every response decoder, every version: what the client of the command line and the benchmarks reads.
//!
//! The input is the API's number, the version, and a frame without its length. What decodes must encode, and decode to
//! the same again, whether byte strings are copies or share the frame.

use bytes::Bytes;
use hallows_protocol::frame::decode_any_response;
use hallows_protocol::messages::AnyResponse;
use hallows_protocol::{ApiKey, Reader, ResponseHeader, Writer};

use super::frames;
use super::requests::{BYTES_BESIDES, BYTES_PER_BYTE};
use crate::Source;
use crate::allocation::bounded;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let Some(key) = ApiKey::from_number(i16::from(source.u8())) else {
        return;
    };
    let version = i16::from(source.u8());
    let frame = source.rest();
    let decoded = bounded(frame.len() * BYTES_PER_BYTE + BYTES_BESIDES, || {
        decode_any_response(key, version, frame)
    });
    let shared = Bytes::copy_from_slice(frame);
    let by_sharing = decode_shared(key, version, &shared);
    assert_eq!(decoded.is_ok(), by_sharing.is_some());
    let (Ok((_, response)), Some(by_sharing)) = (decoded, by_sharing) else {
        return;
    };
    let bytes = encode(&response, version);
    assert_eq!(encode(&by_sharing, version), bytes);
    let mut reader = Reader::new(&bytes);
    let again = AnyResponse::decode(key, &mut reader, version).expect("what was encoded decodes");
    assert_eq!(reader.remaining(), 0, "the decoder ends where the encoder did");
    assert_eq!(
        encode(&again, version),
        bytes,
        "{response:?} is {again:?} after a round trip"
    );
}

fn decode_shared(key: ApiKey, version: i16, frame: &Bytes) -> Option<AnyResponse> {
    let mut reader = Reader::shared(frame);
    ResponseHeader::decode(&mut reader, key.response_header_version(version)).ok()?;
    AnyResponse::decode(key, &mut reader, version).ok()
}

fn encode(response: &AnyResponse, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    response
        .encode(&mut writer, version)
        .expect("what was decoded at a version encodes at it");
    writer.into_vec()
}

/// A frame per API and version.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    frames::vectors()
        .filter_map(|vector| {
            let key = frames::api_of(vector.name, "Response")?;
            let mut seed = vec![u8::try_from(key.number()).ok()?, u8::try_from(vector.version).ok()?];
            seed.extend_from_slice(&7_i32.to_be_bytes());
            if key.response_header_version(vector.version) >= 1 {
                seed.push(0);
            }
            seed.extend_from_slice(&vector.body);
            Some(seed)
        })
        .collect()
}
