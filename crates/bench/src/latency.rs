//! Latencies of one run: a histogram from a nanosecond to ten minutes with three digits.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency told apart from longer ones.
const LONGEST_NS: u64 = 600_000_000_000;

/// Latencies of one run.
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order");
        Self { histogram }
    }

    /// Counts one latency; one above ten minutes counts as ten minutes.
    pub(crate) fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(LONGEST_NS);
        self.histogram.saturating_record(nanoseconds.max(1));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("all histograms have the same bounds");
    }

    /// The latency in microseconds that `percent` of all stay at or below.
    pub(crate) fn percentile_us(&self, percent: f64) -> f64 {
        microseconds(self.histogram.value_at_percentile(percent))
    }

    /// The longest latency in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        microseconds(self.histogram.max()) / 1000.0
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64() * 1e6
}
