//! The bytes of one simulated file: what readers see, what the medium has, and what lies between.

use std::collections::BTreeMap;

use hallows_runtime::Random;

use super::faults::FaultCounts;
use crate::random::Choose;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;
/// What a durable write writes whole or not at all, in bytes.
pub(super) const BLOCK_BYTES: usize = 4096;

/// One change that the medium does not have for certain.
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Size(usize),
}

/// How much of what is unsynced a crash lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Survival {
    Nothing,
    Everything,
    Some,
}

impl Survival {
    pub(super) fn choose(random: &mut Random) -> Self {
        match random.below(8) {
            0 | 1 => Self::Nothing,
            2 => Self::Everything,
            _ => Self::Some,
        }
    }
}

/// The bytes of one file.
#[derive(Default)]
pub(super) struct Contents {
    /// What readers see.
    cached: Vec<u8>,
    /// What the medium has for certain, unless `unsynced` overwrites it.
    durable: Vec<u8>,
    /// Changes since, oldest first. A crash lets any part of them through.
    unsynced: Vec<Change>,
    /// A durable write is among `unsynced`: blocks stay whole.
    whole_blocks: bool,
}

impl Contents {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let Some(start) = usize::try_from(offset).ok().filter(|start| *start < self.cached.len()) else {
            return 0;
        };
        let count = buffer.len().min(self.cached.len() - start);
        buffer[..count].copy_from_slice(&self.cached[start..start + count]);
        count
    }

    /// Writes through the page cache.
    pub(super) fn write(&mut self, data: &[u8], offset: usize) {
        overwrite(&mut self.cached, data, offset);
        self.unsynced.push(Change::Write {
            offset,
            data: data.to_vec(),
        });
    }

    pub(super) fn set_size(&mut self, size: usize) {
        self.cached.resize(size, 0);
        self.unsynced.push(Change::Size(size));
    }

    /// Writes around the page cache; the kernel writes older cached changes first.
    pub(super) fn write_durable(&mut self, data: &[u8], offset: usize) {
        self.sync();
        overwrite(&mut self.cached, data, offset);
        overwrite(&mut self.durable, data, offset);
    }

    /// A durable write that the machine's end interrupts.
    pub(super) fn begin_durable(&mut self, data: &[u8], offset: usize) {
        self.sync();
        self.whole_blocks = true;
        self.write(data, offset);
    }

    /// Whether a durable write was interrupted: its blocks are not in the page cache, so killing the process decides it.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.whole_blocks
    }

    /// A durable write that fails while the machine goes on: each block is written or not.
    pub(super) fn fail_durable(&mut self, data: &[u8], offset: usize, random: &mut Random) {
        for (index, block) in data.chunks(BLOCK_BYTES).enumerate() {
            if random.one_in(2) {
                self.write_durable(block, offset + index * BLOCK_BYTES);
            }
        }
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, data } => overwrite(&mut self.durable, &data, offset),
                Change::Size(size) => self.durable.resize(size, 0),
            }
        }
        self.whole_blocks = false;
    }

    /// A sync that fails: some changes reach the medium, and the kernel forgets that the others did not.
    /// Readers keep seeing all of them until the machine restarts.
    pub(super) fn fail_sync(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        self.persist(Survival::Some, random, counts);
    }

    /// The kernel writes something back of its own accord: the oldest changes.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        let count = random.index(self.unsynced.len() + 1);
        for change in self.unsynced.drain(..count) {
            match change {
                Change::Write { offset, data } => overwrite(&mut self.durable, &data, offset),
                Change::Size(size) => self.durable.resize(size, 0),
            }
        }
    }

    /// Power is lost: readers now see what the medium has.
    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Random, counts: &mut FaultCounts) {
        self.persist(survival, random, counts);
        self.cached.clone_from(&self.durable);
    }

    fn persist(&mut self, survival: Survival, random: &mut Random, counts: &mut FaultCounts) {
        let changes = std::mem::take(&mut self.unsynced);
        let whole_blocks = std::mem::take(&mut self.whole_blocks);
        if changes.is_empty() {
            return;
        }
        let unit = if whole_blocks { BLOCK_BYTES } else { SECTOR_BYTES };
        let size = self.surviving_size(&changes, survival, random);
        if size != self.cached.len() {
            counts.sizes_lost += 1;
        }
        let mut lottery = Lottery {
            unit,
            count: changes.len(),
            survival,
            drawn: BTreeMap::new(),
        };
        let mut earlier_missing = false;
        for (age, change) in changes.iter().enumerate() {
            let (written, missing) = self.persist_change(change, age, &mut lottery, random);
            let Change::Write { .. } = change else { continue };
            match (written, missing) {
                (0, _) => counts.writes_lost += 1,
                (_, 0) => {}
                _ if whole_blocks => counts.durable_writes_torn += 1,
                _ => counts.writes_torn += 1,
            }
            counts.writes_reordered += u64::from(earlier_missing && written > 0);
            earlier_missing |= missing > 0;
        }
        self.durable.resize(size, 0);
    }

    /// The length is journaled apart from the data: any length the file had since the last sync may be found.
    fn surviving_size(&self, changes: &[Change], survival: Survival, random: &mut Random) -> usize {
        let mut size = self.durable.len();
        let kept = match survival {
            Survival::Nothing => 0,
            Survival::Everything => changes.len(),
            Survival::Some => random.index(changes.len() + 1),
        };
        for change in &changes[..kept] {
            size = match change {
                Change::Write { offset, data } => size.max(offset + data.len()),
                Change::Size(size) => *size,
            };
        }
        size
    }

    /// Applies the parts of one change that reach the medium; returns how many do and how many do not.
    fn persist_change(
        &mut self,
        change: &Change,
        age: usize,
        lottery: &mut Lottery,
        random: &mut Random,
    ) -> (usize, usize) {
        let (start, end) = match change {
            Change::Write { offset, data } => (*offset, offset + data.len()),
            Change::Size(size) => (*size, self.durable.len().max(*size)),
        };
        let (mut written, mut missing) = (0, 0);
        let mut from = start;
        while from < end {
            let sector = from / lottery.unit;
            let to = end.min((sector + 1) * lottery.unit);
            if age < lottery.draw(sector, random) {
                written += 1;
                match change {
                    Change::Write { offset, data } => {
                        overwrite(&mut self.durable, &data[from - offset..to - offset], from);
                    }
                    Change::Size(_) => overwrite(&mut self.durable, &vec![0; to - from], from),
                }
            } else {
                missing += 1;
            }
            from = to;
        }
        (written, missing)
    }
}

