//! Frames made of the golden vectors of `crates/protocol/testdata`.

use hallows_protocol::ApiKey;

const VECTORS: &str = include_str!("../../../crates/protocol/testdata/vectors.txt");

/// One body of a message at a version.
pub(super) struct Vector {
    /// The message's name, as `FetchRequest`.
    pub(super) name: &'static str,
    pub(super) version: i16,
    pub(super) body: Vec<u8>,
}

/// Every vector.
pub(super) fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().map(|line| {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("name, version and bytes");
        Vector {
            name: word(),
            version: word().parse().expect("a version"),
            body: unhex(word()),
        }
    })
}

/// The API of a message whose name ends in `suffix`.
pub(super) fn api_of(name: &str, suffix: &str) -> Option<ApiKey> {
    let api = name.strip_suffix(suffix)?;
    (0..128).filter_map(ApiKey::from_number).find(|key| key.name() == api)
}

/// A request's frame, without its length.
pub(super) fn request_frame(key: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend_from_slice(&key.number().to_be_bytes());
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&correlation_id.to_be_bytes());
    let header_version = key.request_header_version(version);
    if header_version >= 1 {
        frame.extend_from_slice(&[0, 1, b'c']);
    }
    if header_version >= 2 {
        frame.push(0);
    }
    frame.extend_from_slice(body);
    frame
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|index| u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).expect("hexadecimal digits"))
        .collect()
}
