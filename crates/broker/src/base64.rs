//! Kafka's text form of 16-byte ids: URL-safe base64 (RFC 4648) without padding, 22 characters.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_CHARS: usize = 22;

/// The text of an id.
pub(crate) fn encode_uuid(id: [u8; 16]) -> String {
    let number = u128::from_be_bytes(id);
    // 128 bits are 21 groups of six and one of two, which is padded with zero bits.
    let groups = (0..TEXT_CHARS).map(|group| match group {
        21 => (number << 4) & 0x3f,
        _ => number >> (122 - 6 * group) & 0x3f,
    });
    groups
        .map(|bits| char::from(ALPHABET[usize::try_from(bits).expect("six bits")]))
        .collect()
}

/// The id of a text, if it is one.
pub(crate) fn decode_uuid(text: &str) -> Option<[u8; 16]> {
    if text.len() != TEXT_CHARS {
        return None;
    }
    let mut number: u128 = 0;
    for (group, byte) in text.bytes().enumerate() {
        let bits = u128::try_from(ALPHABET.iter().position(|letter| *letter == byte)?).ok()?;
        number = if group == 21 {
            number << 2 | bits >> 4
        } else {
            number << 6 | bits
        };
    }
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_and_look_like_kafkas() {
        let id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255];
        assert_eq!(encode_uuid(id), "AAECAwQFBgcICQoLDA0O_w");
        assert_eq!(decode_uuid("AAECAwQFBgcICQoLDA0O_w"), Some(id));
        assert_eq!(decode_uuid("too short"), None);
    }
}
