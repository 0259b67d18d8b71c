//! What an audit found, compared with the book; afterwards the book is exact.

use std::collections::BTreeMap;

use hallows_types::{LeaderEpoch, PartitionId, TopicId};

use super::audit::{Auditor, ReadLog};
use super::book::{BatchName, Book, Existence, PartitionName};
use super::metadata;
use crate::checks::recovery::Found;
use crate::checks::survival::Before;
use crate::checks::{epochs, log_start, recreated, survival};
use crate::violation::{Verdict, Violation, ensure};

/// Compares everything, and takes it over.
///
/// # Errors
/// The first broken promise.
pub(super) fn settle(book: &mut Book, audit: &Auditor, before: Before, was_clean: bool) -> Verdict {
    topics(book, audit, was_clean)?;
    settings(book, audit)?;
    for (name, log) in &audit.logs {
        one_log(book, *name, log, before).map_err(|violation| violation.at(name))?;
        book.check_counts(*name)?;
    }
    Ok(())
}

/// Everything that was read, in the words of recovery's checker; without logs that retention may shorten meanwhile.
pub(super) fn found(book: &Book, audit: &Auditor) -> Vec<Found> {
    let logs = audit.logs.iter();
    let logs = logs.filter(|(name, _)| !book.topics[&name.topic].may_expire);
    logs.map(|(name, log)| {
        log.found(PartitionId {
            topic: book.topics[&name.topic].id,
            index: name.index,
        })
    })
    .collect()
}

fn topics(book: &mut Book, audit: &Auditor, was_clean: bool) -> Verdict {
    const NAME: &str = "metadata survives";
    let now = book.now;
    let metadata = audit.metadata.as_ref();
    let told = metadata
        .map(|answer| metadata::topics(book, answer))
        .unwrap_or_default();
    let unknown = metadata.and_then(|answer| metadata::unknown(book, answer));
    ensure!(NAME, unknown.is_none(), "{unknown:?} is there and was never created");
    let ids: Vec<(u32, TopicId)> = book.topics.iter().map(|(number, topic)| (*number, topic.id)).collect();
    let mut never: Vec<u32> = Vec::new();
    for (number, topic) in &mut book.topics {
        topic.strays = false;
        let Some(found) = told.get(number) else {
            ensure!(NAME, !topic.must_survive(), "{} is gone", topic.name);
            if topic.existence == Existence::Creating {
                never.push(*number);
            }
            topic.is_gone(now);
            continue;
        };
        ensure!(
            NAME,
            topic.existence != Existence::Gone,
            "{} is back although it was deleted",
            topic.name
        );
        topic.epoch = None;
        metadata::check_one(topic, found)?;
        let count = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
        let (certain, possible) = (topic.count.certain, topic.count.possible);
        ensure!(
            NAME,
            (certain..=possible).contains(&count),
            "{} has {count} partitions; {certain} were made, {possible} asked for",
            topic.name
        );
        let epoch = found.partitions.first().map_or(-1, |partition| partition.leader_epoch);
        let least = topic.epoch_before + i32::from(!was_clean && topic.epoch_before >= 0);
        ensure!(
            "leader epochs rise at an unclean start",
            epoch >= least,
            "{} has epoch {epoch}, it had {} before",
            topic.name,
            topic.epoch_before
        );
        topic.existence = Existence::Exists;
        let others = ids.iter().filter(|(other, _)| other != number).map(|(_, id)| *id);
        recreated::check_new(found.topic_id, others)?;
        topic.id = found.topic_id;
        topic.count.certain = count;
        topic.count.possible = count;
        topic.epoch = Some(epoch);
    }
    never.iter().for_each(|number| drop(book.topics.remove(number)));
    Ok(())
}

fn settings(book: &mut Book, audit: &Auditor) -> Verdict {
    let now = book.now;
    for (number, durability) in &audit.durabilities {
        let Some(topic) = book.topics.get_mut(number) else {
            continue;
        };
        ensure!(
            "settings survive",
            topic.durability.may_be(*durability),
            "{} is {durability:?}, known is {:?}",
            topic.name,
            topic.durability
        );
        topic.durability.settle(now, *durability);
    }
    Ok(())
}

fn one_log(book: &mut Book, name: PartitionName, found: &ReadLog, before: Before) -> Verdict {
    let sent: BTreeMap<BatchName, usize> = found
        .batches
        .iter()
        .map(|batch| (BatchName::of(batch), batch.len()))
        .collect();
    for (batch, size) in sent {
        let known = book.find_sent(name, batch);
        ensure!(
            "only what was sent is in the log",
            known.is_some_and(|(known, _)| known.len() == size),
            "{name}: a batch of {size} bytes was never sent there"
        );
    }
    let epoch = book.topics[&name.topic].epoch.unwrap_or(-1);
    let may_expire = book.topics[&name.topic].may_expire;
    let Some(log) = book.log(name) else { return Ok(()) };
    let (start, end) = (found.log_start, found.high_watermark);
    survival::check_end(&log.ledger, before, start, end)?;
    if start > log.delete_asked.max(log.ledger.log_start) && !may_expire {
        let detail = format!("the log starts at {start}, nobody asked for that");
        return Err(Violation::new("the log start moves by deletion only", detail));
    }
    log_start::check(&mut log.ledger, start)?;
    for batch in &found.batches {
        let header = crate::ledger::header(batch);
        if header.end_offset().0 > start {
            log.ledger.learn(batch.clone())?;
        }
    }
    survival::check_bytes(&log.ledger, start, end, &found.batches)?;
    log.ledger.truncate(end);
    log.ledger.high_watermark = end;
    // Recovery ends with everything synced.
    log.ledger.promises.power_loss = end;
    log.ledger.promises.kill = end;
    // Retention may have moved the log start between the two questions, and epochs end with it.
    if let Some((asked, (answered, at))) = found.epoch.filter(|_| !may_expire) {
        let answer = (LeaderEpoch(answered), at);
        epochs::check(&log.ledger, LeaderEpoch(asked), LeaderEpoch(epoch), end, answer)?;
    }
    Ok(())
}
