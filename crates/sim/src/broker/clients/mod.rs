//! Clients as state machines: they act when their alarm goes off and when answers come.

mod admin;
mod consumer;
mod member;
mod producer;

use hallows_protocol::messages::AnyResponse;
use hallows_runtime::Random;

use super::Stage;
use super::link::{Asked, Link};
use crate::random::Choose;
use crate::violation::Verdict;
pub(super) use admin::{Admin, KEPT_TOPICS};
pub(super) use consumer::Consumer;
pub(super) use member::Member;
pub(super) use producer::{Producer, Style};

const MILLISECOND: u64 = 1_000_000;

/// What every client can do.
pub(super) trait Actor {
    /// Its connection.
    fn link(&mut self) -> &mut Link;
    /// Its alarm went off.
    ///
    /// # Errors
    /// A broken promise that it notices.
    fn act(&mut self, stage: &mut Stage<'_>) -> Verdict;
    /// An answer came.
    ///
    /// # Errors
    /// A broken promise that it notices.
    fn answered(&mut self, stage: &mut Stage<'_>, asked: Asked, answer: AnyResponse) -> Verdict;
    /// Its connection is gone, or given up; `lost` will not be answered.
    fn disconnected(&mut self, stage: &mut Stage<'_>, lost: &[Asked]);
    /// How long it waits for an answer before it gives its connection up, in nanoseconds.
    fn patience(&self) -> u64 {
        2_000 * MILLISECOND
    }
}

/// A client, its own choices, and how often it acts.
pub(super) struct Seat {
    pub(super) actor: Box<dyn Actor>,
    pub(super) random: Random,
    /// The typical time between two acts in nanoseconds.
    pub(super) pace: u64,
}

impl Seat {
    pub(super) fn next_act(&mut self) -> u64 {
        self.random.wait_ns(self.pace, 4)
    }
}
