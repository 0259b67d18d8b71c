//! Every request decoder, every version, and the views of Produce and Fetch.
//!
//! The input is a frame without its length. What decodes must encode, and decode to the same again; the views must see
//! what the decoders see.

use hallows_protocol::fetch::FetchRequestView;
use hallows_protocol::messages::{AnyRequest, FetchRequest, ProduceRequest};
use hallows_protocol::produce::{ProduceRequestView, peek_acks};
use hallows_protocol::{ApiKey, Reader, RequestHeader, Writer, decode_any_request};

use super::frames;
use crate::allocation::bounded;

/// Memory that one byte of a frame may cost: the widest structure has a few hundred bytes and takes a few of the frame.
pub(super) const BYTES_PER_BYTE: usize = 128;
/// Memory for errors and the like.
pub(super) const BYTES_BESIDES: usize = 4096;

/// Tries an input.
pub fn run(data: &[u8]) {
    bounded(data.len() * BYTES_PER_BYTE + BYTES_BESIDES, || {
        let _ = decode_any_request(data);
    });
    let Ok((header, body)) = RequestHeader::decode(data) else {
        return;
    };
    let Some(key) = header.key() else { return };
    if let Ok((_, request)) = decode_any_request(data) {
        round_trip(key, header.api_version, &request);
    }
    match key {
        ApiKey::Produce => produce_view(data, &body, header.api_version),
        ApiKey::Fetch => fetch_view(&body, header.api_version),
        _ => assert_eq!(peek_acks(data), None),
    }
}

fn round_trip(key: ApiKey, version: i16, request: &AnyRequest<'_>) {
    let bytes = encode(request, version);
    let mut reader = Reader::new(&bytes);
    let again = AnyRequest::decode(key, &mut reader, version).expect("what was encoded decodes");
    assert_eq!(reader.remaining(), 0, "the decoder ends where the encoder did");
    assert_eq!(
        encode(&again, version),
        bytes,
        "{request:?} is {again:?} after a round trip"
    );
}

fn encode(request: &AnyRequest<'_>, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    request
        .encode(&mut writer, version)
        .expect("what was decoded at a version encodes at it");
    writer.into_vec()
}

fn produce_view(frame: &[u8], body: &Reader<'_>, version: i16) {
    let (mut by_view, mut by_decoder) = (body.clone(), body.clone());
    let view = bounded(BYTES_BESIDES, || ProduceRequestView::parse(&mut by_view, version));
    let request = ProduceRequest::decode(&mut by_decoder, version);
    assert_eq!(view.is_ok(), request.is_ok(), "{view:?} is not {request:?}");
    let (Ok(view), Ok(request)) = (view, request) else {
        return;
    };
    assert_eq!(by_view.position(), by_decoder.position());
    assert_eq!(
        (view.transactional_id, view.acks, view.timeout_ms),
        (request.transactional_id, request.acks, request.timeout_ms)
    );
    assert_eq!(peek_acks(frame), Some(request.acks));
    assert_eq!(view.topics().len(), request.topic_data.len());
    for (seen, topic) in view.topics().zip(&request.topic_data) {
        assert_eq!((seen.name, seen.topic_id), (topic.name, topic.topic_id));
        assert_eq!(seen.partitions().len(), topic.partition_data.len());
        for (seen, partition) in seen.partitions().zip(&topic.partition_data) {
            assert_eq!((seen.index, seen.records), (partition.index, partition.records));
            assert_eq!(&frame[seen.records_range], partition.records.unwrap_or_default());
        }
    }
}

fn fetch_view(body: &Reader<'_>, version: i16) {
    let (mut by_view, mut by_decoder) = (body.clone(), body.clone());
    let view = bounded(BYTES_BESIDES, || FetchRequestView::parse(&mut by_view, version));
    let request = FetchRequest::decode(&mut by_decoder, version);
    assert_eq!(view.is_ok(), request.is_ok(), "{view:?} is not {request:?}");
    let (Ok(view), Ok(request)) = (view, request) else {
        return;
    };
    assert_eq!(by_view.position(), by_decoder.position());
    assert_eq!(
        (view.max_wait_ms, view.min_bytes, view.max_bytes, view.isolation_level),
        (
            request.max_wait_ms,
            request.min_bytes,
            request.max_bytes,
            request.isolation_level
        )
    );
    assert_eq!(
        (view.session_id, view.session_epoch, view.rack_id, view.cluster_id),
        (
            request.session_id,
            request.session_epoch,
            request.rack_id,
            request.cluster_id
        )
    );
    assert_eq!(view.topics().len(), request.topics.len());
    for (seen, topic) in view.topics().zip(&request.topics) {
        assert_eq!((seen.topic, seen.topic_id), (topic.topic, topic.topic_id));
        assert!(seen.partitions().eq(topic.partitions.iter().cloned()));
    }
    assert_eq!(view.forgotten().len(), request.forgotten_topics_data.len());
    for (seen, topic) in view.forgotten().zip(&request.forgotten_topics_data) {
        assert_eq!((seen.topic, seen.topic_id), (topic.topic, topic.topic_id));
        assert!(seen.partitions().eq(topic.partitions.iter().copied()));
    }
}

/// A frame per API and version.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    frames::vectors()
        .filter_map(|vector| {
            let key = frames::api_of(vector.name, "Request")?;
            Some(frames::request_frame(key, vector.version, 7, &vector.body))
        })
        .collect()
}
