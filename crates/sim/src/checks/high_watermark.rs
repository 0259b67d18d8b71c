//! The high watermark never goes back while the machine is up, and never beyond the end of the log.
//!
//! Source: ARCHITECTURE, "Order, always"; DESIGN 4, "the high watermark follows the commit point".

use crate::ledger::Ledger;
use crate::violation::{Verdict, ensure};

const NAME: &str = "the high watermark is monotone";

/// Looks at a partition's state and remembers it.
///
/// # Errors
/// A high watermark below an earlier one, or above the log end.
pub fn check(ledger: &mut Ledger, high_watermark: i64, log_end: i64) -> Verdict {
    let before = ledger.high_watermark;
    ensure!(
        NAME,
        high_watermark >= before,
        "it went from {before} back to {high_watermark}"
    );
    ensure!(
        NAME,
        high_watermark <= log_end,
        "it is {high_watermark}, the log ends at {log_end}"
    );
    ledger.high_watermark = high_watermark;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_rises_up_to_the_end() {
        let mut ledger = Ledger::default();
        check(&mut ledger, 3, 5).expect("risen");
        check(&mut ledger, 3, 5).expect("the same");
        check(&mut ledger, 2, 5).expect_err("back");
        check(&mut ledger, 6, 5).expect_err("beyond the end");
    }
}
