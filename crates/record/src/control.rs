//! Control records: the markers that end a transaction in a partition (KIP-98).
//!
//! A control batch holds one such record; consumers never see it.

use crate::error::ControlError;

const VERSION: i16 = 0;
const KIND_ABORT: i16 = 0;
const KIND_COMMIT: i16 = 1;

/// Bytes of a marker's key: version and kind.
const KEY_BYTES: usize = 4;
/// Bytes of a marker's value: version and coordinator epoch.
const VALUE_BYTES: usize = 6;

const _: () = assert!(KEY_BYTES == size_of::<i16>() + size_of::<i16>());
const _: () = assert!(VALUE_BYTES == size_of::<i16>() + size_of::<i32>());

/// The end of a transaction, as it stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ControlRecord {
    /// The transaction's records are valid.
    Commit {
        /// Epoch of the transaction coordinator that decided, so that an older one is fenced.
        coordinator_epoch: i32,
    },
    /// The transaction's records must never be shown to `read_committed`.
    Abort {
        /// Epoch of the transaction coordinator that decided, so that an older one is fenced.
        coordinator_epoch: i32,
    },
}

impl ControlRecord {
    /// Reads a marker from a control record's key and value. Later versions only append fields, which are ignored.
    ///
    /// # Errors
    /// [`ControlError::NotAMarker`] for kinds such as a leader change, which a reader skips;
    /// [`ControlError::Truncated`] and [`ControlError::VersionInvalid`] for damage.
    pub fn parse(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, ControlError> {
        let [version_high, version_low, kind_high, kind_low] = *leading::<KEY_BYTES>("key", key)?;
        check_version("key", [version_high, version_low])?;
        let kind = i16::from_be_bytes([kind_high, kind_low]);
        if kind != KIND_ABORT && kind != KIND_COMMIT {
            return Err(ControlError::NotAMarker { kind });
        }
        let [version_high, version_low, epoch @ ..] = *leading::<VALUE_BYTES>("value", value)?;
        check_version("value", [version_high, version_low])?;
        let coordinator_epoch = i32::from_be_bytes(epoch);
        Ok(if kind == KIND_COMMIT {
            Self::Commit { coordinator_epoch }
        } else {
            Self::Abort { coordinator_epoch }
        })
    }

    /// The record's key.
    #[must_use]
    pub fn encode_key(self) -> [u8; KEY_BYTES] {
        let kind = match self {
            Self::Commit { .. } => KIND_COMMIT,
            Self::Abort { .. } => KIND_ABORT,
        };
        let mut key = [0; KEY_BYTES];
        key[..2].copy_from_slice(&VERSION.to_be_bytes());
        key[2..].copy_from_slice(&kind.to_be_bytes());
        key
    }

    /// The record's value.
    #[must_use]
    pub fn encode_value(self) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        value[..2].copy_from_slice(&VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch().to_be_bytes());
        value
    }

    /// Epoch of the transaction coordinator that decided.
    #[must_use]
    pub const fn coordinator_epoch(self) -> i32 {
        match self {
            Self::Commit { coordinator_epoch } | Self::Abort { coordinator_epoch } => coordinator_epoch,
        }
    }
}

fn leading<'a, const N: usize>(field: &'static str, bytes: Option<&'a [u8]>) -> Result<&'a [u8; N], ControlError> {
    let bytes = bytes.unwrap_or_default();
    bytes.first_chunk().ok_or(ControlError::Truncated {
        field,
        needed: N,
        actual: bytes.len(),
    })
}

fn check_version(field: &'static str, bytes: [u8; 2]) -> Result<(), ControlError> {
    match i16::from_be_bytes(bytes) {
        version if version < 0 => Err(ControlError::VersionInvalid { field, version }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_round_trip() {
        for marker in [
            ControlRecord::Commit { coordinator_epoch: 7 },
            ControlRecord::Abort { coordinator_epoch: -2 },
        ] {
            assert_eq!(
                ControlRecord::parse(Some(&marker.encode_key()), Some(&marker.encode_value())),
                Ok(marker)
            );
        }
    }

    #[test]
    fn other_kinds_and_damage_are_told_apart() {
        let check = |key: Option<&[u8]>, value: Option<&[u8]>, expected| {
            assert_eq!(ControlRecord::parse(key, value), Err(expected));
        };
        check(Some(&[0, 0, 0, 2]), None, ControlError::NotAMarker { kind: 2 });
        check(
            None,
            None,
            ControlError::Truncated {
                field: "key",
                needed: 4,
                actual: 0,
            },
        );
        check(
            Some(&[0, 0, 0, 1]),
            Some(&[0, 0]),
            ControlError::Truncated {
                field: "value",
                needed: 6,
                actual: 2,
            },
        );
        check(
            Some(&[0xff, 0xff, 0, 1]),
            None,
            ControlError::VersionInvalid {
                field: "key",
                version: -1,
            },
        );
    }
}
