//! The one trait a pump drives.

use hallows_types::{Monotonic, Now};

use crate::{Effects, Inbox};

/// A synchronous state machine that owns its state and performs no input or output itself.
///
/// The same state, time and events always give the same effects.
pub trait Turn {
    /// What shards send each other.
    type Message: Send + 'static;

    /// Handles everything in `inbox` and appends what it wants done to `effects`.
    fn turn(&mut self, now: Now, inbox: &mut Inbox<Self::Message>, effects: &mut Effects<Self::Message>);

    /// When [`Turn::turn`] must be called again even if nothing happens; [`Monotonic::NEVER`] for not at all.
    fn next_deadline(&self) -> Monotonic;
}
