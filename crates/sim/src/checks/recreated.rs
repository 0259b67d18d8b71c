//! An id names one topic for ever: a topic made anew under an old name has another id, and what is asked by the old id is
//! never served once its deletion was answered.
//!
//! Source: KIP-516, "Topic Identifiers": a client that still knows a deleted topic's id must not read or write the
//! topic that has its name now; it gets UNKNOWN_TOPIC_ID.

use hallows_types::TopicId;

use crate::violation::{Verdict, ensure};

const NAME: &str = "an id names one topic for ever";

/// Judges the id of a new topic by those of all others that there ever were.
///
/// # Errors
/// An id that another topic had.
pub fn check_new(id: TopicId, mut others: impl Iterator<Item = TopicId>) -> Verdict {
    let known = id == TopicId::ZERO || !others.any(|other| other == id);
    ensure!(NAME, known, "a new topic got the id {id}, which another one had");
    Ok(())
}

/// Judges that a request by an id, sent at `asked`, was served; the deletion of the topic was answered at `gone`.
///
/// # Errors
/// When the topic was known to be deleted.
pub fn check_served(id: TopicId, gone: Option<u64>, asked: u64) -> Verdict {
    let too_late = gone.is_some_and(|gone| gone < asked);
    ensure!(
        NAME,
        !too_late,
        "a request by the id {id} was served after that topic was deleted"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_used_again() {
        let id = |number| TopicId([number; 16]);
        check_new(id(3), [id(1), id(2), TopicId::ZERO].into_iter()).expect("new");
        check_new(TopicId::ZERO, [TopicId::ZERO].into_iter()).expect("not known yet");
        check_new(id(2), [id(1), id(2)].into_iter()).expect_err("the second again");
    }

    #[test]
    fn a_deleted_topic_serves_nobody() {
        let id = TopicId([1; 16]);
        check_served(id, None, 5).expect("it is there");
        check_served(id, Some(6), 5).expect("it was deleted meanwhile");
        check_served(id, Some(4), 5).expect_err("it was deleted before");
    }
}
