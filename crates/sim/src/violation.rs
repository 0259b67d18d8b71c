//! A broken promise.

use std::fmt;

/// Which promise was broken, and how that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant, as its checker is called.
    pub invariant: &'static str,
    /// What was seen.
    pub detail: String,
    /// Acknowledged records that are gone.
    pub lost: u64,
}

impl Violation {
    /// A violation that lost nothing.
    #[must_use]
    pub fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self {
            invariant,
            detail: detail.into(),
            lost: 0,
        }
    }

    /// The number of acknowledged records that are gone.
    #[must_use]
    pub const fn losing(mut self, lost: u64) -> Self {
        self.lost = lost;
        self
    }

    /// The same violation, with what it was seen at.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// A check's verdict.
pub type Verdict = Result<(), Violation>;

/// Fails the enclosing check unless a condition holds.
macro_rules! ensure {
    ($invariant:expr, $condition:expr, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::violation::Violation::new($invariant, format!($($detail)+)));
        }
    };
}
pub(crate) use ensure;
