//! Where each leader epoch of a partition begins (KIP-101, KIP-320). Rebuilt from batches, which carry their epoch.

use hallows_types::{LeaderEpoch, Offset};

use crate::codec::{FormatError, Reader, Writer};

/// Epochs and the offset of their first record, both strictly ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Epochs(Vec<(LeaderEpoch, Offset)>);

/// Bytes of one epoch on disk.
const ENTRY_BYTES: usize = 4 + 8;

impl Epochs {
    /// Notes that a batch of `epoch` begins at `offset`. Earlier epochs that begin there have no batch left.
    pub(crate) fn note(&mut self, epoch: LeaderEpoch, offset: Offset) {
        if self.0.last().is_none_or(|(latest, _)| *latest < epoch) {
            self.cut(offset);
            self.0.push((epoch, offset));
        }
    }

    /// The latest epoch seen.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// Forgets epochs that end at or below `log_start`; the one that contains it now begins there.
    pub(crate) fn trim(&mut self, log_start: Offset) {
        let beyond = self.0.partition_point(|(_, start)| *start <= log_start);
        if let Some(containing) = beyond.checked_sub(1) {
            self.0.drain(..containing);
            self.0[0].1 = log_start;
        }
    }

    /// Forgets epochs that begin at or above `end`.
    pub(crate) fn cut(&mut self, end: Offset) {
        self.0.retain(|(_, start)| *start < end);
    }

    /// The largest epoch not above `epoch`, and where it ends. Below the first known one: the asked epoch and that
    /// one's start. At or above the latest: the log's end. `(UNKNOWN, -1)` where nothing is known.
    ///
    /// # Source
    /// Apache Kafka, `LeaderEpochFileCache.endOffsetFor`: the requested epoch is echoed for "before the first".
    pub(crate) fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        current: LeaderEpoch,
        log_end: Offset,
    ) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::UNKNOWN, Offset(-1));
        if epoch.0 < 0 {
            return unknown;
        }
        if epoch == current || self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let after = self.0.partition_point(|(known, _)| *known <= epoch);
        // A current epoch without a batch begins where the log ends: nothing was appended since it began.
        let next = self.0.get(after).map(|(_, start)| *start);
        let next = next.or_else(|| (epoch < current).then_some(log_end));
        match (after.checked_sub(1), next) {
            (_, None) => unknown,
            (None, Some(start)) => (epoch, start),
            (Some(floor), Some(start)) => (self.0[floor].0, start),
        }
    }

    /// The epoch of the batch at `offset`, if a batch there or before it is known.
    pub(crate) fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let beyond = self.0.partition_point(|(_, start)| *start <= offset);
        beyond.checked_sub(1).map(|index| self.0[index].0)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.count(self.0.len());
        for (epoch, start) in &self.0 {
            writer.i32(epoch.0);
            writer.i64(start.0);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let count = reader.count(ENTRY_BYTES)?;
        let mut epochs = Self(Vec::with_capacity(count));
        for _ in 0..count {
            epochs.0.push((LeaderEpoch(reader.i32()?), Offset(reader.i64()?)));
        }
        if epochs
            .0
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        {
            Ok(epochs)
        } else {
            Err(FormatError::Invalid {
                what: "order of epochs",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in [(2, 0), (3, 10), (7, 30)] {
            epochs.note(LeaderEpoch(epoch), Offset(start));
        }
        epochs
    }

    #[test]
    fn answers_as_kafka_does() {
        let epochs = epochs();
        let check = |asked, epoch, end| {
            let answer = epochs.end_offset_for(LeaderEpoch(asked), LeaderEpoch(7), Offset(50));
            assert_eq!(answer, (LeaderEpoch(epoch), Offset(end)), "epoch {asked}");
        };
        check(-1, -1, -1);
        check(0, 0, 0);
        check(2, 2, 10);
        check(3, 3, 30);
        check(5, 3, 30);
        check(7, 7, 50);
        check(8, -1, -1);
    }

    #[test]
    fn an_epoch_whose_batches_are_gone_ends_with_the_next() {
        let mut epochs = epochs();
        epochs.trim(Offset(40));
        epochs.note(LeaderEpoch(9), Offset(40));
        let answer = epochs.end_offset_for(LeaderEpoch(8), LeaderEpoch(9), Offset(50));
        assert_eq!(answer, (LeaderEpoch(8), Offset(40)));
    }

    #[test]
    fn trimming_keeps_the_epoch_of_the_log_start() {
        let mut epochs = epochs();
        epochs.trim(Offset(15));
        let answer = epochs.end_offset_for(LeaderEpoch(2), LeaderEpoch(7), Offset(50));
        assert_eq!(answer, (LeaderEpoch(2), Offset(15)));
        let answer = epochs.end_offset_for(LeaderEpoch(3), LeaderEpoch(7), Offset(50));
        assert_eq!(answer, (LeaderEpoch(3), Offset(30)));
    }
}
