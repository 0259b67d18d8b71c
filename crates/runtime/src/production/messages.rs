//! Messages between shards: one bounded ring per ordered pair.
//!
//! A full ring keeps the rest at the sender, in order, and the sender reads no connection until it fits:
//! nothing is dropped, nothing overtakes. Receivers always empty their rings, so no two shards wait for each other.

use std::collections::VecDeque;
use std::sync::Arc;

use hallows_types::ShardId;

use super::mailbox::Mailbox;
use super::sync::{AtomicBool, Consumer, Ordering, Producer, PushError, RingBuffer, fence};

/// The sending end towards one shard.
struct Outgoing<M> {
    producer: Producer<M>,
    /// Older than anything not yet sent; bounded because its owner reads no connection while it is not empty.
    waiting: VecDeque<M>,
    /// Set when the ring was full: the receiver tells the sender once it has emptied it.
    starved: Arc<AtomicBool>,
    receiver: Arc<Mailbox>,
    /// Something was sent since the receiver was last told.
    untold: bool,
}

/// The receiving end from one shard.
struct Incoming<M> {
    from: ShardId,
    consumer: Consumer<M>,
    starved: Arc<AtomicBool>,
    sender: Arc<Mailbox>,
}

/// All rings of one shard.
pub(super) struct Messages<M> {
    /// By receiving shard; `None` at the shard's own place.
    outgoing: Vec<Option<Outgoing<M>>>,
    incoming: Vec<Incoming<M>>,
}

/// The rings between all shards, one value per shard.
pub(super) fn connect<M>(mailboxes: &[Arc<Mailbox>], capacity: usize) -> Vec<Messages<M>> {
    let mut all: Vec<Messages<M>> = mailboxes
        .iter()
        .map(|_| Messages {
            outgoing: Vec::new(),
            incoming: Vec::new(),
        })
        .collect();
    for (from, sender) in mailboxes.iter().enumerate() {
        for (to, receiver) in mailboxes.iter().enumerate() {
            if from == to {
                all[from].outgoing.push(None);
                continue;
            }
            let (producer, consumer) = RingBuffer::new(capacity.max(1));
            let starved = Arc::<AtomicBool>::default();
            all[to].incoming.push(Incoming {
                from: ShardId(u16::try_from(from).expect("shards are counted in 16 bits")),
                consumer,
                starved: Arc::clone(&starved),
                sender: Arc::clone(sender),
            });
            all[from].outgoing.push(Some(Outgoing {
                producer,
                waiting: VecDeque::new(),
                starved,
                receiver: Arc::clone(receiver),
                untold: false,
            }));
        }
    }
    all
}

impl<M> Messages<M> {
    /// Sends a message after all earlier ones to that shard. Told to the receiver by [`Messages::tell`].
    ///
    /// # Panics
    /// When a shard names itself or one that does not exist, which is a fault of the shard.
    pub(super) fn send(&mut self, to: ShardId, message: M) {
        let outgoing = self.outgoing[usize::from(to.0)]
            .as_mut()
            .expect("a message to another shard");
        outgoing.untold = true;
        if outgoing.waiting.is_empty() {
            if let Err(PushError::Full(message)) = outgoing.producer.push(message) {
                outgoing.waiting.push_back(message);
                outgoing.refill();
            }
        } else {
            outgoing.waiting.push_back(message);
        }
    }

    /// Moves waiting messages into rings that have room again, and tells their receivers: no turn need follow.
    pub(super) fn refill(&mut self) {
        for outgoing in self.outgoing.iter_mut().flatten() {
            if !outgoing.waiting.is_empty() {
                outgoing.refill();
                outgoing.receiver.notify();
            }
        }
    }

    /// Wakes each receiver that something was sent to, unless it runs anyway.
    pub(super) fn tell(&mut self) {
        for outgoing in self.outgoing.iter_mut().flatten() {
            if std::mem::take(&mut outgoing.untold) {
                outgoing.receiver.notify();
            }
        }
    }

    /// Whether messages wait for room.
    pub(super) fn is_congested(&self) -> bool {
        self.outgoing
            .iter()
            .flatten()
            .any(|outgoing| !outgoing.waiting.is_empty())
    }

    /// Takes what has arrived: from each shard at most what was there at the start, so that a fast sender cannot hold the receiver.
    pub(super) fn receive(&mut self, mut each: impl FnMut(ShardId, M)) {
        for incoming in &mut self.incoming {
            let count = incoming.consumer.slots();
            for _ in 0..count {
                match incoming.consumer.pop() {
                    Ok(message) => each(incoming.from, message),
                    Err(_empty) => break,
                }
            }
            if count > 0 {
                incoming.tell_starved();
            }
        }
    }
}

impl<M> Outgoing<M> {
    fn refill(&mut self) {
        // An ended shard takes no more; what is meant for it goes nowhere.
        if self.producer.is_abandoned() {
            self.waiting.clear();
            return;
        }
        self.push_waiting();
        if self.waiting.is_empty() {
            return;
        }
        self.starved.store(true, Ordering::Relaxed);
        // Pairs with the fence in `tell_starved`: either the receiver sees the mark or the room it made is seen here.
        fence(Ordering::SeqCst);
        self.push_waiting();
    }

    fn push_waiting(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            if let Err(PushError::Full(message)) = self.producer.push(message) {
                self.waiting.push_front(message);
                return;
            }
        }
    }
}

impl<M> Incoming<M> {
    fn tell_starved(&self) {
        fence(Ordering::SeqCst);
        if self.starved.load(Ordering::Relaxed) && self.starved.swap(false, Ordering::AcqRel) {
            self.sender.notify();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_keeps_order_and_drops_nothing() {
        let mailboxes: Vec<_> = (0..2).map(|_| Arc::<Mailbox>::default()).collect();
        let mut all = connect::<u32>(&mailboxes, 4);
        let (mut receiver, mut sender) = (all.pop().expect("two shards"), all.pop().expect("two shards"));
        (0..100).for_each(|number| sender.send(ShardId(1), number));
        assert!(sender.is_congested());
        let mut received = Vec::new();
        while received.len() < 100 {
            receiver.receive(|from, number| {
                assert_eq!(from, ShardId(0));
                received.push(number);
            });
            assert!(
                mailboxes[0].take_pending() || !sender.is_congested(),
                "a starved sender is told"
            );
            sender.refill();
        }
        assert_eq!(received, (0..100).collect::<Vec<_>>());
        assert!(!sender.is_congested());
    }

    #[test]
    fn messages_to_an_ended_shard_vanish() {
        let mailboxes: Vec<_> = (0..2).map(|_| Arc::<Mailbox>::default()).collect();
        let mut all = connect::<u32>(&mailboxes, 1);
        drop(all.pop());
        let mut sender = all.pop().expect("two shards");
        (0..10).for_each(|number| sender.send(ShardId(1), number));
        assert!(!sender.is_congested());
    }
}
