//! Every message at every version: bytes made from the definitions are read and written again by the
//! generated code and, where it knows the version, by the crate `kafka-protocol`. All three agree to
//! the byte.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use hallows_protocol::messages::*;
use hallows_protocol::records::{GroupRecordKey, GroupRecordValue};
use hallows_protocol::{ApiKey, Decode, Reader, Writer};
use kafka_protocol::messages::{ApiKey as OtherKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};
use support::definition::{Kind, Message};
use support::{make, messages, versions};

/// Seeds per message and version; enough that every optional part is seen both ways.
const SEEDS: u64 = 24;

/// Reads and writes again with the generated code; returns the bytes and how many were left unread.
fn through_ours(message: &Message, version: i16, bytes: &[u8]) -> (Vec<u8>, usize) {
    let mut reader = Reader::new(bytes);
    let mut writer = Writer::new();
    let key = || ApiKey::from_number(message.key.expect("an API has a key")).expect("a known key");
    match message.kind {
        Kind::Request => AnyRequest::decode(key(), &mut reader, version)
            .unwrap_or_else(|error| panic!("{} {version}: {error}", message.name))
            .encode(&mut writer, version),
        Kind::Response => AnyResponse::decode(key(), &mut reader, version)
            .unwrap_or_else(|error| panic!("{} {version}: {error}", message.name))
            .encode(&mut writer, version),
        Kind::Key | Kind::Value if message.name.starts_with("TransactionLogKey") => {
            again::<TransactionLogKey<'_>>(&mut reader, &mut writer, version)
        }
        Kind::Key | Kind::Value if message.name.starts_with("TransactionLogValue") => {
            again::<TransactionLogValue<'_>>(&mut reader, &mut writer, version)
        }
        Kind::Key => GroupRecordKey::decode_body(message.key.expect("a type"), &mut reader, version)
            .expect("bytes made from the definition")
            .encode_body(&mut writer, version),
        Kind::Value => GroupRecordValue::decode_body(message.key.expect("a type"), &mut reader, version)
            .expect("bytes made from the definition")
            .encode_body(&mut writer, version),
        Kind::Data => match message.name.as_str() {
            "ConsumerProtocolSubscription" => {
                again::<ConsumerProtocolSubscription<'_>>(&mut reader, &mut writer, version)
            }
            "ConsumerProtocolAssignment" => again::<ConsumerProtocolAssignment<'_>>(&mut reader, &mut writer, version),
            "EndTxnMarker" => again::<EndTxnMarker>(&mut reader, &mut writer, version),
            other => panic!("{other} is not tested"),
        },
    }
    .unwrap_or_else(|error| panic!("{} {version}: {error}", message.name));
    (writer.into_vec(), reader.remaining())
}

fn again<'a, M: Decode<'a>>(
    reader: &mut Reader<'a>,
    writer: &mut Writer,
    version: i16,
) -> Result<(), hallows_protocol::EncodeError> {
    M::decode(reader, version)
        .expect("bytes made from the definition")
        .encode(writer, version)
}

#[test]
fn the_generated_code_agrees_with_the_definitions() {
    for message in &messages() {
        for version in versions(message) {
            for seed in 0..SEEDS {
                let bytes = make(message, version, seed);
                let (found, left) = through_ours(message, version, &bytes);
                let place = format!("{} version {version} seed {seed}", message.name);
                assert_eq!((found, left), (bytes, 0), "{place}");
            }
        }
    }
}

