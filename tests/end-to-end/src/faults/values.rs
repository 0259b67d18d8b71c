//! What the producers of the fault run send: keys that name the value, and values that follow from their keys.

use hallows_testkit::Random;
use hallows_testkit::history::Value;

use crate::clients::{Record, crc32};

/// The longest value.
const VALUE_BYTES_MAX: u64 = 200;

pub(super) fn key(value: Value) -> String {
    format!("{}-{}", value.sender, value.number)
}

/// Letters only, since a line of input is one record.
pub(super) fn text(value: Value) -> String {
    let mut random = Random::from_seed((u64::from(value.sender) << 32) | u64::from(value.number));
    let length = 1 + random.below(VALUE_BYTES_MAX);
    let letter = |_| char::from(b'a' + u8::try_from(random.below(26)).unwrap_or(0));
    (0..length).map(letter).collect()
}

/// Whose value a record is, if it is as it was sent.
pub(super) fn identify(record: &Record) -> Option<Value> {
    let (sender, number) = record.key.split_once('-')?;
    let value = Value {
        sender: sender.parse().ok()?,
        number: number.parse().ok()?,
    };
    let text = text(value);
    (text.len() == record.length && crc32(text.as_bytes()) == record.crc).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: Value) -> Record {
        let text = text(value);
        Record {
            key: key(value),
            length: text.len(),
            crc: crc32(text.as_bytes()),
            ..Record::default()
        }
    }

    #[test]
    fn a_record_names_its_value_and_a_damaged_one_does_not() {
        let value = Value { sender: 3, number: 70 };
        let intact = record(value);
        assert_eq!(identify(&intact), Some(value));
        let damaged = Record {
            crc: intact.crc ^ 1,
            ..intact.clone()
        };
        assert_eq!(identify(&damaged), None);
        let shorter = Record {
            length: intact.length - 1,
            ..intact.clone()
        };
        assert_eq!(identify(&shorter), None);
        let misnamed = Record {
            key: "3-71".into(),
            ..intact
        };
        assert_eq!(identify(&misnamed), None);
    }
}
