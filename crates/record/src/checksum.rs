//! CRC-32C (Castagnoli), the checksum of a batch.
//!
//! With `std` the processor's instructions, found at run time; without, a table, since that detection needs `std`.

use crate::header::at;

/// CRC-32C from the attributes to the end of `batch`.
pub(crate) fn checksum(batch: &[u8]) -> u32 {
    crc32c(batch.get(at::ATTRIBUTES..).unwrap_or_default())
}

#[cfg(feature = "std")]
fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(not(feature = "std"))]
use table::crc32c;

#[cfg(any(test, not(feature = "std")))]
mod table {
    /// The polynomial 0x1EDC6F41, lowest bit first.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    const TABLE: [u32; 256] = table();

    const fn table() -> [u32; 256] {
        let mut table = [0; 256];
        let mut byte = 0_u32;
        let mut index = 0;
        while index < table.len() {
            let mut remainder = byte;
            let mut bit = 0;
            while bit < u8::BITS {
                remainder = (remainder >> 1) ^ (POLYNOMIAL * (remainder & 1));
                bit += 1;
            }
            table[index] = remainder;
            byte += 1;
            index += 1;
        }
        table
    }

    pub(super) fn crc32c(bytes: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            let [low, ..] = crc.to_le_bytes();
            TABLE[usize::from(low ^ byte)] ^ (crc >> 8)
        };
        !bytes.iter().fold(u32::MAX, step)
    }
}

#[cfg(test)]
mod tests {
    use super::{crc32c, table};

    #[test]
    fn both_ways_give_the_check_value() {
        // RFC 3720, B.4, and the check value of the CRC catalogue.
        let check = |bytes: &[u8], expected| {
            assert_eq!(crc32c(bytes), expected);
            assert_eq!(table::crc32c(bytes), expected);
        };
        check(b"123456789", 0xe306_9283);
        check(&[0; 32], 0x8a91_36aa);
        check(&[0xff; 32], 0x62a8_ab43);
        check(&[], 0);
    }
}
