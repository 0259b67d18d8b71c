//! The world around the shards of one machine: time, disk, messages, network, and its end.
//!
//! One thread and no runtime. Everything that will happen lies in one queue, ordered by virtual time in nanoseconds;
//! how long each thing takes is drawn from the seed, so that turns, completions, deliveries and timers interleave
//! differently in every world, and the same way in every run of one seed.

mod connection;
mod latency;
mod machine;
mod network;
mod operation;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::{Bytes, BytesMut};
use hallows_runtime::{ConnectionId, DiskCompletion, Effects, Event, Inbox, Job, Random, Turn};
use hallows_types::{Monotonic, Now, ShardId, WallTime};

use crate::disk::SimDisk;
use crate::random::Choose;
use crate::trace::Trace;
use connection::Connection;
pub use latency::Latencies;
pub use machine::Ending;
pub use network::NetworkCounts;
pub(crate) use network::read_all;
use operation::DiskWork;

/// The wall time of the world's beginning: 2024-01-01T00:00:00Z.
const WALL_START_MS: i64 = 1_704_067_200_000;
const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;
/// How often the weather is looked at, in nanoseconds.
const WEATHER_INTERVAL: u64 = 2 * NANOSECONDS_PER_MILLISECOND;
/// A shard that wants this many turns in a row for nothing would burn its core.
const IDLE_TURNS_MAX: u32 = 1_000;

/// What the driver of a simulation is told.
#[derive(Debug)]
pub enum Happening<M> {
    /// A shard sent a message to a shard number that no shard has: an answer to the driver.
    Outside {
        /// The sender.
        from: ShardId,
        /// What it says.
        message: M,
    },
    /// An alarm set with [`World::alarm`] went off.
    Alarm(u64),
    /// A client received bytes.
    Received(ConnectionId, Bytes),
    /// A client's connection has ended.
    Disconnected(ConnectionId),
    /// A shard has set [`Effects::stop`].
    Stopped(ShardId),
}

/// How often the surroundings interfere: once in so many looks, 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    /// The kernel writes parts of the page cache back.
    pub write_back_one_in: u64,
    /// A connection is cut.
    pub cut_one_in: u64,
    /// A connection delivers nothing in one direction for a while.
    pub stall_one_in: u64,
    /// The wall clock jumps, forwards or back.
    pub wall_jump_one_in: u64,
}

/// Something that will happen.
enum Due<M> {
    Turn(ShardId),
    Timer(ShardId),
    Disk(DiskWork),
    Completion(ShardId, DiskCompletion),
    Message { from: ShardId, to: ShardId, message: M },
    Compute { shard: ShardId, token: u64, job: Job },
    Alarm(u64),
    Shutdown(ShardId),
    Weather,
    Accept(ConnectionId),
    ToServer(ConnectionId, Bytes),
    Transmit(ConnectionId),
    ToClient(ConnectionId, Bytes),
    ClientEnd(ConnectionId),
}

/// One shard and its place in the world.
struct Seat<T: Turn> {
    shard: T,
    inbox: Inbox<T::Message>,
    turn_due: bool,
    /// The earliest timer in the queue.
    timer: Monotonic,
    /// Turns in a row in which nothing had happened and nothing was wanted.
    idle_turns: u32,
    stopped: bool,
}

/// A machine with its shards, and what surrounds it.
pub struct World<T: Turn> {
    now: u64,
    wall_skew_ms: i64,
    random: Random,
    latencies: Latencies,
    weather: Weather,
    disk: SimDisk,
    seats: Vec<Seat<T>>,
    queue: BTreeMap<(u64, u64), Due<T::Message>>,
    next_number: u64,
    /// When the last message from one shard to another arrives: they keep their order.
    last_arrival: BTreeMap<(ShardId, ShardId), u64>,
    happenings: VecDeque<Happening<T::Message>>,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: u64,
    network: NetworkCounts,
    trace: Trace,
    effects: Effects<T::Message>,
}

impl<T: Turn> fmt::Debug for World<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "World(at {} ns, {} shards, {} due)",
            self.now,
            self.seats.len(),
            self.queue.len()
        )
    }
}

impl<T: Turn> World<T> {
    /// A world without shards, around a disk.
    #[must_use]
    pub fn new(seed: u64, disk: SimDisk, weather: Weather) -> Self {
        let mut random = Random::from_seed(seed);
        let latencies = Latencies::choose(&mut random);
        let mut world = Self {
            now: 0,
            wall_skew_ms: 0,
            random,
            latencies,
            weather,
            disk,
            seats: Vec::new(),
            queue: BTreeMap::new(),
            next_number: 0,
            last_arrival: BTreeMap::new(),
            happenings: VecDeque::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            network: NetworkCounts::default(),
            trace: Trace::default(),
            effects: Effects::default(),
        };
        world.schedule(WEATHER_INTERVAL, Due::Weather);
        world
    }

