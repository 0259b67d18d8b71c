//! The simulation repeats itself, and it bites.

use super::*;

/// A broken promise must be noticed within this many seeds.
const SEEDS_UNTIL_NOTICED: u64 = 30;

#[test]
fn nothing_acknowledged_is_lost() {
    for seed in 0..20 {
        let outcome = run(seed, Sabotage::None);
        assert_eq!(outcome.violation, None, "seed {seed}: cargo xtask sim --seed {seed}");
        assert!(
            outcome.operations >= OPERATIONS_MIN && outcome.crashes >= CRASHES_MIN,
            "{outcome:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        assert_eq!(run(seed, Sabotage::None), run(seed, Sabotage::None), "seed {seed}");
    }
}

#[test]
fn every_broken_promise_is_noticed() {
    for (name, switch) in Sabotage::ALL {
        let noticed = (0..SEEDS_UNTIL_NOTICED).find(|seed| crate::simulate(*seed, switch).violation.is_some());
        assert!(
            noticed.is_some(),
            "{name}: nothing noticed in {SEEDS_UNTIL_NOTICED} seeds"
        );
    }
}

#[test]
fn acknowledging_before_the_sync_is_reported_as_a_loss() {
    let lost = (0..SEEDS_UNTIL_NOTICED)
        .filter_map(|seed| run(seed, Sabotage::AcknowledgeBeforeSync).violation)
        .map(|violation| violation.lost)
        .find(|lost| *lost > 0);
    assert!(lost.is_some(), "no loss in {SEEDS_UNTIL_NOTICED} seeds");
}
