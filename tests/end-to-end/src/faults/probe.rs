//! After a fault that takes something away and gives it back: does the broker take records again, in every partition?

use std::time::Duration;

use anyhow::{Context, Result};
use hallows_client::{Acks, NewRecord, Producer, ProducerOptions};
use hallows_testkit::history::{Action, Operation, Outcome, Process, Value};

use super::last_read::connect;
use super::load::{Topic, at, now_ns};
use super::values;

/// How long a partition may take to accept records again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A producer of single records that is part of the history.
pub(super) struct Probe {
    process: Process,
    sent: u32,
    pub(super) operations: Vec<Operation>,
}

impl Probe {
    pub(super) fn new(process: Process) -> Self {
        let first = at(process, now_ns(), Action::Producer { idempotent: false });
        Self {
            process,
            sent: 0,
            operations: vec![first],
        }
    }

    /// Sends one record to each partition and waits for its acknowledgement.
    ///
    /// # Errors
    /// When a partition accepts nothing; it names the partition.
    pub(super) fn all(&mut self, address: &str, topics: &[Topic]) -> Result<()> {
        let options = ProducerOptions {
            acks: Acks::All,
            delivery_timeout: PATIENCE,
            ..ProducerOptions::default()
        };
        let mut producer = Producer::new(connect(address)?, options);
        for topic in topics {
            for partition in 0..topic.partitions {
                self.one(&mut producer, *topic, partition)
                    .with_context(|| format!("partition {partition} of {} accepts nothing", topic.name))?;
            }
        }
        Ok(())
    }

    fn one(&mut self, producer: &mut Producer, topic: Topic, partition: i32) -> Result<()> {
        let value = Value {
            sender: self.process,
            number: self.sent,
        };
        self.sent += 1;
        let (key, text) = (values::key(value), values::text(value));
        let record = NewRecord {
            topic: topic.name,
            partition: Some(partition),
            key: Some(key.as_bytes()),
            value: Some(text.as_bytes()),
            headers: &[],
            timestamp_ms: None,
        };
        let invoked_ns = now_ns();
        let mut deliveries = producer.send(&record)?;
        deliveries.extend(producer.flush());
        let completed_ns = now_ns();
        let delivery = deliveries.pop().context("one delivery")?;
        let acked = delivery.outcome.map(|acknowledged| acknowledged.base_offset);
        let outcome = match &acked {
            Ok(Some(offset)) => Outcome::Acked((topic.key(partition), *offset)),
            _ => Outcome::Unknown,
        };
        self.operations.push(Operation {
            process: self.process,
            invoked_ns,
            completed_ns,
            action: Action::Send { value, outcome },
        });
        acked?;
        Ok(())
    }
}
