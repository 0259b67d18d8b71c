//! The simulated world and its checkers.
//!
//! One thread per seed, no runtime, virtual time: a seed decides which turn, delivery, completion or timer comes next, what the
//! disk loses and when the machine dies. The same seed always gives the same run.
//! Nothing above the runtime seam is mocked: the code under test is the code that serves.

pub mod broker;
pub mod checks;
pub mod command;
pub mod disk;
mod jobs;
pub mod ledger;
pub mod log;
pub mod minimise;
mod options;
pub mod plan;
mod random;
mod trace;
mod violation;
pub mod world;

pub use disk::SimDisk;
pub use options::{Outcome, Report, Sabotage};
pub use plan::{Level, Part, Plan};
pub use random::Choose;
pub use trace::Trace;
pub use violation::{Verdict, Violation};
pub use world::World;

/// Runs a plan. A panic of the code under test is a violation too.
#[must_use]
pub fn simulate(plan: &Plan) -> Outcome {
    let run = std::panic::AssertUnwindSafe(|| match plan.level {
        Level::Storage => log::run(plan),
        Level::Broker => broker::run(plan),
    });
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
