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

/// Runs one seed. A panic of the code under test is a violation too.
#[must_use]
pub fn simulate(seed: u64, sabotage: Sabotage) -> Outcome {
    let run = std::panic::AssertUnwindSafe(|| log::run(seed, sabotage));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| Outcome {
        violation: Some(Violation::new("nothing panics", message(&*panic))),
        ..Outcome::default()
    })
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
        .to_owned()
}