    /// The time.
    ///
    /// # Panics
    /// When the world has lasted longer than milliseconds can count.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed_ms = i64::try_from(self.now / NANOSECONDS_PER_MILLISECOND).expect("a world lasts minutes");
        Now {
            monotonic: Monotonic(self.now),
            wall: WallTime(WALL_START_MS + elapsed_ms + self.wall_skew_ms),
        }
    }

    /// The disk of the running machine.
    #[must_use]
    pub const fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// The generator, for choices of the driver.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// The fingerprint of the run, for notes of the driver.
    pub const fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// How often the network interfered.
    #[must_use]
    pub const fn network(&self) -> &NetworkCounts {
        &self.network
    }

    /// How many shards run.
    #[must_use]
    pub const fn shard_count(&self) -> usize {
        self.seats.len()
    }

    /// A shard, to look at.
    ///
    /// # Panics
    /// When there is none of that number.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> &T {
        &self.seats[usize::from(id.0)].shard
    }

    /// Changes how often the surroundings interfere.
    pub const fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Lets time pass without anything happening, as while the machine starts.
    pub const fn pass(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
    }

    /// Has [`Happening::Alarm`] come after a time.
    pub fn alarm(&mut self, nanoseconds: u64, token: u64) {
        self.schedule(nanoseconds, Due::Alarm(token));
    }

    /// Sends a shard a message from outside.
    pub fn send(&mut self, from: ShardId, to: ShardId, message: T::Message) {
        self.post(from, to, message);
    }

    /// Asks every shard to end.
    pub fn shut_down(&mut self) {
        for index in 0..self.seats.len() {
            let wait = self.latencies.message(&mut self.random);
            self.schedule(wait, Due::Shutdown(shard_id(index)));
        }
    }

    /// Goes on until something concerns the driver; `None` when nothing will ever happen.
    pub fn step(&mut self) -> Option<Happening<T::Message>> {
        loop {
            if let Some(happening) = self.happenings.pop_front() {
                return Some(happening);
            }
            let ((at, _), due) = self.queue.pop_first()?;
            self.now = self.now.max(at);
            self.perform(due);
        }
    }

    /// Something that already concerns the driver; time stands still.
    pub fn pending_happening(&mut self) -> Option<Happening<T::Message>> {
        self.happenings.pop_front()
    }

    fn schedule(&mut self, wait: u64, due: Due<T::Message>) {
        self.schedule_at(self.now.saturating_add(wait), due);
    }

    fn schedule_at(&mut self, at: u64, due: Due<T::Message>) {
        self.next_number += 1;
        self.queue.insert((at, self.next_number), due);
    }

    fn seat(&mut self, id: ShardId) -> Option<&mut Seat<T>> {
        self.seats.get_mut(usize::from(id.0)).filter(|seat| !seat.stopped)
    }

    fn perform(&mut self, due: Due<T::Message>) {
        match due {
            Due::Turn(shard) => self.turn(shard),
            Due::Timer(shard) => self.timer(shard),
            Due::Disk(work) => self.disk_step(work),
            Due::Completion(shard, completion) => self.complete(shard, completion),
            Due::Message { from, to, message } => {
                self.trace
                    .note("message", &[u64::from(from.0), u64::from(to.0), self.now]);
                self.deliver(to, Event::Message { from, message });
            }
            Due::Compute { shard, token, job } => {
                self.trace.note("computed", &[u64::from(shard.0), token, self.now]);
                let output = job();
                self.deliver(shard, Event::Computed { token, output });
            }
            Due::Alarm(token) => self.happenings.push_back(Happening::Alarm(token)),
            Due::Shutdown(shard) => self.deliver(shard, Event::Shutdown),
            Due::Weather => self.look_at_weather(),
            Due::Accept(id) => self.accept(id),
            Due::ToServer(id, bytes) => self.arrive(id, &bytes),
            Due::Transmit(id) => self.transmit(id),
            Due::ToClient(id, bytes) => self.happenings.push_back(Happening::Received(id, bytes)),
            Due::ClientEnd(id) => self.happenings.push_back(Happening::Disconnected(id)),
        }
    }

    /// Puts an event into a shard's inbox and sees to a turn.
    fn deliver(&mut self, shard: ShardId, event: Event<T::Message>) {
        let arrived = Monotonic(self.now);
        if let Some(seat) = self.seat(shard) {
            seat.inbox.push(event, arrived);
            self.wake(shard);
        }
    }

    fn wake(&mut self, shard: ShardId) {
        let wait = self.latencies.turn(&mut self.random);
        if let Some(seat) = self.seat(shard)
            && !std::mem::replace(&mut seat.turn_due, true)
        {
            self.schedule(wait, Due::Turn(shard));
        }
    }

    fn timer(&mut self, shard: ShardId) {
        let now = Monotonic(self.now);
        let Some(seat) = self.seat(shard) else { return };
        if seat.timer <= now {
            seat.timer = Monotonic::NEVER;
            self.wake(shard);
        }
    }

    fn turn(&mut self, id: ShardId) {
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        let Some(seat) = self.seat(id) else { return };
        seat.turn_due = false;
        let events = seat.inbox.len() as u64;
        seat.shard.turn(now, &mut seat.inbox, &mut effects);
        let wanted = [
            effects.disk.len(),
            effects.messages.len(),
            effects.outputs.len(),
            effects.compute.len(),
        ];
        let [disk, messages, outputs, compute] = wanted.map(|count| count as u64);
        let idle = events == 0 && wanted == [0; 4];
        seat.idle_turns = if idle { seat.idle_turns + 1 } else { 0 };
        assert!(
            seat.idle_turns < IDLE_TURNS_MAX,
            "a shard spins: its deadline stays due and its turns do nothing"
        );
        let numbers = [u64::from(id.0), self.now, events, disk, messages, outputs, compute];
        self.trace.note("turn", &numbers);
        self.apply(id, &mut effects);
        self.effects = effects;
        self.set_timer(id);
    }

    fn apply(&mut self, id: ShardId, effects: &mut Effects<T::Message>) {
        self.after_turn(id);
        for (token, op) in effects.disk.drain(..) {
            self.begin(id, token, op);
        }
        for (to, message) in effects.messages.drain(..) {
            self.post(id, to, message);
        }
        for (token, job) in effects.compute.drain(..) {
            let wait = self.latencies.disk(&mut self.random);
            self.schedule(wait, Due::Compute { shard: id, token, job });
        }
        for output in effects.outputs.drain(..) {
            self.output(output);
        }
        self.feed(id);
        if std::mem::take(&mut effects.stop)
            && let Some(seat) = self.seat(id)
        {
            seat.stopped = true;
            self.happenings.push_back(Happening::Stopped(id));
        }
    }

    fn set_timer(&mut self, id: ShardId) {
        let now = Monotonic(self.now);
        let Some(seat) = self.seat(id) else { return };
        let deadline = seat.shard.next_deadline();
        if deadline <= now || !seat.inbox.is_empty() {
            return self.wake(id);
        }
        if deadline < seat.timer {
            seat.timer = deadline;
            self.schedule_at(deadline.0, Due::Timer(id));
        }
    }

    fn post(&mut self, from: ShardId, to: ShardId, message: T::Message) {
        if usize::from(to.0) >= self.seats.len() {
            self.happenings.push_back(Happening::Outside { from, message });
            return;
        }
        let wait = self.latencies.message(&mut self.random);
        let earliest = self.last_arrival.get(&(from, to)).copied().unwrap_or(0);
        let at = (self.now + wait).max(earliest);
        self.last_arrival.insert((from, to), at);
        self.schedule_at(at, Due::Message { from, to, message });
    }

    fn look_at_weather(&mut self) {
        let weather = self.weather;
        if self.random.one_in(weather.write_back_one_in) {
            self.disk.write_back();
        }
        if self.random.one_in(weather.wall_jump_one_in) {
            let jump_ms = i64::try_from(self.random.below(20_000)).expect("small") - 10_000;
            self.wall_skew_ms += jump_ms;
            self.network.wall_jumps += 1;
        }
        if self.random.one_in(weather.cut_one_in) {
            self.cut_one();
        }
        if self.random.one_in(weather.stall_one_in) {
            self.stall_one();
        }
        self.schedule(WEATHER_INTERVAL, Due::Weather);
    }
}

fn shard_id(index: usize) -> ShardId {
    ShardId(u16::try_from(index).expect("a machine has few shards"))
}

/// Takes the first `count` bytes.
fn split(bytes: &mut BytesMut, count: usize) -> Bytes {
    bytes.split_to(count.min(bytes.len())).freeze()
}

#[cfg(test)]
mod tests;
