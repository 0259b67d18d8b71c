//! Zigzag variable-length integers, as records use them.
//!
//! Reading takes the bytes from the front of a slice and never past its end.
//! Longer forms of a number are accepted, as Kafka does; numbers that do not fit are refused.

use alloc::vec::Vec;

/// The longest form of a 64-bit number.
const VARINT64_BYTES_MAX: u32 = 10;

/// Why an integer could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum VarintError {
    /// The bytes end inside it.
    Truncated,
    /// It does not fit its type.
    Invalid,
}

/// Takes a signed 32-bit integer from the front of `bytes`.
#[inline(always)]
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let raw = u32::try_from(read_u64(bytes)?).map_err(|_| VarintError::Invalid)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Takes a signed 64-bit integer from the front of `bytes`.
#[inline(always)]
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = read_u64(bytes)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Almost every field of almost every record takes one byte or two, so those are decided inline.
#[inline(always)]
fn read_u64(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Ok(u64::from(first))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
        }
        _ => read_u64_long(bytes),
    }
}

fn read_u64_long(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut value = 0_u64;
    for index in 0..VARINT64_BYTES_MAX {
        let [byte, ref rest @ ..] = **bytes else {
            return Err(VarintError::Truncated);
        };
        *bytes = rest;
        // Nine bytes hold 63 bits, so the tenth may only add the last one and must end the number.
        if index + 1 == VARINT64_BYTES_MAX && byte > 1 {
            return Err(VarintError::Invalid);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(VarintError::Invalid)
}

/// Appends `value` in its shortest form.
pub(crate) fn write_i64(value: i64, out: &mut Vec<u8>) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        let [low, ..] = rest.to_le_bytes();
        out.push(low | 0x80);
        rest >>= 7;
    }
    let [last, ..] = rest.to_le_bytes();
    out.push(last);
}

/// Bytes of `value` in its shortest form.
pub(crate) fn size_of_i64(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).expect("at most ten")
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn known_forms_round_trip() {
        let check = |value: i64, form: &[u8]| {
            let mut out = vec![];
            write_i64(value, &mut out);
            assert_eq!(out, form, "{value}");
            assert_eq!(size_of_i64(value), form.len(), "{value}");
            assert_eq!(read_i64(&mut &form[..]), Ok(value));
            if let Ok(small) = i32::try_from(value) {
                assert_eq!(read_i32(&mut &form[..]), Ok(small));
            }
        };
        check(0, &[0]);
        check(-1, &[1]);
        check(1, &[2]);
        check(63, &[0x7e]);
        check(-64, &[0x7f]);
        check(64, &[0x80, 0x01]);
        check(-8192, &[0xff, 0x7f]);
        check(i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]);
        check(i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]);
        check(i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        check(i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        assert_eq!(
            read_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x10][..]),
            Err(VarintError::Invalid)
        );
        assert_eq!(read_i64(&mut &[0xff; 11][..]), Err(VarintError::Invalid));
        assert_eq!(read_i64(&mut &[0x80][..]), Err(VarintError::Truncated));
        assert_eq!(read_i32(&mut &[][..]), Err(VarintError::Truncated));
        // Longer than needed, and still 1.
        assert_eq!(read_i32(&mut &[0x82, 0x80, 0x00][..]), Ok(1));
    }
}
