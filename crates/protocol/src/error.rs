//! What can be wrong with bytes, and with values that are to become bytes.

use thiserror::Error;

/// Bytes are not what they were taken for. Positions count from the start of the reader's frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// The frame ends inside a value, or a length claims more than the frame holds.
    #[error("at byte {at}: {needed} bytes claimed, {remaining} left")]
    Truncated {
        /// Where the value begins.
        at: usize,
        /// How many bytes it takes at least.
        needed: usize,
        /// How many bytes there are.
        remaining: usize,
    },
    /// A length below zero that does not stand for null.
    #[error("at byte {at}: length {length}")]
    NegativeLength {
        /// Where the length ends.
        at: usize,
        /// The length.
        length: i32,
    },
    /// A string longer than any version can carry.
    #[error(
        "at byte {at}: a string of {length} bytes, at most {} allowed",
        crate::STRING_BYTES_MAX
    )]
    StringTooLong {
        /// Where the length ends.
        at: usize,
        /// Its length.
        length: usize,
    },
    /// Null where the version allows none.
    #[error("at byte {at}: null")]
    UnexpectedNull {
        /// Where the value ends.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("at byte {at}: text is not UTF-8")]
    InvalidUtf8 {
        /// Where the text begins.
        at: usize,
    },
    /// A variable-length integer of more bits than its type has.
    #[error("at byte {at}: a variable-length integer is too long")]
    VarintTooLong {
        /// Where it begins.
        at: usize,
    },
    /// A tagged field took more or fewer bytes than it announced.
    #[error("at byte {at}: tag {tag} ends at {expected} by its size")]
    TagSize {
        /// Where its value ended.
        at: usize,
        /// The tag.
        tag: u32,
        /// Where it should have ended.
        expected: usize,
    },
    /// The decoded form would take more memory than one frame may.
    #[error("at byte {at}: decoding takes more than {} bytes", crate::DECODED_BYTES_MAX)]
    TooLarge {
        /// Where the array that exceeds it begins.
        at: usize,
    },
    /// A version outside the known ones.
    #[error("{message} has versions {min} to {max}, not {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The oldest known version.
        min: i16,
        /// The newest known version.
        max: i16,
    },
    /// An API key that is in no table.
    #[error("unknown API key {key}")]
    UnknownApiKey {
        /// The key.
        key: i16,
    },
    /// A type of coordinator record that is in no table.
    #[error("unknown record type {record_type}")]
    UnknownRecordType {
        /// The type.
        record_type: i16,
    },
}

/// A value cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum EncodeError {
    /// A field has a value that would be lost: the version has no place for it.
    #[error("version {version} of {structure} has no {field}")]
    NoSuchField {
        /// The structure.
        structure: &'static str,
        /// Its field.
        field: &'static str,
        /// The version.
        version: i16,
    },
    /// Null in a field that allows none at this version.
    #[error("{field} of {structure} is null, which version {version} does not allow")]
    UnexpectedNull {
        /// The structure.
        structure: &'static str,
        /// Its field.
        field: &'static str,
        /// The version.
        version: i16,
    },
    /// A string, byte string, array or frame longer than its length field can say.
    #[error("{length} are too many for a length of at most {max}")]
    TooLong {
        /// How many there are.
        length: usize,
        /// How many can be written.
        max: usize,
    },
    /// A version outside the known ones.
    #[error("{message} has versions {min} to {max}, not {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The oldest known version.
        min: i16,
        /// The newest known version.
        max: i16,
    },
}

/// Refuses a version that a message does not know.
pub(crate) fn check_decode_version(message: &'static str, version: i16, min: i16, max: i16) -> Result<(), DecodeError> {
    if (min..=max).contains(&version) {
        return Ok(());
    }
    Err(DecodeError::UnsupportedVersion {
        message,
        version,
        min,
        max,
    })
}

/// Refuses a version that a message does not know.
pub(crate) fn check_encode_version(message: &'static str, version: i16, min: i16, max: i16) -> Result<(), EncodeError> {
    if (min..=max).contains(&version) {
        return Ok(());
    }
    Err(EncodeError::UnsupportedVersion {
        message,
        version,
        min,
        max,
    })
}
