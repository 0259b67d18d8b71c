//! What became of the records.

use std::collections::BTreeMap;
use std::fmt;

use hallows_client::{ClientError, Delivery};
use serde::Serialize;

use crate::{Exit, Failure};

/// The summary of a run.
#[derive(Serialize)]
pub(super) struct Report {
    topic: String,
    /// Records that were acknowledged, or sent where no acknowledgement was asked for.
    records: i64,
    partitions: BTreeMap<i32, Range>,
    /// Records of batches that failed; they may have been stored all the same.
    failed: i64,
    #[serde(skip)]
    error: Option<ClientError>,
}

/// What was stored in one partition. Other producers' records may lie between the two offsets.
#[derive(Serialize)]
struct Range {
    records: i64,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
}

impl Report {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            records: 0,
            partitions: BTreeMap::new(),
            failed: 0,
            error: None,
        }
    }

    pub(super) fn note(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let records = i64::from(delivery.records);
            match delivery.outcome {
                Ok(stored) => self.note_stored(delivery.partition, records, stored.base_offset),
                Err(error) => {
                    self.failed += records;
                    self.error.get_or_insert(error);
                }
            }
        }
    }

    fn note_stored(&mut self, partition: i32, records: i64, base_offset: Option<i64>) {
        self.records += records;
        let range = self.partitions.entry(partition).or_insert(Range {
            records: 0,
            first_offset: None,
            last_offset: None,
        });
        range.records += records;
        if let Some(base) = base_offset {
            range.first_offset.get_or_insert(base);
            range.last_offset = Some(base + records - 1);
        }
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Success, or the first error.
    pub(super) fn into_exit(self) -> Result<Exit, Failure> {
        self.error.map_or(Ok(Exit::Done), |error| Err(error.into()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "produced {} record{plural} to {}", self.records, self.topic)?;
        for (partition, range) in &self.partitions {
            write!(f, "\n  partition {partition}: {}", range.records)?;
            match (range.first_offset, range.last_offset) {
                (Some(first), Some(last)) if first == last => write!(f, " at offset {first}")?,
                (Some(first), Some(last)) => write!(f, " at offsets {first} to {last}")?,
                _ => {}
            }
        }
        if self.failed > 0 {
            write!(f, "\n  not acknowledged: {}", self.failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallows_client::{Acknowledged, ErrorCode};

    fn delivery(partition: i32, records: i32, base_offset: Option<i64>) -> Delivery {
        Delivery {
            topic: "greetings".to_owned(),
            partition,
            records,
            outcome: Ok(Acknowledged {
                base_offset,
                log_append_time_ms: -1,
            }),
        }
    }

    #[test]
    fn it_says_where_records_went() {
        let mut report = Report::new("greetings");
        report.note(vec![
            delivery(0, 2, Some(10)),
            delivery(1, 1, Some(5)),
            delivery(2, 1, None),
        ]);
        report.note(vec![delivery(0, 3, Some(12))]);
        let expected = "\
produced 7 records to greetings
  partition 0: 5 at offsets 10 to 14
  partition 1: 1 at offset 5
  partition 2: 1";
        assert_eq!(report.to_string(), expected);
        assert_eq!(report.into_exit().expect("nothing failed"), Exit::Done);
    }

    #[test]
    fn what_failed_is_counted_and_decides_the_exit_code() {
        let mut report = Report::new("greetings");
        let mut failed = delivery(0, 4, None);
        failed.outcome = Err(ClientError::Broker {
            api: "Produce",
            subject: "partition 0 of greetings".to_owned(),
            code: ErrorCode::MESSAGE_TOO_LARGE,
            message: None,
        });
        report.note(vec![failed]);
        assert_eq!(
            report.to_string(),
            "produced 0 records to greetings\n  not acknowledged: 4"
        );
        assert_eq!(report.into_exit().expect_err("a batch failed").exit(), Exit::Refused);
    }
}
