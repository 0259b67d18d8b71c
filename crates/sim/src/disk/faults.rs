//! Which faults the simulated disk injects, and how often each class struck.

use std::fmt;

use hallows_runtime::Random;

use crate::plan::{Part, Plan};
use crate::random::Choose;

/// How often each fault strikes, in a million calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FaultRates {
    /// A sync reports an error; some of the unsynced writes are then lost for good although later syncs succeed.
    pub sync_fails: u32,
    /// A write through the page cache reports an error; a prefix of it may have been written.
    pub write_fails: u32,
    /// A durable write reports an error; each of its blocks may have been written.
    pub durable_write_fails: u32,
    /// A read reports an error.
    pub read_fails: u32,
    /// A read returns fewer bytes than there are: its caller has to ask for the rest.
    pub read_short: u32,
    /// A read returns one bit wrong; the medium keeps the right one.
    pub read_flips: u32,
}

impl FaultRates {
    /// The rates of one seed: one of `kinds` in as many of `worlds` worlds as there are kinds, short reads in a third.
    pub fn choose(random: &mut Random, plan: &Plan, worlds: usize, kinds: &[fn(&mut Self)]) -> Self {
        let mut rates = Self {
            read_short: if random.one_in(3) { 20_000 } else { 0 },
            ..Self::default()
        };
        if let Some(kind) = kinds.get(random.index(worlds)) {
            kind(&mut rates);
        }
        if plan.has(Part::DiskErrors) {
            rates
        } else {
            Self::default()
        }
    }
}

impl FaultRates {
    /// Whether any call may report an error that it has no reason for, or give wrong bytes.
    #[must_use]
    pub fn any_fails(&self) -> bool {
        let harmless = Self {
            read_short: self.read_short,
            ..Self::default()
        };
        *self != harmless
    }
}

/// How often each fault class struck.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "each field is explained by its line in `FaultCounts::rows`")]
pub struct FaultCounts {
    pub power_losses: u64,
    pub process_kills: u64,
    pub died_inside_an_operation: u64,
    pub writes_lost: u64,
    pub writes_torn: u64,
    pub writes_reordered: u64,
    pub durable_writes_torn: u64,
    pub sizes_lost: u64,
    pub names_lost: u64,
    pub names_reordered: u64,
    pub syncs_failed: u64,
    pub writes_failed: u64,
    pub durable_writes_failed: u64,
    pub reads_failed: u64,
    pub reads_short: u64,
    pub reads_flipped: u64,
    pub disk_full: u64,
}

impl FaultCounts {
    /// Every class by its printed name.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, u64); 17] {
        [
            ("power_losses", self.power_losses),
            ("process_kills", self.process_kills),
            ("died_inside_an_operation", self.died_inside_an_operation),
            ("writes_lost", self.writes_lost),
            ("writes_torn", self.writes_torn),
            ("writes_reordered", self.writes_reordered),
            ("durable_writes_torn", self.durable_writes_torn),
            ("sizes_lost", self.sizes_lost),
            ("names_lost", self.names_lost),
            ("names_reordered", self.names_reordered),
            ("syncs_failed", self.syncs_failed),
            ("writes_failed", self.writes_failed),
            ("durable_writes_failed", self.durable_writes_failed),
            ("reads_failed", self.reads_failed),
            ("reads_short", self.reads_short),
            ("reads_flipped", self.reads_flipped),
            ("disk_full", self.disk_full),
        ]
    }

    /// Adds the counts of another run.
    pub const fn add(&mut self, other: &Self) {
        self.power_losses += other.power_losses;
        self.process_kills += other.process_kills;
        self.died_inside_an_operation += other.died_inside_an_operation;
        self.writes_lost += other.writes_lost;
        self.writes_torn += other.writes_torn;
        self.writes_reordered += other.writes_reordered;
        self.durable_writes_torn += other.durable_writes_torn;
        self.sizes_lost += other.sizes_lost;
        self.names_lost += other.names_lost;
        self.names_reordered += other.names_reordered;
        self.syncs_failed += other.syncs_failed;
        self.writes_failed += other.writes_failed;
        self.durable_writes_failed += other.durable_writes_failed;
        self.reads_failed += other.reads_failed;
        self.reads_short += other.reads_short;
        self.reads_flipped += other.reads_flipped;
        self.disk_full += other.disk_full;
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in self.rows().iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{name}={count}")?;
        }
        Ok(())
    }
}
