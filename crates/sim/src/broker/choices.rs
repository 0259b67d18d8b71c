//! What one seed's world is like: small files and short timeouts, so that everything rolls, fills and expires within
//! seconds; and who its clients are.

use std::time::Duration;

use hallows_config::{BrokerConfig, Sources};
use hallows_runtime::Random;
use hallows_storage::StorageSettings;

use super::clients::{Admin, Consumer, Member, Producer, Seat, Style};
use crate::disk::FaultRates;
use crate::options::Sabotage;
use crate::plan::{Part, Plan};
use crate::random::Choose;
use crate::world::Weather;

const MICROSECOND: u64 = 1_000;

/// The size of the disk while it is not made small on purpose.
pub(super) const CAPACITY_BYTES: u64 = 1 << 30;

/// The settings of the broker.
///
/// # Panics
/// When a setting is refused: the harness's own mistake.
pub(super) fn config(random: &mut Random) -> BrokerConfig {
    let pick = |random: &mut Random, values: [u64; 3]| values[random.index(3)].to_string();
    let flags = [
        ("log.dirs", "data".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("offsets.topic.num.partitions", pick(random, [1, 3, 5])),
        ("group.min.session.timeout.ms", "10".to_owned()),
        ("group.initial.rebalance.delay.ms", pick(random, [0, 5, 50])),
        ("offsets.retention.check.interval.ms", "86400000".to_owned()),
        ("max.incremental.fetch.session.cache.slots", pick(random, [1, 4, 100])),
        ("delayed.requests.max", pick(random, [50, 1_000, 1_000])),
        ("log.segment.delete.delay.ms", pick(random, [0, 50, 1_000])),
        ("connection.output.bytes.max", "65536".to_owned()),
        ("connection.follow.requests", pick(random, [0, 1, 3])),
    ];
    BrokerConfig::load(&Sources::from_flags(flags)).expect("the harness's settings are valid")
}

/// The settings of storage, as the simulation of storage has them.
pub(super) fn storage(random: &mut Random, sabotage: Sabotage) -> StorageSettings {
    StorageSettings {
        checkpoint_interval: Duration::from_millis([20, 200, 2_000][random.index(3)]),
        ..crate::log::choices::storage(random, sabotage)
    }
}

/// How often the disk fails; not at all in most worlds.
pub(super) fn rates(random: &mut Random, plan: &Plan) -> FaultRates {
    let kinds: [fn(&mut FaultRates); 5] = [
        |rates| rates.sync_fails = 1_500,
        |rates| rates.durable_write_fails = 500,
        |rates| rates.write_fails = 500,
        |rates| rates.read_fails = 2_000,
        |rates| rates.read_flips = 1_000,
    ];
    FaultRates::choose(random, plan, 10, &kinds)
}

/// What surrounds the machine.
pub(super) fn weather(random: &mut Random, plan: &Plan) -> Weather {
    let mut pick = |part, values: [u64; 3]| {
        let value = values[random.index(3)];
        if plan.has(part) { value } else { 0 }
    };
    Weather {
        write_back_one_in: pick(Part::Writebacks, [3, 20, 200]),
        wall_jump_one_in: pick(Part::ClockJumps, [0, 100, 1_000]),
        cut_one_in: pick(Part::Cuts, [0, 50, 500]),
        stall_one_in: pick(Part::Stalls, [0, 50, 500]),
    }
}

/// The clients of a seed. Each has choices of its own, so that the others stay what they are without it.
pub(super) fn clients(seed: u64, random: &mut Random, plan: &Plan) -> Vec<Option<Seat>> {
    let pace = [300, 1_500, 8_000][random.index(3)] * MICROSECOND;
    let session_timeout_ms = [60, 300, 1_500][random.index(3)];
    let (producers, consumers, members) = (2 + random.below(4), 1 + random.below(3), 1 + random.below(4));
    let plain = random.below(3);
    let mut seats: Vec<Option<Seat>> = Vec::new();
    let mut seat = |slowness: u64, make: &dyn Fn(usize) -> Box<dyn super::clients::Actor>| {
        let owner = seats.len();
        let number = u64::try_from(owner).expect("few clients");
        let there = plan.has(Part::Client(u8::try_from(owner).expect("few clients")));
        seats.push(there.then(|| Seat {
            actor: make(owner),
            random: Random::from_seed(seed ^ (0xc11e_0000 + number)),
            pace: pace * slowness,
        }));
    };
    seat(4, &|owner| Box::new(Admin::new(owner)));
    for index in 0..producers {
        let style = match (index, plain) {
            (1, 1) => Style::Plain,
            (1, 2) => Style::Silent,
            _ => Style::Idempotent,
        };
        seat(1, &|owner| Box::new(Producer::new(owner, style)));
    }
    for _ in 0..consumers {
        seat(2, &|owner| Box::new(Consumer::new(owner)));
    }
    for index in 0..members {
        let group = u32::try_from(index % 2).expect("small");
        let topics = vec![1, 2];
        seat(2, &|owner| {
            Box::new(Member::new(owner, group, topics.clone(), session_timeout_ms))
        });
    }
    seats
}
