//! The commands of the metadata log, as JSON values of its records (docs/format.md).
//!
//! JSON, because this log is read by people too and is far from any hot path.

use std::collections::BTreeMap;

use hallows_record::{Scratch, records};
use hallows_types::TopicId;
use serde::{Deserialize, Serialize};

/// The largest value of `partitions.max`; no topic ever had more.
const PARTITIONS_MAX: i32 = 1_000_000;
/// The most that a batch may unpack to offline; the broker writes none that is compressed.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// One change of the cluster's state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// A topic begins to exist. Refused by the controller when the name is taken.
    CreateTopic {
        /// Its name.
        name: String,
        /// Its id, never used before.
        #[serde(with = "topic_id")]
        id: TopicId,
        /// How many partitions it has.
        partitions: i32,
        /// Settings that differ from the broker's.
        config: BTreeMap<String, String>,
    },
    /// A topic and its records cease to exist.
    DeleteTopic {
        /// Its id.
        #[serde(with = "topic_id")]
        id: TopicId,
    },
    /// A topic has more partitions from here on.
    CreatePartitions {
        /// Its id.
        #[serde(with = "topic_id")]
        id: TopicId,
        /// The new number of partitions.
        count: i32,
    },
    /// A topic's settings are replaced.
    SetTopicConfig {
        /// Its id.
        #[serde(with = "topic_id")]
        id: TopicId,
        /// All settings that differ from the broker's.
        config: BTreeMap<String, String>,
    },
    /// A resource's dynamic settings are replaced.
    SetDynamicConfig {
        /// Whose settings.
        resource: DynamicResource,
        /// All dynamic settings of the resource.
        config: BTreeMap<String, String>,
    },
    /// Producer ids below `next` are given away.
    AllocateProducerIds {
        /// The first id that is still free.
        next: i64,
    },
    /// The last stop was not clean: every existing partition's leader epoch rises by one.
    RaiseLeaderEpochs,
}

/// What besides topics has dynamic settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DynamicResource {
    /// All brokers of the cluster.
    ClusterDefault,
    /// This broker.
    Broker,
    /// One consumer group.
    Group(String),
    /// One client metrics subscription.
    ClientMetrics(String),
}

/// A command of the metadata log that this build cannot read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the metadata command at offset {offset}: {source}. \
     The directory was written by a later release, or the log is damaged; run the release that wrote it"
)]
pub struct CommandError {
    /// The offset of the record.
    pub offset: i64,
    /// What the decoder says.
    #[source]
    pub source: serde_json::Error,
}

impl Command {
    /// The bytes of a record's value.
    ///
    /// # Panics
    /// Never: every command is a plain tree of strings and numbers.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plain tree of strings and numbers always encodes")
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// [`CommandError`] when the value is no command that this build knows.
    pub(crate) fn decode(value: &[u8], offset: i64) -> Result<Self, CommandError> {
        let read = || -> serde_json::Result<Self> {
            let command: Self = serde_json::from_slice(value)?;
            command.check_partitions()?;
            Ok(command)
        };
        read().map_err(|source| CommandError { offset, source })
    }

    /// A number of partitions is memory, so it is not believed beyond what a node can be set to have.
    fn check_partitions(&self) -> serde_json::Result<()> {
        match self {
            Self::CreateTopic { partitions: count, .. } | Self::CreatePartitions { count, .. }
                if !(0..=PARTITIONS_MAX).contains(count) =>
            {
                let why = format!("a topic of {count} partitions, where a node has up to {PARTITIONS_MAX}");
                Err(serde::de::Error::custom(why))
            }
            _ => Ok(()),
        }
    }
}

mod topic_id {
    //! A topic id as 32 hexadecimal digits.

    use hallows_types::TopicId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &TopicId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TopicId, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 {
            return Err(D::Error::custom("a topic id has 32 hexadecimal digits"));
        }
        u128::from_str_radix(&text, 16)
            .map(|id| TopicId(id.to_be_bytes()))
            .map_err(D::Error::custom)
    }
}

/// The topics that a batch of the metadata log deletes, for whoever reads a data directory offline. What cannot be read
/// deletes nothing.
#[must_use]
pub fn topics_deleted_by(batch: &[u8]) -> Vec<TopicId> {
    let mut scratch = Scratch::new(UNPACKED_BYTES_MAX);
    let Ok(records) = records(batch, &mut scratch) else {
        return Vec::new();
    };
    let commands = records
        .map_while(Result::ok)
        .filter_map(|record| Command::decode(record.value.unwrap_or_default(), 0).ok());
    commands
        .filter_map(|command| match command {
            Command::DeleteTopic { id } => Some(id),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_the_log() {
        let config = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        for command in [
            Command::CreateTopic {
                name: "t".into(),
                id: TopicId([7; 16]),
                partitions: 3,
                config: config.clone(),
            },
            Command::DeleteTopic { id: TopicId([255; 16]) },
            Command::CreatePartitions {
                id: TopicId([1; 16]),
                count: 9,
            },
            Command::SetTopicConfig {
                id: TopicId::ZERO,
                config: config.clone(),
            },
            Command::SetDynamicConfig {
                resource: DynamicResource::Group("g".into()),
                config,
            },
            Command::AllocateProducerIds { next: 1000 },
            Command::RaiseLeaderEpochs,
        ] {
            assert_eq!(Command::decode(&command.encode(), 0).unwrap(), command);
        }
    }

    /// A record of a hundred bytes made a start ask for gigabytes.
    #[test]
    fn no_command_makes_more_partitions_than_a_node_may_have() {
        let decode = |count: i64| {
            let id = "0".repeat(32);
            let value = format!(r#"{{"command":"create_partitions","id":"{id}","count":{count}}}"#);
            Command::decode(value.as_bytes(), 0)
        };
        assert!(decode(i64::from(PARTITIONS_MAX)).is_ok());
        for count in [-1, i64::from(PARTITIONS_MAX) + 1, i64::from(i32::MAX)] {
            assert!(decode(count).is_err(), "{count}");
        }
    }

    #[test]
    fn the_bound_is_that_of_the_setting() {
        let load = |count: i32| {
            let flags = [("partitions.max", count.to_string())];
            hallows_config::BrokerConfig::load(&hallows_config::Sources::from_flags(flags))
        };
        assert!(load(PARTITIONS_MAX).is_ok() && load(PARTITIONS_MAX + 1).is_err());
    }

    #[test]
    fn an_unknown_command_says_which_and_what_to_do() {
        let error = Command::decode(br#"{"command":"levitate"}"#, 12)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("offset 12") && error.contains("run the release that wrote it"),
            "{error}"
        );
    }
}
