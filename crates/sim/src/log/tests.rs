//! The simulation repeats itself, and it bites.

use super::*;
use crate::options::Sabotage;
use crate::plan::Level;

fn whole(seed: u64, sabotage: Sabotage) -> Outcome {
    run(&Plan::whole(Level::Storage, seed, sabotage))
}

/// A broken promise must be noticed within this many seeds.
const SEEDS_UNTIL_NOTICED: u64 = 30;

#[test]
fn nothing_acknowledged_is_lost() {
    for seed in 0..20 {
        let outcome = whole(seed, Sabotage::None);
        assert_eq!(
            outcome.violation, None,
            "seed {seed}: cargo xtask sim --level storage --seed {seed}"
        );
        assert!(
            outcome.operations >= OPERATIONS_MIN && outcome.crashes >= CRASHES_MIN,
            "{outcome:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        assert_eq!(whole(seed, Sabotage::None), whole(seed, Sabotage::None), "seed {seed}");
    }
}

#[test]
fn every_broken_promise_is_noticed() {
    let storage = Sabotage::ALL
        .into_iter()
        .filter(|(_, switch)| switch.concerns(Level::Storage));
    for (name, switch) in storage {
        let noticed = (0..SEEDS_UNTIL_NOTICED).find(|seed| {
            crate::simulate(&Plan::whole(Level::Storage, *seed, switch))
                .violation
                .is_some()
        });
        assert!(
            noticed.is_some(),
            "{name}: nothing noticed in {SEEDS_UNTIL_NOTICED} seeds"
        );
    }
}

#[test]
fn acknowledging_before_the_sync_is_reported_as_a_loss() {
    let lost = (0..SEEDS_UNTIL_NOTICED)
        .filter_map(|seed| whole(seed, Sabotage::AcknowledgeBeforeSync).violation)
        .map(|violation| violation.lost)
        .find(|lost| *lost > 0);
    assert!(lost.is_some(), "no loss in {SEEDS_UNTIL_NOTICED} seeds");
}
