//! The Kafka wire protocol: primitives, generated messages, versions and error codes.
