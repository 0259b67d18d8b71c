//! Fixtures for tests with real processes.
//!
//! [`Broker`] is a running `hallows`: started on a free port with a fresh directory, killed with -9, started again on
//! the same port. [`history`] judges what clients saw of it. Programs never link this crate.

mod broker;
mod directory;
pub mod history;
mod proxy;
mod random;

pub use broker::{Broker, BrokerOptions, find_program};
pub use directory::DataDirectory;
pub use proxy::{Direction, Proxy, Struck, Weather};
pub use random::Random;
