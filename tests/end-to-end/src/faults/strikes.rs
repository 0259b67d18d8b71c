//! The faults themselves. Each strikes, holds for a while, and leaves everything as it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hallows_testkit::{Broker, Direction, Proxy, Random, Weather};
use rustix::process::{Pid, Signal, kill_process};

use super::disk::Disk;
use super::kinds::Kind;
use super::limits::{self, Lowered};
use super::load::{Shared, Topic};
use super::probe::Probe;

/// The longest that a piece waits in the proxy.
const DELAY_MAX: Duration = Duration::from_millis(150);
/// The most that a connection carries before it is cut.
const CUT_AFTER_BYTES_MAX: u64 = 16 << 10;

/// What the faults strike.
pub(super) struct Target {
    pub(super) broker: Broker,
    /// Where the broker's data lies when the disk is to fail; unmounted after the broker is gone.
    pub(super) disk: Option<Disk>,
    pub(super) topics: Vec<Topic>,
    pub(super) probe: Probe,
    pub(super) proxy: Proxy,
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
    /// How often each kind struck, but for what the proxy and the members count themselves.
    struck: BTreeMap<Kind, u64>,
}

impl Target {
    pub(super) fn new(broker: Broker, disk: Option<Disk>, topics: Vec<Topic>, proxy: Proxy, random: Random) -> Self {
        let shared = Shared::new(proxy.address());
        Self {
            broker,
            disk,
            topics,
            probe: Probe::new(shared.next_process()),
            proxy,
            shared,
            random,
            struck: BTreeMap::new(),
        }
    }

    /// Strikes once.
    ///
    /// # Errors
    /// When the broker does not come back, or has ended although nothing killed it.
    pub(super) fn strike(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::ProxyDelay => self.weather(Weather::Delay(DELAY_MAX), 1_500..3_000),
            Kind::ProxyCut => {
                let cut = Weather::Cut {
                    after_bytes_max: CUT_AFTER_BYTES_MAX,
                };
                self.weather(cut, 1_500..3_000);
            }
            Kind::ProxyStallToBroker => self.weather(Weather::Stall(Direction::ToBroker), 500..4_000),
            Kind::ProxyStallToClient => self.weather(Weather::Stall(Direction::ToClient), 500..4_000),
            Kind::ProxyRefuse => self.weather(Weather::Refuse, 200..1_500),
            Kind::Kill => self.kill()?,
            Kind::Stop => self.stop()?,
            Kind::MemberKill => _ = self.shared.kill_members.fetch_add(1, Ordering::SeqCst),
            Kind::DiskFull => self.disk_full()?,
            Kind::Descriptors => self.descriptors()?,
            Kind::Memory => self.memory()?,
            Kind::PowerLoss => self.power_loss()?,
        }
        if let Some(status) = self.broker.ended()? {
            bail!(
                "the broker ended by itself with {status} under {}; it wrote:\n{}",
                kind.name(),
                self.broker.log_end()
            );
        }
        Ok(())
    }

    /// What was taken away is there again: every partition takes records.
    fn probe(&mut self) -> Result<()> {
        self.probe.all(&self.broker.address(), &self.topics)
    }

    /// How often a kind struck.
    pub(super) fn struck(&self, kind: Kind) -> u64 {
        let proxy = self.proxy.struck();
        match kind {
            Kind::ProxyDelay => proxy.delayed,
            Kind::ProxyCut => proxy.cut,
            Kind::ProxyStallToBroker => proxy.stalled_to_broker,
            Kind::ProxyStallToClient => proxy.stalled_to_client,
            Kind::ProxyRefuse => proxy.refused,
            Kind::MemberKill => self.shared.members_killed.load(Ordering::SeqCst),
            _ => self.struck.get(&kind).copied().unwrap_or(0),
        }
    }

    fn count(&mut self, kind: Kind) {
        *self.struck.entry(kind).or_default() += 1;
    }

    /// Lets a random time pass, in milliseconds.
    pub(super) fn hold(&mut self, range: std::ops::Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        thread::sleep(Duration::from_millis(range.start + self.random.below(length)));
    }

    fn weather(&mut self, weather: Weather, hold: std::ops::Range<u64>) {
        self.proxy.set(weather);
        self.hold(hold);
        // Every other stall ends with the connections: what was held back never arrives.
        if matches!(weather, Weather::Stall(_)) && self.random.below(2) == 0 {
            self.proxy.set(Weather::Refuse);
            self.hold(20..50);
        }
        self.proxy.set(Weather::Fair);
    }

    fn kill(&mut self) -> Result<()> {
        self.broker.kill();
        self.count(Kind::Kill);
        self.hold(20..500);
        self.broker.restart()?;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let process = self.process()?;
        kill_process(process, Signal::STOP)?;
        self.count(Kind::Stop);
        self.hold(500..3_500);
        kill_process(process, Signal::CONT)?;
        Ok(())
    }

    /// Every other time the broker is killed, too, and starts on the full disk.
    fn disk_full(&mut self) -> Result<()> {
        let mut was_full = false;
        for _ in 0..3 {
            let disk = self.disk.as_ref().context("there is a small disk")?;
            disk.fill()?;
            // Soon the broker gives back what its journals can spare.
            was_full |= disk.is_full()?;
            self.hold(500..1_200);
        }
        if self.random.below(2) == 0 {
            self.kill()?;
            self.hold(500..1_200);
        }
        let disk = self.disk.as_ref().context("there is a small disk")?;
        disk.free()?;
        if was_full {
            self.count(Kind::DiskFull);
        }
        self.probe()
    }

    fn descriptors(&mut self) -> Result<()> {
        let process = self.process()?;
        let lowered = Lowered::descriptors(process)?;
        let crowd = limits::crowd(&self.broker.address())?;
        // Everybody has to connect anew.
        self.proxy.set(Weather::Refuse);
        self.hold(20..100);
        self.proxy.set(Weather::Fair);
        self.hold(1_500..3_000);
        let were_gone = limits::open_descriptors(process)? >= lowered.limit;
        lowered.restore()?;
        drop(crowd);
        if were_gone {
            self.count(Kind::Descriptors);
        }
        self.probe()
    }

    /// The broker may end: it cannot go on without memory. Then it is started again, and has lost nothing.
    fn memory(&mut self) -> Result<()> {
        let process = self.process()?;
        let lowered = Lowered::memory(process)?;
        let crowd = limits::greedy_crowd(&self.broker.address())?;
        self.hold(1_500..3_000);
        if let Some(status) = self.broker.ended()? {
            println!("       without memory the broker ended with {status}");
            self.count(Kind::Memory);
            drop(crowd);
            self.broker.restart()?;
            return self.probe();
        }
        let was_gone = limits::memory_bytes(process)? + (1 << 20) >= lowered.limit;
        lowered.restore()?;
        drop(crowd);
        if was_gone {
            self.count(Kind::Memory);
        }
        self.probe()
    }

    /// The disk goes first and lets no sync succeed, so that the broker can promise nothing before it goes, too.
    fn power_loss(&mut self) -> Result<()> {
        let disk = self.disk.as_ref().context("there is a disk")?;
        disk.lose_power(&mut self.random)?;
        self.broker.kill();
        let forgotten = disk.restore_power()?;
        println!("       the disk forgot {forgotten} blocks");
        if forgotten > 0 {
            self.count(Kind::PowerLoss);
        }
        self.broker.restart()?;
        self.probe()
    }

    fn process(&self) -> Result<Pid> {
        let id = self.broker.process_id().context("the broker runs")?;
        Pid::from_raw(i32::try_from(id)?).context("a process has a number")
    }
}
