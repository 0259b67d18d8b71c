//! What a run consists of. The minimiser leaves out what a violation does not need.

use std::collections::BTreeSet;
use std::fmt;

use crate::options::Sabotage;

/// Operations of one run, at least.
pub const OPERATIONS_MIN: u64 = 2_000;
/// Crashes of one run, at least.
pub const CRASHES_MIN: u64 = 3;

/// Which part of the program a run exercises.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Level {
    /// Storage alone: journal, segments, recovery.
    Storage,
    /// Whole brokers with their clients.
    #[default]
    Broker,
}

impl Level {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Broker => "broker",
        }
    }
}

/// Something that a run can do without.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Connections that are cut.
    Cuts,
    /// Connections that deliver nothing in one direction for a while.
    Stalls,
    /// Jumps of the wall clock.
    ClockJumps,
    /// Page cache that is written back early.
    Writebacks,
    /// Operations of the disk that fail.
    DiskErrors,
    /// A disk that is full for a while.
    FullDisk,
    /// Starts that are interrupted.
    Interruptions,
    /// Restarts with another number of shards.
    ShardCounts,
    /// Orderly stops.
    Stops,
    /// One client, by its place.
    Client(u8),
}

/// The most clients of a run.
pub const CLIENTS_MAX: u8 = 16;

impl Part {
    /// Every part but the clients.
    pub const FAULTS: [(&'static str, Self); 9] = [
        ("cuts", Self::Cuts),
        ("stalls", Self::Stalls),
        ("clock-jumps", Self::ClockJumps),
        ("writebacks", Self::Writebacks),
        ("disk-errors", Self::DiskErrors),
        ("full-disk", Self::FullDisk),
        ("interruptions", Self::Interruptions),
        ("shard-counts", Self::ShardCounts),
        ("stops", Self::Stops),
    ];

    /// The part of a name: one of the list, or `client-3`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let client = || name.strip_prefix("client-")?.parse().ok().map(Self::Client);
        let fault = Self::FAULTS.iter().find(|(known, _)| *known == name);
        fault.map(|(_, part)| *part).or_else(client)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(number) => write!(f, "client-{number}"),
            fault => {
                let known = Self::FAULTS.iter().find(|(_, part)| part == fault);
                f.write_str(known.map_or("", |(name, _)| name))
            }
        }
    }
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Every choice follows from it.
    pub seed: u64,
    /// What is exercised.
    pub level: Level,
    /// The promise that is broken on purpose.
    pub sabotage: Sabotage,
    /// Stop asking after so many operations; `None` for the usual number.
    pub operations: Option<u64>,
    /// What is left out.
    pub without: BTreeSet<Part>,
}

impl Plan {
    /// The whole run of a seed.
    #[must_use]
    pub fn whole(level: Level, seed: u64, sabotage: Sabotage) -> Self {
        Self {
            seed,
            level,
            sabotage,
            ..Self::default()
        }
    }

    /// Whether a part is in it.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        !self.without.contains(&part)
    }
}

impl fmt::Display for Plan {
    /// The arguments that repeat it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--level {} --seed {}", self.level.name(), self.seed)?;
        if let Some(name) = self.sabotage.name() {
            write!(f, " --sabotage {name}")?;
        }
        if let Some(operations) = self.operations {
            write!(f, " --operations {operations}")?;
        }
        if !self.without.is_empty() {
            let names: Vec<String> = self.without.iter().map(ToString::to_string).collect();
            write!(f, " --without {}", names.join(","))?;
        }
        Ok(())
    }
}
