//! The durability classes, which no comparison mixes.

/// When an acknowledgement is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Class {
    /// Once the record is in the page cache: Kafka's default.
    Written,
    /// Once the record is synced: `flush.messages=1` in Kafka, `durability=fsync` in hallows.
    Fsync,
}

impl Class {
    /// The name as users write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Fsync => "fsync",
        }
    }
}
