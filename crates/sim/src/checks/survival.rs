//! Acknowledged records survive with the same bytes at the same offsets, without a gap.
//!
//! Source: DESIGN 4, "Durability is a topic setting, and the acknowledgement tells the truth": `fsync` survives power
//! loss, `written` a killed process, `memory` may lose its tail. What survives is always a prefix.

use bytes::Bytes;

use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, Violation, ensure};

const NAME: &str = "acknowledged records survive";

/// How the life of the machine before this start ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    /// Power was lost.
    PowerLoss,
    /// The process was killed; the page cache survived.
    Kill,
    /// The machine stopped in order.
    CleanStop,
}

/// Whether enough of the log is there. `log_end` is what recovery found.
///
/// # Errors
/// The loss, with the number of acknowledged records that are gone.
pub fn check_end(ledger: &Ledger, before: Before, log_start: i64, log_end: i64) -> Verdict {
    let promised = match before {
        Before::PowerLoss => ledger.promises.power_loss,
        Before::Kill => ledger.promises.kill,
        Before::CleanStop => ledger.end(),
    };
    if log_end < promised {
        let detail = format!("after {before:?} the log ends at {log_end}, everything below {promised} was promised");
        let lost = ledger.acknowledged_between(log_end, promised).max(1);
        return Err(Violation::new(NAME, detail).losing(lost));
    }
    ensure!(
        NAME,
        log_start <= log_end,
        "the log starts at {log_start} and ends at {log_end}"
    );
    Ok(())
}

/// Whether the log holds what was assigned, batch by batch from the one containing the log start, to its end.
///
/// # Errors
/// A gap, foreign bytes, or a missing end.
pub fn check_bytes(ledger: &Ledger, log_start: i64, log_end: i64, batches: &[Bytes]) -> Verdict {
    let mut next = None;
    for batch in batches {
        let found = header(batch);
        let base = found.base_offset.0;
        if let Some(expected) = next {
            ensure!(
                NAME,
                base == expected,
                "a batch at {base} follows one that ends at {expected}"
            );
        } else {
            ensure!(
                NAME,
                base <= log_start,
                "the log starts at {log_start}, its first batch at {base}"
            );
        }
        next = Some(found.end_offset().0);
        // Below the log start nothing is promised and the ledger may have forgotten it.
        if found.end_offset().0 > log_start {
            check_batch(ledger, base, batch)?;
        }
    }
    let end = next.unwrap_or(log_start);
    if end < log_end {
        let detail = format!("the log says it ends at {log_end}, its batches end at {end}");
        return Err(Violation::new(NAME, detail).losing(ledger.acknowledged_between(end, log_end)));
    }
    ensure!(
        NAME,
        end == log_end,
        "the log says it ends at {log_end}, its batches end at {end}"
    );
    Ok(())
}

/// Whether a batch is the one that was assigned this offset.
///
/// # Errors
/// Foreign or unknown bytes.
pub fn check_batch(ledger: &Ledger, base: i64, batch: &[u8]) -> Verdict {
    let Some(entry) = ledger.log.get(&base) else {
        return Err(Violation::new(
            NAME,
            format!("nothing was ever assigned offset {base}, but a batch is there"),
        ));
    };
    if entry.bytes != batch {
        let first = entry.bytes.iter().zip(batch).position(|(left, right)| left != right);
        let (had, has) = (entry.bytes.len(), batch.len());
        let detail =
            format!("the batch at {base} has other bytes: {had} became {has} bytes, first difference {first:?}");
        return Err(Violation::new(NAME, detail).losing(u64::from(entry.acknowledged)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;
    use crate::ledger::Promises;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for base in [0, 2, 4] {
            ledger.assign(batch(base, 2, 1, b"value"));
        }
        ledger.acknowledge(0, Promises { power_loss: 2, kill: 2 });
        ledger.acknowledge(2, Promises { power_loss: 0, kill: 4 });
        ledger
    }

    #[test]
    fn promises_depend_on_how_the_machine_ended() {
        let ends = |before| (0..=6).find(|end| check_end(&ledger(), before, 0, *end).is_ok());
        assert_eq!(ends(Before::PowerLoss), Some(2));
        assert_eq!(ends(Before::Kill), Some(4));
        assert_eq!(ends(Before::CleanStop), Some(6));
        let lost = check_end(&ledger(), Before::Kill, 0, 0).expect_err("all is gone").lost;
        assert_eq!(lost, 4);
    }

    #[test]
    fn gaps_foreign_bytes_and_missing_ends_are_found() {
        let log = |bases: &[i64]| {
            bases
                .iter()
                .map(|base| batch(*base, 2, 1, b"value"))
                .collect::<Vec<_>>()
        };
        check_bytes(&ledger(), 0, 6, &log(&[0, 2, 4])).expect("as assigned");
        check_bytes(&ledger(), 0, 4, &log(&[0, 2])).expect("a prefix");
        check_bytes(&ledger(), 3, 6, &log(&[2, 4])).expect("from the batch that contains the start");
        check_bytes(&ledger(), 0, 6, &log(&[0, 4])).expect_err("a gap");
        check_bytes(&ledger(), 0, 6, &log(&[0, 2])).expect_err("no end");
        check_bytes(&ledger(), 0, 6, &log(&[2, 4])).expect_err("no start");
        check_bytes(&ledger(), 0, 8, &log(&[0, 2, 4, 6])).expect_err("never assigned");
        let foreign = vec![batch(0, 2, 1, b"other")];
        check_bytes(&ledger(), 0, 2, &foreign).expect_err("foreign bytes");
    }
}
