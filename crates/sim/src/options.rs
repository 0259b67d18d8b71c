//! What a simulation is asked to do, and what it found.

use std::fmt;

use crate::disk::FaultCounts;
use crate::violation::Violation;
use crate::world::NetworkCounts;

/// A promise to break on purpose, to see that the harness notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sabotage {
    /// Every promise is kept.
    #[default]
    None,
    /// `fsync` partitions acknowledge at once.
    AcknowledgeBeforeSync,
    /// Checkpoints free journal files without syncing the segments.
    SkipSegmentSync,
    /// Producers are forgotten at every start.
    ForgetProducers,
    /// Truncated bytes of a torn tail stay in the segment file.
    RecycleSegments,
    /// A moved log start is answered before it is durable.
    LowerLogStart,
}

impl Sabotage {
    /// Every switch with its name on the command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("acknowledge-before-sync", Self::AcknowledgeBeforeSync),
        ("skip-segment-sync", Self::SkipSegmentSync),
        ("forget-producers", Self::ForgetProducers),
        ("recycle-segments", Self::RecycleSegments),
        ("lower-log-start", Self::LowerLogStart),
    ];

    /// The switch of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, switch)| *switch)
    }

    /// Its name; none where nothing is broken.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::ALL
            .iter()
            .find(|(_, switch)| *switch == self)
            .map(|(name, _)| *name)
    }
}

/// What one seed's run gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Operations asked for.
    pub operations: u64,
    /// Power losses and kills, those inside recovery included.
    pub crashes: u64,
    /// Acknowledged batches.
    pub acknowledged: u64,
    /// The fingerprint of the run.
    pub fingerprint: u64,
    /// How often each disk fault struck.
    pub disk: FaultCounts,
    /// How often the network and the clock interfered.
    pub network: NetworkCounts,
    /// The broken promise that ended the run.
    pub violation: Option<Violation>,
}

/// The sum over many seeds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Seeds run.
    pub seeds: u64,
    /// The sums over all of them.
    pub total: Outcome,
    /// Acknowledged records that were gone.
    pub lost: u64,
    /// Broken promises, by seed.
    pub violations: Vec<(u64, Violation)>,
}

impl Report {
    /// Adds one seed's run.
    pub fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.total.operations += outcome.operations;
        self.total.crashes += outcome.crashes;
        self.total.acknowledged += outcome.acknowledged;
        self.total.disk.add(&outcome.disk);
        self.total.network.add(&outcome.network);
        if let Some(violation) = outcome.violation {
            self.lost += violation.lost;
            self.violations.push((seed, violation));
        }
    }

    /// How often each fault class struck.
    #[must_use]
    pub fn faults(&self) -> String {
        let rows = self.total.disk.rows().into_iter().chain(self.total.network.rows());
        rows.map(|(name, count)| format!("{name}={count}"))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, total, lost, .. } = self;
        let Outcome {
            operations,
            crashes,
            acknowledged,
            ..
        } = total;
        write!(
            f,
            "seeds={seeds} operations={operations} crashes={crashes} acked={acknowledged} lost={lost}"
        )
    }
}
