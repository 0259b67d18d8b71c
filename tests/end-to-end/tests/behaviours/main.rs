//! What Kafka clients rely on, one test per fact, each named after what it asserts.
//!
//! The broker is a real `hallows` process on a free port; the tests speak to it in requests of their own making, so
//! that nothing between them and the wire smooths anything over. Most share one process; each has topics and groups
//! of its own.

#![allow(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "tests are not documented item by item"
)]

mod bounds;
mod cluster;
mod commits;
mod coverage;
mod fetching;
mod framing;
mod group_settings;
mod groups;
mod large_batches;
mod limits;
mod members;
mod offsets_topic;
mod producing;
mod sessions;
mod support;
mod topics;
mod upgrade;
#[cfg(target_os = "linux")]
mod waiting;
