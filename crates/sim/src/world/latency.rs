//! How long things take, by seed: calm worlds, slow disks, stalling threads.

use hallows_runtime::Random;

use crate::random::Choose;

const MICROSECOND: u64 = 1_000;
/// So many times the typical duration is late.
const LATE: u64 = 8;

/// Typical durations in nanoseconds, and how heavy their tails are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latencies {
    turn: u64,
    disk: u64,
    message: u64,
    network: u64,
    /// A duration is up to 2^this as long as typical.
    tail_doublings: u64,
}

impl Latencies {
    /// The durations of one seed's world.
    #[must_use]
    pub fn choose(random: &mut Random) -> Self {
        let mut typical = |values: [u64; 3]| values[random.index(3)] * MICROSECOND;
        Self {
            turn: typical([1, 5, 300]),
            disk: typical([20, 100, 5_000]),
            message: typical([1, 20, 2_000]),
            network: typical([10, 100, 20_000]),
            tail_doublings: [4, 8, 12][random.index(3)],
        }
    }

    pub(super) fn turn(&self, random: &mut Random) -> u64 {
        random.wait_ns(self.turn, self.tail_doublings / 2)
    }

    pub(super) fn disk(&self, random: &mut Random) -> u64 {
        random.wait_ns(self.disk, self.tail_doublings)
    }

    pub(super) fn message(&self, random: &mut Random) -> u64 {
        random.wait_ns(self.message, self.tail_doublings)
    }

    /// How long bytes are on their way through the network, and whether that is much longer than usual.
    pub(super) fn passage(&self, random: &mut Random) -> (u64, bool) {
        let wait = self.network(random);
        (wait, wait > self.network * LATE)
    }

    pub(super) fn network(&self, random: &mut Random) -> u64 {
        random.wait_ns(self.network, self.tail_doublings)
    }
}
