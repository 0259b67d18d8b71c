//! Which partition of `__consumer_offsets` keeps a group: Kafka's hash, so that tools look in the right place.

/// The partition of a group, `None` where there are no partitions.
pub(crate) fn partition_of(group: &str, partitions: usize) -> Option<i32> {
    let count = i32::try_from(partitions).ok().filter(|count| *count > 0)?;
    // Java's String.hashCode, made non-negative as Kafka's Utils.abs does.
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    Some(positive % count)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn groups_lie_where_kafka_puts_them() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE; "hello".hashCode() is 99162322.
        assert_eq!(partition_of("polygenelubricants", 50), Some(0));
        assert_eq!(partition_of("hello", 50), Some(22));
        assert_eq!(partition_of("", 50), Some(0));
        assert_eq!(partition_of("hello", 0), None);
    }
}
