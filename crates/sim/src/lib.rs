//! The simulated world and its checkers.
//!
//! One thread, no runtime, virtual time: a seed decides which turn, delivery, completion or timer comes next, what the
//! disk loses and when the machine dies. The same seed always gives the same run.
//! Nothing above the runtime seam is mocked: the code under test is the code that serves.

pub mod checks;
pub mod disk;
pub mod ledger;
pub mod log;
mod options;
mod random;
mod trace;
mod violation;
pub mod world;

pub use disk::SimDisk;
pub use options::{Outcome, Report, Sabotage};
pub use random::Choose;
pub use trace::Trace;
pub use violation::{Verdict, Violation};
pub use world::World;

/// Runs one seed.
#[must_use]
pub fn simulate(seed: u64, sabotage: Sabotage) -> Outcome {
    log::run(seed, sabotage)
}
