//! The pump of one shard: collects what happened, calls `turn`, performs what it wants.
//!
//! Everything runs on the shard's thread, inside whichever task noticed something first; there is no hop between
//! received bytes, the turn and the answer.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::rc::Weak;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use hallows_types::{Monotonic, Now, ShardId};

use super::clock::Clock;
use super::company::Company;
use super::connection::{Closing, Connections};
use super::inline::{self, INLINE_BYTES_PER_PASS};
use super::load::Load;
use super::mailbox::{Delivery, Mailbox};
use super::messages::Messages;
use super::pool::{PoolClient, Work};
use super::receive::{Kept, ReceiveBuffers};
use super::ring::Ring;
use super::running::PumpHandle;
use super::settings::Settings;
use super::timer::Timer;
use crate::{CloseReason, ConnectionId, DiskCompletion, DiskOp, DiskToken, Effects, Event, Inbox, Output, Turn};

/// Turns in a row before sockets are looked at again.
const TURNS_PER_PASS: usize = 32;
/// Received bytes that make a turn due at once; fewer wait until every readable connection was read, so that they share
/// a turn and its writes.
const RECEIVED_BYTES_PER_TURN: usize = 128 << 10;
/// How long queued answers may still leave after the shard has ended.
const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(1);
/// How long a closing peer may still send; see [`Closing::Draining`].
const DRAIN_WAIT: Duration = Duration::from_secs(1);
/// How often connections are checked for stalls and idleness, at most and at least.
const CHECK_INTERVAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// One shard with its world.
pub(super) struct Pump<S: Turn> {
    shard: S,
    id: ShardId,
    settings: Arc<Settings>,
    clock: Clock,
    pub(super) inbox: Inbox<S::Message>,
    effects: Effects<S::Message>,
    mailbox: Arc<Mailbox>,
    /// To the mailboxes of all shards.
    pub(super) handle: PumpHandle,
    load: Load,
    messages: Messages<S::Message>,
    pool: PoolClient,
    pub(super) ring: Option<Ring>,
    pub(super) timer: Timer,
    pub(super) connections: Connections,
    pub(super) receive: ReceiveBuffers,
    /// Connections with output of this pass.
    listed: Vec<ConnectionId>,
    /// Connections not read because messages or pool work wait for room.
    held: Vec<ConnectionId>,
    /// Connections that go to another shard, those without output left.
    pub(super) leaving: Vec<ConnectionId>,
    /// Connections whose received bytes wait for the next turn; they are not read before it.
    unturned: Vec<ConnectionId>,
    /// How many bytes those are.
    unturned_bytes: usize,
    pub(super) company: Company,
    /// Emptied vector that changes places with the mailbox's.
    deliveries: Vec<Delivery>,
    /// For the tasks it spawns.
    pub(super) itself: Weak<RefCell<Self>>,
    /// Of the loop's task.
    loop_waker: Waker,
    /// Acceptors that wait for descriptors to become free.
    accepting_later: Vec<Waker>,
    pub(super) next_check: Monotonic,
    /// The last time a turn ran, for spinning.
    pub(super) worked: Monotonic,
    shutdown_told: bool,
    /// Set when the shard has ended: until then its last answers may leave.
    ended: Option<Monotonic>,
    failure: Option<Failure>,
    /// It cannot go on, whether that was told or not: no turn, nothing written.
    failed: bool,
}

/// Why a shard cannot go on.
pub(super) enum Failure {
    /// The operating system refused something it cannot live without.
    System(io::Error),
    /// A turn, or the pump itself, panicked.
    Panicked,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// What a pump is built from.
pub(super) struct Parts<S: Turn> {
    pub(super) shard: S,
    pub(super) id: ShardId,
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) handle: PumpHandle,
    pub(super) messages: Messages<S::Message>,
    pub(super) pool: PoolClient,
}

