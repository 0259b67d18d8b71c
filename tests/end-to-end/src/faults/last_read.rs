//! What is there after all faults: each log from its first offset to its last, read by a stock client, and what the
//! groups have committed.

use anyhow::{Context, Result, ensure};
use hallows_client::{Client as Admin, ClientOptions, OffsetAt};
use hallows_testkit::history::{Action, Operation, Process};

use super::consumer::Group;
use super::load::{Client, Topic, at, now_ns};
use super::values;
use crate::clients::Said;

/// Reads everything; `process` is the last reader.
pub(super) fn read(
    address: &str,
    client: &Client,
    topics: &[Topic],
    groups: &[(Topic, Group)],
    process: Process,
) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    let mut admin = connect(address)?;
    for topic in topics {
        for partition in 0..topic.partitions {
            let bound = |at| (partition, at);
            let mut offset = |at| -> Result<i64> {
                let found = admin.list_offsets(topic.name, &[bound(at)])?;
                Ok(found.get(&partition).context("a partition has bounds")?.offset)
            };
            let (start, end) = (offset(OffsetAt::Earliest)?, offset(OffsetAt::Latest)?);
            let key = topic.key(partition);
            operations.push(at(process, now_ns(), Action::Bounds { key, start, end }));
            if start < end {
                read_log(address, client, *topic, partition, start..end, process, &mut operations)
                    .with_context(|| format!("partition {partition} of {}", topic.name))?;
            }
        }
    }
    for (topic, group) in groups {
        operations.extend(read_group(&mut admin, *topic, *group, process)?);
    }
    Ok(operations)
}

pub(super) fn connect(address: &str) -> Result<Admin> {
    Ok(Admin::connect(&[address], ClientOptions::default())?)
}

fn read_log(
    address: &str,
    client: &Client,
    topic: Topic,
    partition: i32,
    offsets: std::ops::Range<i64>,
    process: Process,
    operations: &mut Vec<Operation>,
) -> Result<()> {
    let count = offsets.end - offsets.start;
    let (index, from, count_text) = (
        partition.to_string(),
        format!("offset:{}", offsets.start),
        count.to_string(),
    );
    let options = [
        ("topic", topic.name),
        ("partition", index.as_str()),
        ("from", from.as_str()),
        ("count", count_text.as_str()),
    ];
    let running = client.program.start("consume", address, &options)?;
    let before = operations.len();
    for said in running.wait()? {
        if let Said::Record(record) = said {
            let (key, value) = (topic.key(record.partition), values::identify(&record));
            let offset = record.offset;
            operations.push(at(process, now_ns(), Action::Poll { key, offset, value }));
        }
    }
    let read = operations.len() - before;
    ensure!(usize::try_from(count)? == read, "{read} of {count} records were read");
    Ok(())
}

fn read_group(admin: &mut Admin, topic: Topic, group: Group, process: Process) -> Result<Vec<Operation>> {
    let asked_ns = now_ns();
    let partitions: Vec<i32> = (0..topic.partitions).collect();
    let committed = admin.committed_offsets(group.name, Some(&[(topic.name, partitions.clone())]))?;
    let told_ns = now_ns();
    let operation = |partition: i32| {
        let place = (topic.name.to_owned(), partition);
        Operation {
            process,
            invoked_ns: asked_ns,
            completed_ns: told_ns,
            action: Action::Committed {
                group: group.number,
                key: topic.key(partition),
                offset: committed.get(&place).map_or(0, |found| found.offset),
            },
        }
    };
    Ok(partitions.into_iter().map(operation).collect())
}