/// For each sector, how many of the changes reached it: always the oldest ones, because the page cache holds their sum.
struct Lottery {
    unit: usize,
    count: usize,
    survival: Survival,
    drawn: BTreeMap<usize, usize>,
}

impl Lottery {
    fn draw(&mut self, sector: usize, random: &mut Random) -> usize {
        match self.survival {
            Survival::Nothing => 0,
            Survival::Everything => self.count,
            Survival::Some => *self.drawn.entry(sector).or_insert_with(|| match random.below(4) {
                0 => 0,
                1 => self.count,
                _ => random.index(self.count + 1),
            }),
        }
    }
}

fn overwrite(target: &mut Vec<u8>, data: &[u8], offset: usize) {
    let end = offset + data.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[offset..end].copy_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(contents: &Contents) -> Vec<u8> {
        let mut buffer = vec![0; contents.len()];
        contents.read(&mut buffer, 0);
        buffer
    }

    #[test]
    fn synced_bytes_survive_every_power_loss() {
        for seed in 0..200 {
            let mut random = Random::from_seed(seed);
            let mut counts = FaultCounts::default();
            let mut contents = Contents::default();
            contents.write(&[1; 3000], 0);
            contents.sync();
            contents.write(&[2; 3000], 3000);
            contents.lose_power(Survival::choose(&mut random), &mut random, &mut counts);
            assert_eq!(bytes(&contents)[..3000], [1; 3000]);
            assert!(bytes(&contents)[3000..].iter().all(|byte| matches!(byte, 0 | 2)));
        }
    }

    #[test]
    fn unsynced_writes_are_lost_torn_and_reordered() {
        let mut counts = FaultCounts::default();
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut random = Random::from_seed(seed);
            let mut contents = Contents::default();
            (0..4_usize).for_each(|index| contents.write(&[7; 2000], index * 2000));
            contents.lose_power(Survival::choose(&mut random), &mut random, &mut counts);
            lengths.insert(contents.len());
        }
        assert!(
            counts.writes_lost > 50 && counts.writes_torn > 50 && counts.writes_reordered > 50,
            "{counts}"
        );
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 2000, 4000, 6000, 8000]);
    }

    #[test]
    fn interrupted_durable_writes_keep_blocks_whole() {
        let mut counts = FaultCounts::default();
        for seed in 0..200 {
            let mut random = Random::from_seed(seed);
            let mut contents = Contents::default();
            contents.write_durable(&[1; 4 * BLOCK_BYTES], 0);
            contents.begin_durable(&[2; 4 * BLOCK_BYTES], 0);
            contents.lose_power(Survival::choose(&mut random), &mut random, &mut counts);
            for block in bytes(&contents).chunks(BLOCK_BYTES) {
                assert!(block.iter().all(|byte| *byte == block[0]), "a torn block");
            }
        }
        assert!(counts.durable_writes_torn > 20, "{counts}");
        assert_eq!(counts.writes_torn, 0);
    }

    #[test]
    fn a_failed_sync_loses_what_later_syncs_cannot_bring_back() {
        let mut lost = 0;
        for seed in 0..50 {
            let mut random = Random::from_seed(seed);
            let mut counts = FaultCounts::default();
            let mut contents = Contents::default();
            contents.write(&[9; 5000], 0);
            contents.fail_sync(&mut random, &mut counts);
            assert_eq!(bytes(&contents), [9; 5000], "still in the page cache");
            contents.sync();
            contents.lose_power(Survival::Everything, &mut random, &mut counts);
            lost += u64::from(bytes(&contents) != [9; 5000]);
        }
        assert!(lost > 20, "{lost} of 50");
    }

    #[test]
    fn cut_bytes_may_come_back_until_the_cut_is_synced() {
        let mut back = 0;
        for seed in 0..100 {
            let mut random = Random::from_seed(seed);
            let mut counts = FaultCounts::default();
            let mut contents = Contents::default();
            contents.write(&[5; 1024], 0);
            contents.sync();
            contents.set_size(100);
            contents.lose_power(Survival::choose(&mut random), &mut random, &mut counts);
            back += u64::from(contents.len() == 1024);
            contents.set_size(100);
            contents.sync();
            contents.lose_power(Survival::Nothing, &mut random, &mut counts);
            assert_eq!(contents.len(), 100);
        }
        assert!(back > 20, "{back} of 100");
    }
}
