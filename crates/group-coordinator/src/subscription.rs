//! The topics in a consumer's subscription: the only part of a member's metadata that a coordinator reads.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::roster::Roster;

/// The protocol type of consumers: only their metadata is known here.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics that any member of a group of consumers subscribes to; `None` if any member's metadata is not understood,
/// since then nobody knows which topics are not subscribed to.
pub(crate) fn subscribed_topics(members: &Roster, protocol: &str) -> Option<BTreeSet<String>> {
    let mut subscribed = BTreeSet::new();
    for (_, member) in members.iter() {
        subscribed.extend(topics(&member.metadata(protocol))?);
    }
    Some(subscribed)
}

/// `ConsumerProtocolSubscription`: a 16-bit version, then an array of strings; the rest is of no concern here.
fn topics(metadata: &[u8]) -> Option<Vec<String>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
        let (name, tail) = tail.split_at_checked(len)?;
        topics.push(core::str::from_utf8(name).ok()?.into());
        rest = tail;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn topics_are_read_and_torn_metadata_is_none() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(topics(metadata).expect("whole"), ["a", "bc"]);
        assert_eq!(topics(&metadata[..9]), None);
        assert_eq!(topics(b""), None);
        assert_eq!(topics(b"\0\0\x7f\xff\xff\xff"), None);
    }
}
