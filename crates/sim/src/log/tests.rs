use super::*;

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
