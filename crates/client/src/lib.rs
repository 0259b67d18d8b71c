//! A small blocking Kafka client for the command line, the benchmarks and the tests.
//!
//! - [`Connection`]: one socket; versions are negotiated, requests may be pipelined.
//! - [`Client`]: a cluster; finds leaders, controllers and coordinators, and tries again where that makes sense.
//!   Its administrative calls (`create_topic`, `describe_group` …) are methods too.
//! - [`Producer`], [`Consumer`], [`GroupConsumer`]: records in, records out.
//!
//! Nothing here starts a thread: heartbeats of a group are sent by [`GroupConsumer::poll`]. Brokers never use this crate.
//! Transactions are not spoken, and records of aborted ones are not hidden.

mod admin;
pub mod assignor;
mod client;
mod connection;
mod consumer;
mod error;
mod group;
mod offsets;
mod partitioner;
mod producer;

pub use admin::{ConfigChange, NewTopic, Resource};
pub use client::{Client, ClientOptions, Partition, Topic};
pub use connection::{Connection, ConnectionOptions, Ticket};
pub use consumer::{ConsumedRecord, Consumer, ConsumerOptions, OffsetReset};
pub use error::{ClientError, Result};
pub use group::{GroupConsumer, GroupOptions};
pub use hallows_protocol::ErrorCode;
pub use hallows_record::{Codec, NewHeader};
pub use offsets::{CommittedOffset, OffsetAt, TimedOffset};
pub use partitioner::partition_for_key;
pub use producer::{Acknowledged, Acks, Delivery, NewRecord, Producer, ProducerOptions};
