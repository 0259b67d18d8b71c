//! One commit block of the journal.
//!
//! The input is a byte of switches and the bytes of a block, which may be followed by others.

use hallows_storage::format::BlockHead;

use super::{damage, recovery};
use crate::Source;
use crate::allocation::bounded;

/// Set: checksums are made right first.
const MEND: u8 = 1;
/// Memory of errors.
const BYTES_BESIDES: usize = 1024;
/// A table takes no more in memory than twice what it takes on disk.
const BYTES_PER_BYTE: usize = 2;

/// Tries an input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let switches = source.u8();
    let mut block = source.rest().to_vec();
    if switches & MEND != 0 {
        damage::mend_block(&mut block);
    }
    bounded(BYTES_PER_BYTE * block.len() + BYTES_BESIDES, || examine(&block));
}

fn examine(block: &[u8]) {
    let needed = BlockHead::needed(block, block.len());
    if let Ok(needed) = needed {
        assert!(needed <= block.len());
    }
    let Ok(Some(head)) = BlockHead::decode(block) else {
        return;
    };
    assert_eq!(
        needed,
        Ok(head.payload_start()),
        "a decoded table is as long as was announced"
    );
    let payload: u64 = head.entries.iter().map(|entry| u64::from(entry.length)).sum();
    assert_eq!(payload, u64::from(head.payload_bytes));
    assert_eq!(head.size_bytes(), head.payload_start() + head.payload_bytes as usize);
    if let Some(payload) = block.get(head.payload_start()..head.size_bytes())
        && head.payload_matches(payload)
        && let Some((last, rest)) = payload.split_last()
    {
        let changed = [rest, &[last ^ 1]].concat();
        assert!(!head.payload_matches(&changed), "a changed payload is noticed");
    }
}

/// The blocks of a real journal.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (path, data) in recovery::example() {
        if path.starts_with("journals/") {
            seeds.extend(
                data.chunks(4096)
                    .filter(|block| block.starts_with(b"HALBLOCK"))
                    .map(|block| {
                        let used = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                        [&[MEND], &block[..used]].concat()
                    }),
            );
        }
    }
    seeds
}
