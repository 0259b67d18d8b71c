//! The table of APIs and versions, and what error codes mean.

use core::fmt;

pub use crate::generated::api_key::{API_VERSIONS, ApiKey};
use crate::generated::error_code::ERROR_CODES;
pub use crate::generated::error_code::ErrorCode;

/// The versions of one API that this crate can decode and encode. What a broker advertises is its own
/// choice among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiVersionRange {
    /// The API.
    pub key: ApiKey,
    /// Kafka's name of it, for example `OffsetCommit`.
    pub name: &'static str,
    /// The oldest known version.
    pub min: i16,
    /// The newest known version.
    pub max: i16,
    /// The newest version that may be advertised: Kafka marks some last versions as unstable.
    pub max_stable: i16,
    /// The first version with compact lengths and tagged fields; `i16::MAX` when there is none.
    pub flexible_from: i16,
}

impl ApiVersionRange {
    /// Whether `version` can be decoded.
    #[must_use]
    pub const fn contains(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

impl ApiKey {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> i16 {
        self as i16
    }

    /// Its versions.
    ///
    /// # Panics
    /// Never: the table and the enum are generated together.
    #[must_use]
    pub fn versions(self) -> &'static ApiVersionRange {
        let place = API_VERSIONS.binary_search_by_key(&self, |range| range.key);
        &API_VERSIONS[place.expect("the table has every key, in order")]
    }

    /// Kafka's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.versions().name
    }

    /// The version of the header in front of a request at `version`.
    #[must_use]
    pub fn request_header_version(self, version: i16) -> i16 {
        if version >= self.versions().flexible_from { 2 } else { 1 }
    }

    /// The version of the header in front of a response at `version`. Those of ApiVersions never
    /// have tagged fields there: a client that knows no version yet has to understand them.
    #[must_use]
    pub fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if version >= self.versions().flexible_from => 1,
            _ => 0,
        }
    }
}

impl ErrorCode {
    fn row(self) -> Option<&'static (&'static str, bool)> {
        // The table begins with code -1.
        usize::try_from(i32::from(self.0) + 1)
            .ok()
            .and_then(|index| ERROR_CODES.get(index))
    }

    /// Kafka's name of it; `UNKNOWN_SERVER_ERROR` for a number newer than the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN_SERVER_ERROR", |row| row.0)
    }

    /// Whether clients try again by themselves.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        self.row().is_some_and(|row| row.1)
    }

    /// Whether it says that something failed.
    #[must_use]
    pub fn is_error(self) -> bool {
        self != Self::NONE
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_agrees_with_the_numbers() {
        assert!(API_VERSIONS.is_sorted_by_key(|range| range.key));
        for range in &API_VERSIONS {
            assert_eq!(ApiKey::from_number(range.key.number()), Some(range.key));
            assert!(
                range.min <= range.max_stable && range.max_stable <= range.max,
                "{range:?}"
            );
        }
        assert_eq!(ApiKey::from_number(4), None);
        assert_eq!(ApiKey::from_number(-1), None);
    }

    #[test]
    fn unstable_versions_are_known_but_not_to_be_advertised() {
        let range = ApiKey::InitProducerId.versions();
        assert_eq!((range.max_stable, range.max), (5, 6));
    }

    #[test]
    fn headers_of_api_versions_are_never_flexible() {
        assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
        assert_eq!(ApiKey::ApiVersions.response_header_version(3), 0);
        assert_eq!(ApiKey::Fetch.response_header_version(12), 1);
        assert_eq!(ApiKey::OffsetDelete.request_header_version(0), 1);
    }

    #[test]
    fn error_codes_have_names() {
        assert_eq!(ErrorCode::UNKNOWN_SERVER_ERROR.name(), "UNKNOWN_SERVER_ERROR");
        assert_eq!(ErrorCode(35).name(), "UNSUPPORTED_VERSION");
        assert_eq!(ErrorCode(9999).name(), "UNKNOWN_SERVER_ERROR");
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.is_retriable());
        assert!(!ErrorCode::OFFSET_OUT_OF_RANGE.is_retriable());
        assert!(!ErrorCode::default().is_error());
    }
}