/// Reads and writes again with the other crate; `None` where it does not know the message or version.
fn through_theirs(message: &Message, version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut input = Bytes::copy_from_slice(bytes);
    let mut output = BytesMut::new();
    match message.kind {
        Kind::Request | Kind::Response => {
            let key = OtherKey::try_from(message.key?).ok()?;
            let known = key.valid_versions();
            if !(known.min..=known.max).contains(&version) {
                return None;
            }
            if message.kind == Kind::Request {
                let value = known_or_none(message, RequestKind::decode(key, &mut input, version))?;
                value.encode(&mut output, version).expect(&message.name);
            } else {
                let value = known_or_none(message, ResponseKind::decode(key, &mut input, version))?;
                value.encode(&mut output, version).expect(&message.name);
            }
        }
        Kind::Data if message.name == "ConsumerProtocolSubscription" => {
            let value = kafka_protocol::messages::ConsumerProtocolSubscription::decode(&mut input, version);
            value
                .expect(&message.name)
                .encode(&mut output, version)
                .expect(&message.name);
        }
        Kind::Data if message.name == "ConsumerProtocolAssignment" => {
            let value = kafka_protocol::messages::ConsumerProtocolAssignment::decode(&mut input, version);
            value
                .expect(&message.name)
                .encode(&mut output, version)
                .expect(&message.name);
        }
        _ => return None,
    }
    assert!(input.is_empty(), "{} version {version}", message.name);
    Some(output.to_vec())
}

/// The value, or `None` where the message lacks a version that the other crate's table names.
fn known_or_none<T>(message: &Message, result: anyhow::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if format!("{error:?}").contains("version not supported") => None,
        Err(error) => panic!("{}: {error:?}", message.name),
    }
}

/// Messages and versions that both sides must have in common, or the comparison means nothing.
const COMPARED_MIN: usize = 500;

#[test]
fn the_definitions_agree_with_kafka_protocol() {
    let mut compared = 0;
    for message in &messages() {
        for version in versions(message) {
            for seed in 0..SEEDS {
                let bytes = make(message, version, seed);
                let Some(found) = through_theirs(message, version, &bytes) else {
                    break;
                };
                assert_eq!(found, bytes, "{} version {version} seed {seed}", message.name);
                compared += usize::from(seed == 0);
            }
        }
    }
    assert!(compared >= COMPARED_MIN, "only {compared} were compared");
}

#[test]
fn every_cut_is_an_error_and_no_panic() {
    for message in messages().iter().filter(|message| message.kind == Kind::Request) {
        for version in versions(message) {
            let bytes = make(message, version, 1);
            let key = ApiKey::from_number(message.key.expect("an API has a key")).expect("a known key");
            for length in 0..bytes.len() {
                let result = AnyRequest::decode(key, &mut Reader::new(&bytes[..length]), version);
                assert!(result.is_err(), "{} version {version} cut at {length}", message.name);
            }
        }
    }
}

/// Vectors per message and version.
const VECTOR_SEEDS: u64 = 3;

/// The bytes of every message and version, one line each: name, version, hexadecimal digits.
fn vectors() -> String {
    let mut lines = String::new();
    for message in &messages() {
        for version in versions(message) {
            for seed in 0..VECTOR_SEEDS {
                let bytes = make(message, version, seed);
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(lines, "{} {version} {digits}", message.name).expect("a string takes every write");
            }
        }
    }
    lines
}

fn vectors_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors.txt")
}

/// `testdata/vectors.txt` holds what Apache Kafka 3.9.1 and 4.3.1 have read and written again to the
/// byte (`testdata/Agree.java`). As long as the file is unchanged, so is that agreement.
#[test]
fn the_vectors_are_those_that_kafka_agreed_to() {
    let agreed = std::fs::read_to_string(vectors_path()).expect("the vectors are committed");
    for (found, agreed) in vectors().lines().zip(agreed.lines()) {
        assert_eq!(found, agreed);
    }
    assert_eq!(vectors().lines().count(), agreed.lines().count());
}

/// Writes the vectors anew after a change of the definitions. Show them to Kafka before committing.
#[test]
#[ignore = "writes into the source tree: cargo test -p hallows-protocol --test round_trip -- --ignored write_vectors"]
fn write_vectors() {
    std::fs::write(vectors_path(), vectors()).expect("a writable source tree");
}
