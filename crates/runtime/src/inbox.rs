//! The queue of events in front of a shard.

use std::collections::VecDeque;

use hallows_types::Monotonic;

use crate::Event;

/// One event with what scheduling needs to know of it.
pub struct Item<M> {
    /// What happened.
    pub event: Event<M>,
    /// When it entered the inbox; the difference to the turn's time is its queue delay.
    pub arrived: Monotonic,
    /// Bytes it carries.
    pub size_bytes: usize,
}

/// Events in the order of their arrival.
///
/// Bounded by its producers: a connection has at most one `Received` outstanding, a disk operation one completion,
/// and messages come from bounded queues.
pub struct Inbox<M> {
    items: VecDeque<Item<M>>,
}

impl<M> Default for Inbox<M> {
    fn default() -> Self {
        Self { items: VecDeque::new() }
    }
}

impl<M> Inbox<M> {
    /// Appends an event that arrived at `arrived`.
    pub fn push(&mut self, event: Event<M>, arrived: Monotonic) {
        let size_bytes = match &event {
            Event::Received { bytes, .. } => bytes.len(),
            _ => 0,
        };
        self.items.push_back(Item {
            event,
            arrived,
            size_bytes,
        });
    }

    /// Takes the oldest event.
    pub fn pop(&mut self) -> Option<Item<M>> {
        self.items.pop_front()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }
}
