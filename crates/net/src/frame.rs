//! Kafka's framing: a signed 32-bit big-endian length, then that many bytes.

use bytes::{Buf, BytesMut};

/// The length field in front of every frame.
pub const FRAME_HEADER_BYTES: usize = 4;

/// A length that no request can have. The connection cannot be read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is negative.
    #[error("a frame announces {0} bytes, which is negative: the peer does not speak Kafka's protocol")]
    Negative(i32),
    /// The length is above `socket.request.max.bytes`.
    #[error(
        "a frame announces {announced} bytes, above socket.request.max.bytes={max}: raise it or send smaller requests"
    )]
    TooLarge {
        /// The announced length in bytes.
        announced: usize,
        /// The bound in bytes.
        max: usize,
    },
}

/// Takes the first whole frame off `bytes`, without its length field; `None` while it is incomplete.
///
/// # Errors
/// [`FrameError`] as soon as the length field is known to be impossible, before the bytes behind it are waited for.
pub fn next_frame(bytes: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<BytesMut>, FrameError> {
    let Some(len) = announced(bytes, frame_bytes_max)? else {
        return Ok(None);
    };
    if bytes.len() < FRAME_HEADER_BYTES + len {
        return Ok(None);
    }
    bytes.advance(FRAME_HEADER_BYTES);
    Ok(Some(bytes.split_to(len)))
}

/// How many bytes the incomplete frame at the start of `bytes` still needs, as far as is known.
#[must_use]
pub fn missing_bytes(bytes: &[u8], frame_bytes_max: usize) -> usize {
    match announced(bytes, frame_bytes_max) {
        Ok(Some(len)) => (FRAME_HEADER_BYTES + len).saturating_sub(bytes.len()),
        _ => FRAME_HEADER_BYTES.saturating_sub(bytes.len()),
    }
}

fn announced(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(field) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
        return Ok(None);
    };
    let signed = i32::from_be_bytes(*field);
    let len = usize::try_from(signed).map_err(|_| FrameError::Negative(signed))?;
    if len > frame_bytes_max {
        return Err(FrameError::TooLarge {
            announced: len,
            max: frame_bytes_max,
        });
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_without_their_length_and_the_rest_stays() {
        let mut bytes = BytesMut::from(&b"\0\0\0\x02ab\0\0\0\x03c"[..]);
        assert_eq!(next_frame(&mut bytes, 10).unwrap().unwrap(), &b"ab"[..]);
        assert_eq!(next_frame(&mut bytes, 10), Ok(None));
        assert_eq!(missing_bytes(&bytes, 10), 2);
        assert_eq!(bytes, &b"\0\0\0\x03c"[..]);
    }

    #[test]
    fn an_impossible_length_is_refused_before_its_bytes_arrive() {
        let mut negative = BytesMut::from(&b"\xff\xff\xff\xff"[..]);
        assert_eq!(next_frame(&mut negative, 10), Err(FrameError::Negative(-1)));
        let mut large = BytesMut::from(&b"\x7f\xff\xff\xff"[..]);
        assert_eq!(
            next_frame(&mut large, 10),
            Err(FrameError::TooLarge {
                announced: 0x7fff_ffff,
                max: 10
            })
        );
    }
}
