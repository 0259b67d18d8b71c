//! Where reading starts.

use std::str::FromStr;

use hallows_client::OffsetAt;

use crate::time::TimeArgument;

/// A place to start, in the words of kcat and rpk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// A place that is looked up.
    At(OffsetAt),
    /// An offset.
    Offset(i64),
    /// This many records before the end.
    BeforeEnd(i64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" | "start" | "earliest" | "oldest" => return Ok(Self::At(OffsetAt::Earliest)),
            "end" | "latest" | "newest" => return Ok(Self::At(OffsetAt::Latest)),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@') {
            return Ok(Self::At(OffsetAt::Time(time.parse::<TimeArgument>()?.0)));
        }
        match text.parse::<i64>() {
            Ok(offset) if text.starts_with('-') => Ok(Self::BeforeEnd(offset.saturating_neg())),
            Ok(offset) => Ok(Self::Offset(offset)),
            Err(_) => Err(format!(
                "`{text}` is no place to start: give beginning, end, an offset, -N for N before the end, or @TIME"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_many_names() {
        let at = |at| Ok(Start::At(at));
        assert_eq!("beginning".parse(), at(OffsetAt::Earliest));
        assert_eq!("end".parse(), at(OffsetAt::Latest));
        assert_eq!("42".parse(), Ok(Start::Offset(42)));
        assert_eq!("-10".parse(), Ok(Start::BeforeEnd(10)));
        assert_eq!("@1767225600000".parse(), at(OffsetAt::Time(1_767_225_600_000)));
        assert!("middle".parse::<Start>().is_err());
        assert!("@noon".parse::<Start>().is_err());
    }
}
