//! Measures a broker beside the raw floor and Apache Kafka, in one run, with the same client and the same workloads.
//!
//! `cargo xtask bench` compares programs on this machine ([`run`]); `hallows bench` measures a broker anywhere
//! ([`run_remote`]); `cargo xtask limits` measures what hallows alone takes at its limits ([`run_limits`]). The method and the traps it avoids are in `docs/benchmarks.md`.
//!
//! The client is made to cost next to nothing: blocking sockets, frames that are prepared once. Durability classes are
//! never mixed in one comparison.

mod bars;
mod cell;
mod class;
mod codec;
mod connection;
mod floor;
mod frame;
mod kafka;
mod latency;
mod limits;
mod load;
mod machine;
mod metric;
mod own;
mod remote;
mod report;
mod result;
mod run;
mod sessions;
mod subject;
mod topic;

pub use cell::Cell;
pub use class::Class;
pub use floor::serve as serve_floor;
pub use limits::{LimitsPlan, Section, run as run_limits};
pub use remote::{RemoteArguments, run_remote};
pub use run::{Plan, run};
pub use subject::{Kind, Places};
