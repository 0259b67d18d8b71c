//! What a simulation is asked to do, and what it found.

use std::fmt;

use crate::disk::FaultCounts;
use crate::plan::Level;
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
    /// Leader epochs do not rise at an unclean start.
    KeepLeaderEpochs,
    /// Fetches give what is not yet committed.
    ReadAboveHighWatermark,
    /// The last committed offset of each group log is forgotten at a start.
    LoseGroupOffset,
}

impl Sabotage {
    /// Every switch with its name on the command line.
    pub const ALL: [(&'static str, Self); 8] = [
        ("acknowledge-before-sync", Self::AcknowledgeBeforeSync),
        ("skip-segment-sync", Self::SkipSegmentSync),
        ("forget-producers", Self::ForgetProducers),
        ("recycle-segments", Self::RecycleSegments),
        ("lower-log-start", Self::LowerLogStart),
        ("keep-leader-epochs", Self::KeepLeaderEpochs),
        ("read-above-high-watermark", Self::ReadAboveHighWatermark),
        ("lose-group-offset", Self::LoseGroupOffset),
    ];

    /// Whether a level can see it at all: some promises are the broker's own.
    #[must_use]
    pub const fn concerns(self, level: Level) -> bool {
        match level {
            // It takes torn tails and appends of other sizes behind them, many times over; storage alone has more of both.
            Level::Broker => !matches!(self, Self::RecycleSegments),
            Level::Storage => !matches!(
                self,
                Self::KeepLeaderEpochs | Self::ReadAboveHighWatermark | Self::LoseGroupOffset
            ),
        }
    }

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
    /// Commits of groups that were acknowledged.
    pub commits: u64,
    /// Assignments that members of groups got.
    pub assignments: u64,
    /// Batches that readers got, those of audits included.
    pub reads: u64,
    /// Lookups by time that were compared with what is known of the log.
    pub times_looked_up: u64,
    /// Topics, settings and records that were changed.
    pub changes: u64,
    /// Topics that were made anew under the name of a deleted one.
    pub made_anew: u64,
    /// Requests by the id of a deleted topic that were refused.
    pub old_ids_refused: u64,
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
        self.total.commits += outcome.commits;
        self.total.assignments += outcome.assignments;
        self.total.reads += outcome.reads;
        self.total.times_looked_up += outcome.times_looked_up;
        self.total.changes += outcome.changes;
        self.total.made_anew += outcome.made_anew;
        self.total.old_ids_refused += outcome.old_ids_refused;
        self.total.disk.add(&outcome.disk);
        self.total.network.add(&outcome.network);
        if let Some(violation) = outcome.violation {
            self.lost += violation.lost;
            self.violations.push((seed, violation));
        }
    }

    /// Adds another level's sums.
    pub fn merge(&mut self, other: Self) {
        self.seeds = self.seeds.max(other.seeds);
        self.total.operations += other.total.operations;
        self.total.crashes += other.total.crashes;
        self.total.acknowledged += other.total.acknowledged;
        self.lost += other.lost;
        self.violations.extend(other.violations);
    }

    /// What clients got done, by kind: a kind at zero means that its checkers saw nothing.
    #[must_use]
    pub fn activity(&self, level: Level) -> Vec<(&'static str, u64)> {
        let total = &self.total;
        let of_clients = [
            ("batches_read", total.reads),
            ("offsets_committed", total.commits),
            ("assignments", total.assignments),
            ("times_looked_up", total.times_looked_up),
            ("changes", total.changes),
            ("topics_made_anew", total.made_anew),
            ("old_ids_refused", total.old_ids_refused),
        ];
        let of_clients = of_clients.into_iter().filter(|_| level == Level::Broker);
        std::iter::once(("batches_acknowledged", total.acknowledged))
            .chain(of_clients)
            .collect()
    }

    /// Every fault class and how often it struck; those that a level cannot have are left out.
    #[must_use]
    pub fn faults(&self, level: Level) -> Vec<(&'static str, u64)> {
        let network = self.total.network.rows();
        let disk = self.total.disk.rows().into_iter();
        let has_network = level == Level::Broker;
        disk.chain(
            network
                .into_iter()
                .filter(|(name, _)| has_network || *name == "wall_jumps"),
        )
        .filter(|(name, _)| has_network || *name != "reads_flipped")
        .collect()
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
