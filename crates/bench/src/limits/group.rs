//! A classic group of 1,000 members: how long it takes to form and to rebalance, and what its heartbeats cost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::table::Table;
use super::{LimitsPlan, process, with_cpu};
use crate::codec::{Decoder, Encoder, set_correlation};
use crate::connection::{Receiver, Sender, open};
use crate::machine;

const MEMBERS: usize = 1_000;
const GROUP: &str = "crowd";
/// Kafka's consumer sends one so often by default.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
const SESSION_TIMEOUT_MS: i32 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// What each member says of its subscriptions, and is assigned; a consumer of a few topics has about as much.
const METADATA: [u8; 100] = [0; 100];
/// How long joins are gathered by default; it is part of the first figure.
const INITIAL_DELAY: &str = "group.initial.rebalance.delay.ms=3000";
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

pub(super) fn measure(plan: &LimitsPlan) -> Result<Table> {
    let subject = plan.start(&[])?;
    let pid = process(&subject)?;
    await_coordinator(subject.address)?;
    let before = machine::resident_mib(pid)?;
    let members = (0..MEMBERS).map(|_| Member::connect(subject.address));
    let mut members = members.collect::<Result<Vec<Member>>>()?;
    let connected = machine::resident_mib(pid)?;
    machine::forget_peak(pid)?;
    let start = Instant::now();
    let (formed, forming_cpu) = with_cpu(pid, || {
        join_all(&mut members)?;
        sync_all(&mut members)?;
        Ok(start.elapsed())
    })?;
    let (beats, beating_cpu) = with_cpu(pid, || heartbeat_all(&mut members, plan.length))?;
    members.push(Member::connect(subject.address)?);
    let start = Instant::now();
    let (rebalanced, rebalancing_cpu) = with_cpu(pid, || {
        rebalance(&mut members)?;
        Ok(start.elapsed())
    })?;
    let mut table = Table::new(format!(
        "A classic group of {MEMBERS} members, each with a connection and {} B of metadata and of assignment",
        METADATA.len()
    ));
    table.column(
        MEMBERS.to_string(),
        &[
            ("first join to last assignment, ms", formed.as_secs_f64() * 1e3),
            ("CPU meanwhile, % of a core", forming_cpu),
            (
                "one more joins: until all are assigned, ms",
                rebalanced.as_secs_f64() * 1e3,
            ),
            ("CPU meanwhile (rebalance), % of a core", rebalancing_cpu),
            ("heartbeats a second", beats),
            ("CPU of heartbeats, % of a core", beating_cpu),
            ("memory before, MiB", before),
            ("memory with their connections, MiB", connected),
            ("memory, peak, MiB", machine::peak_mib(pid)?),
        ],
    );
    table.note(format!("The first figure has `{INITIAL_DELAY}` in it."));
    Ok(table)
}

/// One member with its connection.
struct Member {
    sender: Sender,
    receiver: Receiver,
    id: String,
    generation: i32,
    /// The ids of all members, where this one leads.
    led: Vec<String>,
}

impl Member {
    fn connect(address: std::net::SocketAddr) -> Result<Self> {
        let (sender, receiver) = open(address)?;
        Ok(Self {
            sender,
            receiver,
            id: String::new(),
            generation: -1,
            led: Vec::new(),
        })
    }

    fn send_join(&mut self) -> Result<()> {
        let mut encoder = Encoder::request(11, 7);
        encoder.string(GROUP);
        encoder.i32(SESSION_TIMEOUT_MS);
        encoder.i32(REBALANCE_TIMEOUT_MS);
        encoder.string(&self.id);
        encoder.null();
        encoder.string("consumer");
        encoder.compact_count(1);
        encoder.string("range");
        encoder.compact_count(METADATA.len());
        encoder.raw(&METADATA);
        encoder.tags();
        encoder.tags();
        self.sender.send(&encoder.finish())
    }

    /// Returns the error code; takes the member's id and what else was told.
    fn receive_join(&mut self) -> Result<i16> {
        let mut decoder = Decoder::answer(self.receiver.receive()?)?;
        decoder.i32()?;
        let error = decoder.i16()?;
        self.generation = decoder.i32()?;
        decoder.bytes()?;
        decoder.bytes()?;
        decoder.bytes()?;
        self.id = decoder.string()?;
        self.led.clear();
        for _ in 0..decoder.count()? {
            self.led.push(decoder.string()?);
            decoder.bytes()?;
            decoder.bytes()?;
            decoder.tags()?;
        }
        Ok(error)
    }

    fn send_sync(&mut self) -> Result<()> {
        let mut encoder = Encoder::request(14, 5);
        encoder.string(GROUP);
        encoder.i32(self.generation);
        encoder.string(&self.id);
        encoder.null();
        encoder.string("consumer");
        encoder.string("range");
        encoder.compact_count(self.led.len());
        for id in &self.led {
            encoder.string(id);
            encoder.compact_count(METADATA.len());
            encoder.raw(&METADATA);
            encoder.tags();
        }
        encoder.tags();
        self.sender.send(&encoder.finish())
    }

