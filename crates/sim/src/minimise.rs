//! Makes a failing run shorter: fewer operations, fewer kinds of faults, fewer clients, while it still fails.

use crate::Violation;
use crate::plan::{CLIENTS_MAX, Part, Plan};
use crate::simulate;

/// Runs that are tried, at most.
const TRIES_MAX: u32 = 200;

/// What is left of a failing run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minimised {
    /// The shortest plan that was found.
    pub plan: Plan,
    /// How it fails.
    pub violation: Violation,
    /// Runs that were tried.
    pub tries: u32,
}

/// Looks for a shorter run that breaks the same promise; the given one did after so many operations.
#[must_use]
pub fn minimise(plan: &Plan, operations: u64, violation: Violation) -> Minimised {
    let mut search = Search {
        best: Plan {
            operations: Some(plan.operations.unwrap_or(operations).min(operations)),
            ..plan.clone()
        },
        violation,
        tries: 0,
    };
    loop {
        let before = search.best.clone();
        search.fewer_operations();
        search.fewer_parts();
        if search.best == before || search.tries >= TRIES_MAX {
            break;
        }
    }
    Minimised {
        plan: search.best,
        violation: search.violation,
        tries: search.tries,
    }
}

struct Search {
    best: Plan,
    violation: Violation,
    tries: u32,
}

impl Search {
    /// Whether a plan still breaks the promise; then it is the best.
    fn fails(&mut self, plan: Plan) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        match simulate(&plan).violation {
            Some(violation) if violation.invariant == self.violation.invariant => {
                self.best = plan;
                self.violation = violation;
                true
            }
            _ => false,
        }
    }

    /// Halves the operations while that works, then looks in between.
    fn fewer_operations(&mut self) {
        let mut known = self.best.operations.unwrap_or(crate::plan::OPERATIONS_MIN);
        let mut step = known / 2;
        while step > 0 {
            let plan = Plan {
                operations: Some(known - step),
                ..self.best.clone()
            };
            if self.fails(plan) {
                known -= step;
                step = step.min(known / 2);
            } else {
                step /= 2;
            }
        }
    }

    fn fewer_parts(&mut self) {
        let clients = (1..CLIENTS_MAX).map(Part::Client);
        let faults = Part::FAULTS.map(|(_, part)| part);
        for part in faults.into_iter().chain(clients) {
            if !self.best.has(part) {
                continue;
            }
            let mut plan = self.best.clone();
            plan.without.insert(part);
            self.fails(plan);
        }
    }
}
