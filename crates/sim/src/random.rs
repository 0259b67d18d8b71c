//! Choices of one seed.

use hallows_runtime::Random;

/// Words for the choices a simulation makes.
pub trait Choose {
    /// True once in `count` times; never for 0.
    fn one_in(&mut self, count: u64) -> bool;
    /// True with `rate` in a million.
    fn per_million(&mut self, rate: u32) -> bool;
    /// A number from `low` to `high`, both inclusive.
    fn between(&mut self, low: u64, high: u64) -> u64;
    /// An index below `len`.
    ///
    /// # Panics
    /// When `len` is 0.
    fn index(&mut self, len: usize) -> usize;
    /// A duration in nanoseconds around `typical`: mostly near it, now and then up to 2^`doublings` times as long.
    fn wait_ns(&mut self, typical: u64, doublings: u64) -> u64;
}

impl Choose for Random {
    fn one_in(&mut self, count: u64) -> bool {
        count > 0 && self.below(count) == 0
    }

    fn per_million(&mut self, rate: u32) -> bool {
        self.below(1_000_000) < u64::from(rate)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    fn index(&mut self, len: usize) -> usize {
        assert!(len > 0, "a choice needs something to choose from");
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    fn wait_ns(&mut self, typical: u64, doublings: u64) -> u64 {
        let mut limit = typical.max(1);
        for _ in 0..doublings {
            if self.below(2) == 0 {
                break;
            }
            limit = limit.saturating_mul(2);
        }
        1 + self.below(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_stay_inside_their_bounds() {
        let mut random = Random::from_seed(1);
        for _ in 0..10_000 {
            assert!((3..=5).contains(&random.between(3, 5)));
            assert!(random.index(2) < 2);
            assert!((1..=80).contains(&random.wait_ns(10, 3)));
            assert!(!random.one_in(0));
            assert!(!random.per_million(0));
            assert!(random.per_million(1_000_000));
        }
    }
}