    fn receive_sync(&mut self) -> Result<()> {
        let mut decoder = Decoder::answer(self.receiver.receive()?)?;
        decoder.i32()?;
        let error = decoder.i16()?;
        decoder.bytes()?;
        decoder.bytes()?;
        let assigned = decoder.bytes()?.len();
        ensure!(
            error == 0 && assigned == METADATA.len(),
            "a SyncGroup was answered with error code {error} and {assigned} bytes"
        );
        Ok(())
    }

    fn send_heartbeat(&mut self) -> Result<()> {
        let mut encoder = Encoder::request(12, 4);
        encoder.string(GROUP);
        encoder.i32(self.generation);
        encoder.string(&self.id);
        encoder.null();
        encoder.tags();
        self.sender.send(&encoder.finish())
    }

    fn receive_heartbeat(&mut self) -> Result<i16> {
        let mut decoder = Decoder::answer(self.receiver.receive()?)?;
        decoder.i32()?;
        decoder.i16()
    }
}

/// Waits until the group's coordinator is there; asking for it makes the offsets topic.
fn await_coordinator(address: std::net::SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let (mut sender, mut receiver) = open(address)?;
    loop {
        let mut encoder = Encoder::request(10, 4);
        encoder.i8(0);
        encoder.compact_count(1);
        encoder.string(GROUP);
        encoder.tags();
        let mut frame = encoder.finish();
        set_correlation(&mut frame, 1);
        sender.send(&frame)?;
        let mut decoder = Decoder::answer(receiver.receive()?)?;
        decoder.i32()?;
        ensure!(decoder.count()? == 1, "the answer to FindCoordinator does not name one");
        decoder.bytes()?;
        decoder.i32()?;
        decoder.bytes()?;
        decoder.i32()?;
        match decoder.i16()? {
            0 => return Ok(()),
            error => ensure!(Instant::now() < deadline, "no coordinator: error code {error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All send before the first answer is read: nobody is answered before everybody has joined.
fn join_all(members: &mut [Member]) -> Result<()> {
    // A new member is first told its id.
    let strangers = members.iter_mut().filter(|member| member.id.is_empty());
    for member in strangers {
        member.send_join()?;
        let error = member.receive_join()?;
        ensure!(
            error == MEMBER_ID_REQUIRED,
            "a first JoinGroup was answered with error code {error}"
        );
    }
    members.iter_mut().try_for_each(Member::send_join)?;
    for member in members {
        let error = member.receive_join()?;
        ensure!(error == 0, "a JoinGroup was answered with error code {error}");
    }
    Ok(())
}

/// The leader's is what the others wait for.
fn sync_all(members: &mut [Member]) -> Result<()> {
    let leaders = members.iter().filter(|member| !member.led.is_empty()).count();
    ensure!(leaders == 1, "{leaders} members lead the group");
    let led = members.iter().map(|member| member.led.len()).sum::<usize>();
    ensure!(
        led == members.len(),
        "the leader knows {led} of {} members",
        members.len()
    );
    members.iter_mut().try_for_each(Member::send_sync)?;
    members.iter_mut().try_for_each(Member::receive_sync)
}

/// Every member sends one each three seconds; returns how many a second that were.
fn heartbeat_all(members: &mut [Member], length: Duration) -> Result<f64> {
    let start = Instant::now();
    let interval = HEARTBEAT_EVERY / u32::try_from(members.len())?;
    let mut sent = 0_u32;
    while start.elapsed() < length {
        for member in &mut *members {
            std::thread::sleep((start + interval * sent).saturating_duration_since(Instant::now()));
            member.send_heartbeat()?;
            let error = member.receive_heartbeat()?;
            ensure!(error == 0, "a heartbeat was answered with error code {error}");
            sent += 1;
        }
    }
    Ok(f64::from(sent) / start.elapsed().as_secs_f64())
}

/// The last member is new. It joins, the others learn of it by a heartbeat each, join again, and all are assigned.
fn rebalance(members: &mut [Member]) -> Result<()> {
    let (new, old) = members.split_last_mut().context("there is a new member")?;
    new.send_join()?;
    let error = new.receive_join()?;
    ensure!(
        error == MEMBER_ID_REQUIRED,
        "a first JoinGroup was answered with error code {error}"
    );
    new.send_join()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    for member in old {
        loop {
            member.send_heartbeat()?;
            match member.receive_heartbeat()? {
                REBALANCE_IN_PROGRESS => break,
                0 => ensure!(Instant::now() < deadline, "no heartbeat tells of the new member"),
                error => anyhow::bail!("a heartbeat was answered with error code {error}"),
            }
        }
        member.send_join()?;
    }
    for member in &mut *members {
        let error = member.receive_join()?;
        ensure!(error == 0, "a JoinGroup was answered with error code {error}");
    }
    sync_all(members)
}
