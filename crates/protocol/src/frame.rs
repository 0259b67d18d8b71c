//! Whole frames: length, header and body together.

use crate::api::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::generated::any::{AnyRequest, AnyResponse};
use crate::header::{RequestHeader, ResponseHeader};
use crate::message::{Decode, Message, Request, Response};
use crate::reader::Reader;
use crate::writer::Writer;

/// The bytes of the length in front of every frame.
pub const LENGTH_BYTES: usize = 4;

/// Reserves the length of a frame; `finish_frame` fills it in.
pub(crate) fn begin_frame(writer: &mut Writer) -> usize {
    let start = writer.len();
    writer.i32(0);
    start
}

/// Fills in the length of the frame begun at `start`, with `outside` bytes that follow it from elsewhere.
pub(crate) fn finish_frame(writer: &mut Writer, start: usize, outside: usize) -> Result<(), EncodeError> {
    let length = writer.len() - start - LENGTH_BYTES + outside;
    let Ok(short) = i32::try_from(length) else {
        return Err(EncodeError::TooLong {
            length,
            max: 0x7fff_ffff,
        });
    };
    writer.patch_i32(start, short);
    Ok(())
}

/// Appends a request with its length and header; `api_version` is that of the body too.
///
/// # Errors
/// [`EncodeError`] when the version cannot carry `body`; the writer then holds a torn frame.
pub fn encode_request<R: Request>(
    writer: &mut Writer,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &R,
) -> Result<(), EncodeError> {
    let start = begin_frame(writer);
    RequestHeader {
        api_key: R::KEY.number(),
        api_version,
        correlation_id,
        client_id,
    }
    .encode(writer)?;
    body.encode(writer, api_version)?;
    finish_frame(writer, start, 0)
}

/// Appends a response with its length and header.
///
/// # Errors
/// [`EncodeError`] when the version cannot carry `body`; the writer then holds a torn frame.
pub fn encode_response<R: Response>(
    writer: &mut Writer,
    api_version: i16,
    correlation_id: i32,
    body: &R,
) -> Result<(), EncodeError> {
    let start = begin_frame(writer);
    ResponseHeader { correlation_id }.encode(writer, R::header_version(api_version));
    body.encode(writer, api_version)?;
    finish_frame(writer, start, 0)
}

/// Reads a response from its frame, the length left out. A reader made with
/// [`Reader::shared`] lets record bytes share the frame.
///
/// # Errors
/// [`DecodeError`] when the bytes are not one.
pub fn decode_response<R: Response>(
    reader: &mut Reader<'_>,
    api_version: i16,
) -> Result<(ResponseHeader, R), DecodeError> {
    let header = ResponseHeader::decode(reader, R::header_version(api_version))?;
    Ok((header, R::decode(reader, api_version)?))
}

/// Reads any request from its frame, the length left out.
///
/// # Errors
/// [`DecodeError`] when the bytes are not a request of a known API and version.
pub fn decode_any_request(frame: &[u8]) -> Result<(RequestHeader<'_>, AnyRequest<'_>), DecodeError> {
    let (header, mut reader) = RequestHeader::decode(frame)?;
    let key = header.key().ok_or(DecodeError::UnknownApiKey { key: header.api_key })?;
    let body = AnyRequest::decode(key, &mut reader, header.api_version)?;
    Ok((header, body))
}

/// Reads any response from its frame, the length left out; key and version are those of its request.
///
/// # Errors
/// [`DecodeError`] when the bytes are not one.
pub fn decode_any_response(
    key: ApiKey,
    api_version: i16,
    frame: &[u8],
) -> Result<(ResponseHeader, AnyResponse), DecodeError> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, key.response_header_version(api_version))?;
    Ok((header, AnyResponse::decode(key, &mut reader, api_version)?))
}

/// The body of a message at `version`, without header and length.
///
/// # Errors
/// [`EncodeError`] when the version cannot carry it.
pub fn encode_body<M: Message>(body: &M, version: i16) -> Result<alloc::vec::Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    body.encode(&mut writer, version)?;
    Ok(writer.into_vec())
}

/// Reads a body that has no header, at `version`.
///
/// # Errors
/// [`DecodeError`] when the bytes are not one.
pub fn decode_body<'a, M: Decode<'a>>(bytes: &'a [u8], version: i16) -> Result<M, DecodeError> {
    M::decode(&mut Reader::new(bytes), version)
}
