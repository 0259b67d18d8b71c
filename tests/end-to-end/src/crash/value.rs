//! What the crash test writes: values that prove by themselves whether they are intact.
//!
//! `producer u64 | sequence u64 | filler`, big endian. Length and filler follow from the first two numbers, so a reader
//! needs no copy of what was sent.

use hallows_testkit::Random;

/// Producer and sequence.
const HEAD_BYTES: usize = 16;
/// The longest filler of an ordinary value.
const FILLER_BYTES_MAX: u64 = 400;

/// Which record it is: the producer's number and the producer's count in that partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) producer: u64,
    pub(crate) sequence: u64,
}

/// The value of one record; `filler` fixes its length, without it the length is the record's own.
pub(crate) fn value(identity: Identity, filler: Option<usize>) -> Vec<u8> {
    let mut random = random_of(identity);
    let own = usize::try_from(random.below(FILLER_BYTES_MAX)).expect("a small bound");
    let length = filler.unwrap_or(own);
    let mut bytes = Vec::with_capacity(HEAD_BYTES + length + 8);
    bytes.extend_from_slice(&identity.producer.to_be_bytes());
    bytes.extend_from_slice(&identity.sequence.to_be_bytes());
    while bytes.len() < HEAD_BYTES + length {
        bytes.extend_from_slice(&random.next_u64().to_be_bytes());
    }
    bytes.truncate(HEAD_BYTES + length);
    bytes
}

/// Whose value it is, if every byte is as it was sent.
pub(crate) fn read(bytes: &[u8]) -> Option<Identity> {
    let (producer, rest) = bytes.split_first_chunk()?;
    let (sequence, filler) = rest.split_first_chunk()?;
    let identity = Identity {
        producer: u64::from_be_bytes(*producer),
        sequence: u64::from_be_bytes(*sequence),
    };
    (value(identity, Some(filler.len())) == bytes).then_some(identity)
}

fn random_of(identity: Identity) -> Random {
    Random::from_seed(identity.producer.rotate_left(32) ^ identity.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_recognised_and_a_changed_one_is_not() {
        let identity = Identity {
            producer: 3,
            sequence: 1 << 40,
        };
        for filler in [None, Some(0), Some(7), Some(8), Some(100_000)] {
            let mut bytes = value(identity, filler);
            assert_eq!(read(&bytes), Some(identity));
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            assert_ne!(read(&bytes), Some(identity));
        }
    }
}
