//! What all messages have in common, for code that is generic over them.
//!
//! The methods of the same names on the structures themselves need no import.

use crate::error::{DecodeError, EncodeError};
use crate::generated::api_key::ApiKey;
use crate::reader::Reader;
use crate::writer::Writer;

/// A message with versions that can be written.
pub trait Message {
    /// Kafka's name of it.
    const NAME: &'static str;
    /// The oldest known version.
    const MIN_VERSION: i16;
    /// The newest known version.
    const MAX_VERSION: i16;
    /// The first version with compact lengths and tagged fields; `i16::MAX` when there is none.
    const FLEXIBLE_FROM: i16;

    /// Writes this at `version`.
    ///
    /// # Errors
    /// [`EncodeError`] when `version` cannot carry this value.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A message that can be read from a frame of lifetime `'a`.
pub trait Decode<'a>: Message + Sized {
    /// Reads one at `version`. Bytes behind it are left to the caller.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not one.
    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;
}

/// What a client sends.
pub trait Request: Message {
    /// The API it belongs to.
    const KEY: ApiKey;
    /// What a broker answers.
    type Response: Response;

    /// The version of the header in front of it.
    fn header_version(version: i16) -> i16;
}

/// What a broker answers.
pub trait Response: for<'a> Decode<'a> {
    /// The API it belongs to.
    const KEY: ApiKey;

    /// The version of the header in front of it.
    fn header_version(version: i16) -> i16;
}

/// Implements the traits by the methods of the structure.
macro_rules! message_impl {
    (request $name:ident => $response:ident $(, $life:lifetime)?) => {
        $crate::message::message_impl!(payload $name $(, $life)?);

        impl $(<$life>)? $crate::message::Request for $name $(<$life>)? {
            const KEY: ApiKey = Self::KEY;
            type Response = $crate::generated::$response;

            fn header_version(version: i16) -> i16 {
                Self::header_version(version)
            }
        }
    };
    (response $name:ident) => {
        $crate::message::message_impl!(payload $name);

        impl $crate::message::Response for $name {
            const KEY: ApiKey = Self::KEY;

            fn header_version(version: i16) -> i16 {
                Self::header_version(version)
            }
        }
    };
    (payload $name:ident) => {
        $crate::message::message_impl!(message $name);

        impl<'a> $crate::message::Decode<'a> for $name {
            fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
                Self::decode(reader, version)
            }
        }
    };
    (payload $name:ident, $life:lifetime) => {
        $crate::message::message_impl!(message $name, $life);

        impl<$life> $crate::message::Decode<$life> for $name<$life> {
            fn decode(reader: &mut Reader<$life>, version: i16) -> Result<Self, DecodeError> {
                Self::decode(reader, version)
            }
        }
    };
    (message $name:ident $(, $life:lifetime)?) => {
        impl $(<$life>)? $crate::message::Message for $name $(<$life>)? {
            const NAME: &'static str = stringify!($name);
            const MIN_VERSION: i16 = Self::MIN_VERSION;
            const MAX_VERSION: i16 = Self::MAX_VERSION;
            const FLEXIBLE_FROM: i16 = Self::FLEXIBLE_FROM;

            fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
                self.encode(writer, version)
            }
        }
    };
}

pub(crate) use message_impl;
