//! A read gives the bytes that were assigned, in order, and nothing at or above the high watermark.
//!
//! Source: ARCHITECTURE, "No read above the high watermark"; Kafka protocol guide, Fetch: the answer begins with the
//! batch that contains the offset, and its last batch may be cut.

use crate::checks::survival::check_batch;
use crate::ledger::{Ledger, header};
use crate::violation::{Verdict, ensure};
use hallows_record::{BATCH_HEADER_BYTES, peek_size};

const NAME: &str = "reads give what was assigned, below the high watermark";

/// One read and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Where it begins.
    pub from: i64,
    /// The high watermark when it was answered.
    pub high_watermark: i64,
    /// The most bytes asked for.
    pub max_bytes: u32,
    /// Whether a first batch larger than `max_bytes` had to come whole.
    pub at_least_one: bool,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Looks at the answer of a read.
///
/// # Errors
/// Foreign bytes, a gap, bytes above the high watermark, or no bytes where there had to be some.
pub fn check(ledger: &Ledger, read: &Read<'_>) -> Verdict {
    let mut rest = read.bytes;
    let mut next = None;
    while rest.len() >= BATCH_HEADER_BYTES {
        let size = peek_size(rest).and_then(Result::ok).unwrap_or(usize::MAX);
        if size > rest.len() {
            break;
        }
        let (batch, after) = rest.split_at(size);
        rest = after;
        let found = header(batch);
        let (base, end) = (found.base_offset.0, found.end_offset().0);
        match next {
            None => ensure!(
                NAME,
                base <= read.from && read.from < end,
                "{} was asked for, {base}..{end} came",
                read.from
            ),
            Some(expected) => ensure!(
                NAME,
                base == expected,
                "{base} came after a batch that ends at {expected}"
            ),
        }
        ensure!(
            NAME,
            end <= read.high_watermark,
            "{base}..{end} was read, the high watermark is {}",
            read.high_watermark
        );
        // Deleted records may still be in an answer that was begun before; they are not promised.
        if base >= ledger.log_start {
            check_batch(ledger, base, batch)?;
        }
        next = Some(end);
    }
    let (from, high_watermark) = (read.from, read.high_watermark);
    // A batch in memory that does not fit may be left out, as long as a larger request gets it.
    let first_bytes = ledger.containing(from).map_or(0, |base| ledger.log[&base].bytes.len());
    let fits = read.at_least_one || first_bytes <= usize::try_from(read.max_bytes).unwrap_or(usize::MAX);
    let missing = from < high_watermark && from >= ledger.log_start && fits && read.bytes.is_empty();
    ensure!(
        NAME,
        !missing,
        "{from} is below {high_watermark}, and nothing came for {} bytes",
        read.max_bytes
    );
    let whole = next.is_some() || !read.at_least_one || from >= high_watermark;
    ensure!(
        NAME,
        whole,
        "the first batch did not come whole: {} bytes from {from}",
        read.bytes.len()
    );
    let most = usize::try_from(read.max_bytes).unwrap_or(usize::MAX);
    let first = peek_size(read.bytes).and_then(Result::ok).unwrap_or(0);
    let bound = if read.at_least_one { most.max(first) } else { most };
    ensure!(
        NAME,
        read.bytes.len() <= bound,
        "{} bytes came, {bound} were asked for",
        read.bytes.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::remint::tests::batch;

    #[test]
    fn answers_are_compared_with_what_was_assigned() {
        let mut ledger = Ledger::default();
        let batches = [batch(0, 2, 1, b"first"), batch(2, 2, 1, b"second")];
        batches.iter().for_each(|batch| ledger.assign(batch.clone()));
        let both = batches.concat();
        let read = |from, high_watermark, bytes| Read {
            from,
            high_watermark,
            max_bytes: 1000,
            at_least_one: true,
            bytes,
        };
        check(&ledger, &read(1, 4, &both)).expect("both");
        check(&ledger, &read(0, 4, &both[..batches[0].len() + 5])).expect("the second is cut");
        check(&ledger, &read(4, 4, &[])).expect("nothing is there");
        check(&ledger, &read(0, 2, &both)).expect_err("above the high watermark");
        check(&ledger, &read(2, 4, &both)).expect_err("begins too early");
        check(&ledger, &read(0, 4, &[])).expect_err("something is there");
        check(&ledger, &read(0, 4, &both[..70])).expect_err("the first is cut");
        let swapped = [batch(0, 2, 1, b"other"), batches[1].clone()].concat();
        check(&ledger, &read(0, 4, &swapped)).expect_err("foreign bytes");
    }
}
