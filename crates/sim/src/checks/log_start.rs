//! The log start only grows, also across crashes, once it was answered or seen.
//!
//! Source: ARCHITECTURE, "log start only grows"; DESIGN 4, "A moved log start is durable before it is answered".

use crate::ledger::Ledger;
use crate::violation::{Verdict, ensure};

const NAME: &str = "the log start only grows";

/// Looks at a partition's log start and remembers it.
///
/// # Errors
/// A log start below an earlier one.
pub fn check(ledger: &mut Ledger, log_start: i64) -> Verdict {
    let before = ledger.log_start;
    ensure!(NAME, log_start >= before, "it went from {before} back to {log_start}");
    if log_start > before {
        ledger.start_at(log_start);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let mut ledger = Ledger::default();
        check(&mut ledger, 4).expect("grown");
        check(&mut ledger, 4).expect("the same");
        check(&mut ledger, 3).expect_err("back");
    }
}
