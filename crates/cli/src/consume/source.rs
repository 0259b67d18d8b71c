//! Where records come from: partitions that were named, or a group's share.

use std::collections::BTreeMap;
use std::time::Duration;

use hallows_client::{
    Client, ConsumedRecord, Consumer, ConsumerOptions, GroupConsumer, GroupOptions, OffsetAt, OffsetReset,
};

use super::presence::Presence;
use super::start::Start;
use crate::Failure;

type Offsets = BTreeMap<(String, i32), i64>;

/// A consumer and where it ends.
pub(super) struct Source {
    reader: Reader,
    /// Where each partition ended when it was first looked at; filled when somebody asks.
    ends: Offsets,
    /// Where reading stops, if it does.
    stop: Option<OffsetAt>,
    /// The first record of each partition that was read and not printed.
    given_back: Offsets,
    presence: Presence,
}

enum Reader {
    Partitions(Consumer),
    Group(GroupConsumer),
}

impl Source {
    /// A member of a group.
    pub(super) fn group(
        mut client: Client,
        group: &str,
        topics: &[&str],
        from_beginning: bool,
    ) -> Result<Self, Failure> {
        for topic in topics {
            client.topic(topic)?;
        }
        let options = GroupOptions {
            reset: if from_beginning {
                OffsetReset::Earliest
            } else {
                OffsetReset::Latest
            },
            ..GroupOptions::new(group)
        };
        let member = GroupConsumer::new(client, topics, options, ConsumerOptions::default());
        Ok(Self::new(Reader::Group(member)))
    }

    /// Partitions of topics: those in `only`, or all with an empty list.
    pub(super) fn partitions(client: Client, topics: &[&str], only: &[i32], start: Start) -> Result<Self, Failure> {
        let mut consumer = Consumer::new(client, ConsumerOptions::default());
        for topic in topics {
            let known = consumer.client().topic(topic)?;
            let partitions: Vec<i32> = match only {
                [] => known.partitions.keys().copied().collect(),
                only => only.to_vec(),
            };
            for partition in partitions {
                assign(&mut consumer, topic, partition, start)?;
            }
        }
        Ok(Self::new(Reader::Partitions(consumer)))
    }

    fn new(mut reader: Reader) -> Self {
        let patience = reader.client().options().retry_timeout;
        Self {
            reader,
            ends: Offsets::new(),
            stop: None,
            given_back: Offsets::new(),
            presence: Presence::new(patience),
        }
    }

    /// Reads no further than to there.
    pub(super) fn until(mut self, end: OffsetAt) -> Self {
        self.stop = Some(end);
        self
    }

    /// Whether reading stops anywhere.
    pub(super) const fn stops(&self) -> bool {
        self.stop.is_some()
    }

    /// Notes that records were not printed after all, so that they are not committed.
    pub(super) fn give_back(&mut self, records: &[ConsumedRecord]) {
        for record in records {
            let partition = (record.topic.to_string(), record.partition);
            self.given_back.entry(partition).or_insert(record.offset);
        }
    }

    /// Commits where it stands in every partition, if this is a member of a group.
    pub(super) fn commit_positions(&mut self) -> Result<(), Failure> {
        let mut positions = self.positions();
        positions.extend(std::mem::take(&mut self.given_back));
        self.commit(&positions)
    }

