//! What a shard holds in memory stays within its settings.
//!
//! Source: ARCHITECTURE, "Every queue, map and buffer has a named bound"; the settings named here.

use hallows_broker::Held;
use hallows_config::BrokerConfig;
use hallows_storage::StorageSettings;

use crate::violation::{Verdict, ensure};

const NAME: &str = "memory stays within its settings";

/// The batch that was let in just below a bound, and what the broker writes itself.
const BATCH_BYTES_MAX: u64 = 64 << 10;

/// What the node itself writes may go beyond the bounds of clients by an eighth.
const fn with_reserve(bytes_max: u64) -> u64 {
    bytes_max + bytes_max / 8
}

/// Files of the journal beyond its bound: the rest of the one that is written, the one that is ready, and the one that
/// entries took which had been admitted.
const BEYOND_THE_BOUND: u64 = 3;

/// Looks at what a shard holds.
///
/// # Errors
/// Whatever is above its bound.
pub fn check(held: &Held, storage: &StorageSettings, config: &BrokerConfig) -> Verdict {
    let journal_bytes = if held.failed_partitions == 0 {
        held.journal_files * storage.journal_file_bytes
    } else {
        0
    };
    let bounds = [
        (
            "tail.bytes.max",
            held.tail_bytes,
            with_reserve(storage.tail_bytes_max) + BATCH_BYTES_MAX,
        ),
        (
            "waiting.append.bytes.max",
            held.waiting_append_bytes,
            config.waiting_append_bytes_max,
        ),
        (
            "journal.bytes.max",
            journal_bytes,
            with_reserve(storage.journal_bytes_max) + BEYOND_THE_BOUND * storage.journal_file_bytes,
        ),
        (
            "delayed.requests.max",
            held.waiting_requests,
            2 * u64::from(config.delayed_requests_max),
        ),
        (
            "max.incremental.fetch.session.cache.slots",
            held.fetch_sessions,
            config.fetch_sessions_max.into(),
        ),
        (
            "producers.per.partition.max",
            held.producers_most,
            storage.producers_per_partition_max as u64,
        ),
    ];
    for (setting, held, bound) in bounds {
        ensure!(NAME, held <= bound, "{setting} allows {bound}, held are {held}");
    }
    Ok(())
}
