//! What one seed's world is like: small files so that everything rolls, fills and is recycled within seconds.

use std::time::Duration;

use hallows_runtime::Random;
use hallows_storage::{Durability, LogConfig, StorageSettings};

use crate::disk::FaultRates;
use crate::options::Sabotage;
use crate::plan::{Part, Plan};
use crate::random::Choose;
use crate::world::Weather;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The largest batch that is produced.
pub(crate) const BATCH_BYTES_MAX: u32 = 24 << 10;
/// The size of the disk while it is not made small on purpose.
pub(super) const CAPACITY_BYTES: u64 = 1 << 30;

/// Settings of the node.
pub(crate) fn storage(random: &mut Random, sabotage: Sabotage) -> StorageSettings {
    StorageSettings {
        journal_bytes_max: pick(random, [256 * KIB, MIB, 8 * MIB]),
        journal_file_bytes: pick(random, [64 * KIB, 128 * KIB, 256 * KIB]),
        journal_first_file_bytes: pick(random, [64 * KIB, 64 * KIB, 128 * KIB]),
        tail_bytes_max: pick(random, [64 * KIB, 256 * KIB, 2 * MIB]),
        segment_writeback_bytes: pick(random, [0, 4 << 10, 32 << 10]),
        checkpoint_interval: Duration::from_millis(pick(random, [20, 200, 5_000])),
        retention_check_interval: Duration::from_millis(pick(random, [50, 500, 5_000])),
        disk_reserve_bytes: MIB,
        sabotage: switches(sabotage),
        ..StorageSettings::default()
    }
}

#[cfg(feature = "sabotage")]
fn switches(sabotage: Sabotage) -> hallows_storage::Sabotage {
    use hallows_storage::{Sabotage as Switches, SabotageSwitch};

    let none = Switches::none();
    match sabotage {
        Sabotage::None => none,
        Sabotage::AcknowledgeBeforeSync => none.with(SabotageSwitch::AcknowledgeBeforeSync),
        Sabotage::SkipSegmentSync => none.with(SabotageSwitch::SkipSegmentSync),
        Sabotage::ForgetProducers => none.with(SabotageSwitch::ForgetProducers),
        Sabotage::RecycleSegments => none.with(SabotageSwitch::RecycleSegments),
        Sabotage::LowerLogStart => none.with(SabotageSwitch::LowerLogStart),
        Sabotage::KeepLeaderEpochs => none.with(SabotageSwitch::KeepLeaderEpochs),
        Sabotage::ReadAboveHighWatermark => none.with(SabotageSwitch::ReadAboveHighWatermark),
        Sabotage::LoseGroupOffset => none.with(SabotageSwitch::LoseGroupOffset),
    }
}

#[cfg(not(feature = "sabotage"))]
fn switches(sabotage: Sabotage) -> hallows_storage::Sabotage {
    assert_eq!(
        sabotage,
        Sabotage::None,
        "this build cannot break promises: build with the feature `sabotage`"
    );
    hallows_storage::Sabotage::none()
}

/// Settings of one log.
pub(super) fn log(random: &mut Random) -> LogConfig {
    let durability = [
        Durability::Fsync,
        Durability::Fsync,
        Durability::Written,
        Durability::Memory,
    ][random.index(4)];
    LogConfig {
        durability,
        segment_bytes: [32 << 10, 64 << 10, 512 << 10][random.index(3)],
        segment_ms: if random.one_in(4) { 2_000 } else { 3_600_000 },
        index_interval_bytes: [256, 1024, 4096][random.index(3)],
        retention_ms: random.one_in(6).then_some(20_000),
        retention_bytes: random.one_in(4).then_some(200 * KIB),
        delete_delay_ms: pick(random, [0, 50, 1_000]),
        max_batch_bytes: BATCH_BYTES_MAX,
        ..LogConfig::default()
    }
}

/// How often the disk fails; not at all in most worlds.
pub(super) fn rates(random: &mut Random, plan: &Plan) -> FaultRates {
    let kinds: [fn(&mut FaultRates); 4] = [
        |rates| rates.sync_fails = 3_000,
        |rates| rates.durable_write_fails = 1_000,
        |rates| rates.write_fails = 1_000,
        |rates| rates.read_fails = 3_000,
    ];
    FaultRates::choose(random, plan, 8, &kinds)
}

/// What surrounds the machine. There are no connections here.
pub(super) fn weather(random: &mut Random, plan: &Plan) -> Weather {
    let mut one_in = |part, values| {
        let value = pick(random, values);
        if plan.has(part) { value } else { 0 }
    };
    Weather {
        write_back_one_in: one_in(Part::Writebacks, [3, 20, 200]),
        wall_jump_one_in: one_in(Part::ClockJumps, [0, 100, 1_000]),
        ..Weather::default()
    }
}

fn pick<T: Copy>(random: &mut Random, values: [T; 3]) -> T {
    values[random.index(3)]
}
