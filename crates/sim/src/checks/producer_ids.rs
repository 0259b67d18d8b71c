//! A producer id is given to one producer only, also across restarts.
//!
//! Source: KIP-98, "the producer id is unique"; Apache Kafka, `ProducerIdManager`: blocks of ids are claimed durably.

use std::collections::BTreeSet;

use crate::violation::{Verdict, ensure};

const NAME: &str = "producer ids are unique";

/// Every id that was given so far.
#[derive(Clone, Debug, Default)]
pub struct ProducerIds(BTreeSet<(i64, i16)>);

impl ProducerIds {
    /// Notes the id and epoch of a new producer.
    ///
    /// # Errors
    /// One that another producer has.
    pub fn check(&mut self, id: i64, epoch: i16) -> Verdict {
        ensure!(NAME, id >= 0 && epoch >= 0, "id {id} and epoch {epoch} were given");
        ensure!(
            NAME,
            self.0.insert((id, epoch)),
            "id {id} with epoch {epoch} was given twice"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_given_once() {
        let mut ids = ProducerIds::default();
        ids.check(5, 0).expect("new");
        ids.check(6, 0).expect("new");
        ids.check(5, 0).expect_err("twice");
        ids.check(-1, 0).expect_err("none");
    }
}