impl<S: Turn + 'static> Pump<S> {
    /// The pump of a shard; on the thread and inside the runtime that will drive it.
    pub(super) fn new(parts: Parts<S>, ring: Option<Ring>, timer: Timer, itself: Weak<RefCell<Self>>) -> Self {
        Self {
            shard: parts.shard,
            id: parts.id,
            settings: parts.settings,
            worked: parts.clock.monotonic(),
            clock: parts.clock,
            inbox: Inbox::default(),
            effects: Effects::default(),
            mailbox: parts.mailbox,
            handle: parts.handle,
            load: Load::default(),
            messages: parts.messages,
            pool: parts.pool,
            ring,
            timer,
            connections: Connections::default(),
            receive: ReceiveBuffers::new(),
            listed: Vec::new(),
            held: Vec::new(),
            leaving: Vec::new(),
            unturned: Vec::new(),
            unturned_bytes: 0,
            company: Company::default(),
            deliveries: Vec::new(),
            itself,
            loop_waker: Waker::noop().clone(),
            accepting_later: Vec::new(),
            next_check: Monotonic::NEVER,
            shutdown_told: false,
            ended: None,
            failure: None,
            failed: false,
        }
    }

    /// Gives the shard back at the end.
    pub(super) fn into_shard(self) -> S {
        self.shard
    }

    pub(super) fn register(&mut self, waker: &Waker) {
        self.loop_waker.clone_from(waker);
        self.mailbox.register(waker);
    }

    pub(super) fn monotonic(&self) -> Monotonic {
        self.clock.monotonic()
    }

    pub(super) fn poll_spin(&self) -> Duration {
        self.settings.poll_spin
    }

    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Takes received bytes into the next turn: at once when they are many, otherwise when every connection that is
    /// readable now has been read. The loop's task then stands behind those of the connections.
    pub(super) fn received(&mut self, connection: ConnectionId, bytes: BytesMut) {
        let now = self.clock.now();
        self.queue_received(connection, bytes, now.monotonic);
        if self.unturned_bytes >= RECEIVED_BYTES_PER_TURN {
            self.settle_from(now);
        }
    }

    pub(super) fn queue_received(&mut self, id: ConnectionId, bytes: BytesMut, now: Monotonic) {
        if let Some(connection) = self.connections.get(id) {
            connection.active = now;
            connection.unturned = true;
        }
        self.company.note(Some(id), now);
        if self.unturned.is_empty() {
            self.loop_waker.wake_by_ref();
        }
        self.unturned.push(id);
        self.unturned_bytes += bytes.len();
        self.inbox.push(Event::Received { connection: id, bytes }, now);
    }

    /// Reads connections again whose bytes have had their turn.
    fn release_unturned(&mut self) {
        self.unturned_bytes = 0;
        for id in self.unturned.drain(..) {
            if let Some(connection) = self.connections.get(id) {
                connection.unturned = false;
                if mem::take(&mut connection.readable) {
                    connection.wake();
                }
            }
        }
    }

    /// Runs turns until nothing is left to do, performs what they want, and sees to the next wake-up.
    pub(super) fn settle(&mut self) {
        let now = self.clock.now();
        self.settle_from(now);
    }

    /// As `settle`, with a clock just read: on the shortest path each reading counts.
    fn settle_from(&mut self, mut now: Now) {
        if self.failed {
            return;
        }
        self.collect(now.monotonic);
        let mut inline_budget = INLINE_BYTES_PER_PASS;
        for _ in 0..TURNS_PER_PASS {
            if self.inbox.is_empty() {
                self.send_listed(now.monotonic);
            }
            let due = self.ended.is_none() && self.shard.next_deadline() <= now.monotonic;
            if self.inbox.is_empty() && !due {
                break;
            }
            if self.ended.is_some() {
                self.inbox = Inbox::default();
                continue;
            }
            self.worked = now.monotonic;
            self.shard.turn(now, &mut self.inbox, &mut self.effects);
            self.perform(now.monotonic, &mut inline_budget);
            if !self.inbox.is_empty() {
                now = self.clock.now();
            }
        }
        self.send_listed(now.monotonic);
        self.release_unturned();
        self.hand_over_leaving(now.monotonic);
        if let Some(crowded) = self.load.observe(now.monotonic) {
            self.mailbox.set_crowded(crowded && self.settings.poll_spin.is_zero());
        }
        self.submit();
        self.mailbox.expect_ring(self.ring.as_ref().is_some_and(Ring::is_busy));
        self.release_held();
        self.set_alarm();
    }

    /// Brings what other threads and the kernel have left into the inbox.
    fn collect(&mut self, now: Monotonic) {
        if let Some(ring) = &mut self.ring
            && ring.is_busy()
        {
            ring.complete(|completion| {
                self.pool.precedence().end();
                self.inbox.push(Event::Disk(completion), now);
            });
        }
        if !self.mailbox.take_pending() {
            return;
        }
        if self.mailbox.is_shut_down() && !mem::replace(&mut self.shutdown_told, true) {
            self.inbox.push(Event::Shutdown, now);
        }
        self.messages.refill();
        self.messages.receive(|from, message| {
            self.company.note(None, now);
            self.inbox.push(Event::Message { from, message }, now);
        });
        let mut deliveries = mem::take(&mut self.deliveries);
        self.mailbox.collect(&mut deliveries);
        for delivery in deliveries.drain(..) {
            self.delivered(delivery, now);
        }
        self.deliveries = deliveries;
    }

    fn delivered(&mut self, delivery: Delivery, now: Monotonic) {
        match delivery {
            Delivery::Connection {
                stream,
                origin,
                permit,
                received,
            } => self.take_over(stream, origin, permit, received, now),
            Delivery::Disk(completion) => {
                self.pool.completed();
                self.inbox.push(Event::Disk(completion), now);
            }
            Delivery::Computed { token, output } => {
                self.pool.completed();
                self.inbox.push(Event::Computed { token, output }, now);
            }
            Delivery::ReadAhead { connection } => {
                self.pool.completed();
                if let Some(connection) = self.connections.get(connection)
                    && let Some(len) = connection.reading_ahead.take()
                {
                    connection.output.read_ahead(len);
                    connection.progressed = now;
                    let id = connection.id;
                    self.list(id);
                }
            }
        }
    }

    /// Performs what a turn wants, the disk first: its latency is the longest.
    fn perform(&mut self, now: Monotonic, inline_budget: &mut usize) {
        let mut disk = mem::take(&mut self.effects.disk);
        for (token, op) in disk.drain(..) {
            self.start(token, op, now, inline_budget);
        }
        self.effects.disk = disk;
        self.submit();
        let mut messages = mem::take(&mut self.effects.messages);
        for (to, message) in messages.drain(..) {
            if to == self.id {
                self.inbox.push(Event::Message { from: to, message }, now);
            } else {
                self.messages.send(to, message);
            }
        }
        self.effects.messages = messages;
        self.messages.tell();
        for (token, job) in self.effects.compute.drain(..) {
            self.pool.submit(Work::Compute { token, job });
        }
        let mut outputs = mem::take(&mut self.effects.outputs);
        for output in outputs.drain(..) {
            self.output(output, now);
        }
        self.effects.outputs = outputs;
        if self.effects.stop && self.ended.is_none() {
            self.ended = Some(now.after(LAST_ANSWERS_WAIT));
            self.loop_waker.wake_by_ref();
        }
    }

    fn start(&mut self, token: DiskToken, op: DiskOp, now: Monotonic, inline_budget: &mut usize) {
        if matches!(op, DiskOp::Write { .. }) {
            self.pool.precedence().note();
        }
        let op = match inline::perform(op, inline_budget) {
            Ok(result) => {
                let completion = DiskCompletion { token, result };
                return self.inbox.push(Event::Disk(completion), now);
            }
            Err(op) => op,
        };
        let op = match (op, &mut self.ring) {
            (DiskOp::WriteDurable { file, offset, data }, Some(ring)) => match ring.write(token, file, offset, data) {
                Ok(()) => return self.pool.precedence().begin(),
                Err((file, data)) => DiskOp::WriteDurable { file, offset, data },
            },
            (op, _) => op,
        };
        self.pool.submit(Work::Disk { token, op });
    }

    fn submit(&mut self) {
        if let Some(ring) = &mut self.ring
            && let Err(error) = ring.submit()
        {
            // Out of memory for now: the writes stay queued in the ring, and the next pass tries again.
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ResourceBusy) {
                self.loop_waker.wake_by_ref();
            } else {
                self.fail(Failure::System(error));
            }
        }
    }

    /// Ends the shard's loop; it cannot go on.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
        self.failed = true;
        self.loop_waker.wake_by_ref();
    }

    fn output(&mut self, output: Output, now: Monotonic) {
        let (Output::Send(id, _)
        | Output::CloseAfterSend(id)
        | Output::Close(id)
        | Output::PauseReading(id)
        | Output::ResumeReading(id)
        | Output::HandOver { connection: id, .. }
        | Output::Keep { connection: id, .. }) = &output;
        let id = *id;
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        match output {
            Output::Send(_, slice) if connection.closing == Closing::No => {
                if connection.output.bytes() == 0 {
                    connection.progressed = now;
                }
                connection.output.push(slice);
                self.list(id);
            }
            Output::Send(..) => {}
            Output::CloseAfterSend(_) => {
                if connection.closing == Closing::No {
                    connection.closing = Closing::AfterSend;
                    self.list(id);
                }
            }
            Output::Close(_) => {
                self.connections.remove(id);
            }
            Output::PauseReading(_) => connection.paused = true,
            Output::ResumeReading(_) => {
                connection.paused = false;
                connection.wake();
            }
            Output::HandOver { to, received, .. } => {
                connection.paused = true;
                connection.leaving = Some((to, received));
                if connection.output.bytes() == 0 {
                    self.leaving.push(id);
                }
            }
            Output::Keep { bytes, missing, .. } => connection.kept = Some(Kept::new(bytes, missing)),
        }
    }

    /// Sends on a connection at the end of this pass.
    pub(super) fn list(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id)
            && !mem::replace(&mut connection.listed, true)
        {
            self.listed.push(id);
        }
    }

    /// Sends on every listed connection; who has little to send goes first and does not wait for the long passes.
    fn send_listed(&mut self, now: Monotonic) {
        let mut listed = mem::take(&mut self.listed);
        listed.retain(|&id| {
            let long = self
                .connections
                .get(id)
                .is_some_and(|connection| connection.output.is_long());
            if !long {
                self.send_now(id, now);
            }
            long
        });
        for id in listed.drain(..) {
            self.send_now(id, now);
        }
        // Sending lists nothing, so the emptied vector goes back whole.
        self.listed = listed;
    }

    fn send_now(&mut self, id: ConnectionId, now: Monotonic) {
        if let Some(connection) = self.connections.get(id) {
            connection.listed = false;
            if !connection.blocked && connection.reading_ahead.is_none() {
                self.send(id, now);
            }
            self.tell_if_full(id, now);
        }
    }

    /// Reads a cold range of a connection's output into the page cache, off the shard.
    pub(super) fn read_ahead(&mut self, connection: ConnectionId, file: crate::FileHandle, offset: u64, len: u32) {
        self.pool.submit(Work::ReadAhead {
            connection,
            file,
            offset,
            len,
        });
    }

    /// Stops reading a connection whose peer does not take its answers, and tells the shard.
    fn tell_if_full(&mut self, id: ConnectionId, now: Monotonic) {
        if let Some(connection) = self.connections.get(id)
            && connection.closing == Closing::No
            && connection.output.bytes() > self.settings.connection_output_bytes_max
            && !mem::replace(&mut connection.above_output_max, true)
        {
            self.inbox.push(Event::OutputFull { connection: id }, now);
        }
    }

    /// Reads a connection again once its output is below half, and tells the shard.
    pub(super) fn tell_if_drained(&mut self, id: ConnectionId, now: Monotonic) {
        if let Some(connection) = self.connections.get(id)
            && connection.output.bytes() < self.settings.connection_output_bytes_max.div_ceil(2)
            && mem::replace(&mut connection.above_output_max, false)
        {
            connection.wake();
            if connection.closing == Closing::No {
                self.inbox.push(Event::OutputDrained { connection: id }, now);
            }
        }
    }

    /// Closes a connection for a reason of its own; the shard is told unless it had asked for the end itself.
    pub(super) fn close(&mut self, id: ConnectionId, reason: CloseReason, now: Monotonic) {
        if let Some(connection) = self.connections.remove(id)
            && connection.closing == Closing::No
        {
            self.inbox.push(Event::Closed { connection: id, reason }, now);
        }
    }

    /// Whether connections may be read: not while messages or work wait for room, because more would follow.
    pub(super) fn may_read(&mut self, id: ConnectionId) -> bool {
        if !self.messages.is_congested() && !self.pool.is_congested() {
            return true;
        }
        if let Some(connection) = self.connections.get(id)
            && !mem::replace(&mut connection.held, true)
        {
            self.held.push(id);
        }
        false
    }

    fn release_held(&mut self) {
        if self.held.is_empty() || self.messages.is_congested() || self.pool.is_congested() {
            return;
        }
        for id in self.held.drain(..) {
            if let Some(connection) = self.connections.get(id) {
                connection.held = false;
                connection.wake();
            }
        }
    }

    /// Wakes an acceptor at the next check.
    pub(super) fn accept_later(&mut self, waker: &Waker) {
        self.accepting_later.push(waker.clone());
        self.next_check = self.next_check.min(self.monotonic().after(self.check_interval()));
        self.set_alarm();
    }

    pub(super) fn check_interval(&self) -> Duration {
        let shortest = self
            .settings
            .connection_stall_timeout
            .min(self.settings.connection_idle_max);
        (shortest / 4).clamp(CHECK_INTERVAL.0, CHECK_INTERVAL.1)
    }

    /// Closes what stalls or idles, if it is time to look.
    pub(super) fn check_connections(&mut self) {
        let now = self.monotonic();
        if now < self.next_check {
            return;
        }
        // A shard that was held up has not looked at its sockets meanwhile; that time is not its clients'.
        let held_up = now.since(self.next_check);
        if held_up > self.check_interval() {
            for connection in self.connections.iter_mut() {
                connection.active = connection.active.after(held_up).min(now);
                connection.progressed = connection.progressed.after(held_up).min(now);
            }
        }
        let settings = &self.settings;
        let mut over = Vec::new();
        for connection in self.connections.iter() {
            let waits = connection.output.bytes() > 0 && connection.reading_ahead.is_none();
            let stalled = waits && now.since(connection.progressed) > settings.connection_stall_timeout;
            let drained = connection.closing == Closing::Draining && now.since(connection.progressed) > DRAIN_WAIT;
            let idle = connection.output.bytes() == 0 && now.since(connection.active) > settings.connection_idle_max;
            if stalled {
                over.push((connection.id, CloseReason::Stalled));
            } else if drained || idle {
                over.push((connection.id, CloseReason::Idle));
            }
        }
        for (id, reason) in over {
            self.close(id, reason, now);
        }
        self.accepting_later.drain(..).for_each(Waker::wake);
        self.next_check = if self.connections.is_empty() {
            Monotonic::NEVER
        } else {
            now.after(self.check_interval())
        };
    }

    /// Sees to it that the loop runs when the next deadline comes, or at once if work is left.
    fn set_alarm(&mut self) {
        let deadline = match self.ended {
            None => self.shard.next_deadline(),
            Some(end) => end,
        };
        let deadline = deadline.min(self.next_check);
        if !self.inbox.is_empty() {
            self.loop_waker.wake_by_ref();
        }
        if deadline == Monotonic::NEVER {
            return;
        }
        if deadline <= self.worked {
            self.loop_waker.wake_by_ref();
        } else if let Err(error) = self.timer.arm(deadline, self.clock.monotonic()) {
            self.fail(Failure::System(error));
        }
    }

    /// Whether the shard has ended and nothing is left that should still leave.
    pub(super) fn is_over(&mut self) -> bool {
        let Some(end) = self.ended else {
            return false;
        };
        let quiet = self.connections.iter().all(|connection| connection.output.bytes() == 0)
            && !self.messages.is_congested()
            && !self.ring.as_ref().is_some_and(Ring::is_busy);
        quiet || self.monotonic() >= end
    }
}
