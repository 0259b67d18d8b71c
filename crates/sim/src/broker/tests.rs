//! The simulation repeats itself, keeps its promises, and bites.

mod starting;

use super::*;
use crate::options::Sabotage;
use crate::plan::Level;

fn whole(seed: u64) -> Outcome {
    run(&Plan::whole(Level::Broker, seed, Sabotage::None))
}

#[test]
fn clients_lose_nothing() {
    for seed in 0..10 {
        let outcome = whole(seed);
        let repeat = format!("seed {seed}: cargo xtask sim --level broker --seed {seed}");
        assert_eq!(outcome.violation, None, "{repeat}");
        assert!(
            outcome.operations >= OPERATIONS_MIN && outcome.crashes >= CRASHES_MIN,
            "{repeat}: {outcome:?}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..3 {
        assert_eq!(whole(seed), whole(seed), "seed {seed}");
    }
}
