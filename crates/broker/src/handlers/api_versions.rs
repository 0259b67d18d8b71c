//! ApiVersions, versions 0 to 4.
//!
//! An unknown version is answered with UNSUPPORTED_VERSION in the form of version 0, naming the versions of key 18
//! (KIP-511); the connection is kept. From version 3 on the client's software name and version are checked, and
//! finalized features are told: none yet, since a feature appears there exactly when it works.

use hallows_protocol::messages::api_versions_request::ApiVersionsRequest;
use hallows_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use hallows_protocol::{ApiKey, ErrorCode, Reader};

use super::SERVED;
use crate::context::{Outcome, RequestContext};
use crate::response::{answer, answer_at};

const VERSION_MAX: i16 = 4;

pub(crate) fn handle(context: &RequestContext, body: &[u8]) -> Outcome {
    if !(0..=VERSION_MAX).contains(&context.version) {
        let only = SERVED.iter().filter(|served| served.api == ApiKey::ApiVersions);
        return answer_at(context, &response(ErrorCode::UNSUPPORTED_VERSION, only), 0);
    }
    let mut reader = Reader::new(body);
    let Ok(request) = ApiVersionsRequest::decode(&mut reader, context.version) else {
        return answer(context, &response(ErrorCode::INVALID_REQUEST, [].iter()));
    };
    let named = context.version < 3
        || (is_software_name(request.client_software_name) && is_software_name(request.client_software_version));
    if !named {
        return answer(context, &response(ErrorCode::INVALID_REQUEST, [].iter()));
    }
    answer(context, &response(ErrorCode::NONE, SERVED.iter()))
}

fn response<'a>(error_code: ErrorCode, served: impl Iterator<Item = &'a super::Served>) -> ApiVersionsResponse {
    let api_keys = served
        .map(|served| ApiVersion {
            api_key: served.api.number(),
            min_version: served.min,
            max_version: served.max,
        })
        .collect();
    ApiVersionsResponse {
        error_code,
        api_keys,
        finalized_features_epoch: 0,
        ..ApiVersionsResponse::default()
    }
}

/// KIP-511: letters, digits, dots and dashes, beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|byte| inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_are_checked_as_kip_511_says() {
        for good in ["a", "apache-kafka-java", "1.0.0-beta.2"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "ä"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
