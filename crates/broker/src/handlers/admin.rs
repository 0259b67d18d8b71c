//! What changes of the metadata have in common: names, results per item, the way through the controller.

use std::time::Duration;

use hallows_protocol::ErrorCode;
use hallows_types::Monotonic;

use crate::context::{Outcome, RequestContext};
use crate::controller::{AdminAnswer, AdminOp, Propose};
use crate::errors::{append_code, append_reason};
use crate::op::{Op, OpAnswer};
use crate::shard::Shard;

/// The longest topic name, as in Kafka.
const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Every operation on a topic that Kafka knows, as bits: allowed while there is no access control.
pub(crate) const TOPIC_OPERATIONS: i32 = 3576;
/// Every operation on a cluster.
pub(crate) const CLUSTER_OPERATIONS: i32 = 8096;
/// Every operation on a group.
pub(crate) const GROUP_OPERATIONS: i32 = 3400;
/// The answer where nobody asked for authorised operations.
pub(crate) const OPERATIONS_UNKNOWN: i32 = i32::MIN;

/// How one item of a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ItemResult {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
}

impl ItemResult {
    pub(crate) const OK: Self = Self {
        code: ErrorCode::NONE,
        message: None,
    };

    pub(crate) fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// A refusal by code alone, in the words that Kafka has for it.
    pub(crate) fn refusal(code: ErrorCode) -> Self {
        Self::error(code, default_message(code))
    }

    /// Nothing was begun: there was no time for it.
    pub(crate) const fn timed_out() -> Self {
        Self {
            code: ErrorCode::REQUEST_TIMED_OUT,
            message: None,
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.code == ErrorCode::NONE
    }
}

/// What Kafka says where a code is all there is to say.
fn default_message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "This server does not host this topic-partition.",
        ErrorCode::UNKNOWN_TOPIC_ID => "This server does not host this topic ID.",
        ErrorCode::TOPIC_DELETION_DISABLED => "Topic deletion is disabled.",
        ErrorCode::ELECTION_NOT_NEEDED => "Leader election not needed for topic partition.",
        ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE => "The preferred leader was not available.",
        ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE => "Eligible topic partition leaders are not available.",
        ErrorCode::INVALID_REQUEST => "The request names it more than once, or by name and by id.",
        code => code.name(),
    }
}

impl Shard {
    /// When a change with this timeout must have been begun. As in Kafka, one of 0 or below leaves it no time.
    pub(crate) fn change_deadline(&self, timeout_ms: i32) -> Monotonic {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        self.view.now.monotonic.after(timeout)
    }

    /// Has the controller decide and commit a change of `count` items, then finishes with one result per item.
    /// After `deadline` the controller does not begin it; once begun it is answered when it is committed.
    pub(crate) fn change(
        &mut self,
        context: RequestContext,
        count: usize,
        deadline: Monotonic,
        propose: Propose,
        finish: impl FnOnce(&mut Self, RequestContext, Vec<ItemResult>) -> Outcome + Send + 'static,
    ) -> Outcome {
        let op = Op::Admin(Box::new(AdminOp { propose, deadline }));
        self.gather(context, vec![op], move |shard, context, answers| {
            let results = match answers.into_iter().next().flatten() {
                Some(OpAnswer::Admin(answer)) => results(*answer, count),
                _ => vec![ItemResult::error(ErrorCode::UNKNOWN_SERVER_ERROR, "no answer"); count],
            };
            finish(shard, context, results)
        })
    }
}

fn results(answer: AdminAnswer, count: usize) -> Vec<ItemResult> {
    match answer {
        AdminAnswer::Items(items) => items,
        AdminAnswer::ProducerIds { .. } => vec![ItemResult::OK; count],
        AdminAnswer::TimedOut => vec![ItemResult::timed_out(); count],
        AdminAnswer::NotCommitted(failure) => {
            let code = append_code(&failure);
            let why = append_reason(&failure).unwrap_or_else(|| code.name().to_owned());
            let message = format!("the metadata log did not take the change: {why}");
            vec![ItemResult::error(code, message); count]
        }
    }
}

/// Kafka's rules for topic names.
///
/// # Errors
/// INVALID_TOPIC_EXCEPTION with Kafka's reasons.
pub(crate) fn check_topic_name(name: &str) -> Result<(), ItemResult> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => "'.' or '..' is not allowed".to_owned(),
        _ if name.len() > TOPIC_NAME_BYTES_MAX => {
            format!("the length of {name} is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}")
        }
        _ if !name.bytes().all(legal) => {
            format!("{name} contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Err(ItemResult::error(
        ErrorCode::INVALID_TOPIC_EXCEPTION,
        format!("Topic name is invalid: {reason}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illegal_topic_names_are_refused() {
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert_eq!(
                check_topic_name(bad).unwrap_err().code,
                ErrorCode::INVALID_TOPIC_EXCEPTION,
                "{bad}"
            );
        }
        for good in ["a", "...", "A_b-c.9", &"x".repeat(249)] {
            check_topic_name(good).unwrap();
        }
    }
}
