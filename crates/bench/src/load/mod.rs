//! The workloads. Each drives one target and returns what the clients saw; none knows what it is measuring.

pub(crate) mod connections;
pub(crate) mod consume;
pub(crate) mod one_in_flight;
pub(crate) mod open_loop;
pub(crate) mod throughput;

use std::time::Duration;

/// How long a workload runs before its latencies count.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);
/// The batches of the throughput cells and of the data that the consumption cell reads.
pub(crate) const LARGE_BATCH_BYTES: usize = 64 << 10;

/// A count as a floating-point number, for rates; counts of a run are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}