    /// Records, or none after a while.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumedRecord>, Failure> {
        let records = match &mut self.reader {
            Reader::Partitions(consumer) => consumer.poll(wait)?,
            Reader::Group(member) => member.poll(wait)?,
        };
        if records.is_empty() {
            self.presence.look(self.reader.client())?;
        } else {
            self.presence.seen();
        }
        Ok(records)
    }

    /// Commits offsets, if this is a member of a group.
    pub(super) fn commit(&mut self, offsets: &Offsets) -> Result<(), Failure> {
        match &mut self.reader {
            Reader::Group(member) if !offsets.is_empty() => match member.commit_offsets(offsets) {
                // Whoever has the partitions now reads these records again; that is what groups promise.
                Err(error) if error.code().is_some_and(is_rebalance) => Ok(()),
                committed => Ok(committed?),
            },
            _ => Ok(()),
        }
    }

    /// Leaves the group, if this is a member of one.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        match &mut self.reader {
            Reader::Partitions(_) => Ok(()),
            Reader::Group(member) => Ok(member.leave()?),
        }
    }

    /// Whether every partition has been read up to where it ended when it was first looked at.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Failure> {
        let positions = self.positions();
        if let Reader::Group(member) = &self.reader
            && member.rebalances() == 0
        {
            return Ok(false);
        }
        self.look_at_ends(&positions)?;
        Ok(positions
            .iter()
            .all(|(partition, position)| self.ends.get(partition).is_some_and(|end| position >= end)))
    }

    /// How many records lie ahead, where that is known.
    pub(super) fn remaining(&mut self) -> Result<Option<u64>, Failure> {
        if matches!(self.reader, Reader::Group(_)) {
            return Ok(None);
        }
        let positions = self.positions();
        self.look_at_ends(&positions)?;
        let ahead = positions
            .iter()
            .map(|(partition, position)| self.ends[partition] - position);
        Ok(u64::try_from(ahead.filter(|ahead| *ahead > 0).sum::<i64>()).ok())
    }

    fn positions(&self) -> Offsets {
        match &self.reader {
            Reader::Partitions(consumer) => consumer.positions(),
            Reader::Group(member) => member.positions(),
        }
    }

    fn look_at_ends(&mut self, positions: &Offsets) -> Result<(), Failure> {
        let mut unknown: BTreeMap<&str, Vec<(i32, OffsetAt)>> = BTreeMap::new();
        for (topic, partition) in positions.keys() {
            if !self.ends.contains_key(&(topic.clone(), *partition)) {
                unknown
                    .entry(topic)
                    .or_default()
                    .push((*partition, self.stop.unwrap_or(OffsetAt::Latest)));
            }
        }
        let client = self.reader.client();
        for (topic, partitions) in unknown {
            let mut found = client.list_offsets(topic, &partitions)?;
            // No record that late: what is there now is all of it.
            let open: Vec<_> = found
                .iter()
                .filter(|(_, end)| end.offset < 0)
                .map(|(index, _)| (*index, OffsetAt::Latest))
                .collect();
            if !open.is_empty() {
                found.extend(client.list_offsets(topic, &open)?);
            }
            for (partition, end) in found {
                self.ends.insert((topic.to_owned(), partition), end.offset);
            }
        }
        Ok(())
    }
}

impl Reader {
    fn client(&mut self) -> &mut Client {
        match self {
            Self::Partitions(consumer) => consumer.client(),
            Self::Group(member) => member.client(),
        }
    }
}

fn is_rebalance(code: hallows_client::ErrorCode) -> bool {
    use hallows_client::ErrorCode;
    matches!(
        code,
        ErrorCode::ILLEGAL_GENERATION | ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::UNKNOWN_MEMBER_ID
    )
}

fn assign(consumer: &mut Consumer, topic: &str, partition: i32, start: Start) -> Result<(), Failure> {
    match start {
        Start::At(at) => {
            consumer.assign_at(topic, partition, at)?;
        }
        Start::Offset(offset) => {
            // The partition is looked up, so that a wrong number is an error now and not silence later.
            consumer.client().leader(topic, partition)?;
            consumer.assign(topic, partition, offset);
        }
        Start::BeforeEnd(count) => {
            let first = consumer.assign_at(topic, partition, OffsetAt::Earliest)?;
            let end = consumer.assign_at(topic, partition, OffsetAt::Latest)?;
            consumer.assign(topic, partition, end.saturating_sub(count).max(first));
        }
    }
    Ok(())
}
