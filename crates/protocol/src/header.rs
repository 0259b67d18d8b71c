//! What stands in front of every body: the headers of requests and responses.

use crate::api::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::reader::Reader;
use crate::writer::Writer;

/// The header of a request.
///
/// It is read as far as it can be: an unknown API or version is no error here, because ApiVersions at
/// an unknown version has to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader<'a> {
    /// The number of the API, known or not.
    pub api_key: i16,
    /// The version, known or not.
    pub api_version: i16,
    /// What the answer has to repeat.
    pub correlation_id: i32,
    /// The client's own name; `None` also where it could not be read.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header at the start of a frame (without its length) and returns a reader that stands
    /// at the body.
    ///
    /// At a version this crate does not know, the header is taken for the newest form (2); where
    /// even that fails, the client id is `None` and the reader stands behind the correlation id. Such
    /// a body must not be decoded, and `decode` of the message refuses its version.
    ///
    /// # Errors
    /// [`DecodeError`] when key, version and correlation id are not all there, or when the header of
    /// a known API and version is malformed.
    pub fn decode(frame: &'a [u8]) -> Result<(Self, Reader<'a>), DecodeError> {
        let mut reader = Reader::new(frame);
        let mut header = Self {
            api_key: reader.i16()?,
            api_version: reader.i16()?,
            correlation_id: reader.i32()?,
            client_id: None,
        };
        let mut ahead = reader.clone();
        let rest = Self::decode_rest(&mut ahead, header.header_version());
        match rest {
            Ok(client_id) => {
                header.client_id = client_id;
                Ok((header, ahead))
            }
            Err(error) if header.is_known() => Err(error),
            Err(_) => Ok((header, reader)),
        }
    }

    fn decode_rest(reader: &mut Reader<'a>, version: i16) -> Result<Option<&'a str>, DecodeError> {
        // The client id keeps its old form also in flexible headers.
        let client_id = reader.nullable_str(false)?;
        if version >= 2 {
            reader.skip_tags()?;
        }
        Ok(client_id)
    }

    /// The API, when it is known.
    #[must_use]
    pub fn key(&self) -> Option<ApiKey> {
        ApiKey::from_number(self.api_key)
    }

    /// Whether this crate can decode the body.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.key().is_some_and(|key| key.versions().contains(self.api_version))
    }

    fn header_version(&self) -> i16 {
        self.key().map_or(2, |key| key.request_header_version(self.api_version))
    }

    /// Writes the header in the form that its API and version ask for.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when the client id is.
    pub fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.nullable_str(self.client_id, false)?;
        if self.header_version() >= 2 {
            writer.tag_count(0);
        }
        Ok(())
    }
}

/// The header of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads a header of `header_version` 0 or 1.
    ///
    /// # Errors
    /// [`DecodeError`] when the frame ends inside it.
    pub fn decode(reader: &mut Reader<'_>, header_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = reader.i32()?;
        if header_version >= 1 {
            reader.skip_tags()?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes a header of `header_version` 0 or 1.
    pub fn encode(self, writer: &mut Writer, header_version: i16) {
        writer.i32(self.correlation_id);
        if header_version >= 1 {
            writer.tag_count(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(header: &RequestHeader<'_>) -> alloc::vec::Vec<u8> {
        let mut writer = Writer::new();
        header.encode(&mut writer).expect("a short client id");
        writer.into_vec()
    }

    #[test]
    fn known_headers_round_trip() {
        for (api_key, api_version) in [(0, 3), (0, 9), (18, 0), (18, 3), (47, 0)] {
            let header = RequestHeader {
                api_key,
                api_version,
                correlation_id: -7,
                client_id: Some("client"),
            };
            let mut bytes = bytes_of(&header);
            bytes.push(99);
            let (decoded, reader) = RequestHeader::decode(&bytes).expect("our own bytes");
            assert_eq!((decoded, reader.remaining()), (header, 1));
        }
    }

    #[test]
    fn unknown_versions_are_read_as_far_as_possible() {
        let bytes = [0, 18, 3, 231, 0, 0, 0, 5];
        let (header, reader) = RequestHeader::decode(&bytes).expect("the fixed part is there");
        assert_eq!(
            (header.api_key, header.api_version, header.correlation_id),
            (18, 999, 5)
        );
        assert_eq!(
            (header.client_id, header.is_known(), reader.position()),
            (None, false, 8)
        );
        assert!(RequestHeader::decode(&bytes[..7]).is_err());
    }

    #[test]
    fn a_malformed_header_of_a_known_version_is_an_error() {
        let bytes = [0, 18, 0, 0, 0, 0, 0, 5, 0, 9];
        assert!(RequestHeader::decode(&bytes).is_err());
    }
}
