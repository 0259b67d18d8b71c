//! Producer sequences: 0 to 2^31-1, then 0 again (KIP-98).

/// The sequence `count` records after `sequence`, where 0 follows 2^31-1.
///
/// `next_sequence(base_sequence, record_count)` is the base sequence that a producer's next batch must have.
/// A negative `sequence` means "none" and stays as it is; a negative `count` counts as 0.
///
/// # Source
/// KIP-98; Kafka's `DefaultRecordBatch.incrementSequence`.
#[must_use]
pub const fn next_sequence(sequence: i32, count: i32) -> i32 {
    if sequence < 0 || count <= 0 {
        return sequence;
    }
    match sequence.checked_add(count) {
        Some(next) => next,
        // 2^31 values exist, so the overflow restarts at 0: subtracting 2^31 is subtracting the maximum and one.
        None => count - (i32::MAX - sequence) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::next_sequence;

    #[test]
    fn wraps_to_zero() {
        let check = |sequence, count, expected| assert_eq!(next_sequence(sequence, count), expected);
        check(0, 1, 1);
        check(i32::MAX, 1, 0);
        check(i32::MAX, 3, 2);
        check(i32::MAX - 1, 1, i32::MAX);
        check(i32::MAX, i32::MAX, i32::MAX - 1);
        check(i32::MAX, 0, i32::MAX);
        check(-1, 5, -1);
    }
}
