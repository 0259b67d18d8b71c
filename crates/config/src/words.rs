//! The words that some settings take, as types.

use core::fmt;

/// What an acknowledgement promises, the weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Durability {
    /// Applied in memory; the death of the process may lose it.
    Memory,
    /// Written to the operating system; power loss may lose it.
    Written,
    /// On stable storage.
    Fsync,
}

impl Durability {
    /// Reads one of `fsync`, `written`, `memory`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Memory, Self::Written, Self::Fsync]
            .into_iter()
            .find(|class| class.word() == word)
    }

    /// The word of the setting.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Written => "written",
            Self::Fsync => "fsync",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Where a record's timestamp comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// The producer's clock.
    CreateTime,
    /// The broker's clock when the batch arrives.
    LogAppendTime,
}

impl TimestampType {
    /// Reads `CreateTime` or `LogAppendTime`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "CreateTime" => Some(Self::CreateTime),
            "LogAppendTime" => Some(Self::LogAppendTime),
            _ => None,
        }
    }
}

/// What happens to old records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CleanupPolicy {
    /// Whole segments are removed by time and size.
    Delete,
    /// Only the newest record per key is kept; internal topics only, for now.
    Compact,
}
