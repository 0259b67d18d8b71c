//! Every order in which two shards' steps can fall, explored by loom (<https://docs.rs/loom>): a wake-up that is lost
//! shows as a deadlock, a message that is lost or overtaken as a wrong list.
//!
//! `cargo test -p hallows-runtime --features loom --lib models::` runs them.

pub(super) mod ring;

use std::sync::Arc;
use std::task::{Wake, Waker};

use hallows_types::ShardId;
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::mailbox::{Delivery, Mailbox};
use super::messages::{Messages, connect};

/// What a sleeping thread waits for: set by its waker, taken when it runs again.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().expect("no model panics with it") = true;
        self.changed.notify_one();
    }
}

/// The loop of one shard, as `Pump::collect` and the runtime's hooks run it.
struct Loop {
    other: ShardId,
    mailbox: Arc<Mailbox>,
    messages: Messages<u32>,
    bell: Arc<Bell>,
    received: Vec<u32>,
}

impl Loop {
    fn new(other: ShardId, mailbox: &Arc<Mailbox>, messages: Messages<u32>) -> Self {
        let bell = Arc::<Bell>::default();
        mailbox.register(&Waker::from(Arc::clone(&bell)));
        Self {
            other,
            mailbox: Arc::clone(mailbox),
            messages,
            bell,
            received: Vec::new(),
        }
    }

    fn send(&mut self, messages: impl IntoIterator<Item = u32>) {
        let other = self.other;
        messages
            .into_iter()
            .for_each(|message| self.messages.send(other, message));
        self.messages.tell();
    }

    /// Looks, and sleeps while there is nothing, until `done`. As in the pump, no turn follows that would send anything.
    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            if self.mailbox.take_pending() {
                self.messages.refill();
                let received = &mut self.received;
                self.messages.receive(|_, message| received.push(message));
            } else {
                self.sleep();
            }
        }
    }

    fn sleep(&self) {
        self.mailbox.before_sleep();
        let mut rung = self.bell.rung.lock().expect("no model panics with it");
        while !*rung {
            rung = self.bell.changed.wait(rung).expect("no model panics with it");
        }
        *rung = false;
        drop(rung);
        self.mailbox.after_sleep();
    }
}

/// The loops of two shards with rings of `capacity` messages.
fn two_shards(capacity: usize) -> (Loop, Loop) {
    let mailboxes: Vec<_> = (0..2).map(|_| Arc::<Mailbox>::default()).collect();
    let mut all = connect::<u32>(&mailboxes, capacity).into_iter();
    let mut next = |other, mailbox| Loop::new(ShardId(other), mailbox, all.next().expect("two shards"));
    (next(1, &mailboxes[0]), next(0, &mailboxes[1]))
}

/// Explores at most three switches of threads at points where none had to be, which finds nearly all faults (as CHESS
/// showed) in seconds.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_shard_that_falls_asleep_is_woken_for_each_message() {
    explore(|| {
        let (mut sender, mut receiver) = two_shards(4);
        let sending = thread::spawn(move || {
            sender.send([1]);
            sender.send([2]);
            sender
        });
        receiver.run_until(|shard| shard.received.len() == 2);
        assert_eq!(receiver.received, [1, 2]);
        drop(sending.join());
    });
}

#[test]
fn a_sender_that_found_the_ring_full_is_woken_when_there_is_room() {
    explore(|| {
        let (mut sender, mut receiver) = two_shards(1);
        let sending = thread::spawn(move || {
            sender.send([1]);
            // While the receiver may be making room.
            sender.send([2]);
            sender.run_until(|shard| !shard.messages.is_congested());
            sender
        });
        receiver.run_until(|shard| shard.received.len() == 2);
        assert_eq!(receiver.received, [1, 2], "nothing lost, nothing overtaken");
        drop(sending.join());
    });
}

#[test]
fn a_request_to_end_wakes_a_sleeping_shard() {
    explore(|| {
        let (_, mut receiver) = two_shards(1);
        let mailbox = Arc::clone(&receiver.mailbox);
        let asking = thread::spawn(move || mailbox.shut_down());
        receiver.run_until(|shard| shard.mailbox.is_shut_down());
        asking.join().expect("no panic");
    });
}

#[test]
fn two_shards_that_fill_each_others_rings_do_not_wait_for_each_other() {
    explore(|| {
        let (mut one, mut other) = two_shards(1);
        let done = |shard: &Loop| shard.received.len() == 2 && !shard.messages.is_congested();
        let running = thread::spawn(move || {
            one.send([1, 2]);
            one.run_until(done);
            one
        });
        other.send([3, 4]);
        other.run_until(done);
        assert_eq!(other.received, [1, 2]);
        assert_eq!(running.join().expect("no panic").received, [3, 4]);
    });
}

#[test]
fn what_is_delivered_by_two_threads_reaches_a_sleeping_shard() {
    explore(|| {
        let (_, receiver) = two_shards(1);
        let mailbox = Arc::clone(&receiver.mailbox);
        let deliver = |mailbox: &Mailbox, token| {
            let output = Box::new(());
            mailbox.deliver(Delivery::Computed { token, output });
        };
        let delivering = thread::spawn(move || deliver(&mailbox, 1));
        let (mut collected, mut tokens) = (Vec::new(), Vec::new());
        deliver(&receiver.mailbox, 2);
        while tokens.len() < 2 {
            if receiver.mailbox.take_pending() {
                receiver.mailbox.collect(&mut collected);
                tokens.extend(collected.drain(..).map(|delivery| match delivery {
                    Delivery::Computed { token, .. } => token,
                    _ => unreachable!("nothing else is delivered"),
                }));
            } else {
                receiver.sleep();
            }
        }
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 2]);
        delivering.join().expect("no panic");
    });
}
