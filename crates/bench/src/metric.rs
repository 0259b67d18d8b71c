//! What a cell measures.

/// One figure of a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Metric {
    AckP50,
    AckP99,
    AckP999,
    AckMax,
    ArrivalP50,
    ArrivalP99,
    ArrivalP999,
    LatenessP50,
    LatenessP99,
    LatenessP999,
    RecordsPerSecond,
    RequestsPerSecond,
    BytesPerSecond,
    CpuPerMillion,
    CpuPerGb,
    AcksPerFlush,
    IdleMemory,
    LoadedMemory,
    IdleCpu,
    Start,
    FetchOfOne,
    FetchOfThousand,
    SessionRatio,
}

impl Metric {
    /// The row's head, unit included.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::AckP50 => "ack p50, µs",
            Self::AckP99 => "ack p99, µs",
            Self::AckP999 => "ack p99.9, µs",
            Self::AckMax => "longest ack, ms",
            Self::ArrivalP50 => "end to end p50, µs",
            Self::ArrivalP99 => "end to end p99, µs",
            Self::ArrivalP999 => "end to end p99.9, µs",
            Self::LatenessP50 => "generator late p50, µs",
            Self::LatenessP99 => "generator late p99, µs",
            Self::LatenessP999 => "generator late p99.9, µs",
            Self::RecordsPerSecond => "records/s",
            Self::RequestsPerSecond => "requests/s",
            Self::BytesPerSecond => "MB/s",
            Self::CpuPerMillion => "broker CPU s per million records",
            Self::CpuPerGb => "broker CPU s per GB",
            Self::AcksPerFlush => "acknowledgements per disk flush",
            Self::IdleMemory => "memory idle, MiB",
            Self::LoadedMemory => "memory loaded, MiB",
            Self::IdleCpu => "CPU idle, % of a core",
            Self::Start => "start to first acknowledged record, ms",
            Self::FetchOfOne => "instructions per fetch, session of 1 partition",
            Self::FetchOfThousand => "instructions per fetch, session of 1,000 partitions, 1 active",
            Self::SessionRatio => "1,000 partitions over 1",
        }
    }

    /// Whether the worst repeat counts instead of the median: a bound on every single acknowledgement.
    pub(crate) const fn worst_counts(self) -> bool {
        matches!(self, Self::AckMax)
    }
}

/// Figures of one run of a cell on one subject.
pub(crate) type Figures = Vec<(Metric, f64)>;
