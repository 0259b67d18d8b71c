//! Payloads that begin with two bytes of version or type: coordinator records, and what consumers
//! put into JoinGroup and SyncGroup.
//!
//! The key of a record of `__consumer_offsets` begins with its type, its value with the value's
//! version; what the value is follows from the key.

use alloc::vec::Vec;

use crate::error::{DecodeError, EncodeError};
use crate::generated::TransactionLogKey;
pub use crate::generated::coordinator::{GroupRecordKey, GroupRecordValue};
use crate::message::{Decode, Message};
use crate::reader::Reader;
use crate::writer::Writer;

/// Keys of coordinator records have this version only; the two bytes in front of them are their type.
const KEY_VERSION: i16 = 0;

/// Writes `version` and then the payload at that version.
///
/// # Errors
/// [`EncodeError`] when the version cannot carry it.
pub fn encode_versioned<M: Message>(payload: &M, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(version);
    payload.encode(&mut writer, version)?;
    Ok(writer.into_vec())
}

/// Reads a version and then the payload at that version. Used for `ConsumerProtocolSubscription` and
/// `ConsumerProtocolAssignment` too: a version newer than known is read as the newest known, since
/// consumers only ever add fields at the end.
///
/// # Errors
/// [`DecodeError`] when the bytes are not one; versions of coordinator records are checked.
pub fn decode_versioned<'a, M: Decode<'a>>(bytes: &'a [u8]) -> Result<(i16, M), DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    // Records of coordinators change incompatibly, and carry flexible versions; the consumer's own
    // payloads do neither.
    let read_as = if M::FLEXIBLE_FROM == i16::MAX {
        version.min(M::MAX_VERSION)
    } else {
        version
    };
    Ok((version, M::decode(&mut reader, read_as)?))
}

impl<'a> GroupRecordKey<'a> {
    /// Reads the key of a record of `__consumer_offsets`.
    ///
    /// # Errors
    /// [`DecodeError::UnknownRecordType`] for a newer type, which a reader skips; otherwise the bytes
    /// are damaged.
    pub fn decode(key: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(key);
        let record_type = reader.i16()?;
        Self::decode_body(record_type, &mut reader, KEY_VERSION)
    }

    /// Writes the key with its type.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] when a name is.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.i16(self.record_type());
        self.encode_body(&mut writer, KEY_VERSION)?;
        Ok(writer.into_vec())
    }
}

impl<'a> GroupRecordValue<'a> {
    /// Reads the value of a record whose key has the type `record_type`; also returns its version.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    pub fn decode(record_type: i16, value: &'a [u8]) -> Result<(i16, Self), DecodeError> {
        let mut reader = Reader::new(value);
        let version = reader.i16()?;
        Ok((version, Self::decode_body(record_type, &mut reader, version)?))
    }

    /// Writes the version and then the value at it.
    ///
    /// # Errors
    /// [`EncodeError`] when the version cannot carry it.
    pub fn encode(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.i16(version);
        self.encode_body(&mut writer, version)?;
        Ok(writer.into_vec())
    }
}

/// Reads the key of a record of `__transaction_state`.
///
/// # Errors
/// [`DecodeError::UnknownRecordType`] for a newer type, which a reader skips.
pub fn decode_transaction_key(key: &[u8]) -> Result<TransactionLogKey<'_>, DecodeError> {
    let mut reader = Reader::new(key);
    let record_type = reader.i16()?;
    if record_type != TransactionLogKey::RECORD_TYPE {
        return Err(DecodeError::UnknownRecordType { record_type });
    }
    TransactionLogKey::decode(&mut reader, KEY_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::{ConsumerProtocolSubscription, OffsetCommitKey, OffsetCommitValue, TransactionLogValue};

    #[test]
    fn committed_offsets_have_the_bytes_that_tools_expect() {
        let key = GroupRecordKey::OffsetCommit(OffsetCommitKey {
            group: "g",
            topic: "t",
            partition: 2,
        });
        let bytes = key.encode().expect("short names");
        assert_eq!(bytes, [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 2]);
        assert_eq!(GroupRecordKey::decode(&bytes), Ok(key));

        let value = OffsetCommitValue {
            offset: 5,
            leader_epoch: 6,
            commit_timestamp: 7,
            ..Default::default()
        };
        let value = GroupRecordValue::OffsetCommit(value);
        let bytes = value.encode(3).expect("version 3 has these fields");
        assert_eq!(
            bytes,
            [0, 3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]
        );
        assert_eq!(GroupRecordValue::decode(value.record_type(), &bytes), Ok((3, value)));
    }

    #[test]
    fn unknown_types_and_versions_are_told_apart_from_damage() {
        let newer = [0, 99, 0, 0];
        assert_eq!(
            GroupRecordKey::decode(&newer),
            Err(DecodeError::UnknownRecordType { record_type: 99 })
        );
        assert_eq!(
            decode_transaction_key(&newer),
            Err(DecodeError::UnknownRecordType { record_type: 99 })
        );
        let newer = decode_versioned::<TransactionLogValue<'_>>(&[0, 9]);
        assert!(matches!(newer, Err(DecodeError::UnsupportedVersion { version: 9, .. })));
        assert!(matches!(
            GroupRecordKey::decode(&[0]),
            Err(DecodeError::Truncated { .. })
        ));
    }

    #[test]
    fn a_newer_subscription_is_read_as_the_newest_known() {
        let subscription = ConsumerProtocolSubscription {
            topics: alloc::vec!["t"],
            generation_id: 4,
            ..Default::default()
        };
        let mut bytes = encode_versioned(&subscription, 3).expect("version 3 has these fields");
        bytes[1] = 9;
        bytes.extend_from_slice(b"what version 9 adds");
        assert_eq!(decode_versioned(&bytes), Ok((9, subscription)));
    }
}
