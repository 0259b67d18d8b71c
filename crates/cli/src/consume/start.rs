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

/// Where reading starts, where it stops, or both: `5`, `s@TIME`, `e@TIME`, `:end`, `-10:end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    /// Where it starts, if that was said.
    pub(super) start: Option<Start>,
    /// Where it stops, if that was said.
    pub(super) stop: Option<OffsetAt>,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = |text: &str| Ok::<_, String>(OffsetAt::Time(text.parse::<TimeArgument>()?.0));
        if let Some(start) = text.strip_prefix("s@") {
            return Ok(Self {
                start: Some(Start::At(time(start)?)),
                stop: None,
            });
        }
        if let Some(stop) = text.strip_prefix("e@") {
            return Ok(Self {
                start: None,
                stop: Some(time(stop)?),
            });
        }
        let Some(start) = text.strip_suffix(":end") else {
            return Ok(Self {
                start: Some(text.parse()?),
                stop: None,
            });
        };
        Ok(Self {
            start: Some(if start.is_empty() {
                Start::At(OffsetAt::Earliest)
            } else {
                start.parse()?
            }),
            stop: Some(OffsetAt::Latest),
        })
    }
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
                "`{text}` is no place to start: give beginning, end, an offset, -N for N before the end, @TIME, s@TIME, or any of them with :end"
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
        let span = |start, stop| Ok(Span { start, stop });
        let offset = Some(Start::Offset(5));
        assert_eq!("5".parse(), span(offset, None));
        assert_eq!("5:end".parse(), span(offset, Some(OffsetAt::Latest)));
        let first = Some(Start::At(OffsetAt::Earliest));
        assert_eq!(":end".parse(), span(first, Some(OffsetAt::Latest)));
        let time = OffsetAt::Time(1000);
        assert_eq!("s@1000".parse(), span(Some(Start::At(time)), None));
        assert_eq!("e@1000".parse(), span(None, Some(time)));
        assert!("e@noon".parse::<Span>().is_err());
        assert!("middle".parse::<Start>().is_err());
        assert!("@noon".parse::<Start>().is_err());
    }
}
